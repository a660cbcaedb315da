"""Files of annotated joints: written whole, read back in centimetres, and never mistaken for others."""

import json
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import JOINTS
from train.annotations import CANONICAL, PMD, Annotations, Points, frame_names, read_joints, source_of
from train.pmd import GRID_I, read_pmd

GRID = Grid(64, 27, 2.87, 2.54)


def points(seed: int = 0) -> Points:
    random = np.random.default_rng(seed)
    return [
        (round(float(x), 2), round(float(y), 2), int(v))
        for x, y, v in zip(random.uniform(0, 27, 14), random.uniform(0, 64, 14), random.integers(0, 3, 14), strict=True)
    ]


def annotations() -> Annotations:
    name, other = "night.matlog/7", "night.matlog/9.2"
    return Annotations(CANONICAL, {name: points()}, {other: points(1)}, {"night.matlog": GRID}, [name, other], 61.5)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    annotations().save(tmp_path / "joints.json")
    assert Annotations.load(tmp_path / "joints.json") == annotations()
    assert [p.name for p in tmp_path.iterdir()] == ["joints.json"]


@pytest.mark.parametrize("experiment", ["i", "ii"])
def test_the_file_has_the_format_and_units_of_the_annotations_in_the_repository(
    tmp_path: Path, joints_i: Path, joints_ii: Path, experiment: str
) -> None:
    ours = json.loads({"i": joints_i, "ii": joints_ii}[experiment].read_text())
    name, points_there = next(iter(ours["frames"].items()))
    cols = {"i": 32, "ii": 27}[experiment]
    canonical = [(round(cols - x, 2), y, v) for x, y, v in points_there]
    grid = Grid(64, cols, 2.54, 2.54)
    Annotations(PMD[experiment], {name: canonical}, grids={source_of(name): grid}).save(tmp_path / "joints.json")
    written = json.loads((tmp_path / "joints.json").read_text())
    assert {key: written[key] for key in ("joints", "unit")} == {key: ours[key] for key in ("joints", "unit")}
    assert written["frames"] == {name: points_there}


def test_joints_of_pmd_are_read_by_the_reader_of_pmd(pmd: Path, tmp_path: Path) -> None:
    Annotations(PMD["i"], {"S1/4": points()}, grids={"S1": GRID_I}).save(tmp_path / "joints.json")
    maps = read_pmd(pmd, [1], joints=tmp_path / "joints.json")
    np.testing.assert_allclose(maps.joints[3], np.array(points()) * [2.54, 2.54, 1], atol=1e-4)
    assert len(maps.labelled().groups) == 1


def test_accepted_joints_are_read_in_centimetres_and_drafts_are_not(tmp_path: Path) -> None:
    annotations().save(tmp_path / "joints.json")
    names = ["night.matlog/9.2", "night.matlog/7", "other.matlog/7"]
    joints = read_joints(tmp_path / "joints.json", names, GRID)
    assert joints.shape == (3, len(JOINTS), 3)
    np.testing.assert_allclose(joints[1], np.array(points()) * [2.87, 2.54, 1], rtol=1e-6)
    assert not joints[[0, 2]].any()


def test_joints_of_another_grid_are_refused(tmp_path: Path) -> None:
    annotations().save(tmp_path / "joints.json")
    with pytest.raises(Failure, match=r"night\.matlog/7 with 64 x 27 .* has 32 x 27") as failure:
        read_joints(tmp_path / "joints.json", ["night.matlog/7"], Grid(32, 27, 2.87, 2.54))
    assert failure.value.code == Exit.FOREIGN_DATA


def test_frames_are_named_by_file_and_sequence_number_and_never_alike() -> None:
    """Sequence numbers wrap after 65536 frames and restart with the device."""
    names = frame_names(Path("some/night.matlog"), [65534, 65535, 0, 1, 0, 1, 0])
    assert names[:3] == ["night.matlog/65534", "night.matlog/65535", "night.matlog/0"]
    assert names[4:] == ["night.matlog/0.2", "night.matlog/1.2", "night.matlog/0.3"]


def test_files_of_others_are_named_with_the_reason(tmp_path: Path, joints_i: Path) -> None:
    path = tmp_path / "joints.json"
    annotations().save(path)
    good = json.loads(path.read_text())
    thirteen = {"frames": {"night.matlog/7": good["frames"]["night.matlog/7"][:13]}}
    for content, words in [
        (joints_i.read_text(), "made_by"),
        ("", "Invalid JSON"),
        (path.read_text()[:-200], "Invalid JSON"),
        ("[1]", "valid dictionary|object"),
        (json.dumps(good | {"made_by": "me"}), "made_by is 'me'"),
        (json.dumps(good | {"joints": good["joints"][::-1]}), "joints are others"),
        (json.dumps(good | {"unit": "pixel"}), "unit is unknown: 'pixel'"),
        (json.dumps(good | {"grids": {}}), "no grid for night.matlog/7"),
        (json.dumps(good | thirteen), "at least 14"),
    ]:
        path.write_text(content)
        with pytest.raises(Failure, match=words) as failure:
            Annotations.load(path)
        assert failure.value.code == Exit.FOREIGN_DATA
        assert "joints.json" in str(failure.value)
        assert "\n" not in str(failure.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="no joints file") as failure:
        read_joints(tmp_path / "none.json", [], GRID)
    assert failure.value.code == Exit.MISSING_INPUT


def test_a_save_that_fails_leaves_the_previous_file(tmp_path: Path) -> None:
    path = tmp_path / "joints.json"
    annotations().save(path)
    (tmp_path / "joints.json.partial").mkdir()
    with pytest.raises(OSError, match="directory"):
        Annotations().save(path)
    assert Annotations.load(path) == annotations()
