"""PressurePose's Python 2 pickles: simulated people with SMPL joints, real people without."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from formats_body import MARKS, body_taxels, centres_cm, marked_map, marks_under_joints
from formats_python2 import python2_pickle
from numpy.typing import NDArray

from firmware_bridge.errors import Exit, Failure
from firmware_bridge.skeleton import JOINTS
from train.formats.pressurepose import BED, GRID, KPA_PER_MMHG, read_pressurepose

SMPL_OF = {
    "l_hip": 1, "r_hip": 2, "l_knee": 4, "r_knee": 5, "l_ankle": 7, "r_ankle": 8, "neck": 12, "head": 15,
    "l_shoulder": 16, "r_shoulder": 17, "l_elbow": 18, "r_elbow": 19, "l_wrist": 20, "r_wrist": 21,
}  # fmt: skip
MARKED = np.minimum(marked_map(GRID, np.float64), 100)


def markers_m(roll_degrees: float = 0) -> NDArray[np.float64]:
    """(72,) metres from the foot end of the bed, z up: the marked body, rolled to its left about its own axis."""
    bed_col, bed_row = body_taxels(GRID).T + 10.0
    x_m, y_m = bed_col * 0.0286, (BED[0] - 1 - bed_row) * 0.0286
    centre_m = x_m.mean()
    turn = np.deg2rad(roll_degrees)
    joints = np.full((24, 3), 77.0)
    for i, name in enumerate(JOINTS):
        side_m = x_m[i] - centre_m
        joints[SMPL_OF[name]] = centre_m + side_m * np.cos(turn), y_m[i], 0.1 - side_m * np.sin(turn)
    return joints.ravel()


def write(path: Path, data: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(python2_pickle(data))
    return path


def simulated(**changes: Any) -> dict[str, Any]:
    bed = np.full(BED, 88.0)
    bed[10:74, 10:37] = marked_map(GRID)
    return {
        "images": [bed.ravel(), marked_map(GRID).astype(np.float64).ravel()],
        "markers_xyz_m": [markers_m(), markers_m()],
        "body_mass": [70.0, np.float64(55)],
        "gender": ["m", "f"],
        **changes,
    }


def test_maps_of_the_mat_and_of_the_whole_bed_become_kpa_clipped_at_100_mmhg(tmp_path: Path) -> None:
    write(tmp_path / "synth" / "train_roll0_f.p", simulated())
    maps = read_pressurepose(tmp_path)
    for frame in maps.pressure:
        np.testing.assert_allclose(frame, MARKED * KPA_PER_MMHG, rtol=1e-6)
    assert maps.pressure.max() == pytest.approx(13.3322)


def test_joints_land_on_the_taxels_that_bear_them(tmp_path: Path) -> None:
    write(tmp_path / "a.p", simulated())
    maps = read_pressurepose(tmp_path)
    np.testing.assert_allclose(maps.joints[1, :, :2], centres_cm(GRID), atol=1e-4)
    assert (maps.joints[..., 2] == 2).all()
    np.testing.assert_allclose(marks_under_joints(maps, 1, 1), np.minimum(MARKS, 100) * KPA_PER_MMHG, rtol=1e-6)


@pytest.mark.parametrize(
    ("roll_degrees", "posture"),
    [(0, "supine"), (40, "supine"), (50, "left"), (90, "left"), (-90, "right"), (180, "prone"), (220, "prone")],
)
def test_posture_is_where_the_chest_faces(tmp_path: Path, roll_degrees: float, posture: str) -> None:
    """Rolled to its left a body rests on its left side, which goes down."""
    write(tmp_path / "a.p", simulated(markers_xyz_m=[markers_m(roll_degrees)] * 2))
    assert [g.posture for g in read_pressurepose(tmp_path).groups] == [posture] * 2


def test_real_people_have_no_joints_and_are_chosen_by_number(tmp_path: Path) -> None:
    image = marked_map(GRID).astype(np.float64).ravel()
    for number in (103, 196):
        home = tmp_path / "real" / f"S{number}"
        write(home / "participant_info_red.p", {"gender": "f"})
        write(home / "prescribed.p", {"images": [image, image], "pose_type": ["supine_general", "lateral"]})
        write(home / "p_select.p", {"images": [image], "pose_type": ["2"]})
    write(tmp_path / "synth" / "b.p", simulated())
    maps = read_pressurepose(tmp_path)
    assert maps.people == ["pressurepose:S103", "pressurepose:S196", "pressurepose:b"]
    only = read_pressurepose(tmp_path, [196])
    assert only.people == ["pressurepose:S196"]
    assert [(g.name, g.posture) for g in only.groups] == [
        ("pressurepose/S196/p_select/00000", ""),
        ("pressurepose/S196/prescribed/00000", "supine"),
        ("pressurepose/S196/prescribed/00001", ""),
    ]
    assert not only.joints.any()
    with pytest.raises(Failure, match=r"no subject 7 .* it has 103, 196"):
        read_pressurepose(tmp_path, [7])


def test_bodies_the_wrong_way_round_are_refused(tmp_path: Path) -> None:
    upside_down = markers_m().reshape(24, 3) * [1, -1, 1] + [0, 84 * 0.0286, 0]
    write(tmp_path / "a.p", simulated(markers_xyz_m=[upside_down.ravel()] * 2))
    with pytest.raises(Failure, match=r"a\.p has heads below the feet"):
        read_pressurepose(tmp_path)
    assert len(read_pressurepose(tmp_path, joints=False)) == 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([1, 2], "no dictionary with a list of images"),
        ({"images": []}, "no dictionary with a list of images"),
        (simulated(images=[[1.0] * 1727] * 2), "an image of 1727 values"),
        (simulated(images=[["x"] * 1728] * 2), "images that are no numbers"),
        (simulated(images=[[float("nan")] * 1728] * 2), "1728 values that are no finite numbers"),
        (simulated(markers_xyz_m=[markers_m()]), "1 markers_xyz_m for 2 images"),
        (simulated(markers_xyz_m=[markers_m()[:30]] * 2), "30 markers_xyz_m in an entry"),
        (simulated(markers_xyz_m=[]), "1 markers_xyz_m in an entry|no finite numbers"),
    ],
)
def test_a_bad_file_is_named_with_its_reason(tmp_path: Path, data: Any, words: str) -> None:
    write(tmp_path / "bad.p", data)
    with pytest.raises(Failure, match=rf"bad\.p .*({words})") as failure:
        read_pressurepose(tmp_path)
    assert failure.value.code == Exit.FOREIGN_DATA


def test_a_folder_without_pickles_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"no \.p file in") as failure:
        read_pressurepose(tmp_path)
    assert failure.value.code == Exit.MISSING_INPUT


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    command = f"touch {victim}".encode()
    raw = b"\x80\x02}U\x06images]cos\nsystem\nU" + bytes([len(command)]) + command + b"\x85Ras."
    (tmp_path / "evil.p").write_bytes(raw)
    with pytest.raises(Failure, match=r"evil\.p asks for os\.system"):
        read_pressurepose(tmp_path)
    assert not victim.exists()
