"""Taring: what an empty mat shows, and when there is no calibration."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from calibrations import COLS, ROWS, calibration, made, resting, tare
from edge_packages import GRID, info

from edge.calibration.collector import LONGEST_S, Refused
from edge.calibration.tare import Tare
from edge.calibration.values import Fault, PowerLaw, in_words
from firmware_bridge.person import night, still
from firmware_bridge.scans import simulated_scans
from firmware_bridge.sensor import Sensor


def refusal(result: object) -> str:
    assert isinstance(result, Refused), result
    return result.reason


def test_baseline_and_noise_are_the_mats() -> None:
    level = np.linspace(5, 60, ROWS * COLS).reshape(ROWS, COLS)
    found = made(tare(resting(level=level, noise=2.0), force=True))  # untared, a slope looks like a body
    assert np.abs(np.array(found.baseline_counts) - level).mean() < 0.6
    assert np.median(found.noise_counts) == pytest.approx(2.0, abs=0.2)
    assert (found.device_id, found.rows, found.cols, found.made_unix_s) == (0, ROWS, COLS, 1.7e9)
    assert (found.unit, found.faults) == ("counts", [])


def test_single_spikes_are_neither_load_nor_noise() -> None:
    frames = resting()
    frames[7][:] = 4095
    frames[20][3] = 0
    found = made(tare(frames))
    assert np.abs(np.array(found.baseline_counts) - 20).max() <= 1
    assert np.max(found.noise_counts) < 2


def test_taxels_that_hide_their_noise_below_zero_get_that_of_the_others() -> None:
    level = np.full((ROWS, COLS), 5.0)
    level[:10] = -5
    found = np.array(made(tare(resting(level=level))).noise_counts)
    assert found[:10].min() == pytest.approx(1.0, abs=0.2)


def test_a_breathing_body_is_refused_with_and_without_force() -> None:
    frames = [scan.counts for scan in islice(simulated_scans(3, GRID, 10), 80)][40:]
    assert "somebody lies on the mat in 31 of 31 frames" in refusal(tare(frames))
    assert "of the taxels change" in refusal(tare(frames, force=True)), "somebody breathes there"


def test_what_lies_there_and_is_no_body_can_be_tared_away() -> None:
    sensor, moment = Sensor(3, GRID), still(3, GRID)
    frames = [sensor(moment.pressure_kpa) for _ in range(40)]
    assert "somebody lies on the mat" in refusal(tare(frames))
    assert np.max(made(tare(frames, force=True)).baseline_counts) > 100


def test_somebody_who_lies_down_meanwhile_is_noticed() -> None:
    sensor, moment = Sensor(3, GRID), still(3, GRID)
    nobody = np.zeros_like(moment.pressure_kpa)
    frames = [sensor(nobody) for _ in range(20)] + [sensor(moment.pressure_kpa) for _ in range(20)]
    assert "somebody lies on the mat in 11 of 31 frames" in refusal(tare(frames))


def test_something_that_moves_and_is_no_body_is_noticed() -> None:
    frames = resting()
    for i, counts in enumerate(frames):
        counts[10 : 10 + i, 5:10] += 100
    assert "of the taxels change" in refusal(tare(frames))
    slowly = resting()
    for i, counts in enumerate(slowly):
        counts += np.uint16(i)
    assert "100 % of the taxels change" in refusal(tare(slowly))


def test_a_mat_that_only_makes_noise_is_refused() -> None:
    assert "noise of 195 counts is too much" in refusal(tare(resting(level=2000, noise=200)))


@pytest.mark.parametrize("n", [0, 1, 9])
def test_too_few_frames_are_refused(n: int) -> None:
    assert f"{n} frames came, a tare needs 10" in refusal(tare(resting(n=n)))


def test_a_tare_ends_after_a_while_with_what_it_has() -> None:
    taring, counts = Tare(info()), resting(n=1)[0]
    assert not taring.feed(counts, False, 0.0)
    assert not taring.feed(counts, False, LONGEST_S - 1)
    assert taring.feed(counts, False, LONGEST_S)
    assert "3 frames came" in refusal(taring.result(0.0))


def test_taxels_that_cannot_be_sensors_are_found() -> None:
    """Stuck at full scale or far from the others; dead at 0 among others that rest higher; loose contacts."""
    frames = np.stack(resting(level=40))
    frames[:, 5, 6], frames[:, 20, 20], frames[:, 30, 7] = 4095, 300, 0
    frames[:, 50, 9] = np.random.default_rng(1).integers(0, 4095, len(frames))
    found = made(tare(frames))
    kinds = {(f.row, f.col): f.kind for f in found.faults}
    assert kinds == {(5, 6): "stuck", (20, 20): "stuck", (30, 7): "dead", (50, 9): "flickering"}


def test_a_torn_wire_of_a_mat_that_rests_above_zero_is_found() -> None:
    frames = np.stack(resting(level=40))
    frames[:, 11], frames[:, :, 3:5] = 0, 0
    found = made(tare(frames))
    assert in_words(found.faulty) == "row 11, columns 3 and 4"
    assert {f.kind for f in found.faults} == {"dead"}


def test_a_mat_that_rests_at_zero_shows_no_dead_taxel() -> None:
    """Many mats do, those of pmd too: 0 is idle until the mat is in use."""
    assert made(tare([np.zeros((ROWS, COLS), np.uint16)] * 40)).faults == []
    for seed in range(5):
        sensor = Sensor(seed, GRID)
        empty = [sensor(moment.pressure_kpa) for moment in islice(night(seed, GRID, 10, "empty"), 40)]
        stuck = sensor._faulty & (sensor._stuck_at > 10)
        found = made(tare(empty))
        np.testing.assert_array_equal(found.faulty, stuck)


def test_a_mat_of_which_a_third_is_faulty_is_refused() -> None:
    frames = np.stack(resting(level=40))
    frames[:, :22] = 4095
    assert "34 % of the mat is faulty (rows 0, 1," in refusal(tare(frames, force=True))


def test_what_no_empty_mat_shows_is_kept_by_the_next_tare() -> None:
    gain = np.random.default_rng(0).uniform(0.5, 2, (ROWS, COLS)).tolist()
    before = calibration(
        gain=gain,
        curve=PowerLaw(counts_per_kpa=60),
        orientation="180",
        faults=[Fault(row=1, col=2, kind="dead"), Fault(row=3, col=4, kind="stuck")],
    )
    found = made(tare(resting(), before=before))
    assert (found.gain, found.curve, found.orientation) == (before.gain, before.curve, "180")
    assert [(f.row, f.col) for f in found.faults] == [(1, 2)], "a stuck taxel would be seen again"
    assert np.median(found.baseline_counts) == 20


def test_another_mats_calibration_is_not_carried_over() -> None:
    other = calibration(device_id=9, orientation="180", curve=PowerLaw(counts_per_kpa=60))
    found = made(tare(resting(), info(device_id=3), other))
    assert (found.device_id, found.orientation, found.curve) == (3, None, None)


def test_the_real_mat_waiting_for_person_13_is_tared(pmd: Path) -> None:
    with (pmd / "experiment-i/S13/14.txt").open() as file:
        waiting = np.array(file.readline().split(), np.float32).reshape(ROWS, COLS).astype(np.uint16)
    assert made(tare([waiting] * 40)).faults == []
