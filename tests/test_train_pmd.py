"""pmd's original layout and every quirk of it."""

from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.errors import Exit, Failure
from firmware_bridge.skeleton import JOINTS, MIRRORED
from train.pmd import GRID_I, GRID_II, MIRRORED_POSE_I, POSES_I, person_of, pose_i, read_pmd, read_subject_info

FRAMES = 8


def write_experiment_i(root: Path, subject: int = 1, corrupt: int | None = None) -> Path:
    """A small copy of the layout: 17 files of 8 frames with a tab at the end of each line, columns mirrored."""
    random = np.random.default_rng(subject)
    folder = root / "experiment-i" / f"S{subject}"
    folder.mkdir(parents=True)
    for number in range(1, 18):
        body = random.integers(0, 900, 2048)
        frames = [body + random.integers(0, 3, 2048) for _ in range(FRAMES)]
        frames[0] = np.zeros(2048, int)
        frames[1] = random.integers(0, 4095, 2048)
        if corrupt is not None:
            frames[corrupt] = random.integers(0, 4095, 2048)
        lines = ["\t".join(map(str, frame)) + "\t\n" for frame in frames]
        (folder / f"{number}.txt").write_text("".join(lines))
    return root


def test_frames_before_the_third_are_left_out(tmp_path: Path) -> None:
    maps = read_pmd(write_experiment_i(tmp_path))
    assert len(maps) == 17 * (FRAMES - 3)
    assert len(maps.groups) == 17


def test_a_corrupt_later_frame_is_left_out(tmp_path: Path) -> None:
    maps = read_pmd(write_experiment_i(tmp_path, corrupt=6))
    assert len(maps) == 17 * (FRAMES - 4)


def test_mirrored_columns_are_turned_to_the_view_from_above(tmp_path: Path) -> None:
    write_experiment_i(tmp_path)
    raw = np.loadtxt(tmp_path / "experiment-i" / "S1" / "5.txt").reshape(-1, 64, 32)
    maps = read_pmd(tmp_path)
    np.testing.assert_array_equal(maps.pressure[maps.group_index == 4][0], raw[3][:, ::-1])


@pytest.mark.parametrize(
    ("content", "words"),
    [("1\t2\t3\t\n", "3 numbers"), ("a\tb\n", "other than numbers"), ("", "0 numbers"), ("1\t" * 2047, "2047 numbers")],
)
def test_a_file_that_is_not_pmd_is_named_with_its_reason(tmp_path: Path, content: str, words: str) -> None:
    write_experiment_i(tmp_path)
    (tmp_path / "experiment-i" / "S1" / "7.txt").write_text(content)
    with pytest.raises(Failure, match=words) as failure:
        read_pmd(tmp_path)
    assert failure.value.code == Exit.FOREIGN_DATA
    assert "7.txt" in str(failure.value)


def test_missing_folders_subjects_and_joints_are_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="experiment-i") as failure:
        read_pmd(tmp_path)
    assert failure.value.code == Exit.MISSING_INPUT
    write_experiment_i(tmp_path)
    with pytest.raises(Failure, match="no subject 4"):
        read_pmd(tmp_path, [1, 4])
    with pytest.raises(Failure, match="no joints file"):
        read_pmd(tmp_path, [1], joints=tmp_path / "none.json")
    (tmp_path / "experiment-i" / "S1" / "9.txt").unlink()
    with pytest.raises(Failure, match="incomplete") as failure:
        read_pmd(tmp_path, [1])
    assert failure.value.code == Exit.MISSING_INPUT


@pytest.mark.parametrize(
    "content",
    [
        b"no JSON",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"frames": []}',
        b'{"frames": {"S1/1": [[1, 2, 2]]}}',
        b'{"frames": {"S1/1": ' + str([[None, 2, 2]] * 14).replace("None", "null").encode() + b"}}",
    ],
)
def test_a_file_without_joints_is_named(tmp_path: Path, content: bytes) -> None:
    write_experiment_i(tmp_path)
    joints = tmp_path / "joints.json"
    joints.write_bytes(content)
    with pytest.raises(Failure, match=r"joints\.json is no file of joints") as failure:
        read_pmd(tmp_path, joints=joints)
    assert failure.value.code == Exit.FOREIGN_DATA
    assert "\n" not in str(failure.value)


def test_people_of_both_experiments_are_one_person() -> None:
    assert [person_of("ii", s) for s in (1, 2, 3, 4)] == [person_of("i", s) for s in (1, 2, 3, 5)]
    assert person_of("ii", 7) not in {person_of("i", s) for s in range(1, 14)}


def test_known_corrupt_frames_of_the_real_data_are_left_out(pmd: Path) -> None:
    """SOURCE.md names (subject, file, frame) (6, 1, 10) and (11, 13, 74)."""
    maps = read_pmd(pmd, [6, 11])
    for subject, file, corrupt in ((6, 1, 10), (11, 13, 74)):
        path = pmd / "experiment-i" / f"S{subject}" / f"{file}.txt"
        raw = np.loadtxt(path).reshape(-1, 64, 32)[:, :, ::-1]
        (g,) = [i for i, group in enumerate(maps.groups) if group.name == f"pmd-i/S{subject}/{file}"]
        kept = maps.pressure[maps.group_index == g]
        assert not (kept == raw[corrupt]).all((1, 2)).any()
        assert len(kept) > 0.85 * len(raw)


def test_real_experiment_i_has_153_maps_with_joints(pmd: Path, joints_i: Path) -> None:
    maps = read_pmd(pmd, joints=joints_i)
    assert len(maps.labelled().groups) == 153
    assert maps.grid == GRID_I
    assert {g.posture for g in maps.groups} == {"supine", "left", "right"}


def test_on_the_back_the_left_shoulder_is_at_the_high_columns(pmd: Path, joints_i: Path) -> None:
    maps = read_pmd(pmd, [1, 2], joints=joints_i)
    supine = [i for i, g in enumerate(maps.groups) if g.posture == "supine"]
    x_cm = maps.joints[supine, :, 0]
    assert (x_cm[:, JOINTS.index("l_shoulder")] > x_cm[:, JOINTS.index("r_shoulder")]).all()


@pytest.mark.parametrize(("experiment", "subject"), [("i", 12), ("ii", 3)])
def test_annotated_joints_lie_on_pressure(pmd: Path, joints_i: Path, joints_ii: Path, experiment, subject) -> None:
    """Clearly visible joints lie near pressure: maps and joints are turned alike, in both experiments."""
    joints = joints_i if experiment == "i" else joints_ii
    maps = read_pmd(pmd, [subject], experiment=experiment, joints=joints).labelled().medians()
    near, share_loaded = [], []
    for frame, points in zip(maps.pressure, maps.joints, strict=True):
        loaded = frame > np.median(frame) + 0.1 * (np.percentile(frame, 99) - np.median(frame))
        share_loaded.append(loaded.mean())
        for x_cm, y_cm, v in points:
            row, col = int(y_cm / maps.grid.pitch_y_cm), int(x_cm / maps.grid.pitch_x_cm)
            if v == 2:
                near.append(loaded[max(row - 1, 0) : row + 2, max(col - 1, 0) : col + 2].any())
    assert np.mean(near) > 0.95
    assert np.mean(share_loaded) < 0.5


def test_real_experiment_ii_is_read_on_both_mats(pmd: Path, joints_ii: Path) -> None:
    sponge = read_pmd(pmd, experiment="ii", mat="sponge", joints=joints_ii)
    air = read_pmd(pmd, experiment="ii", mat="air")
    assert sponge.grid == air.grid == GRID_II
    assert len(sponge.labelled()) == 24
    assert sponge.people == ["pmd:1", "pmd:2", "pmd:3", "pmd:5"]
    assert [g.posture for g in air.groups if g.name.endswith(("G1", "G2", "G3"))] == ["", "", ""]


def test_each_file_of_experiment_i_is_a_posture_of_its_own(pmd: Path) -> None:
    maps = read_pmd(pmd, [3])
    assert [pose_i(group) for group in maps.groups] == list(range(1, POSES_I + 1))
    assert {pose_i(group) for group in read_pmd(pmd, [3], experiment="ii").groups} == {None}


def test_a_mirrored_body_shows_the_mirrored_posture(pmd: Path, joints_i: Path) -> None:
    """Over people 1-3, a posture's mirrored mean joints are nearest to those of the posture that is named."""
    maps = read_pmd(pmd, [1, 2, 3], joints=joints_i)
    body = maps.joints.reshape(3, POSES_I, 14, 3)[..., :2]
    body = body - body.mean(2, keepdims=True)
    mirrored = body[:, :, list(MIRRORED)] * [-1, 1]
    for pose, other in MIRRORED_POSE_I.items():
        assert MIRRORED_POSE_I[other] == pose
        apart_cm = np.linalg.norm(mirrored.mean(0)[pose - 1] - body.mean(0), axis=-1).mean(1)
        assert apart_cm[other - 1] < apart_cm[pose - 1]
    for pose in set(range(1, POSES_I + 1)) - set(MIRRORED_POSE_I):
        assert np.linalg.norm(mirrored.mean(0)[pose - 1] - body.mean(0)[pose - 1], axis=-1).mean() < 6


def test_subject_info_is_read_from_its_utf_16(pmd: Path) -> None:
    info = read_subject_info(pmd / "experiment-i" / "subject-info-i.csv")
    assert info[13] == {"age": 34.0, "height_cm": 174.0, "weight_kg": 74.0}
    assert len(info) == 13
