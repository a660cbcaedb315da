"""edge-run as a process of its own: ports that go and come, bad input, signals, recordings."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import serial
from daemon_process import ENVIRONMENT, PROGRAM, Daemon, Mat, complaint, run, said
from edge_packages import info, package

from edge.model import DEFAULT_MODEL
from edge.score import joint_errors_cm
from firmware_bridge.encoder import encode, encode_frame
from firmware_bridge.geometry import ORIENTATIONS, Orientation
from firmware_bridge.recording import RecordingWriter
from firmware_bridge.skeleton import JOINTS
from train.pmd import ORIENTATION_I, read_pmd

NOBODY = 65534


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def recording(pmd: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Person 13, one median map of each posture, as the FSA mat sends it."""
    path = tmp_path_factory.mktemp("recording") / "person13.matlog"
    write_recording(path, read_pmd(pmd, [13]).medians().pressure, ORIENTATION_I)
    return path


def write_recording(path: Path, maps: np.ndarray, orientation: Orientation, said: Orientation | None = None) -> None:
    with RecordingWriter(path) as recorder:
        mat = info(orientation=orientation, frame_rate_mhz=1000)
        recorder.write(encode(mat if said is None else info(mat.grid, said, frame_rate_mhz=1000)), 0)
        for seq, counts in enumerate(maps):
            sent = orientation.from_canonical(counts.round().clip(0, 4095).astype(np.uint16))
            recorder.write(encode_frame(sent, seq=seq, t_us=seq * 1_000_000), seq * 1_000_000)


def test_the_virtual_mat_end_to_end(model: Path) -> None:
    daemon = run("--port", "sim:?seed=7", "--duration", 4, "--output", "json:-", "--model", model, "--mat", "bed")
    assert daemon.process.returncode == 0, daemon.errors
    assert [line["type"] for line in daemon.lines if line["type"] in ("hello", "end")] == ["hello", "end"]
    assert (daemon.lines[0]["type"], daemon.lines[-1]["type"]) == ("hello", "end")
    assert all(line["v"] == 1 and line["mat"] == "bed" and {"ts", "seq"} <= set(line) for line in daemon.lines)
    poses = daemon.all("pose")
    assert poses[0]["joints"] is None
    assert set(poses[-1]["joints"]) == set(JOINTS)
    counts = daemon.lines[-1]["counts"]
    assert counts["poses"] == len(poses)
    assert counts["received"] == counts["poses"] + counts["dropped"]


def test_an_empty_bed_has_no_joints(model: Path) -> None:
    daemon = run("--port", "sim:?seed=3&scene=empty&rate=50", "--duration", 1, "--model", model)
    assert daemon.all("pose")
    assert all(pose["joints"] is None and not pose["occupied"] for pose in daemon.all("pose"))


def test_the_packaged_model_finds_the_joints_of_a_person_it_never_saw(
    recording: Path, pmd: Path, joints_i: Path
) -> None:
    daemon = run("--replay", recording)
    assert daemon.lines[0]["model"]["name"] == json.loads(DEFAULT_MODEL.with_suffix(".json").read_text())["name"]
    predicted = [[(p["joints"][j]["x_cm"], p["joints"][j]["y_cm"]) for j in JOINTS] for p in daemon.all("pose")]
    annotated = read_pmd(pmd, [13], joints=joints_i).medians().joints
    score = joint_errors_cm(np.array(predicted), annotated[..., :2], annotated[..., 2])
    assert score.mean_cm <= 4.0
    assert score.pck_10cm >= 93


def test_a_mat_that_is_killed_and_restarted_three_times_is_found_again(mat: Mat, model: Path) -> None:
    mat.start("--rate", 20)
    daemon = Daemon("--port", mat.link, "--model", model)
    daemon.until("pose")
    for _ in range(3):
        mat.kill()
        daemon.until("port_lost")
        mat.start("--rate", 20)
        daemon.until("port_open")
        daemon.until("reboot")
        daemon.until("pose")
    daemon.process.terminate()
    assert daemon.finish() == 0, daemon.errors
    assert len(daemon.all("port_lost")) == 3
    assert len({pose["boot_id"] for pose in daemon.all("pose")}) == 4
    counts = daemon.lines[-1]["counts"]
    assert (counts["port_losses"], counts["reboots"], counts["corrupt"]) == (3, 3, 0)
    assert counts["received"] == counts["poses"] + counts["dropped"]
    assert counts["unknown"] == 3
    assert daemon.errors.count("was lost") == 3


def test_a_mat_that_appears_late_is_waited_for_with_one_line(mat: Mat, model: Path) -> None:
    daemon = Daemon("--port", mat.link, "--model", model)
    assert daemon.process.stderr is not None
    said = ""
    while "waiting" not in said:
        said = daemon.process.stderr.readline()
    mat.start()
    assert daemon.until("hello", "pose", "end")["type"] == "hello"
    daemon.process.terminate()
    assert daemon.finish() == 0
    assert "waiting" not in daemon.errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_the_run_with_its_counts(model: Path, number: signal.Signals) -> None:
    daemon = Daemon("--port", "sim:?rate=20&scene=empty", "--model", model)
    daemon.until("pose")
    daemon.process.send_signal(number)
    assert daemon.finish() == 0
    assert daemon.lines[-1]["type"] == "end"
    assert "Traceback" not in daemon.errors


def test_a_signal_while_waiting_for_the_port_ends_the_run(tmp_path: Path, model: Path) -> None:
    daemon = Daemon("--port", tmp_path / "never", "--model", model)
    assert daemon.process.stderr is not None
    while "waiting" not in daemon.process.stderr.readline():
        pass
    daemon.process.terminate()
    assert daemon.finish() == 0
    assert [line["type"] for line in daemon.lines] == ["end"]


def test_when_nobody_reads_stdout_any_more_the_run_ends_silently(model: Path) -> None:
    daemon = Daemon("--port", "sim:?rate=20&scene=empty", "--model", model)
    assert daemon.process.stdout is not None
    daemon.until("pose")
    daemon.process.stdout.close()
    assert daemon.process.stderr is not None
    with daemon.process.stderr as stderr:
        daemon.errors = stderr.read()
    assert daemon.process.wait() == 0
    assert "Traceback" not in daemon.errors
    assert "BrokenPipe" not in daemon.errors


def test_a_replay_gives_the_same_bytes_twice(recording: Path, model: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, "--replay", recording, "--model", model]
    outputs = [subprocess.run(command, capture_output=True, check=True).stdout for _ in range(2)]
    assert outputs[0] == outputs[1]
    assert outputs[0].count(b'"type":"pose"') == 17
    assert b'"latency_ms":null' in outputs[0]


def test_what_was_recorded_live_is_replayed_whole(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "night.matlog"
    live = run("--port", "sim:?seed=2", "--duration", 4, "--record", path, "--model", model)
    replayed = run("--replay", path, "--model", model)
    assert replayed.process.returncode == 0, replayed.errors
    counts = replayed.lines[-1]["counts"]
    assert counts["received"] == counts["poses"] == live.lines[-1]["counts"]["received"]
    again = {pose["seq"]: pose for pose in replayed.all("pose")}
    for pose in live.all("pose"):
        assert pose | {"latency_ms": None} == again[pose["seq"]]


@pytest.mark.parametrize("name", list(ORIENTATIONS))
def test_an_orientation_on_the_command_line_turns_what_the_mat_says_wrong(
    tmp_path: Path, pmd: Path, model: Path, name: str
) -> None:
    maps = read_pmd(pmd, [6]).medians().pressure[:2]
    write_recording(tmp_path / "upright.matlog", maps, Orientation())
    write_recording(tmp_path / "turned.matlog", maps, ORIENTATIONS[name], said=Orientation())
    upright = run("--replay", tmp_path / "upright.matlog", "--model", model)
    turned = run("--replay", tmp_path / "turned.matlog", "--model", model, "--orientation", name)
    assert [p["joints"] for p in turned.all("pose")] == [p["joints"] for p in upright.all("pose")]
    assert turned.lines[0]["grid"] == upright.lines[0]["grid"]


@pytest.mark.parametrize("factor", [0.25, 0.5, 2, 4])
def test_multiplying_every_frame_of_a_recording_moves_no_joint(
    tmp_path: Path, pmd: Path, model: Path, factor: float
) -> None:
    """By factors that the wire can carry without rounding or clipping: multiples of 4 counts, up to 1020."""
    maps = np.minimum(read_pmd(pmd, [13]).medians().pressure // 4 * 4, 1020)
    write_recording(tmp_path / "once.matlog", maps, Orientation())
    write_recording(tmp_path / "times.matlog", maps * factor, Orientation())
    once, times = (run("--replay", tmp_path / f"{name}.matlog", "--model", model) for name in ("once", "times"))
    assert len(once.all("pose")) == 17
    for a, b in zip(once.all("pose"), times.all("pose"), strict=True):
        assert b["peak_pressure"] == a["peak_pressure"] * factor
        assert b | {"peak_pressure": None} == a | {"peak_pressure": None}
        assert a["joints"] is not None


def test_a_missing_port_under_quit(tmp_path: Path, model: Path) -> None:
    daemon = run("--port", tmp_path / "none", "--on-disconnect", "quit", "--model", model)
    assert daemon.process.returncode == 66
    assert f"no port {tmp_path / 'none'}" in complaint(daemon)
    assert [line["type"] for line in daemon.lines] == ["end"]


def test_a_busy_port_under_quit(mat: Mat, model: Path) -> None:
    mat.start()
    with serial.Serial(str(mat.link), exclusive=True):
        daemon = run("--port", mat.link, "--on-disconnect", "quit", "--model", model)
    assert daemon.process.returncode == 69
    assert "busy" in complaint(daemon)


def test_a_port_that_is_lost_under_quit(mat: Mat, model: Path) -> None:
    mat.start()
    daemon = Daemon("--port", mat.link, "--on-disconnect", "quit", "--model", model)
    daemon.until("pose")
    mat.kill()
    assert daemon.finish() == 74
    assert "was lost" in complaint(daemon)
    assert [said(line) for line in daemon.lines[-2:]] == ["port_lost", "end"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_port_without_permission_says_dialout_after_ten_seconds(mat: Mat) -> None:
    """Imports come first: the interpreter may lie where the unprivileged user cannot read."""
    program = f"""
import os, sys
import ai_edge_litert.interpreter
from edge.run import cli
os.setgroups([]), os.setgid({NOBODY}), os.setuid({NOBODY})
cli()
"""
    mat.start()
    os.chmod(mat.link, 0o620)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        link = Path(folder, "mat")
        link.symlink_to(os.readlink(mat.link))
        command = [sys.executable, "-c", program, "--port", str(link), "--on-disconnect", "quit"]
        command += ["--model", str(package(Path(folder)))]
        done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 77, done.stderr
    assert "dialout" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert [json.loads(line)["type"] for line in done.stdout.splitlines()] == ["end"]


def test_a_truncated_recording_is_a_warning(tmp_path: Path, recording: Path, model: Path) -> None:
    cut = tmp_path / "cut.matlog"
    cut.write_bytes(recording.read_bytes()[:-700])
    daemon = run("--replay", cut, "--model", model)
    assert daemon.process.returncode == 0
    assert "ends within a message" in daemon.errors
    assert [said(line) for line in daemon.lines[-2:]] == ["recording_truncated", "end"]
    assert len(daemon.all("pose")) == 16
