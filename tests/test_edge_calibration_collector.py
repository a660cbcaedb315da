"""Frames that a calibration is made of: enough of them, and never too many."""

import numpy as np
import pytest
from calibrations import COLS, ROWS

from edge.calibration.collector import LASTS_S, LONGEST_S, MOST_FRAMES, Collector

COUNTS = np.full((ROWS, COLS), 20, np.uint16)


@pytest.mark.parametrize(("rate_hz", "frames"), [(1, 10), (10, 31), (40, 121), (200, MOST_FRAMES)])
def test_collecting_takes_its_time_and_a_bounded_number_of_frames(rate_hz: float, frames: int) -> None:
    collector = Collector()
    enough = [collector.feed(COUNTS, False, i / rate_hz) for i in range(10_000)]
    assert enough.index(True) == frames - 1
    assert all(enough[frames - 1 :])
    assert (frames - 1) / rate_hz >= min(LASTS_S, (MOST_FRAMES - 1) / rate_hz)
    assert len(collector._stack()) <= MOST_FRAMES


def test_collecting_ends_after_a_while_with_what_there_is() -> None:
    collector = Collector()
    assert not collector.feed(COUNTS, False, 100.0)
    assert not collector.feed(COUNTS, False, 100.0 + LONGEST_S - 1)
    assert collector.feed(COUNTS, False, 100.0 + LONGEST_S)


def test_frames_that_the_sender_uses_again_are_kept_as_they_were() -> None:
    collector, counts = Collector(), COUNTS.copy()
    collector.feed(counts, False, 0.0)
    counts[:] = 500
    collector.feed(counts, False, 0.1)
    assert collector._stack()[:, 3, 3].tolist() == [20, 500]
