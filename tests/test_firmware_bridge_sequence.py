"""What sequence numbers tell of losses."""

import pytest

from firmware_bridge.sequence import OLDEST_REPEAT, Sequence, Step


def follow(*steps: tuple[int, int]) -> list[int | Step]:
    sequence = Sequence()
    return [sequence.step(seq, t_us & 0xFFFFFFFF) for seq, t_us in steps]


def test_consecutive_numbers_lose_nothing_across_the_wrap() -> None:
    assert follow((65534, 0), (65535, 1), (0, 2), (1, 3)) == [Step.FIRST, 0, 0, 0]


def test_a_gap_is_so_many_lost_across_the_wrap() -> None:
    assert follow((65530, 0), (3, 9)) == [Step.FIRST, 8]


def test_time_may_wrap() -> None:
    assert follow((1, 0xFFFFFFFF), (2, 5), (1, 0xFFFFFFFF)) == [Step.FIRST, 0, Step.REPEATED]


@pytest.mark.parametrize("behind", [0, 1, OLDEST_REPEAT])
def test_a_number_that_came_before_is_a_repeat_and_no_loss(behind: int) -> None:
    steps = follow((100, 100), (100 - behind, 100 - behind), (101, 101))
    assert steps == [Step.FIRST, Step.REPEATED, 0]


def test_a_step_back_beyond_the_repeats_is_a_restart_and_no_loss() -> None:
    assert follow((100, 100), (0, 0), (1, 1)) == [Step.FIRST, Step.RESTARTED, 0]


def test_a_device_that_never_counts_is_heard_all_the_same() -> None:
    """The time tells that its frames are new."""
    assert follow((0, 0), (0, 100), (0, 200)) == [Step.FIRST, Step.RESTARTED, Step.RESTARTED]


def test_numbers_count_from_zero_where_the_boot_was_seen() -> None:
    sequence = Sequence()
    sequence.boot(witnessed=True)
    assert sequence.step(3, 0) == 3


def test_numbers_count_from_the_first_one_where_the_boot_was_not_seen() -> None:
    sequence = Sequence()
    sequence.boot(witnessed=False)
    assert sequence.step(3, 0) is Step.FIRST


def test_a_gap_across_an_interruption_is_settled_afterwards() -> None:
    sequence = Sequence()
    sequence.step(65530, 0)
    assert not sequence.interrupted()
    assert [sequence.step(4, 10), sequence.step(5, 11)] == [Step.FIRST, 0]
    assert [sequence.settle(), sequence.settle()] == [9, 0]


def test_a_gap_that_is_settled_before_the_next_number_is_counted_with_it() -> None:
    sequence = Sequence()
    sequence.step(10, 0)
    sequence.interrupted()
    assert [sequence.settle(), sequence.step(14, 1)] == [0, 3]


def test_two_interruptions_without_knowing_the_boot_leave_one_gap_unknown() -> None:
    sequence = Sequence()
    sequence.step(10, 0)
    sequence.interrupted()
    sequence.step(20, 1)
    assert sequence.interrupted()
    sequence.step(30, 2)
    assert sequence.settle() == 9
