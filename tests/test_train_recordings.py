"""Recordings as training maps."""

from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.encoder import encode, encode_frame
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Orientation
from firmware_bridge.messages import Info
from firmware_bridge.recording import RecordingWriter
from train.recordings import read_recordings


def write(path: Path, shapes: list[tuple[int, int]]) -> list[np.ndarray]:
    """A recording of a mat of 16 x 8 that is turned by a quarter; random frames of `shapes`."""
    random = np.random.default_rng(0)
    turned = Orientation(quarter_turns=1)
    info = Info("mat", "1", 5, 16, 8, 20_000, 30_000, 4095, turned)
    frames = [random.integers(0, 4095, shape).astype(np.uint16) for shape in shapes]
    with RecordingWriter(path) as recording:
        recording.write(encode(info), 0)
        for seq, frame in enumerate(frames):
            recording.write(encode_frame(frame, seq=seq, t_us=seq), seq)
    return frames


def test_frames_are_turned_and_every_frame_is_a_group(tmp_path: Path) -> None:
    frames = write(tmp_path / "a.matlog", [(16, 8)] * 3)
    (maps,) = read_recordings([tmp_path])
    np.testing.assert_array_equal(maps.pressure, np.rot90(np.stack(frames), 1, (1, 2)))
    assert (maps.grid.rows, maps.grid.cols, maps.grid.pitch_x_cm, maps.grid.pitch_y_cm) == (8, 16, 3, 2)
    assert len(maps.groups) == 3
    assert maps.people == ["recording:a"]
    assert len(maps.labelled().groups) == 0


def test_a_torn_recording_gives_its_whole_frames(tmp_path: Path) -> None:
    write(tmp_path / "a.matlog", [(16, 8)] * 3)
    content = (tmp_path / "a.matlog").read_bytes()
    (tmp_path / "a.matlog").write_bytes(content[:-20])
    (maps,) = read_recordings([tmp_path / "a.matlog"])
    assert len(maps) == 2


def test_a_recording_without_a_whole_frame_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.matlog", [])
    with pytest.raises(Failure, match=r"a\.matlog holds no whole frame") as failure:
        read_recordings([tmp_path])
    assert failure.value.code == Exit.FOREIGN_DATA


def test_a_recording_that_changes_its_grid_is_named(tmp_path: Path) -> None:
    """A device may do so with a new INFO; one Maps has one grid."""
    write(tmp_path / "a.matlog", [(16, 8)])
    other = Info("mat", "1", 6, 8, 8, 20_000, 30_000, 4095)
    with (tmp_path / "a.matlog").open("ab") as file:
        file.write(encode(other) + encode_frame(np.ones((8, 8), np.uint16), seq=0, t_us=0))
    with pytest.raises(Failure, match="changes its grid") as failure:
        read_recordings([tmp_path])
    assert failure.value.code == Exit.FOREIGN_DATA


def test_a_folder_without_recordings_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"no \.matlog") as failure:
        read_recordings([tmp_path])
    assert failure.value.code == Exit.MISSING_INPUT
