"""SLP's layout: calibrated maps, joints from the colour picture."""

from pathlib import Path

import numpy as np
import pytest
from formats_body import MARKS, body_taxels, centres_cm, marked_map, marks_under_joints
from numpy.typing import NDArray
from scipy.io import loadmat, savemat

from firmware_bridge.errors import Exit, Failure
from train.formats.slp import GRID, TEST_SUBJECTS, TRAIN_SUBJECTS, posture_of, read_slp

TO_MAT = np.array([[0.15, 0.004, -3.0], [0.003, 0.2, -4.0], [0.00002, 0.00001, 1.0]])
"""Colour pixels -> pressure pixels, a true perspective."""


def colour_joints(on_mat_pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """(14, 2) pressure pixels -> the colour picture's, counted from 1 as MATLAB does."""
    homogeneous = np.linalg.inv(TO_MAT) @ np.column_stack([on_mat_pixels, np.ones(14)]).T
    return (homogeneous[:2] / homogeneous[2]).T + 1


def write_slp(root: Path, subject: int = 1, covers: tuple[str, ...] = ("uncover",), setting: str = "dana") -> Path:
    home = root / f"{setting}Lab" / f"{subject:05d}"
    for cover in covers:
        (home / "PMarray" / cover).mkdir(parents=True)
        for frame in range(1, 46):
            np.save(home / "PMarray" / cover / f"{frame:06d}.npy", marked_map(GRID))
    joints = np.zeros((3, 14, 45))
    joints[:2] = colour_joints(body_taxels(GRID).astype(float)).T[:, :, None]
    joints[2, 6, 4] = 1
    savemat(home / "joints_gt_RGB.mat", {"joints_gt": joints})
    np.save(home / "align_PTr_RGB.npy", TO_MAT)
    if setting == "dana":
        np.save(home / "PMcali.npy", (1 + np.arange(3))[:, None] * (1 + np.arange(45)) / 1000)
    return root


def test_counts_become_kpa_by_the_frame_and_the_cover(tmp_path: Path) -> None:
    maps = read_slp(write_slp(tmp_path, covers=("uncover", "cover2")), covers=["cover2", "uncover"])
    assert len(maps) == 90
    assert len(maps.groups) == 45
    np.testing.assert_array_equal(maps.group_index[:4], [0, 0, 1, 1])
    for frame, factor in ((0, 0.003), (1, 0.001), (88, 3 * 0.045), (89, 0.045)):
        np.testing.assert_allclose(maps.pressure[frame], marked_map(GRID) * factor, rtol=1e-6)


def test_joints_land_on_the_taxels_that_bear_them(tmp_path: Path) -> None:
    maps = read_slp(write_slp(tmp_path))
    np.testing.assert_allclose(maps.joints[7, :, :2], centres_cm(GRID), atol=1e-3)
    np.testing.assert_allclose(marks_under_joints(maps, 7, 7), MARKS * 0.008, rtol=1e-6)


def test_an_occluded_joint_has_v_1_and_one_beside_the_mat_has_none(tmp_path: Path) -> None:
    write_slp(tmp_path)
    path = tmp_path / "danaLab" / "00001" / "joints_gt_RGB.mat"
    joints = loadmat(path)["joints_gt"]
    joints[:2, 11, 9] = -500
    savemat(path, {"joints_gt": joints})
    maps = read_slp(tmp_path)
    assert maps.joints[4, 6, 2] == 1
    assert maps.joints[4, 7, 2] == 2
    np.testing.assert_array_equal(maps.joints[9, 11], 0)


def test_postures_people_and_the_published_split(tmp_path: Path) -> None:
    write_slp(tmp_path, 1)
    maps = read_slp(write_slp(tmp_path, 93), [93])
    assert maps.people == ["slp:dana:00093"]
    assert [maps.groups[f - 1].posture for f in (1, 15, 16, 30, 31, 45)] == ["supine"] * 2 + ["left"] * 2 + [
        "right"
    ] * 2
    assert posture_of(15) == "supine"
    assert 90 in TRAIN_SUBJECTS
    assert 91 in TEST_SUBJECTS


def test_the_hospital_room_has_counts(tmp_path: Path) -> None:
    maps = read_slp(write_slp(tmp_path, setting="sim"), setting="sim")
    np.testing.assert_array_equal(maps.pressure[44], marked_map(GRID))
    assert maps.people == ["slp:sim:00001"]


def test_mirrored_and_upside_down_joints_are_refused(tmp_path: Path) -> None:
    path = write_slp(tmp_path) / "danaLab" / "00001" / "align_PTr_RGB.npy"
    np.save(path, np.array([[-1, 0, GRID.cols - 1], [0, 1, 0], [0, 0, 1]]) @ TO_MAT)
    with pytest.raises(Failure, match="left and right swapped"):
        read_slp(tmp_path)
    np.save(path, np.array([[1, 0, 0], [0, -1, GRID.rows - 1], [0, 0, 1]]) @ TO_MAT)
    with pytest.raises(Failure, match="heads below the feet"):
        read_slp(tmp_path)
    np.save(path, np.eye(3))
    with pytest.raises(Failure, match="beside the mat") as failure:
        read_slp(tmp_path)
    assert failure.value.code == Exit.FOREIGN_DATA
    assert len(read_slp(tmp_path, joints=False)) == 45


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="danaLab") as failure:
        read_slp(tmp_path)
    assert failure.value.code == Exit.MISSING_INPUT
    write_slp(tmp_path)
    with pytest.raises(Failure, match="no subject 7"):
        read_slp(tmp_path, [1, 7])
    for name in ("align_PTr_RGB.npy", "joints_gt_RGB.mat", "PMarray/uncover/000030.npy", "PMcali.npy"):
        (tmp_path / "danaLab" / "00001" / name).unlink()
        with pytest.raises(Failure, match=rf"{name}: .* incomplete") as failure:
            read_slp(tmp_path)
        assert failure.value.code == Exit.MISSING_INPUT


@pytest.mark.parametrize("name", ["joints_gt_RGB.mat", "align_PTr_RGB.npy", "PMarray/uncover/000030.npy", "PMcali.npy"])
@pytest.mark.parametrize("content", [b"", b"\x93NUMPY nonsense", b"MATLAB 5.0 MAT-file" + bytes(range(256))])
def test_damaged_files_are_named_with_their_reason(tmp_path: Path, name: str, content: bytes) -> None:
    path = write_slp(tmp_path) / "danaLab" / "00001" / name
    path.write_bytes(content)
    with pytest.raises(Failure, match=name) as failure:
        read_slp(tmp_path)
    assert failure.value.code == Exit.FOREIGN_DATA
    assert "\n" not in str(failure.value)


def test_files_of_another_shape_are_named(tmp_path: Path) -> None:
    home = write_slp(tmp_path) / "danaLab" / "00001"
    np.save(home / "PMarray" / "uncover" / "000003.npy", np.zeros((84, 192), np.uint8))
    with pytest.raises(Failure, match=r"000003\.npy holds 84 x 192 numbers, not 192 x 84"):
        read_slp(tmp_path)
    np.save(home / "PMarray" / "uncover" / "000003.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(Failure, match=r"000003\.npy is no NumPy array of numbers"):
        read_slp(tmp_path)
    np.save(home / "PMarray" / "uncover" / "000003.npy", marked_map(GRID))
    savemat(home / "joints_gt_RGB.mat", {"joints": np.zeros(3)})
    with pytest.raises(Failure, match="no numbers named joints_gt"):
        read_slp(tmp_path)
    savemat(home / "joints_gt_RGB.mat", {"joints_gt": np.zeros((3, 14, 44))})
    with pytest.raises(Failure, match="not \\(3, 14, 45\\)"):
        read_slp(tmp_path)
