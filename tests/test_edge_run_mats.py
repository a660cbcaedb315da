"""edge-run and mats that misbehave: each ends as DESIGN.md, section 9, says."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from broker import Broker, Listener, until
from daemon_process import Daemon, Mat, Port, complaint, free_port, get, run, said
from edge_packages import info

from edge.session import HEALTH_EVERY_S, STALE_S
from firmware_bridge.encoder import encode_frame
from firmware_bridge.geometry import Grid
from train.pmd import GRID_II, read_pmd

BOOT_TEXT = b"ets Jul 29 2019 12:21:46\r\nrst:0x1 (POWERON_RESET),boot:0x13\r\nReady.\r\n"


@pytest.fixture(scope="module")
def body(pmd: Path) -> np.ndarray:
    """(64, 32) counts of a real person."""
    return np.asarray(read_pmd(pmd, [5]).medians().pressure[0].round().clip(0, 4095), np.uint16)


def test_a_frozen_mat_is_stale_within_the_limit_and_fresh_again_when_it_thaws(mat: Mat) -> None:
    """The port stays open and no byte comes: alive, but delivering nothing."""
    mat.start("--rate", 20)
    http = free_port()
    with Daemon("--port", mat.link, "--output", "json:-", "--output", f"http://127.0.0.1:{http}") as daemon:
        daemon.until("pose")
        until(lambda: get(http, "/healthz")[0] == 200, "fresh frames in healthz")
        with mat.frozen():
            daemon.until("stale")
            last, stale = daemon.all("pose")[-1], daemon.lines[-1]
            assert STALE_S < stale["ts"] - last["ts"] < HEALTH_EVERY_S
            assert stale["detail"] == "no frame for 3 s"
            health = daemon.until("health")
            assert (health["status"], health["reason"]) == ("stale", "no fresh frames")
            status, answer = until(lambda: _refusing(http), "healthz without fresh frames")
            assert status == 503
            assert answer["mats"]["mat"]["reason"] == "no fresh frames"
        daemon.until("fresh")
        assert daemon.until("health")["status"] == "ok"
        daemon.until("pose")
        until(lambda: get(http, "/healthz")[0] == 200, "fresh frames in healthz again")
        assert daemon.stop() == 0, daemon.errors
    assert daemon.lines[-1]["counts"]["port_losses"] == 0
    assert [said(line) for line in daemon.lines].count("stale") == 1


def _refusing(http: int) -> tuple[int, dict[str, dict[str, dict[str, str]]]] | None:
    status, answer = get(http, "/healthz")
    return None if status == 200 else (status, answer)


def test_boot_text_before_the_first_message_is_no_error(body: np.ndarray) -> None:
    with Port() as port, Daemon("--port", port.name) as daemon:
        port.wait_until_open_by(daemon)
        port.send(BOOT_TEXT)
        port.say(info())
        port.frame(body)
        assert daemon.until("pose")["joints"]
        assert daemon.stop() == 0
    counts = daemon.lines[-1]["counts"]
    assert (counts["received"], counts["corrupt"], counts["skipped"], counts["lost"]) == (1, 0, 0, 0)
    assert [said(line) for line in daemon.lines] == ["hello", "health", "pose", "end"]


def test_garbage_between_frames_is_counted_and_costs_no_frame(body: np.ndarray) -> None:
    """Random bytes hold an END every 256 bytes or so, and sometimes a header; never a CRC that fits."""
    garbage = np.random.default_rng(0)
    with Port() as port, Daemon("--port", port.name) as daemon:
        port.wait_until_open_by(daemon)
        port.say(info())
        for _ in range(10):
            port.send(garbage.bytes(20_000))
            port.frame(body)
            assert daemon.until("pose")["joints"]
        assert daemon.stop() == 0
    counts = daemon.lines[-1]["counts"]
    assert (counts["received"], counts["lost"], counts["port_losses"]) == (10, 0, 0)
    assert counts["corrupt"] > 100
    assert "Traceback" not in daemon.errors


def test_a_mat_that_sends_nothing_but_garbage_is_waited_for(body: np.ndarray) -> None:
    """Neither hello nor a crash; a mat that speaks at last is heard."""
    garbage = np.random.default_rng(1)
    http = free_port()
    outputs = ("--output", "json:-", "--output", f"http://127.0.0.1:{http}")
    with Port() as port, Daemon("--port", port.name, *outputs, "--on-disconnect", "quit") as daemon:
        port.wait_until_open_by(daemon)
        port.send(garbage.bytes(500_000))
        status, answer = get(http, "/healthz")
        assert status == 503
        assert answer["mats"]["mat"]["reason"] == "no INFO and no frame has come yet"
        port.say(info())
        port.frame(body)
        assert daemon.until("hello", "pose", "end")["type"] == "hello"
        daemon.until("pose")
        assert daemon.stop() == 0
    assert "Traceback" not in daemon.errors


def test_a_mat_that_changes_its_grid_is_another_mat_to_every_output(
    body: np.ndarray, pmd: Path, tmp_path: Path
) -> None:
    """From 64 x 32 to the 64 x 27 of another make, to one too small for the model, and back."""
    other = read_pmd(pmd, experiment="ii", mat="sponge").pressure[0].round().clip(0, 4095).astype(np.uint16)
    small = np.full((8, 8), 9, np.uint16)
    http, csv, night = free_port(), tmp_path / "out.csv", tmp_path / "night.matlog"
    with Broker(tmp_path) as broker, Listener(broker) as listener, Port() as port:
        outputs = ("json:-", f"mqtt://127.0.0.1:{broker.port}/mats", f"http://127.0.0.1:{http}", f"csv:{csv}")
        options = [argument for output in outputs for argument in ("--output", output)]
        with Daemon("--port", port.name, "--record", night, *options) as daemon:
            port.wait_until_open_by(daemon)
            for boot_id, (grid, counts) in enumerate(
                [(None, body), (GRID_II, other), (Grid(8, 8, 2.54, 2.54), small), (None, body)]
            ):
                port.say(info(boot_id=boot_id) if grid is None else info(grid, boot_id=boot_id))
                port.frame(counts)
                pose = daemon.until("pose")
                assert (pose["boot_id"], pose["joints"] is None) == (boot_id, grid is not None and grid.rows == 8)
                until(partial(_shows, http, counts.shape), f"a picture of {counts.shape} in the live view")
            listener.wait("mats/mat/availability", "online")
            assert daemon.stop() == 0, daemon.errors
        assert "Traceback" not in daemon.errors
        assert listener.heard("mats/mat/availability")[-1] == "offline"
    kinds = [said(line) for line in daemon.lines if said(line) in ("mat_changed", "hello", "pose")]
    assert kinds == ["hello", "pose", *3 * ["mat_changed", "hello", "pose"]]
    assert [(line["grid"]["rows"], line["grid"]["cols"]) for line in daemon.all("hello")] == [
        (64, 32), other.shape, (8, 8), (64, 32)
    ]  # fmt: skip
    states = [(line["status"], line["reason"]) for line in daemon.all("health")]
    (reason,) = {reason for status, reason in states if status == "pressure_only"}
    assert "the mat is 20 x 20 cm" in reason
    assert states[-1] == ("ok", None)
    assert len(csv.read_text().splitlines()) == 1 + 4
    replayed = run("--replay", night)
    assert replayed.process.returncode == 0, replayed.errors
    assert [pose["joints"] for pose in replayed.all("pose")] == [pose["joints"] for pose in daemon.all("pose")]


def _shows(http: int, shape: tuple[int, int]) -> bool:
    mat = get(http, "/api/state")[1]["mats"]["mat"]
    grid = mat["hello"] and mat["hello"]["grid"]
    return bool(mat["pose"]) and (grid["rows"], grid["cols"]) == shape


def test_a_mat_that_the_model_cannot_read_any_more_ends_the_run_under_quit(body: np.ndarray) -> None:
    with Port() as port, Daemon("--port", port.name, "--on-disconnect", "quit") as daemon:
        port.wait_until_open_by(daemon)
        port.say(info())
        port.frame(body)
        daemon.until("pose")
        port.say(info(Grid(8, 8, 2.54, 2.54), boot_id=8))
        assert daemon.finish() == 78
    assert complaint(daemon).startswith("edge-run: the mat is 20 x 20 cm")
    assert said(daemon.lines[-1]) == "end"


def test_frames_of_another_grid_than_info_says_are_corrupt_until_info_comes(body: np.ndarray) -> None:
    with Port() as port, Daemon("--port", port.name) as daemon:
        port.wait_until_open_by(daemon)
        port.say(info())
        port.frame(body)
        daemon.until("pose")
        port.send(encode_frame(np.zeros((8, 8), np.uint16), seq=1, t_us=100_000))
        port.say(info(boot_id=9))
        port.frame(body)
        assert daemon.until("pose")["boot_id"] == 9
        assert daemon.stop() == 0
    assert daemon.lines[-1]["counts"]["corrupt"] == 1


@pytest.mark.parametrize(("names", "told"), [(["bed"], [""]), (["bed", "sofa"], ["bed: ", "sofa: "])])
def test_the_log_names_the_mat_where_there_are_several(names: list[str], told: list[str], tmp_path: Path) -> None:
    ports = [argument for name in names for argument in ("--port", f"{name}=sim:?scene=empty")]
    daemon = run(*ports, "--duration", 1, "--state-dir", tmp_path)
    opened = sorted(line for line in daemon.errors.splitlines() if "the port is open" in line)
    assert opened == [f"edge-run: {name}the port is open after 0.0 s" for name in told]


def test_of_two_daemons_on_one_port_the_second_waits_and_the_first_does_not_notice(mat: Mat) -> None:
    mat.start("--rate", 20)
    with Daemon("--port", mat.link) as first:
        first.until("pose")
        with Daemon("--port", mat.link) as second:
            waiting = second.until_logged("waiting")
            busy = f"edge-run: port {mat.link} is busy: stop the other program that has it open"
            assert waiting == f"{busy}; waiting for it\n"
            quitting = run("--port", mat.link, "--on-disconnect", "quit")
            assert quitting.process.returncode == 69
            assert complaint(quitting) == busy
            assert [line["type"] for line in quitting.lines] == ["end"]
            for _ in range(20):
                first.until("pose")
            assert first.stop() == 0
            counts = first.lines[-1]["counts"]
            assert (counts["corrupt"], counts["lost"], counts["port_losses"]) == (0, 0, 0)
            second.until("pose")
            assert second.stop() == 0
    assert "waiting" not in second.errors, "said twice"
