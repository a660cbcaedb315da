"""Recordings as training maps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.encoder import encode, encode_frame
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid, Orientation
from firmware_bridge.messages import Info
from firmware_bridge.recording import RecordingWriter
from firmware_bridge.scans import truth_line
from train.annotations import Annotations
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


def test_what_a_mat_says_wrong_of_itself_is_put_right(tmp_path: Path) -> None:
    frames = write(tmp_path / "a.matlog", [(16, 8)] * 3)
    (maps,) = read_recordings([tmp_path], corrected=lambda info: replace(info, orientation=Orientation(2)))
    np.testing.assert_array_equal(maps.pressure, np.rot90(np.stack(frames), 2, (1, 2)))
    assert (maps.grid.rows, maps.grid.cols) == (16, 8)


def test_joints_annotated_by_hand_come_with_their_frames(tmp_path: Path) -> None:
    write(tmp_path / "a.matlog", [(16, 8)] * 3)
    points = [(1.0 + j, 2.0, 2 if j else 0) for j in range(14)]
    grid = Grid(8, 16, 3.0, 2.0)  # canonical: the device's is turned by a quarter
    Annotations(frames={"a.matlog/1": points}, grids={"a.matlog": grid}).save(tmp_path / "joints.json")
    (maps,) = read_recordings([tmp_path], tmp_path / "joints.json")
    assert [g.name for g in maps.labelled().groups] == ["a/1"]
    np.testing.assert_allclose(maps.joints[1, 3], [4 * 3, 2 * 2, 2])
    assert maps.joints[1, 0, 2] == 0


def true_joints(x_cm: float) -> np.ndarray:
    return np.full((14, 2), (x_cm, 3.0))


def write_boots(path: Path, boots: list[tuple[int, list[int]]]) -> None:
    """Boot ids with the sequence numbers of their frames; the n-th frame's truth has its joints at x = n cm."""
    with RecordingWriter(path) as recording, path.with_suffix(".truth.jsonl").open("w") as truth:
        count = 0
        for boot_id, sequence in boots:
            recording.write(encode(Info("mat", "1", boot_id, 16, 8, 20_000, 30_000, 4095)), count)
            for seq in sequence:
                count += 1
                recording.write(encode_frame(np.full((16, 8), count, np.uint16), seq=seq, t_us=count), count)
                truth.write(truth_line(boot_id, seq, count, true_joints(count), None, "supine", "x") + "\n")


@pytest.mark.parametrize(
    "boots",
    [[(5, [0, 1]), (6, [0, 1])], [(5, [0, 30_000, 60_000, 0, 30_000])], [(5, [1]), (6, [1]), (5, [1, 2])]],
    ids=["the mat restarted", "the numbers wrapped", "both"],
)
def test_frames_of_the_same_number_keep_their_own_joints(tmp_path: Path, boots: list[tuple[int, list[int]]]) -> None:
    write_boots(tmp_path / "a.matlog", boots)
    (maps,) = read_recordings([tmp_path])
    assert len(maps) == sum(len(sequence) for _, sequence in boots)
    np.testing.assert_array_equal(maps.joints[:, 0, 0], maps.pressure[:, 0, 0])


def test_a_truth_of_which_frames_were_lost_is_still_theirs(tmp_path: Path) -> None:
    write(tmp_path / "a.matlog", [(16, 8)] * 2)
    lines = [truth_line(5, 0, 0, None, None, "empty", "x"), truth_line(5, 7, 7, true_joints(7), None, "supine", "x")]
    (tmp_path / "a.truth.jsonl").write_text(
        "\n".join([*lines, truth_line(5, 1, 1, true_joints(1), None, "left_foetal", "x")])
    )
    (maps,) = read_recordings([tmp_path])
    np.testing.assert_array_equal(maps.joints[:, 0, 0], [0, 1])
    assert [g.posture for g in maps.groups] == ["", "left"]


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b'{"seq": 1, "joints": null, "posture": "empty"}',
        b'{"boot_id": 5, "seq": 1, "joints": {"head": {"x_cm": 1, "y_cm": 2, "v": 2}}, "posture": "left"}',
        b'{"boot_id": 5, "seq": 1, "joints": {"head": {"x_cm": NaN, "y_cm": 2, "v": 2}}, "posture": "left"}',
        b"\xff",
        b"",
    ],
)
def test_a_truth_that_is_none_is_named_with_its_line(tmp_path: Path, line: bytes) -> None:
    write(tmp_path / "a.matlog", [(16, 8)])
    good = truth_line(5, 0, 0, None, None, "empty", "x").encode()
    (tmp_path / "a.truth.jsonl").write_bytes(good + b"\n" + line + b"\n")
    with pytest.raises(Failure, match=r"a\.truth\.jsonl:2 is no line") as failure:
        read_recordings([tmp_path])
    assert failure.value.code == Exit.FOREIGN_DATA
    assert "\n" not in str(failure.value)


def test_labels_of_one_file_name_are_not_given_to_two_recordings(tmp_path: Path) -> None:
    points = [(1.0, 2.0, 2)] * 14
    Annotations(frames={"night.matlog/0": points}, grids={"night.matlog": Grid(8, 16, 3.0, 2.0)}).save(
        tmp_path / "joints.json"
    )
    for person in "ab":
        (tmp_path / person).mkdir()
        write(tmp_path / person / "night.matlog", [(16, 8)])
    with pytest.raises(Failure, match=r"two recordings are named night\.matlog") as failure:
        read_recordings([tmp_path / "a", tmp_path / "b"], tmp_path / "joints.json")
    assert failure.value.code == Exit.USAGE
    assert len(read_recordings([tmp_path / "a", tmp_path / "b"])) == 2


def test_frames_are_turned_by_the_info_before_them(tmp_path: Path) -> None:
    """The orientation was corrected while the recording ran."""
    frames = write(tmp_path / "a.matlog", [(16, 8)])
    corrected = Info("mat", "1", 5, 16, 8, 20_000, 30_000, 4095, Orientation(quarter_turns=3))
    with (tmp_path / "a.matlog").open("ab") as file:
        file.write(encode(corrected, seq=1) + encode_frame(frames[0], seq=1, t_us=1))
    (maps,) = read_recordings([tmp_path])
    np.testing.assert_array_equal(maps.pressure[0], np.rot90(frames[0], 1))
    np.testing.assert_array_equal(maps.pressure[1], np.rot90(frames[0], 3))


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
