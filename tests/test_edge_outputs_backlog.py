"""What waits before an output: bounded, poses go first, and no faster than its rate."""

from output_items import event, named, pose

from edge.outputs.backlog import QUEUE_LINES, Backlog


def taken(backlog: Backlog, now_s: float = 0.0) -> list[int | str]:
    return named(list(iter(lambda: backlog.take(now_s), None)))


def test_a_full_backlog_loses_its_oldest_pose_and_counts_it() -> None:
    backlog = Backlog(size=3)
    for seq in range(5):
        backlog.put(pose(seq), 0.0)
    assert taken(backlog) == [2, 3, 4]
    assert backlog.dropped == 2


def test_other_lines_stay_as_long_as_a_pose_can_go() -> None:
    backlog = Backlog(size=3)
    for item in (event("a"), pose(0), event("b"), pose(1), pose(2), event("c"), pose(3)):
        backlog.put(item, 0.0)
    assert taken(backlog) == ["a", "b", "c"]
    assert backlog.dropped == 4


def test_a_flood_of_other_lines_is_bounded_too_and_the_newest_stay() -> None:
    backlog = Backlog()
    for number in range(2000):
        backlog.put(event(str(number)), 0.0)
        assert len(backlog) <= QUEUE_LINES
    assert taken(backlog) == [str(number) for number in range(2000 - QUEUE_LINES, 2000)]
    assert backlog.dropped == 2000 - QUEUE_LINES


def test_what_is_put_back_comes_first_and_the_bound_holds() -> None:
    backlog = Backlog(size=2)
    backlog.put(event("a"), 0.0)
    first = backlog.take(0.0)
    assert first
    for seq in range(2):
        backlog.put(pose(seq), 0.0)
    backlog.put_back(first)
    assert taken(backlog) == ["a", 1]


def test_a_rate_lets_the_newest_pose_through_when_its_time_has_come() -> None:
    backlog = Backlog(rate_hz=2.0)
    backlog.put(pose(0), 10.0)
    assert taken(backlog, 10.0) == [0]
    for seq in (1, 2, 3):
        backlog.put(pose(seq), 10.0 + seq / 10)
    assert taken(backlog, 10.49) == []
    assert backlog.due_s() == 10.5
    assert taken(backlog, 10.5) == [3]
    assert (backlog.thinned, backlog.dropped) == (2, 0)


def test_a_rate_counts_for_each_mat() -> None:
    backlog = Backlog(rate_hz=1.0)
    for seq in range(6):
        backlog.put(pose(seq, mat="left" if seq % 2 else "right"), 0.0)
        if seq == 1:
            assert taken(backlog) == [0, 1]
    assert taken(backlog, 1.0) == [4, 5]


def test_other_lines_pass_a_rate_at_once_and_no_pose_comes_after_a_later_line_of_its_mat() -> None:
    backlog = Backlog(rate_hz=1.0)
    for item in (pose(0), event("a"), pose(1), event("b"), event("c")):
        backlog.put(item, 0.0)
        if item.line.seq == 0:
            assert taken(backlog) == [0]
    assert taken(backlog) == ["a", "b", "c"]
    assert taken(backlog, 100.0) == []
    assert backlog.thinned == 1


def test_a_pose_whose_time_has_come_is_not_overtaken() -> None:
    backlog = Backlog(rate_hz=1.0)
    backlog.put(pose(0), 0.0)
    backlog.put(event("a"), 0.0)
    assert taken(backlog) == [0, "a"]


def test_a_line_of_another_mat_leaves_a_held_pose_alone() -> None:
    backlog = Backlog(rate_hz=1.0)
    backlog.put(pose(0), 0.0)
    assert taken(backlog) == [0]
    backlog.put(pose(1), 0.5)
    backlog.put(event("a", mat="other"), 0.5)
    assert taken(backlog, 0.5) == ["a"]
    assert taken(backlog, 1.0) == [1]


def test_under_a_rate_a_slow_output_gets_the_newest_pose_and_the_others_count_as_dropped() -> None:
    backlog = Backlog(rate_hz=100.0)
    for seq in range(10):
        backlog.put(pose(seq), float(seq))
    assert taken(backlog, 10.0) == [9]
    assert (backlog.thinned, backlog.dropped) == (0, 9)


def test_what_is_put_back_under_a_rate_may_go_at_once() -> None:
    backlog = Backlog(rate_hz=1.0)
    backlog.put(pose(0), 0.0)
    first = backlog.take(0.0)
    assert first
    backlog.put_back(first)
    assert taken(backlog, 0.0) == [0]
    backlog.put(pose(1), 0.5)
    assert taken(backlog, 0.5) == []
