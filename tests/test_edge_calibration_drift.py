"""Simulated nights: what creeps goes away, a body stays, however still it lies."""

from collections.abc import Iterator
from itertools import cycle, islice

import numpy as np
import pytest
from calibrations import COLS, ROWS, calibration, made, tare
from edge_packages import GRID

from edge.calibration.calibrator import Calibrator
from edge.calibration.drift import EVERY_S, FOLLOW_S, LONGEST_STEP_S
from edge.contact import contact
from firmware_bridge.person import still
from firmware_bridge.sensor import Sensor

STEP_S = 10.0
HOUR_S = 3600.0
NOBODY = np.zeros((ROWS, COLS), np.float32)
SCANS = 20
"""Of one load, used again and again: a night needs thousands."""


class Bed:
    """A mat of the seed's sensor that creeps: after a long time its counts carry `share` of the load more.

    `counts` is the latest frame, `pressure` what a calibrator tared at the beginning makes of it.
    """

    def __init__(self, seed: int, share: float = 0.0, creep_s: float = 1500.0) -> None:
        self.sensor, self.share, self.creep_s = Sensor(seed, GRID), share, creep_s
        self.sensor._faulty[:] = False
        self.creep, self.rest = np.zeros((ROWS, COLS)), np.full((ROWS, COLS), 20.0)
        self.occupied, self.t_s = False, 0.0
        self.calibration = made(tare(self.send(scan) for scan in self.scans(NOBODY)))
        self.calibrator = Calibrator(self.calibration, ROWS, COLS)

    def lie(self, pressure_kpa: np.ndarray, lasting_s: float) -> Iterator[np.ndarray]:
        """Calibrated pressure, every STEP_S."""
        for scan in islice(cycle(self.scans(pressure_kpa)), round(lasting_s / STEP_S)):
            self.t_s += STEP_S
            self.counts = self.send(scan)
            self.pressure = self.calibrator(self.counts, self.occupied, self.t_s)
            self.occupied = contact(self.pressure, GRID).occupied
            yield self.pressure

    def scans(self, pressure_kpa: np.ndarray) -> list[np.ndarray]:
        return [self.sensor(pressure_kpa).astype(float) for _ in range(SCANS)]

    def send(self, loaded: np.ndarray) -> np.ndarray:
        self.creep += (self.share * loaded - self.creep) * STEP_S / self.creep_s
        return np.rint(np.clip(self.rest + loaded + self.creep, 0, 4095)).astype(np.uint16)


def mean_of(frames: list[np.ndarray]) -> np.ndarray:
    return np.mean(frames, axis=0)


@pytest.mark.parametrize("seed", [1, 4])
def test_a_motionless_sleeper_of_eight_hours_keeps_all_pressure(seed: int) -> None:
    bed = Bed(seed)
    night = list(bed.lie(still(seed, GRID).pressure_kpa, 8 * HOUR_S))
    evening, morning = mean_of(night[:SCANS]), mean_of(night[-SCANS:])
    assert bed.occupied
    assert morning.sum() == pytest.approx(evening.sum(), rel=0.03)
    loaded = evening > 20
    assert loaded.sum() > 200
    np.testing.assert_allclose(morning[loaded], evening[loaded], rtol=0.04, atol=1)
    area_cm2 = [contact(pressure.astype(np.float32), GRID).area_cm2 for pressure in (evening, morning)]
    assert area_cm2[1] == pytest.approx(area_cm2[0], rel=0.03)


def test_what_bodies_leave_behind_makes_no_phantom_and_is_learnt() -> None:
    """Ten per cent creep, six postures of half an hour each, then an empty bed: from the first frame to the last."""
    bed = Bed(2, share=0.1)
    for posture in range(6):
        for _ in bed.lie(still(posture, GRID).pressure_kpa, HOUR_S / 2):
            pass
        assert bed.occupied
    empty = list(bed.lie(NOBODY, 3 * HOUR_S))
    assert np.max(bed.creep) < 1, "the simulated foil has recovered"
    assert not any(contact(pressure, GRID).occupied for pressure in empty)
    assert np.max(empty[1]) < 10, "from the second frame on"
    assert np.max(bed.pressure) < 5


def test_without_the_floor_of_lately_carried_loads_there_would_be_a_phantom() -> None:
    bed = Bed(2, share=0.1)
    for _ in bed.lie(still(5, GRID).pressure_kpa, HOUR_S / 2):
        pass
    counts = bed.send(bed.scans(NOBODY)[0])
    assert contact(Calibrator(bed.calibration, ROWS, COLS)(counts, False, 0.0), GRID).occupied
    assert not contact(bed.calibrator(counts, bed.occupied, bed.t_s), GRID).occupied


def test_the_next_sleeper_is_seen_in_full_on_what_the_last_one_left() -> None:
    bed, fresh = Bed(2, share=0.1), Bed(2)
    for _ in bed.lie(still(0, GRID).pressure_kpa, 4 * HOUR_S):
        pass
    for _ in bed.lie(NOBODY, HOUR_S / 2):
        pass
    kpa = still(5, GRID).pressure_kpa
    seen, expected = (mean_of(list(mat.lie(kpa, 200))) for mat in (bed, fresh))
    loaded = expected > 50
    assert np.median(seen[loaded] / expected[loaded]) == pytest.approx(1, abs=0.05)
    assert np.corrcoef(seen.ravel(), expected.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("asleep", [False, True])
def test_a_room_that_warms_up_is_followed_on_idle_taxels_and_not_under_a_body(asleep: bool) -> None:
    bed = Bed(3)
    kpa = still(3, GRID).pressure_kpa if asleep else NOBODY
    before = mean_of(list(bed.lie(kpa, 200)))
    start = bed.calibrator.followed()
    for _ in bed.lie(kpa, 3 * HOUR_S):
        bed.rest += 30 * STEP_S / (3 * HOUR_S)
    after = bed.pressure
    idle = before < 0.5
    end = bed.calibrator.followed()
    assert start is not None
    assert end is not None
    followed = np.array(end.baseline_counts) - np.array(start.baseline_counts)
    if asleep:
        loaded = before > 20
        assert np.abs(followed[loaded]).max() < 0.5
        assert bed.occupied
    else:
        np.testing.assert_allclose(followed[idle], 29, atol=2)
        assert after.max() < 5
        assert not bed.occupied


def test_a_book_left_on_the_bed_is_not_learnt() -> None:
    """Nobody lies there, and yet it is a load."""
    bed, book = Bed(1), NOBODY.copy()
    book[20:28, 10:18] = 1.0
    first = mean_of(list(bed.lie(book, 200)))
    last = mean_of(list(bed.lie(book, 8 * HOUR_S))[-SCANS:])
    assert not bed.occupied
    assert last[20:28, 10:18].mean() == pytest.approx(first[20:28, 10:18].mean(), rel=0.03)


def test_a_zero_that_was_taken_under_a_load_heals() -> None:
    calibrator = Calibrator(calibration(), ROWS, COLS)
    below = np.full((ROWS, COLS), 2, np.uint16)
    for i in range(1000):
        calibrator(below, False, i * 5.0)
    loaded = calibrator(below + np.uint16(100), True, 5000.0)
    np.testing.assert_allclose(loaded, 100, atol=0.5)


def test_the_neighbours_of_a_load_stay_as_they_are() -> None:
    """Each shows 3 counts, below its floor: a body's rim, or drift."""
    counts = np.full((ROWS, COLS), 13, np.uint16)
    counts[30, 10] = 200
    calibrator = Calibrator(calibration(), ROWS, COLS)
    for i in range(1000):
        calibrator(counts, True, i * 5.0)
    end = calibrator.followed()
    assert end is not None
    zero = np.array(end.baseline_counts)
    np.testing.assert_array_equal(zero[29:32, 9:12], 10)
    zero[29:32, 9:12] = 13
    np.testing.assert_allclose(zero, 13, atol=0.01)


@pytest.mark.parametrize(("occupied", "learnt"), [(True, 0), (False, 8)])
def test_a_light_limb_is_kept_and_a_slight_shift_of_an_empty_mat_is_learnt(occupied: bool, learnt: float) -> None:
    """The same 8 counts, twice the noise floor."""
    counts = np.full((ROWS, COLS), 10, np.uint16)
    counts[30:40, 10:14] = 18
    calibrator = Calibrator(calibration(), ROWS, COLS)
    for i in range(1000):
        calibrator(counts, occupied, i * 5.0)
    end = calibrator.followed()
    assert end is not None
    np.testing.assert_allclose(np.array(end.baseline_counts)[30:40, 10:14], 10 + learnt, atol=0.01)


@pytest.mark.parametrize("rate_hz", [0.5, 1, 40])
def test_the_zero_follows_at_the_same_pace_at_every_frame_rate(rate_hz: float) -> None:
    calibrator = Calibrator(calibration(4, 4), 4, 4)
    for i in range(round(FOLLOW_S * rate_hz) + 1):
        calibrator(np.full((4, 4), 12), False, i / rate_hz)
    end = calibrator.followed()
    assert end is not None
    np.testing.assert_allclose(end.baseline_counts, 10 + 2 * (1 - np.exp(-1)), atol=0.02)


def test_one_frame_after_hours_of_silence_or_out_of_time_learns_little() -> None:
    calibrator = Calibrator(calibration(4, 4), 4, 4)
    for t_s in (0.0, 8 * HOUR_S, 100.0):
        calibrator(np.full((4, 4), 12), False, t_s)
    end = calibrator.followed()
    assert end is not None
    assert np.max(end.baseline_counts) <= 10 + 2 * LONGEST_STEP_S / FOLLOW_S + 0.01


def test_the_next_run_begins_where_this_one_ended() -> None:
    calibrator = Calibrator(calibration(4, 4), 4, 4)
    for i in range(2000):
        calibrator(np.full((4, 4), 13), False, i * 2 * EVERY_S)
    then = Calibrator(calibrator.followed(), 4, 4)
    loaded = np.full((4, 4), 113)
    np.testing.assert_allclose(then(loaded, True, 0.0), calibrator(loaded, True, 2001.0), atol=1)
    assert then(loaded, True, 1.0).mean() == pytest.approx(100, abs=0.5)
