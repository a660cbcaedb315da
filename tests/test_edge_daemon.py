"""The two loops: a replay is lossless and repeatable, a live run ends with its counts whatever happens."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from edge_packages import info, package

import edge.daemon
from edge.daemon import run_live, run_replay
from edge.messages import Line
from edge.model import KeypointModel
from edge.output import OutputClosed
from edge.session import Instant, Session
from edge.source import PortReader
from firmware_bridge.decoder import Decoder
from firmware_bridge.encoder import encode, encode_frame
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid
from firmware_bridge.link import Link, LinkLost, ReopeningLink
from firmware_bridge.recording import RecordingWriter
from firmware_bridge.virtual_mat import open_port
from train.pmd import read_pmd

START_US = 1_700_000_000_000_000
FRAMES = 17


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> KeypointModel:
    return KeypointModel.from_files(package(tmp_path_factory.mktemp("package")))


@pytest.fixture(scope="module")
def recording(pmd: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One real frame a second in 17 postures; frame 5 is missing, before frame 9 the mat was silent for a minute."""
    path = tmp_path_factory.mktemp("recording") / "person.matlog"
    with RecordingWriter(path) as recorder:
        recorder.write(encode(info()), START_US)
        for seq, counts in enumerate(read_pmd(pmd, [5]).medians().pressure):
            t_us = seq * 1_000_000 + (60_000_000 if seq >= 9 else 0)
            if seq != 5:
                raw = encode_frame(counts.round().clip(0, 4095).astype(np.uint16), seq=seq, t_us=t_us)
                recorder.write(raw, START_US + t_us)
    return path


def never() -> bool:
    return False


def replay(path: Path, model: KeypointModel, **settings: float | bool) -> list[Line]:
    decoder = Decoder()
    lines: list[Line] = []
    run_replay(path, decoder, Session(model, "bed", decoder.counts), lines.append, never, **settings)  # type: ignore[arg-type]
    return lines


def types(lines: list[Line]) -> list[str]:
    return [getattr(line, "event", line.type) for line in lines]


def test_a_replay_poses_every_frame_at_the_time_it_was_received(recording: Path, model: KeypointModel) -> None:
    lines = replay(recording, model)
    poses = [line for line in lines if line.type == "pose"]
    assert [pose.seq for pose in poses] == [seq for seq in range(FRAMES) if seq != 5]
    assert poses[-1].ts == pytest.approx(START_US / 1e6 + 76)
    assert all(pose.model_dump()["latency_ms"] is None for pose in poses)
    counts = lines[-1].model_dump()["counts"]
    assert (counts["received"], counts["lost"], counts["poses"], counts["dropped"]) == (16, 1, 16, 0)


def test_a_replay_gives_the_same_bytes_each_time(recording: Path, model: KeypointModel) -> None:
    first, second = ("".join(line.json_line() for line in replay(recording, model)) for _ in range(2))
    assert first == second


def test_silence_in_a_recording_is_told_as_it_was_live(recording: Path, model: KeypointModel) -> None:
    said = types(replay(recording, model))
    assert said[0] == "hello"
    assert said[-1] == "end"
    assert said.count("stale") == said.count("fresh") == 1
    assert said.index("stale") - said.index("pose") == 8


def test_a_replay_ends_after_its_duration_of_recorded_time(recording: Path, model: KeypointModel) -> None:
    said = types(replay(recording, model, duration_s=3.5))
    assert said.count("pose") == 4
    assert said[-1] == "end"


@pytest.mark.parametrize("speed", [1.0, 8.0])
def test_a_replay_waits_as_long_as_the_recording_lasted(
    recording: Path, model: KeypointModel, monkeypatch: pytest.MonkeyPatch, speed: float
) -> None:
    """On a clock of its own, which only sleeping moves."""
    slept = [0.0]

    def sleep(seconds: float) -> None:
        slept[0] += seconds

    monkeypatch.setattr(edge.daemon, "clock", lambda: Instant(0.0, slept[0]))
    monkeypatch.setattr(edge.daemon.time, "sleep", sleep)
    paced = replay(recording, model, speed=speed)
    assert slept[0] == pytest.approx(76 / speed)
    monkeypatch.undo()
    assert [line.json_line() for line in paced] == [line.json_line() for line in replay(recording, model)]


def test_a_truncated_recording_is_played_to_its_end_and_told_of(
    recording: Path, model: KeypointModel, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.matlog"
    cut.write_bytes(recording.read_bytes()[:-1000])
    said = types(replay(cut, model))
    assert said[-2:] == ["recording_truncated", "end"]
    assert said.count("pose") == 15


def test_a_replay_stops_when_asked_to(recording: Path, model: KeypointModel) -> None:
    decoder = Decoder()
    lines: list[Line] = []
    session = Session(model, "bed", decoder.counts)
    run_replay(recording, decoder, session, lines.append, lambda: types(lines).count("pose") >= 3)
    assert types(lines).count("pose") == 3
    assert lines[-1].type == "end"


def test_a_replay_of_a_mat_that_does_not_fit_fails_only_under_quit(model: KeypointModel, tmp_path: Path) -> None:
    path = tmp_path / "small.matlog"
    with RecordingWriter(path) as recorder:
        recorder.write(encode(info(Grid(8, 8, 2.54, 2.54))), START_US)
        recorder.write(encode_frame(np.zeros((8, 8), np.uint16), seq=0, t_us=0), START_US)
    assert types(replay(path, model)) == ["hello", "health", "pose", "end"]
    with pytest.raises(Failure, match="the mat is 20 x 20 cm") as refused:
        replay(path, model, quit_on_loss=True)
    assert refused.value.code == Exit.BAD_CONFIG


class Live:
    """A live run on `open_link` whose lines are kept, until `stopping` says so."""

    def __init__(self, model: KeypointModel, open_link: Callable[[], Link], **reader_settings: float) -> None:
        self.lines: list[Line] = []
        self.reader = PortReader(ReopeningLink(open_link), **reader_settings)  # type: ignore[arg-type]
        self.session = Session(model, "bed", self.reader.counts)

    def run(self, stopping: Callable[[], bool], quit_on_loss: bool = False) -> None:
        run_live(self.reader, self.session, self.lines.append, stopping, quit_on_loss=quit_on_loss)

    def said(self, what: str) -> int:
        return types(self.lines).count(what)


def test_a_live_run_says_hello_poses_and_its_counts(model: KeypointModel) -> None:
    live = Live(model, lambda: open_port("sim:?rate=50&scene=empty"))
    live.run(lambda: live.said("pose") >= 5)
    said = types(live.lines)
    assert (said[0], said[-1]) == ("hello", "end")
    counts = live.lines[-1].model_dump()["counts"]
    assert counts["poses"] == live.said("pose")
    assert counts["received"] == counts["poses"] + counts["dropped"]
    assert all(line.model_dump()["latency_ms"] > 0 for line in live.lines if line.type == "pose")


def test_a_slow_output_gets_the_newest_frames_and_the_rest_is_counted(model: KeypointModel) -> None:
    live = Live(model, lambda: open_port("sim:?rate=100&scene=empty"))

    def output(line: Line) -> None:
        live.lines.append(line)
        while line.type == "pose" and live.said("pose") < 4 and live.reader.counts.received < 8 * live.said("pose"):
            pass

    run_live(live.reader, live.session, output, lambda: live.said("pose") >= 4, quit_on_loss=False)
    counts = live.lines[-1].model_dump()["counts"]
    assert counts["dropped"] >= 20
    assert counts["received"] == counts["poses"] + counts["dropped"]
    assert counts["lost"] == 0


class Fragile:
    """A virtual mat whose cable is torn after some reads."""

    def __init__(self, reads: int) -> None:
        self.link = open_port("sim:?rate=100&scene=empty")
        self.reads = reads

    def read(self, timeout_s: float) -> bytes:
        self.reads -= 1
        if self.reads < 0:
            raise LinkLost("port /dev/mat was lost: torn")
        return self.link.read(timeout_s)

    def write(self, data: bytes) -> None:
        self.link.write(data)

    def close(self) -> None:
        self.link.close()


def test_a_lost_port_ends_the_run_under_quit_after_its_counts(model: KeypointModel) -> None:
    live = Live(model, lambda: Fragile(reads=20))
    with pytest.raises(Failure, match="torn") as lost:
        live.run(never, quit_on_loss=True)
    assert lost.value.code == Exit.DEVICE_LOST
    assert types(live.lines)[-2:] == ["port_lost", "end"]
    assert live.lines[-1].model_dump()["counts"]["port_losses"] == 1


def test_a_port_that_is_lost_again_and_again_is_waited_for_under_restart(model: KeypointModel) -> None:
    live = Live(model, lambda: Fragile(reads=20))
    live.run(lambda: live.said("port_lost") >= 3 and live.said("reboot") >= 2)
    counts = live.lines[-1].model_dump()["counts"]
    assert counts["port_losses"] == live.said("port_lost") >= 3
    assert counts["reboots"] >= 2
    assert counts["received"] == counts["poses"] + counts["dropped"]


def refused() -> Link:
    raise Failure("no permission to open port /dev/mat: dialout", Exit.PERMISSION)


@pytest.mark.parametrize("quit_on_loss", [True, False])
def test_a_missing_permission_ends_the_run_once_its_grace_is_over(model: KeypointModel, quit_on_loss: bool) -> None:
    live = Live(model, refused, permission_grace_s=0.5)
    with pytest.raises(Failure, match="dialout") as failure:
        live.run(never, quit_on_loss=quit_on_loss)
    assert failure.value.code == Exit.PERMISSION
    assert types(live.lines) == ["end"]


def missing() -> Link:
    raise Failure("no port /dev/mat", Exit.MISSING_INPUT)


def test_a_missing_port_is_waited_for_under_restart_and_fails_under_quit(model: KeypointModel) -> None:
    turns: Iterator[int] = iter(range(4))
    live = Live(model, missing)
    live.run(lambda: next(turns, None) is None)
    assert types(live.lines) == ["end"]
    with pytest.raises(Failure, match="no port") as failure:
        Live(model, missing).run(never, quit_on_loss=True)
    assert failure.value.code == Exit.MISSING_INPUT


def test_an_output_that_closes_ends_the_run_and_its_thread(model: KeypointModel) -> None:
    live = Live(model, lambda: open_port("sim:?rate=50&scene=empty"))

    def output(line: Line) -> None:
        if line.type == "pose":
            raise OutputClosed

    with pytest.raises(OutputClosed):
        run_live(live.reader, live.session, output, never, quit_on_loss=False)
    assert not live.reader._thread.is_alive()


def test_a_run_of_no_duration_is_the_end_line_alone(model: KeypointModel) -> None:
    live = Live(model, missing)
    run_live(live.reader, live.session, live.lines.append, never, quit_on_loss=False, duration_s=0)
    assert [json.loads(line.json_line())["type"] for line in live.lines] == ["end"]
