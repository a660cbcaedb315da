"""edge-diff: what differs is measured and named, what does not is not."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calibrations import calibration
from daemon_process import ENVIRONMENT, PROGRAM
from edge_packages import package
from recorded_nights import Night, people, scans

from edge.calibration import store
from edge.diff import main, table
from edge.diff_poses import MOST_NAMED, Said, compare
from edge.model import DEFAULT_MODEL
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.skeleton import JOINTS


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def night(pmd: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty frame, then a person in 8 postures."""
    empty = np.zeros((1, 64, 32), np.uint16)
    maps = np.concatenate([empty, people(pmd)[:8]])
    return Night(tmp_path_factory.mktemp("night") / "night.matlog").mat().frames(maps).done()


def diff(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*map(str, arguments), "--json"]) == code
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def refused(code: Exit, *arguments: object) -> str:
    with pytest.raises(Failure) as caught:
        main([*map(str, arguments)])
    assert caught.value.code == code
    return str(caught.value)


def lines_of(recording: Path, out: Path, *arguments: object) -> Path:
    command = [sys.executable, "-c", PROGRAM, "--replay", recording, *arguments]
    with out.open("wb") as file:
        subprocess.run(command, stdout=file, stderr=subprocess.DEVNULL, env=ENVIRONMENT, check=True)
    return out


def said(seq: int, joints_cm: np.ndarray | None, posture: str | None = "left", occupied: bool = True) -> Said:
    return Said((7, seq, seq * 1000), 1.7e9 + seq, occupied, posture, joints_cm)


def still(n: int) -> list[Said]:
    return [said(seq, np.zeros((14, 2), np.float32)) for seq in range(n)]


def moved(n: int, shifts_cm: Sequence[float]) -> list[Said]:
    """Like `still`, with the head shifted by so much in each frame, at 3 to 4."""
    found = []
    for seq, shift_cm in zip(range(n), shifts_cm, strict=True):
        joints_cm = np.zeros((14, 2), np.float32)
        joints_cm[JOINTS.index("head")] = 0.6 * shift_cm, 0.8 * shift_cm
        found.append(said(seq, joints_cm))
    return found


def test_distances_of_each_joint_and_where_they_are_worst() -> None:
    shifts_cm = [*np.arange(100) / 10, 30.0]
    found = compare(still(101), moved(101, shifts_cm))
    head = found.joints["head"]
    assert head.mean_cm == pytest.approx(np.mean(shifts_cm), abs=1e-5)
    assert head.p95_cm == pytest.approx(np.percentile(shifts_cm, 95), abs=1e-5)
    assert head.worst_cm == pytest.approx(30, abs=1e-5)
    assert head.worst
    assert (head.worst.seq, head.worst.boot_id, head.worst.ts) == (100, 7, 1.7e9 + 100)
    assert head.worst.b == "head at 18.00, 24.00 cm"
    assert found.joints["neck"].worst_cm == 0
    assert found.all_joints.mean_cm == pytest.approx(np.mean(shifts_cm) / 14, abs=1e-5)
    assert found.all_joints.worst == head.worst


def test_frames_in_which_occupancy_joints_or_posture_differ() -> None:
    joints = np.zeros((14, 2), np.float32)
    a = [said(0, joints), said(1, None, None, False), said(2, joints, "supine"), said(3, joints), said(4, None, None)]
    b = [said(0, joints), said(1, joints, "left"), said(2, joints, "right"), said(3, None, None), said(4, None, None)]
    found = compare(a, b)
    assert [place.seq for place in found.occupied.first] == [1]
    assert (found.occupied.first[0].a, found.occupied.first[0].b) == ("empty", "occupied")
    assert [place.seq for place in found.presence.first] == [1, 3]
    assert [(place.seq, place.a, place.b) for place in found.posture.first] == [(2, "supine", "right")]
    assert (found.occupied.n, found.presence.n, found.posture.n) == (1, 2, 1)
    assert found.joints["head"].n == 2


def test_only_the_first_few_frames_are_named() -> None:
    joints = np.zeros((14, 2), np.float32)
    found = compare([said(seq, joints, "left") for seq in range(50)], [said(seq, joints, "right") for seq in range(50)])
    assert found.posture.n == 50
    assert [place.seq for place in found.posture.first] == list(range(MOST_NAMED))
    assert "  and 45 more" in list(table(found, "a", "b"))


def test_frames_are_matched_by_what_the_mat_says_and_the_rest_is_counted() -> None:
    joints = np.zeros((14, 2), np.float32)
    other_boot = Said((8, 5, 5000), 1.7e9, True, "left", joints + 50)
    found = compare(still(10), [*still(12)[4:], other_boot])
    assert (found.frames_a, found.frames_b, found.frames) == (10, 9, 6)
    assert found.all_joints.worst_cm == 0


def test_two_models(capsys: pytest.CaptureFixture[str], night: Path, model: Path, tmp_path: Path) -> None:
    """The same net, fed through other preprocessing constants."""
    other = package(tmp_path, preprocessing={"baseline_percent": 25, "scale_percent": 90})
    same = diff(capsys, night, "--model", model, "--model", DEFAULT_MODEL, "--max-mean-cm", 0)
    assert same["all_joints"]["worst_cm"] == 0
    assert (same["frames"], same["joints"]["head"]["n"]) == (9, 8)
    assert same["a"] == f"{night} --model {model}"
    found = diff(capsys, night, "--model", model, "--model", other)
    assert 0.05 < found["all_joints"]["mean_cm"] < 20
    limit_cm = found["all_joints"]["mean_cm"]
    diff(capsys, night, "--model", model, "--model", other, "--max-mean-cm", limit_cm * 1.001)
    diff(capsys, night, "--model", model, "--model", other, "--max-mean-cm", limit_cm * 0.999, code=1)


def test_smoothing_orientation_and_calibration(
    capsys: pytest.CaptureFixture[str], night: Path, model: Path, tmp_path: Path
) -> None:
    store.write(tmp_path / "a.json", calibration(orientation="180"))
    store.write(tmp_path / "b.json", calibration())
    for pair in (
        ("--smoothing", "on", "off"),
        ("--orientation", "mat", "180"),
        ("--pitch", "mat", "2.3"),
        ("--calibration", "none", tmp_path / "a.json"),
    ):
        option, a, b = pair
        found = diff(capsys, night, "--model", model, option, a, option, b)
        assert found["all_joints"]["mean_cm"] > 0.1, pair
        assert found["occupied"]["n"] == 0
    turned = ("--orientation", "180", "--orientation", "mat")
    calibrated = ("--calibration", tmp_path / "b.json", "--calibration", tmp_path / "a.json")
    assert diff(capsys, night, "--model", model, *turned, *calibrated)["all_joints"]["worst_cm"] == 0


def test_the_lines_of_a_run_against_its_recording(
    capsys: pytest.CaptureFixture[str], night: Path, model: Path, tmp_path: Path
) -> None:
    """What edge-diff replays is what edge-run says."""
    lines = lines_of(night, tmp_path / "run.jsonl", "--model", model)
    found = diff(capsys, lines, night, "--model", model, "--max-mean-cm", 0)
    assert (found["frames"], found["all_joints"]["worst_cm"], found["posture"]["n"]) == (9, 0, 0)
    assert found["a"] == str(lines)


def test_a_mat_that_says_wrong_things_is_corrected_as_edge_run_corrects_it(
    capsys: pytest.CaptureFixture[str], night: Path, model: Path, tmp_path: Path
) -> None:
    told = ("--model", model, "--pitch", "2.3x2.6", "--orientation", "mirrored-0")
    lines = lines_of(night, tmp_path / "run.jsonl", *told)
    found = diff(capsys, lines, night, *told, "--max-mean-cm", 0)
    assert (found["joints"]["head"]["n"], found["all_joints"]["worst_cm"]) == (8, 0)
    assert found["b"] == f"{night} --model {model} --pitch 2.3x2.6 --orientation mirrored-0"
    uncorrected = diff(capsys, lines, night, "--model", model)
    assert uncorrected["all_joints"]["mean_cm"] > 1


def test_two_configurations(capsys: pytest.CaptureFixture[str], night: Path, model: Path, tmp_path: Path) -> None:
    """Whatever they say of model, smoothing, mat and calibration counts, as for edge-run."""
    a, b, state = tmp_path / "a.toml", tmp_path / "b.toml", tmp_path / "state"
    a.write_text("version = 1\n")
    b.write_text(
        f'version = 1\nmodel = "{model}"\nstate_dir = "{state}"\n[smoothing]\nmin_cutoff_hz = 0.2\n'
        '[[mat]]\nname = "bed"\nport = "/dev/bed"\npitch_cm = "2.3"\n[[mat]]\nname = "sofa"\nport = "/dev/sofa"\n'
    )
    store.write(store.path_of(state, "bed"), calibration(orientation="180"))
    lines = lines_of(night, tmp_path / "run.jsonl", "--config", b, "--mat", "bed")
    same = diff(capsys, lines, night, "--config", b, "--mat", "bed")
    assert (same["joints"]["head"]["n"], same["all_joints"]["worst_cm"]) == (8, 0)
    assert same["b"] == f"{night} --config {b} --mat bed"
    differ = diff(capsys, night, "--config", a, "--config", b, "--mat", "mat", "--mat", "bed")
    assert differ["all_joints"]["mean_cm"] > 1
    plain = ("--pitch", "mat", "--smoothing", "off", "--calibration", "none")
    overruled = diff(capsys, night, "--config", a, "--config", b, "--mat", "mat", "--mat", "bed", *plain)
    assert overruled["all_joints"]["worst_cm"] == 0
    assert "say by --mat which (bed, sofa)" in refused(Exit.USAGE, night, "--config", a, "--config", b)
    b.write_text("version = 1\ncolour = 1\n")
    assert "b.toml:2: " in refused(Exit.BAD_CONFIG, night, "--config", a, "--config", b)


def test_the_lines_of_two_runs(capsys: pytest.CaptureFixture[str], night: Path, model: Path, tmp_path: Path) -> None:
    a = lines_of(night, tmp_path / "a.jsonl", "--model", model)
    b = lines_of(night, tmp_path / "b.jsonl", "--model", model, "--orientation", "180")
    two_lines = diff(capsys, a, b)
    replayed = diff(capsys, night, "--model", model, "--orientation", "mat", "--orientation", "180")
    for key in ("all_joints", "joints", "posture"):
        assert two_lines[key] == replayed[key]


def test_the_table_is_for_people(capsys: pytest.CaptureFixture[str], night: Path, model: Path) -> None:
    assert main([str(night), "--model", str(model), "--orientation", "mat", "--orientation", "180"]) == 0
    text = capsys.readouterr().out.splitlines()
    assert text[0] == f"A: {night} --model {model} --orientation mat: 9 poses"
    assert text[2] == "in both: 9 frames, 8 with joints in both"
    rows = {line.split()[0]: line for line in text[5:20]}
    assert list(rows) == [*JOINTS, "all"]
    assert " at 2023-11-14 22:13:20." in rows["head"]
    assert "occupied or empty: 0 frames differ" in text
    assert max(map(len, text[4:])) <= 100


def test_without_a_joint_in_both_no_limit_is_kept(
    capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path
) -> None:
    empty = Night(tmp_path / "empty.matlog").mat().frames(scans(3) * 0).done()
    arguments = (empty, "--model", model, "--smoothing", "on", "--smoothing", "off")
    assert diff(capsys, *arguments)["all_joints"]["mean_cm"] is None
    diff(capsys, *arguments, "--max-mean-cm", 100, code=1)
    assert main([*map(str, arguments)]) == 0
    assert "all               -        -         -" in capsys.readouterr().out


def test_a_recording_that_is_cut_off_is_compared_to_its_last_whole_frame_with_a_warning(
    night: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.matlog"
    cut.write_bytes(night.read_bytes()[:-1000])
    command = [sys.executable, "-m", "edge.diff", cut, night]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "edge-diff: recording" in done.stderr
    assert "ends within a message" in done.stderr
    assert "A: " in done.stdout.splitlines()[0]
    assert "in both: 8 frames" in done.stdout


def test_recordings_without_a_frame_in_common(night: Path, model: Path, tmp_path: Path) -> None:
    other = Night(tmp_path / "other.matlog").mat(boot_id=99).frames(scans(3)).done()
    said = refused(Exit.FOREIGN_DATA, night, other, "--model", model)
    assert "no frame is in both" in said
    assert "has 9" in said
    assert "has 3" in said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"type": "hello"}\n', "holds no pose"),
        ('{"type": "hello"}\nnot json\n', ":2 is no JSON line of edge-run"),
        ('{"colour": "red"}\n', ":1 is no JSON line of edge-run"),
        ('{"type": "pose", "seq": 3}\n', ":1 is no JSON line of edge-run: ts: Field required"),
        ("", "is empty"),
        ("I am a diary.\n" * 50, "is no recording"),
    ],
)
def test_foreign_files_are_named(night: Path, model: Path, tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "file.jsonl"
    path.write_text(content)
    assert words in refused(Exit.FOREIGN_DATA, path, night, "--model", model)


def test_lines_of_several_mats_are_not_mixed(night: Path, model: Path, tmp_path: Path) -> None:
    a = lines_of(night, tmp_path / "a.jsonl", "--model", model)
    both = tmp_path / "both.jsonl"
    both.write_text(a.read_text() + a.read_text().replace('"mat":"mat"', '"mat":"ward"'))
    said = refused(Exit.FOREIGN_DATA, both, a)
    assert "holds poses of mat, ward" in said
    assert "jq -c" in said


def test_missing_files(night: Path, tmp_path: Path, model: Path) -> None:
    for arguments in (
        (tmp_path / "none.matlog", night),
        (night, "--model", model, "--model", tmp_path / "none.tflite"),
        (night, "--calibration", "none", "--calibration", tmp_path / "none.json", "--model", model),
        (lines_of(night, tmp_path / "run.jsonl"), night, "--config", tmp_path / "none.toml"),
    ):
        assert "none" in refused(Exit.MISSING_INPUT, *arguments)


def test_what_makes_no_sense_is_refused(night: Path, tmp_path: Path, model: Path) -> None:
    a = lines_of(night, tmp_path / "a.jsonl", "--model", model)
    for arguments, words in (
        ((night,), "nothing differs"),
        ((night, "--smoothing", "on", "--smoothing", "on"), "nothing differs"),
        ((night, night, night), "3 sources"),
        ((night, *("--smoothing", "on") * 3), "3 times"),
        ((a, a, "--model", model), "holds poses already"),
        ((a,), "nothing differs"),
        ((a, night, "--grid", "64by32"), '--grid is "64by32", expected rows x columns such as "64x32"'),
        ((a, night, "--orientation", "up"), '--orientation is "up", expected one of 0, 90'),
    ):
        assert words in refused(Exit.USAGE, *arguments)


@pytest.mark.parametrize("arguments", ["", "x --max-mean-cm -1", "x --max-mean-cm nan", "x --smoothing maybe"])
def test_wrong_usage(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments.split())
    assert caught.value.code == Exit.USAGE
    assert "edge-diff: error: " in capsys.readouterr().err


def test_help_reads_like_a_manual_page(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    for code in (0, 1, 2, 65, 66, 70, 78):
        assert f"\n  {code:2d}  " in text
    for name in (
        "--config",
        "--mat",
        "--model",
        "--grid",
        "--pitch",
        "--orientation",
        "--smoothing",
        "--calibration",
        "--max-mean-cm",
        "--json",
        "examples:",
    ):
        assert name in text
