"""What is stored of a mat: consistent with itself, of one mat only, in words for people."""

from typing import Any

import numpy as np
import pytest
from calibrations import calibration
from edge_packages import info
from pydantic import ValidationError

from edge.calibration.values import Calibration, Fault, PowerLaw, faults_of, in_words
from firmware_bridge.geometry import ORIENTATIONS, Grid


def test_a_calibration_fits_its_own_mat() -> None:
    assert calibration(device_id=7).misfit(info(device_id=7)) is None


@pytest.mark.parametrize("mat", [info(device_id=8), info(Grid(32, 64, 2.54, 2.54), device_id=7)])
def test_another_mat_is_named(mat: Any) -> None:
    reason = calibration(device_id=7).misfit(mat)
    assert reason is not None
    assert "of mat 7 with 64 x 32 taxels" in reason
    assert f"this is mat {mat.device_id} with {mat.rows} x {mat.cols}" in reason


def test_pressure_is_in_kpa_once_there_is_a_curve() -> None:
    assert calibration().unit == "counts"
    assert calibration(curve=PowerLaw(counts_per_kpa=60)).unit == "kPa"


@pytest.mark.parametrize(("exponent", "kpa"), [(1.0, [0, 1, 4]), (0.5, [0, 1, 2])])
def test_the_curve_goes_through_one_kpa(exponent: float, kpa: list[float]) -> None:
    curve = PowerLaw(counts_per_kpa=60, exponent=exponent)
    np.testing.assert_allclose(curve(np.array([0, 60, 240], np.float32)), kpa, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"baseline_counts": [[0.0] * 32] * 63}, "baseline_counts is not a plane of 64 x 32"),
        ({"noise_counts": [[1.0] * 31] * 64}, "noise_counts is not a plane of 64 x 32"),
        ({"gain": [[1.0] * 32] * 65}, "gain is not a plane of 64 x 32"),
        ({"noise_counts": [[0.0] * 32] * 64}, "greater than 0"),
        ({"faults": [Fault(row=64, col=0, kind="dead")]}, "beside the grid of 64 x 32"),
        ({"faults": faults_of(np.ones((64, 32), bool), "dead")}, "leave no taxel"),
        ({"orientation": "45"}, "45 is none of 0, 90, 180, 270, mirrored-0"),
        ({"format": 2}, "format"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_nonsense_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        calibration(**changes)


@pytest.mark.parametrize("turn", ORIENTATIONS)
def test_orientations_are_spelled_as_on_the_command_line(turn: str) -> None:
    assert calibration(orientation=turn).orientation == turn


def test_new_faults_join_those_known_and_rename_them() -> None:
    known = calibration(faults=[Fault(row=1, col=1, kind="dead"), Fault(row=0, col=5, kind="stuck")])
    found = known.with_faults([Fault(row=1, col=1, kind="stuck"), Fault(row=0, col=2, kind="dead")])
    assert [(f.row, f.col, f.kind) for f in found.faults] == [(0, 2, "dead"), (0, 5, "stuck"), (1, 1, "stuck")]
    assert isinstance(found, Calibration)
    assert np.argwhere(found.faulty).tolist() == [[0, 2], [0, 5], [1, 1]]


def test_faults_that_leave_no_taxel_are_refused() -> None:
    with pytest.raises(ValueError, match="leave no taxel"):
        calibration(2, 2).with_faults(faults_of(np.ones((2, 2), bool), "dead"))


def test_people_are_told_of_lines_not_of_their_taxels() -> None:
    faulty = np.zeros((64, 32), bool)
    assert in_words(faulty) == "none"
    faulty[10, 10] = True
    assert in_words(faulty) == "1 single taxel"
    faulty[:, 3], faulty[7], faulty[8], faulty[40, 20] = True, True, True, True
    assert in_words(faulty) == "rows 7 and 8, column 3, 2 single taxels"
