"""Scores against figures worked out by hand; runs against their truth, line by line."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.score import joint_errors_cm, main, score_files, table
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.skeleton import JOINTS


def test_mean_and_shares_count_visible_joints_only() -> None:
    truth = np.zeros((2, 14, 2))
    predicted = truth.copy()
    visible = np.zeros((2, 14), int)
    for (frame, joint), error_cm, v in (((0, 0), 3, 2), ((0, 1), 7, 1), ((1, 0), 11, 2), ((1, 5), 99, 0)):
        predicted[frame, joint] = (0.6 * error_cm, 0.8 * error_cm)
        visible[frame, joint] = v
    score = joint_errors_cm(predicted, truth, visible)
    assert score.n == 3
    assert score.mean_cm == pytest.approx(7)
    assert score.pck_5cm == pytest.approx(100 / 3)
    assert score.pck_10cm == pytest.approx(200 / 3)
    assert score.per_joint_cm["r_ankle"] == pytest.approx(7)
    assert score.per_joint_cm["r_knee"] == pytest.approx(7)
    assert math.isnan(score.per_joint_cm["head"])


def test_the_limits_belong_to_the_share() -> None:
    predicted = np.zeros((1, 14, 2))
    predicted[0, 0], predicted[0, 1] = (5, 0), (0, 10)
    score = joint_errors_cm(predicted, np.zeros((1, 14, 2)), np.array([[2, 2] + [0] * 12]))
    assert (score.pck_5cm, score.pck_10cm) == (50, 100)


def test_a_joint_that_was_not_found_lowers_the_share_and_leaves_the_mean() -> None:
    predicted = np.full((2, 14, 2), np.nan)
    predicted[0] = 0
    score = joint_errors_cm(predicted, np.zeros((2, 14, 2)), np.full((2, 14), 2))
    assert (score.mean_cm, score.pck_5cm, score.n) == (0, 50, 28)


def joints(x_cm: float, **extra: Any) -> dict[str, Any]:
    return {name: {"x_cm": x_cm, "y_cm": 10.0, **extra} for name in JOINTS}


def pose(seq: int, x_cm: float | None, boot_id: int = 1) -> dict[str, Any]:
    found = None if x_cm is None else joints(x_cm, confidence=0.5)
    return {"type": "pose", "seq": seq & 0xFFFF, "boot_id": boot_id, "t_us": 100_000 * seq, "joints": found}


def truth(seq: int, x_cm: float | None, posture: str = "supine", boot_id: int = 1) -> dict[str, Any]:
    true = None if x_cm is None else joints(x_cm, v=2)
    frame = {"boot_id": boot_id, "seq": seq & 0xFFFF, "t_us": 100_000 * seq}
    return {**frame, "joints": true, "posture": posture, "group": "sim/1"}


def write(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Errors of 2 and 4 cm, one frame missed, 3 of 4 empty frames agreed upon."""
    poses = [
        {"type": "hello"},
        *(pose(0, 2.0), pose(1, 4.0), pose(2, None), pose(3, None), pose(4, None), pose(5, None), pose(6, 1.0)),
        *(pose(7, 90.0), pose(8, None), pose(9, 3.0), pose(0, 70.0, boot_id=2)),
        {"type": "end"},
    ]
    true = [
        *(truth(0, 0.0), truth(1, 0.0), truth(2, 0.0), truth(0, 70.0, boot_id=3)),
        *(truth(seq, None, "empty") for seq in (3, 4, 5, 6)),
        *(truth(7, None, "getting in"), truth(8, None, "getting out")),
    ]
    return write(tmp_path / "poses.jsonl", poses), write(tmp_path / "truth.jsonl", true)


def test_frames_are_matched_by_boot_id_sequence_number_and_clock(files: tuple[Path, Path]) -> None:
    score = score_files(*files)
    assert score.joints.mean_cm == pytest.approx(3)
    assert score.joints.pck_5cm == pytest.approx(200 / 3)
    assert (score.frames, score.missed) == (3, 1)
    assert (score.empty_frames, score.empty_agreement) == (4, 0.75)
    assert (score.transitions, score.unmatched) == (2, 2)


def test_a_night_in_which_sequence_numbers_come_again_is_scored_frame_by_frame(tmp_path: Path) -> None:
    numbers = (0, 1, 65_536, 65_537)
    poses = write(tmp_path / "poses.jsonl", [pose(number, number / 1000) for number in numbers])
    score = score_files(poses, write(tmp_path / "truth.jsonl", [truth(number, number / 1000) for number in numbers]))
    assert (score.joints.mean_cm, score.frames) == (0, 4)


def test_the_table_tells_people_the_same(files: tuple[Path, Path]) -> None:
    text = table(score_files(*files))
    assert "3 frames with somebody lying there (1 of them taken for empty)" in text
    assert "75.0 %" in text
    assert "r_ankle         3.00" in text


def test_the_limit_decides_the_exit_code(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    names = [str(file) for file in files]
    assert main([*names, "--max-mean-cm", "3.01"]) == Exit.OK
    assert capsys.readouterr().err == ""
    assert main([*names, "--max-mean-cm", "2.99"]) == Exit.CHECK_FAILED
    assert "3.00 cm is above 2.99 cm" in capsys.readouterr().err


def test_json_holds_the_same_numbers_and_null_for_none(files: tuple[Path, Path], tmp_path: Path) -> None:
    assert main([*map(str, files), "--json", str(tmp_path / "score.json")]) == Exit.OK
    value = json.loads((tmp_path / "score.json").read_text())
    assert value["joints"]["mean_cm"] == pytest.approx(3)
    assert (value["frames"], value["empty_agreement"]) == (3, 0.75)
    lying_only = write(tmp_path / "lying.jsonl", [truth(0, 0.0)])
    assert main([str(files[0]), str(lying_only), "--json", str(tmp_path / "score.json")]) == Exit.OK
    assert json.loads((tmp_path / "score.json").read_text())["empty_agreement"] is None


def test_a_run_that_finds_nobody_fails(tmp_path: Path) -> None:
    poses = write(tmp_path / "poses.jsonl", [pose(0, None), pose(1, None)])
    true = write(tmp_path / "truth.jsonl", [truth(0, 0.0), truth(1, 0.0)])
    assert main([str(poses), str(true)]) == Exit.CHECK_FAILED


def test_what_is_no_pose_file_is_refused_with_its_line(files: tuple[Path, Path], tmp_path: Path) -> None:
    missing, text, binary = tmp_path / "none", tmp_path / "text", tmp_path / "binary"
    text.write_text('{"type": "pose"}\nhello\n')
    binary.write_bytes(bytes(range(256)))
    for bad, code, reason in (
        (missing, Exit.MISSING_INPUT, "No such file"),
        (binary, Exit.FOREIGN_DATA, "no text"),
        (text, Exit.FOREIGN_DATA, "text:1 is no object with boot_id, seq, t_us, joints"),
    ):
        with pytest.raises(Failure, match=reason) as refused:
            score_files(files[0], bad)
        assert refused.value.code == code


def test_it_runs_as_a_module(files: tuple[Path, Path]) -> None:
    done = subprocess.run([sys.executable, "-m", "edge.score", *map(str, files)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "PCK@10cm" in done.stdout
