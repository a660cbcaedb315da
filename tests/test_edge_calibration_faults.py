"""Faulty taxels of a mat in use: found where the load around them comes and goes, and nowhere else."""

from collections.abc import Iterator

import numpy as np
import pytest
from calibrations import COLS, ROWS, calibration
from edge_packages import GRID

from edge.calibration.faults import WINDOW_S, WINDOWS, FaultFinder
from edge.calibration.values import in_words
from firmware_bridge.person import still
from firmware_bridge.sensor import Sensor

STEP_S = 1.0
POSTURE_S = 30.0


def night(seed: int, lasting_s: float) -> Iterator[np.ndarray]:
    """(rows, cols) counts every second of a healthy mat on which the postures of many people follow one another."""
    sensor = Sensor(0, GRID)
    sensor._faulty[:] = False
    for posture in range(round(lasting_s / POSTURE_S)):
        kpa = still(1000 * seed + posture, GRID).pressure_kpa
        scan = sensor(kpa).astype(np.uint16)
        for _ in range(round(POSTURE_S / STEP_S)):
            yield scan


def finder(noise: float = 1.0) -> FaultFinder:
    zero, noises = np.zeros((ROWS, COLS)), np.full((ROWS, COLS), noise)
    return FaultFinder(calibration(baseline_counts=zero.tolist(), noise_counts=noises.tolist()))


def watch(finding: FaultFinder, frames: Iterator[np.ndarray], fault: np.ndarray, value: object, start_s: float) -> None:
    for i, counts in enumerate(frames):
        finding.feed(np.where(fault, value, counts).astype(np.uint16), True, start_s + i * STEP_S)


NIGHT_S = 6 * WINDOW_S


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    return list(night(0, NIGHT_S))


def mask(*places: tuple[object, object]) -> np.ndarray:
    """True at each place, an index of (rows, cols)."""
    fault = np.zeros((ROWS, COLS), bool)
    for place in places:
        fault[place] = True
    return fault


def found(frames: list[np.ndarray], fault: np.ndarray, value: object) -> FaultFinder:
    finding = finder()
    watch(finding, iter(frames), fault, value, 0.0)
    return finding


def where(finding: FaultFinder) -> np.ndarray:
    return calibration().with_faults(finding.faults).faulty


def test_a_healthy_mat_has_no_faults(frames: list[np.ndarray]) -> None:
    assert found(frames, mask(), 0).faults == []


@pytest.mark.parametrize(("value", "kind"), [(0, "dead"), (300, "stuck"), (4095, "stuck")])
def test_single_taxels_under_a_body_are_found(frames: list[np.ndarray], value: int, kind: str) -> None:
    fault = mask((20, 15), (30, 16), (12, 14))
    finding = found(frames, fault, value)
    np.testing.assert_array_equal(where(finding), fault)
    assert {f.kind for f in finding.faults} == {kind}


def test_a_dead_taxel_that_shows_a_little_of_its_neighbours_is_found(frames: list[np.ndarray]) -> None:
    """By crosstalk: far more than this quiet mat's noise."""
    fault = mask((20, 15))
    finding = finder(noise=0.3)
    for i, counts in enumerate(frames):
        leak = np.rint(0.02 * counts[20, 14])
        finding.feed(np.where(fault, leak, counts).astype(np.uint16), True, i * STEP_S)
    np.testing.assert_array_equal(where(finding), fault)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (mask((slice(None), 14)), "column 14"),
        (mask((slice(None), slice(14, 16))), "columns 14 and 15"),
        (mask((25, slice(None))), "row 25"),
        (mask((slice(25, 27), slice(None)), (slice(None), 17)), "rows 25 and 26, column 17"),
        (mask((slice(None), slice(14, 16)), (20, 16)), "columns 14 and 15, 1 single taxel"),
    ],
)
def test_torn_wires_are_found_as_lines(frames: list[np.ndarray], fault: np.ndarray, words: str) -> None:
    finding = found(frames, fault, 0)
    assert in_words(where(finding)) == words
    np.testing.assert_array_equal(where(finding), fault)


@pytest.mark.parametrize(
    "idle",
    [
        mask((slice(None), slice(0, 8)), (slice(None), slice(24, 32)), (slice(56, 64), slice(None))),
        mask((slice(45, 47), slice(None)), (slice(47, 64), slice(0, 12)), (slice(47, 64), slice(17, 32))),
    ],
    ids=["the mat's rim", "before a single foot"],
)
def test_what_never_carries_anything_is_not_called_dead(frames: list[np.ndarray], idle: np.ndarray) -> None:
    """Idle, as far as anybody can know."""
    assert found(frames, idle, 0).faults == []


def test_a_gap_in_one_posture_is_not_enough(frames: list[np.ndarray]) -> None:
    """A sleeper who gets in once and lies still for the night leaves everything as it is."""
    finding = finder()
    empty = np.zeros((ROWS, COLS), np.uint16)
    for i in range(round(NIGHT_S)):
        finding.feed(empty if i == 0 else frames[0], True, i * STEP_S)
    assert finding.faults == []


def test_findings_take_their_time_and_are_told_at_the_end_of_a_window(frames: list[np.ndarray]) -> None:
    finding, fault = finder(), mask((20, 15))
    ends = [i for i, c in enumerate(frames) if finding.feed(np.where(fault, 0, c).astype(np.uint16), True, i * STEP_S)]
    assert ends == pytest.approx([WINDOW_S * (i + 1) + i for i in range(len(ends))], abs=1 + len(ends))
    early = finder()
    watch(early, iter(frames[: round((WINDOWS - 1) * WINDOW_S)]), fault, 0, 0.0)
    assert early.faults == []


def test_an_empty_mat_says_nothing(frames: list[np.ndarray]) -> None:
    finding = finder()
    assert not any(finding.feed(np.where(mask((20, 15)), 0, c), False, i * STEP_S) for i, c in enumerate(frames))
    assert finding.faults == []


def test_a_taxel_that_shows_a_load_is_no_suspect_any_more(frames: list[np.ndarray]) -> None:
    finding, fault = found(frames, mask((20, 15)), 0), mask()
    assert len(finding.faults) == 1
    watch(finding, iter(frames), fault, 0, NIGHT_S)
    assert finding.faults == []
