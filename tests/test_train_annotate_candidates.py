"""Maps that could be annotated: occupied, at rest, evenly over the recording."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from annotate_server import simulated_night

from edge.manifest import Manifest, read_manifest
from edge.model import DEFAULT_MODEL
from firmware_bridge.encoder import encode, encode_frame
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid, Orientation
from firmware_bridge.messages import Info
from firmware_bridge.person import still
from firmware_bridge.recording import RecordingWriter
from firmware_bridge.sensor import Sensor
from train.annotate.candidates import of_pmd, of_recording, of_recordings
from train.pmd import read_pmd

GRID = Grid(64, 32, 2.54, 2.54)


@pytest.fixture(scope="module")
def model() -> Manifest:
    return read_manifest(DEFAULT_MODEL.with_suffix(".json"))


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulated_night(tmp_path_factory.mktemp("night"))


def write(path: Path, frames: list[tuple[int, int, np.ndarray]], orientation: Orientation | None = None) -> None:
    """A recording of (sequence number, ms, canonical counts)."""
    orientation = orientation or Orientation()
    grid = orientation.canonical_grid(GRID)
    info = Info("mat", "1", 5, grid.rows, grid.cols, 25_400, 25_400, 4095, orientation)
    with RecordingWriter(path) as recording:
        recording.write(encode(info), 0)
        for seq, ms, counts in frames:
            message = encode_frame(np.ascontiguousarray(orientation.from_canonical(counts)), seq=seq, t_us=ms * 1000)
            recording.write(message, 1_700_000_000_000_000 + ms * 1000)


def person(seed: int) -> np.ndarray:
    return Sensor(seed, GRID)(still(seed, GRID).pressure_kpa)


def test_only_occupied_frames_a_second_apart_come(night: Path, model: Manifest) -> None:
    candidates = of_recording(night, model)
    lines = [json.loads(line) for line in night.with_suffix(".truth.jsonl").read_text().splitlines()]
    found = [int(c.name.partition("/")[2]) for c in candidates]
    assert found == sorted(set(found))
    assert np.diff(found).min() >= 2
    assert len(found) > 30
    assert "empty" not in {lines[seq]["posture"] for seq in found}
    lying_still = {lines[int(c.name.partition("/")[2])]["posture"] for c in candidates if c.still}
    assert lying_still.isdisjoint({"turning", "getting in", "getting out"})
    assert len(lying_still) >= 2


def test_an_empty_mat_gives_no_candidates(tmp_path: Path, model: Manifest) -> None:
    noise = Sensor(1, GRID)(np.zeros((64, 32), np.float32))
    write(tmp_path / "empty.matlog", [(i, i * 1000, noise) for i in range(3)])
    assert of_recording(tmp_path / "empty.matlog", model) == []


def test_frames_are_turned_to_the_canonical_orientation(tmp_path: Path, model: Manifest) -> None:
    counts = person(3)
    write(tmp_path / "a.matlog", [(0, 0, counts)], Orientation(quarter_turns=1, mirrored=True))
    (candidate,) = of_recording(tmp_path / "a.matlog", model)
    np.testing.assert_array_equal(candidate.pressure, counts)
    assert candidate.grid == GRID


def test_frames_are_turned_as_the_mat_should_have_said(tmp_path: Path, model: Manifest) -> None:
    counts = person(3)
    write(tmp_path / "a.matlog", [(0, 0, counts)])
    (candidate,) = of_recordings(
        [tmp_path / "a.matlog"], model, corrected=lambda info: replace(info, orientation=Orientation(2))
    )
    np.testing.assert_array_equal(candidate.pressure, counts[::-1, ::-1])


def test_long_recordings_are_thinned_evenly_and_keep_what_is_wanted(tmp_path: Path, model: Manifest) -> None:
    counts = person(3)
    write(tmp_path / "a.matlog", [(i, i * 1000, counts) for i in range(40)])
    found = [c.name for c in of_recording(tmp_path / "a.matlog", model, ["a.matlog/17"], most=10)]
    assert found == [f"a.matlog/{i}" for i in (0, 4, 8, 12, 16, 17, 20, 24, 28, 32, 36)]


def test_a_wanted_frame_is_found_between_the_seconds_and_after_a_wrap(tmp_path: Path, model: Manifest) -> None:
    counts = person(3)
    write(tmp_path / "a.matlog", [(seq, ms, counts) for seq, ms in ((0, 0), (1, 300), (0, 600), (1, 2000))])
    found = [c.name for c in of_recording(tmp_path / "a.matlog", model, ["a.matlog/0.2"])]
    assert found == ["a.matlog/0", "a.matlog/0.2", "a.matlog/1.2"]


def test_a_change_of_posture_is_not_still_but_what_lasts_is(tmp_path: Path, model: Manifest) -> None:
    poses = [person(3), person(3), person(3), person(4), person(6), person(6)]
    write(tmp_path / "a.matlog", [(i, i * 1000, p) for i, p in enumerate(poses)])
    assert [c.still for c in of_recording(tmp_path / "a.matlog", model)] == [True, True, False, False, False, True]


def test_a_folder_gives_all_its_recordings_and_two_of_one_name_are_refused(tmp_path: Path, model: Manifest) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "a.matlog", [(0, 0, person(3))])
    write(tmp_path / "x" / "b.matlog", [(0, 0, person(4))])
    assert [c.name for c in of_recordings([tmp_path / "x"], model)] == ["a.matlog/0", "b.matlog/0"]
    with pytest.raises(Failure, match=r"two recordings are named a\.matlog") as failure:
        of_recordings([tmp_path / "x", tmp_path / "y"], model)
    assert failure.value.code == Exit.USAGE
    (tmp_path / "none").mkdir()
    with pytest.raises(Failure, match=r"no \.matlog") as failure:
        of_recordings([tmp_path / "none"], model)
    assert failure.value.code == Exit.MISSING_INPUT


def test_recordings_without_a_frame_or_of_two_grids_are_named(tmp_path: Path, model: Manifest) -> None:
    path = tmp_path / "a.matlog"
    write(path, [])
    with pytest.raises(Failure, match="no whole frame"):
        of_recording(path, model)
    with path.open("ab") as file:
        for boot_id, rows in ((6, 16), (7, 8)):
            file.write(encode(Info("mat", "1", boot_id, rows, 8, 20_000, 30_000, 4095)))
            file.write(encode_frame(np.ones((rows, 8), np.uint16), seq=0, t_us=0))
    with pytest.raises(Failure, match="changes its grid") as failure:
        of_recording(path, model)
    assert failure.value.code == Exit.FOREIGN_DATA


def test_maps_of_pmd_are_named_as_their_joints_file_names_them(pmd: Path, joints_i: Path, model: Manifest) -> None:
    candidates = of_pmd(read_pmd(pmd, [1], joints=joints_i), "i", model)
    written = json.loads(joints_i.read_text())["frames"]
    assert [c.name for c in candidates] == [f"S1/{n}" for n in range(1, 18)]
    for candidate in candidates:
        assert candidate.points is not None
        x, y, v = np.array(candidate.points).T
        np.testing.assert_allclose(np.stack([32 - x, y, v], 1), written[candidate.name], atol=0.011)
    assert all(c.points is None for c in of_pmd(read_pmd(pmd, [1]), "i", model))
