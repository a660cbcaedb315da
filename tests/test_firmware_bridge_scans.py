"""What a virtual mat scans, and the truth that goes with it."""

import json
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.encoder import encode, encode_frame
from firmware_bridge.geometry import Orientation
from firmware_bridge.messages import Info
from firmware_bridge.recording import RecordingWriter
from firmware_bridge.scans import DEFAULT_GRID, recorded_scans, simulated_info, simulated_scans, truth_line
from firmware_bridge.skeleton import JOINTS


@pytest.mark.parametrize("byte", range(8))
def test_a_mat_held_differently_scans_the_same_person(byte: int) -> None:
    orientation = Orientation.from_byte(byte)
    canonical = next(simulated_scans(4, DEFAULT_GRID, 10))
    turned = next(simulated_scans(4, DEFAULT_GRID, 10, orientation=orientation))
    info = simulated_info(4, DEFAULT_GRID, 10_000, orientation)
    assert turned.counts.shape == (info.rows, info.cols)
    assert info.orientation.canonical_grid(info.grid) == DEFAULT_GRID
    np.testing.assert_array_equal(orientation.to_canonical(turned.counts), canonical.counts)


def test_an_empty_bed_has_nobody_in_it() -> None:
    scans = simulated_scans(4, DEFAULT_GRID, 10, "empty")
    assert all(
        scan.moment is not None and scan.moment.joints_cm is None for scan, _ in zip(scans, range(5), strict=False)
    )


def test_a_recording_gives_its_info_and_its_whole_frames(tmp_path: Path) -> None:
    info = Info("demo", "1", 1, 2, 2, 25_400, 25_400, 4095)
    with RecordingWriter(tmp_path / "a.matlog") as recording:
        recording.write(encode(info), 0)
        for seq in range(3):
            recording.write(encode_frame(np.full((2, 2), seq, np.uint16), seq=seq, t_us=0), 0)
        recording.write(b"\xc0damaged\xc0", 0)
    found, scans = recorded_scans(tmp_path / "a.matlog")
    assert found == info
    assert [scan.counts.tolist() for scan in scans] == [[[seq] * 2] * 2 for seq in range(3)]


def test_a_truth_line_names_each_joint() -> None:
    joints_cm = np.arange(28.0).reshape(14, 2)
    line = json.loads(truth_line(7, 9, 4, joints_cm, None, "supine", "sim/3"))
    assert line["joints"].keys() == set(JOINTS)
    assert line["joints"]["r_knee"] == {"x_cm": 2.0, "y_cm": 3.0, "v": 2}
    assert (line["boot_id"], line["seq"], line["t_us"]) == (7, 9, 4)
    assert (line["posture"], line["group"]) == ("supine", "sim/3")
    assert json.loads(truth_line(7, 9, 4, None, None, "empty", "sim/3"))["joints"] is None
    seen = np.array([0, 1] * 7)
    assert json.loads(truth_line(7, 9, 4, joints_cm, seen, "", ""))["joints"]["r_knee"]["v"] == 1
