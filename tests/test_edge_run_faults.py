"""edge-run when its readers, its clock, its model or its own process fail: each ends as DESIGN.md, section 9, says."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from broker import Broker, Listener, until
from daemon_process import ENVIRONMENT, PROGRAM, Daemon, Port, free_port, get, run, said
from edge_packages import info

from edge.outputs.backlog import QUEUE_LINES
from train.pmd import read_pmd

HOUR_S = 3600
MAT = "sim:?rate=50&scene=empty"
PIPE_BYTES = 65_536
"""What a pipe holds that nobody reads."""

CLOCK_SET_BACK = f"""
import signal, time
unix_s, unix_ns = time.time, time.time_ns
def set_back(number, frame):
    time.time = lambda: unix_s() - {HOUR_S}
    time.time_ns = lambda: unix_ns() - {HOUR_S} * 10**9
signal.signal(signal.SIGUSR1, set_back)
{PROGRAM}
"""

MODEL_FAILS = f"""
import itertools
from edge.runtime import Interpreter
calls, invoke = itertools.count(1), Interpreter.invoke
def failing(self, values):
    if next(calls) in FAILING:
        raise RuntimeError("tensor 7 has no memory")
    return invoke(self, values)
Interpreter.invoke = failing
{PROGRAM}
"""


@pytest.fixture(scope="module")
def body(pmd: Path) -> np.ndarray:
    """(64, 32) counts of a real person."""
    return np.asarray(read_pmd(pmd, [5]).medians().pressure[0].round().clip(0, 4095), np.uint16)


def poses_in(path: Path) -> int:
    return path.read_bytes().count(b'"type":"pose"') if path.exists() else 0


def test_a_clock_set_back_by_an_hour_changes_the_time_in_the_lines_and_nothing_else(tmp_path: Path) -> None:
    """The machine's clock stays: the process's time.time and time.time_ns are replaced while it runs, as they would
    jump. Nothing in edge/ asks for the time in another way but time.monotonic, which no setting moves."""
    night = tmp_path / "night.matlog"
    with Daemon("--port", MAT, "--record", night, program=CLOCK_SET_BACK) as daemon:
        daemon.until("pose")
        daemon.process.send_signal(signal.SIGUSR1)
        before = daemon.lines[-1]["ts"]
        while (pose := daemon.until("pose"))["ts"] > before - HOUR_S / 2:
            pass
        assert pose["ts"] == pytest.approx(before - HOUR_S, abs=60)
        assert daemon.until("health")["status"] == "ok"
        assert daemon.stop() == 0
    assert {said(line) for line in daemon.lines} == {"hello", "health", "recording_started", "pose", "end"}
    counts = daemon.lines[-1]["counts"]
    assert (counts["lost"], counts["corrupt"], counts["port_losses"]) == (0, 0, 0)
    assert all(0 <= line["latency_ms"] < 60_000 for line in daemon.all("pose"))
    replayed = run("--replay", night)
    assert replayed.process.returncode == 0, replayed.errors
    assert replayed.lines[-1]["counts"]["poses"] == counts["received"]


def test_stdout_that_is_closed_from_the_start_as_the_only_output_ends_the_run_silently() -> None:
    command = [sys.executable, "-c", PROGRAM, "--port", MAT]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_stdout_that_is_closed_beside_another_output_leaves_the_run_going(tmp_path: Path) -> None:
    path = tmp_path / "lines.json"
    with Daemon("--port", MAT, "--output", "json:-", "--output", f"json:{path}") as daemon:
        assert daemon.process.stdout is not None
        daemon.until("pose")
        daemon.process.stdout.close()
        known = poses_in(path)
        until(lambda: poses_in(path) > known + 50, "poses in the file")
        daemon.process.terminate()
        assert daemon.process.stderr is not None
        errors = daemon.process.stderr.read()
        assert daemon.process.wait() == 0
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors
    assert said(json.loads(path.read_text().splitlines()[-1])) == "end"


def test_stdout_that_nobody_reads_delays_no_other_output_and_the_end_by_seconds(tmp_path: Path) -> None:
    """A pipe whose reader sleeps is full after some thirty lines; its queue after QUEUE_LINES more."""
    path, night, http = tmp_path / "lines.json", tmp_path / "night.matlog", free_port()
    with Broker(tmp_path) as broker, Listener(broker) as listener:
        outputs = ("json:-", f"json:{path}", f"http://127.0.0.1:{http}", f"mqtt://127.0.0.1:{broker.port}/mats")
        options = [argument for output in outputs for argument in ("--output", output)]
        with Daemon("--port", "sim:?rate=200&scene=empty", "--record", night, *options) as daemon:
            until(lambda: poses_in(path) > 4 * QUEUE_LINES, "poses in the file")
            assert get(http, "/healthz")[0] == 200
            seq = get(http, "/api/state")[1]["mats"]["mat"]["pose"]["seq"]
            until(lambda: get(http, "/api/state")[1]["mats"]["mat"]["pose"]["seq"] != seq, "newer poses in the page")
            listener.wait("mats/mat/availability", "online")
            daemon.process.terminate()
            until(lambda: daemon.process.poll() is not None, "the end although nobody reads")
            assert daemon.process.returncode == 0
            said_in_time, errors = daemon.process.communicate()
        assert "Traceback" not in errors
        assert "Fatal" not in errors
        assert "output json:- does not take its lines" in errors
        assert listener.heard("mats/mat/availability")[-1] == "offline"
    lines = [json.loads(text) for text in said_in_time.splitlines()]
    assert said_in_time.endswith("\n"), "no line is cut"
    assert len(said_in_time.encode()) <= PIPE_BYTES
    assert lines[0]["type"] == "hello"
    whole = [json.loads(text) for text in path.read_text().splitlines()]
    assert whole[-1]["type"] == "end"
    counts = whole[-1]["counts"]
    assert counts["received"] == counts["poses"] + counts["dropped"]
    assert run("--replay", night).lines[-1]["counts"]["poses"] == counts["received"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_of_a_write_cuts_no_line(number: signal.Signals) -> None:
    """The reader sleeps until the pipe is full and a write hangs in it, and goes on when the signal has been sent."""
    with Daemon("--port", "sim:?rate=100&scene=empty") as daemon:
        assert daemon.process.stdout is not None
        until(lambda: _waits_for_its_reader(daemon.process.pid), "a write that hangs")
        daemon.process.send_signal(number)
        assert daemon.finish() == 0, daemon.errors
    assert daemon.lines[0]["type"] == "hello"
    assert daemon.lines[-1]["type"] == "end"
    poses = [line["seq"] for line in daemon.all("pose")]
    assert poses == sorted(poses)


def test_a_reader_that_comes_late_gets_every_line_in_order() -> None:
    """Lines that went into the pipe at once, lines that waited until it was drained, and lines at once again."""
    with Daemon("--port", "sim:?rate=50&scene=empty") as daemon:
        until(lambda: _waits_for_its_reader(daemon.process.pid), "a write that hangs")
        for _ in range(300):
            daemon.until("pose")
        assert daemon.stop() == 0, daemon.errors
    poses = [line["seq"] for line in daemon.all("pose")]
    assert poses == sorted(set(poses))
    assert len(poses) == daemon.lines[-1]["counts"]["poses"]


def _waits_for_its_reader(pid: int) -> bool:
    """Whether one of its threads is in the kernel's pipe_write."""
    return any("pipe_w" in (task / "wchan").read_text() for task in Path(f"/proc/{pid}/task").iterdir())


def test_a_second_signal_ends_at_once_a_run_that_waits_for_its_reader() -> None:
    with Daemon("--port", "sim:?rate=200&scene=empty") as daemon:
        until(lambda: _waits_for_its_reader(daemon.process.pid), "a write that hangs")
        daemon.process.terminate()
        until(lambda: not _heeds(daemon.process.pid, signal.SIGTERM), "the first signal to be noted")
        daemon.process.terminate()
        assert daemon.process.wait() == -signal.SIGTERM


def _heeds(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler for the signal: SigCgt of proc(5)."""
    (caught,) = re.findall(r"^SigCgt:\t(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return bool(int(caught, 16) >> (number - 1) & 1)


def test_what_was_recorded_before_a_kill_is_played_to_its_last_whole_frame(tmp_path: Path) -> None:
    night = tmp_path / "night.matlog"
    with Daemon("--port", "sim:?rate=200&scene=empty", "--record", night) as daemon:
        for _ in range(100):
            last = daemon.until("pose")
        daemon.process.kill()
        assert daemon.finish() == -signal.SIGKILL
    replayed = run("--replay", night)
    assert replayed.process.returncode == 0, replayed.errors
    assert replayed.all("pose")[-1]["seq"] >= last["seq"]
    counts = replayed.lines[-1]["counts"]
    assert (counts["lost"], counts["corrupt"], counts["dropped"]) == (0, 0, 0)
    assert [pose["seq"] for pose in replayed.all("pose")] == list(range(counts["received"]))


def test_a_model_that_fails_while_running_leaves_the_pressure_flowing(body: np.ndarray) -> None:
    """And works again as soon as it can."""
    program = MODEL_FAILS.replace("FAILING", "range(3, 6)")
    with Port() as port, Daemon("--port", port.name, program=program) as daemon:
        port.wait_until_open_by(daemon)
        port.say(info())
        for _ in range(8):
            port.frame(body)
            daemon.until("pose")
        assert daemon.stop() == 0
    assert [pose["joints"] is None for pose in daemon.all("pose")] == 2 * [False] + 3 * [True] + 3 * [False]
    assert len({(pose["contact_area_cm2"], pose["peak_pressure"]) for pose in daemon.all("pose")}) == 1
    states = [(line["status"], line["reason"]) for line in daemon.all("health")]
    assert states == [
        ("ok", None), ("pressure_only", "inference failed: tensor 7 has no memory"), ("ok", None)
    ]  # fmt: skip
    assert daemon.errors.count("tensor 7 has no memory") == 1
    assert "Traceback" not in daemon.errors


def test_a_model_that_fails_while_running_ends_the_run_under_quit(body: np.ndarray) -> None:
    program = MODEL_FAILS.replace("FAILING", "range(3, 6)")
    with Port() as port, Daemon("--port", port.name, "--on-disconnect", "quit", program=program) as daemon:
        port.wait_until_open_by(daemon)
        port.say(info())
        for _ in range(3):
            port.frame(body)
            daemon.until("pose")
        assert daemon.finish() == 78
    assert daemon.errors.splitlines()[-1] == "edge-run: inference failed: tensor 7 has no memory"
    assert "Traceback" not in daemon.errors
    assert [said(line) for line in daemon.lines[-2:]] == ["health", "end"]
