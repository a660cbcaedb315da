"""TIP's two layouts: groups in folders, and the reorganised archives."""

from pathlib import Path

import numpy as np
import pytest
from formats_body import MARKS, body_taxels, centres_cm, marked_map, marks_under_joints
from numpy.typing import NDArray

from firmware_bridge.errors import Exit, Failure
from firmware_bridge.skeleton import JOINTS
from train.formats.tip import GRID, read_tip

PITCH_M = np.array([0.0195, 0.0311])
BODY = dict(zip(JOINTS, body_taxels(GRID).astype(float), strict=True))


def coco_m() -> NDArray[np.float64]:
    """(17, 2) metres from the top left sensor; nose, eyes and ears lie around the head's taxel."""
    around = BODY["head"] + np.array([[0, 1], [-0.5, 0], [0.5, 0], [-1, -0.5], [1, -0.5]])
    limbs = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    return np.concatenate([around, [BODY[f"{side}_{limb}"] for limb in limbs for side in "lr"]]) * PITCH_M


def frames_of(count: int) -> NDArray[np.float32]:
    """The body moves one column to its left every ten frames."""
    return np.stack([np.roll(marked_map(GRID, np.float32), n // 10, 1) + n / 100 for n in range(count)])


def moving_m(count: int) -> NDArray[np.float64]:
    """(count, 17, 2) metres: `coco_m` as it moves in `frames_of`."""
    steps = np.arange(count) // 10
    return coco_m() + np.stack([steps, 0 * steps], 1)[:, None] * PITCH_M


def write_group(root: Path, subject: int, group: int, count: int = 25, **members: object) -> Path:
    home = root / str(subject) / str(group)
    home.mkdir(parents=True)
    np.save(home / "pressure_correct.npy", frames_of(count))
    labels = {
        "gender": np.array("male"),
        "height": np.array(172.0),
        "label_pose": np.zeros((count, 72)),
        "keypoints_pix": np.zeros((count, 17, 2)),
        "keypoints_meter": np.full((count, 17, 2), 9.0),
        "keypoints_meter_smooth": moving_m(count),
        "posture_index": np.array({"1": [0, 10]}, object),
    }
    np.savez(home / "labels.npz", allow_pickle=True, **{**labels, **members})
    return home


def test_every_tenth_frame_and_its_joints_on_the_taxels_that_bear_them(tmp_path: Path) -> None:
    write_group(tmp_path, 1, 2)
    maps = read_tip(tmp_path)
    assert [g.name for g in maps.groups] == ["tip/1/2/000000", "tip/1/2/000010", "tip/1/2/000020"]
    np.testing.assert_array_equal(maps.pressure[2], frames_of(25)[20])
    body = [i for i, joint in enumerate(JOINTS) if joint not in ("neck", "head")]
    np.testing.assert_allclose(maps.joints[2, body, :2], centres_cm(GRID)[body] + [2 * GRID.pitch_x_cm, 0], atol=1e-4)
    np.testing.assert_allclose(marks_under_joints(maps, 2, 2)[body], MARKS[body] + 0.2, rtol=1e-6)
    assert (maps.joints[..., 2] == 2).all()


def test_neck_is_between_the_shoulders_and_head_between_the_points_of_the_face(tmp_path: Path) -> None:
    write_group(tmp_path, 1, 1)
    maps = read_tip(tmp_path)
    points = dict(zip(JOINTS, maps.joints[0, :, :2], strict=True))
    np.testing.assert_allclose(points["neck"], (points["l_shoulder"] + points["r_shoulder"]) / 2, atol=1e-4)
    np.testing.assert_allclose(points["head"], centres_cm(GRID)[JOINTS.index("head")], atol=1e-3)


def test_world_coordinates_are_taken_to_the_mat_by_the_corner_sensors(tmp_path: Path) -> None:
    below_m = 55 * PITCH_M[1]
    corner_m = np.array([-0.4, -0.9])
    world_m = corner_m + coco_m() * [1, -1] + [0, below_m]
    home = write_group(tmp_path, 1, 1, keypoints_meter_smooth=np.repeat(world_m[None], 25, 0))
    width_m = 39 * PITCH_M[0]
    corners_m = corner_m + np.array([[0, 0], [0, below_m], [width_m, below_m], [width_m, 0]])
    np.savez(home / "camera_params.npz", infer_sensor_position=corners_m)
    np.testing.assert_allclose(marks_under_joints(read_tip(tmp_path), 0, 0)[:12], MARKS[:12])


def test_the_reorganised_archives_belong_to_nine_people(tmp_path: Path) -> None:
    for number in (5, 6, 40):
        np.savez(
            tmp_path / f"data_{number}.npz",
            allow_pickle=True,
            pressure=frames_of(11) + 600,
            keypoints_meter_smooth=np.repeat(coco_m()[None], 11, 0),
            name=np.array("wq"),
            segments=np.array([[0, 11], None], object),
        )
    maps = read_tip(tmp_path, every=5)
    assert [g.person for g in maps.groups[::3]] == ["tip:1", "tip:2", "tip:9"]
    assert maps.groups[-1].name == "tip/9/40/000010"
    assert (maps.pressure == 512).all()
    assert read_tip(tmp_path, [2]).people == ["tip:2"]


def test_points_that_are_unknown_are_not_annotated(tmp_path: Path) -> None:
    points = np.repeat(coco_m()[None], 25, 0)
    points[0, 9] = np.nan
    points[0, 10] = -1
    write_group(tmp_path, 1, 1, keypoints_meter_smooth=points)
    joints = read_tip(tmp_path).joints
    np.testing.assert_array_equal(joints[0, JOINTS.index("l_wrist")], 0)
    np.testing.assert_array_equal(joints[0, JOINTS.index("r_wrist")], 0)
    assert (joints[0, :, 2] == 2).sum() == 12


def test_joints_that_are_not_on_the_mat_are_refused_but_the_maps_can_be_read(tmp_path: Path) -> None:
    write_group(tmp_path, 1, 1, keypoints_meter_smooth=np.full((25, 17, 2), 5.0))
    with pytest.raises(Failure, match=r"labels\.npz has most of its joints beside the mat"):
        read_tip(tmp_path)
    assert not read_tip(tmp_path, joints=False).joints.any()


def test_bad_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"no .*pressure_correct\.npy") as failure:
        read_tip(tmp_path)
    assert failure.value.code == Exit.MISSING_INPUT
    home = write_group(tmp_path, 1, 1)
    with pytest.raises(Failure, match="no subject 4"):
        read_tip(tmp_path, [4])
    write_group(tmp_path, 2, 1, keypoints_meter_smooth=np.zeros((24, 17, 2)))
    with pytest.raises(Failure, match=r"labels\.npz has keypoints of 24 frames, the pressure has 25"):
        read_tip(tmp_path, [2])
    np.save(home / "pressure_correct.npy", np.zeros((25, 40, 56)))
    with pytest.raises(Failure, match=r"pressure_correct\.npy holds 25 x 40 x 56 numbers, not any x 56 x 40"):
        read_tip(tmp_path)
    np.save(home / "pressure_correct.npy", frames_of(25))
    for content in (b"", b"PK\x05\x06 no archive", (home / "labels.npz").read_bytes()[:900]):
        (home / "labels.npz").write_bytes(content)
        with pytest.raises(Failure, match=r"labels\.npz is no NumPy archive") as failure:
            read_tip(tmp_path)
        assert failure.value.code == Exit.FOREIGN_DATA
    np.savez(home / "labels.npz", other=np.zeros(3))
    with pytest.raises(Failure, match=r"labels\.npz has no keypoints_meter_smooth or keypoints_meter, but other"):
        read_tip(tmp_path)
    (home / "labels.npz").unlink()
    with pytest.raises(Failure, match=r"labels\.npz: .* incomplete"):
        read_tip(tmp_path)
