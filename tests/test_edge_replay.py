"""A replay is lossless and repeatable; who watches pauses it and seeks in it, and nothing then lies about the past."""

import fcntl
import json
import math
import os
import time
import urllib.request
from collections.abc import Callable, Generator
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
from daemon_process import Daemon, free_port, get
from edge_packages import info, package

from edge.control import Action, Command, Control, Playing, Reply
from edge.messages import Line
from edge.model import KeypointModel
from edge.outputs.fanout import Fanout
from edge.outputs.json_lines import JsonLines
from edge.outputs.queue import QueuedOutput
from edge.outputs.sink import Item, OutputClosed
from edge.replay import TURN_S, Player, run_replay
from edge.session import Session
from edge.smoothing import Smoothing
from firmware_bridge.decoder import Decoder, StreamCounts
from firmware_bridge.encoder import encode, encode_frame
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid
from firmware_bridge.recording import RecordingWriter, read_recording
from firmware_bridge.timeline import Timeline
from train.pmd import read_pmd

START_US = 1_700_000_000_000_000
FRAMES = 17


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def model(model_path: Path) -> KeypointModel:
    return KeypointModel.from_files(model_path)


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


def replay(
    path: Path,
    model: KeypointModel,
    player: Player | None = None,
    quit_on_loss: bool = False,
    smoothing: Smoothing | None = None,
) -> list[Line]:
    decoder = Decoder()
    lines: list[Line] = []
    bed = Session(model, "bed", decoder.counts, smoothing=smoothing)
    run_replay(
        path, decoder, bed, lambda item: lines.append(item.line), never, player=player, quit_on_loss=quit_on_loss
    )
    return lines


class Clock:
    """Which only sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


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
    assert said[: said.index("stale")].count("pose") == 8


def test_a_replay_ends_after_its_duration_of_recorded_time(recording: Path, model: KeypointModel) -> None:
    said = types(replay(recording, model, Player(duration_s=3.5)))
    assert said.count("pose") == 4
    assert said[-1] == "end"


@pytest.mark.parametrize("speed", [1.0, 8.0])
def test_a_replay_waits_as_long_as_the_recording_lasted(recording: Path, model: KeypointModel, speed: float) -> None:
    """On a clock of its own, which only sleeping moves."""
    clock = Clock()
    paced = replay(recording, model, Player(speed, steady_s=clock, sleep=clock.sleep))
    assert clock.now_s == pytest.approx(76 / speed)
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
    run_replay(
        recording, decoder, session, lambda item: lines.append(item.line), lambda: types(lines).count("pose") >= 3
    )
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


Script = Generator[None, None, None]
LONG = 2000
"""Turns: more than the recording takes."""


class Watched:
    """A replay at its own pace, and a script of who watches: it goes on with every turn in which the replay waits."""

    def __init__(self, recording: Path, model: KeypointModel) -> None:
        self.control = Control(["bed"])
        self.lines: list[Line] = []
        self.clock = Clock()
        self._recording, self._model = recording, model

    def run(self, script: Script, duration_s: float = math.inf, check: Callable[[], None] = lambda: None) -> None:
        def sleep(seconds: float) -> None:
            self.clock.sleep(seconds)
            next(script, None)

        timeline = Timeline(self._recording)
        player = Player(1.0, duration_s, self.control, timeline, steady_s=self.clock, sleep=sleep)
        decoder = Decoder()
        run_replay(
            self._recording,
            decoder,
            self.begin(decoder.counts),
            lambda item: self.lines.append(item.line),
            never,
            check=check,
            player=player,
            anew=self.begin,
        )
        assert next(script, "ended") == "ended"

    def begin(self, stream: StreamCounts) -> Session:
        return Session(self._model, "bed", stream, smoothing=Smoothing())

    def ask(self, action: Action, at_s: float | None = None) -> Future[Reply]:
        return self.control.ask(Command("bed", action, at_s=at_s))

    def shown(self, poses: int) -> Script:
        """Until so many have come."""
        while len(self.poses) < poses:
            yield

    @property
    def poses(self) -> list[int | None]:
        """Their sequence numbers."""
        return [line.seq for line in self.lines if line.type == "pose"]

    @property
    def playing(self) -> Playing:
        assert self.control.playing
        return self.control.playing


@pytest.fixture
def watched(recording: Path, model: KeypointModel) -> Watched:
    return Watched(recording, model)


def test_a_pause_holds_until_it_goes_on_and_changes_no_line(
    recording: Path, model: KeypointModel, watched: Watched
) -> None:
    def script() -> Script:
        yield from watched.shown(3)
        answer = watched.ask("pause")
        yield
        assert answer.result(0).ok
        for _ in range(LONG):
            yield
        assert len(watched.poses) == 3
        assert watched.playing == Playing(START_US / 1e6, 2.0, 76.0, paused=True)
        watched.ask("resume")
        yield from watched.shown(4)
        assert not watched.playing.paused

    watched.run(script())
    straight = replay(recording, model, smoothing=Smoothing())
    assert [line.json_line() for line in watched.lines] == [line.json_line() for line in straight]


def test_after_a_seek_is_told_what_would_be_told_of_a_recording_that_begins_there(
    recording: Path, model: KeypointModel, watched: Watched, tmp_path: Path
) -> None:
    """Joints, behaviour, load and the counts at the end: byte for byte."""

    def script() -> Script:
        yield from watched.shown(4)
        watched.ask("seek", 71.5)

    watched.run(script())
    assert watched.poses == [0, 1, 2, 3, 11, 12, 13, 14, 15, 16]
    with RecordingWriter(tmp_path / "rest.matlog") as rest:
        for number, item in enumerate(item for item in read_recording(recording) if item.unix_us >= START_US + 71e6):
            if number == 0:
                rest.write(encode(info(), seq=1), item.unix_us)
            rest.write(item.raw, item.unix_us)
    told = watched.lines[types(watched.lines).index("hello", 1) :]
    rested = replay(tmp_path / "rest.matlog", model, smoothing=Smoothing())
    assert told[-1] == rested[-1]
    assert [without_counts(line) for line in told] == [without_counts(line) for line in rested]


def without_counts(line: Line) -> str:
    """A decoder reads ahead: only at the end are counts those of the lines."""
    return line.model_dump_json(exclude={"counts"})


def test_a_seek_while_paused_shows_the_frame_there_and_stays(watched: Watched) -> None:
    def script() -> Script:
        yield from watched.shown(8)
        watched.ask("pause")
        for at_s, position_s in ((3.0, 3.0), (2.9, 2.0), (0.0, 0.0), (40.0, 8.0)):
            poses = len(watched.poses)
            watched.ask("seek", at_s)
            for _ in range(LONG):
                yield
            assert len(watched.poses) == poses + 1
            assert (watched.playing.position_s, watched.playing.paused) == (position_s, True)
        watched.ask("resume")

    watched.run(script())
    assert watched.poses == [*(seq for seq in range(9) if seq != 5), 3, 2, 0, 8, *range(9, FRAMES)]


def test_the_pace_is_kept_after_a_pause_and_a_seek(watched: Watched) -> None:
    def script() -> Script:
        yield from watched.shown(2)
        watched.ask("pause")
        for _ in range(LONG):
            yield
        watched.ask("seek", 70.0)
        watched.ask("resume")
        yield from watched.shown(3)
        third_s = watched.clock.now_s
        yield from watched.shown(8)
        assert watched.clock.now_s - third_s == pytest.approx(5, abs=2 * TURN_S)

    watched.run(script())


def test_paused_at_the_end_it_waits_for_a_seek_and_ends_only_when_it_goes_on(watched: Watched) -> None:
    def script() -> Script:
        yield
        watched.ask("pause")
        watched.ask("seek", 1e9)
        for _ in range(LONG):
            yield
        assert watched.poses[-1] == FRAMES - 1
        assert watched.playing.position_s == watched.playing.length_s == 76.0
        watched.ask("seek", 75.0)
        for _ in range(LONG):
            yield
        assert watched.poses[-1] == FRAMES - 2
        watched.ask("resume")

    watched.run(script())
    assert types(watched.lines)[-2:] == ["pose", "end"]
    assert watched.poses[-2:] == [FRAMES - 2, FRAMES - 1]


def test_of_many_seeks_at_once_the_last_counts_and_all_are_answered(watched: Watched) -> None:
    answers: list[Future[Reply]] = []

    def script() -> Script:
        yield from watched.shown(1)
        answers.extend(watched.ask("seek", float(at_s)) for at_s in (70, 3, 72))

    watched.run(script())
    assert watched.poses == [0, *range(12, FRAMES)]
    assert all(answer.result(0).ok for answer in answers)


def test_frames_are_posed_or_dropped_also_after_a_seek(watched: Watched) -> None:
    def script() -> Script:
        yield from watched.shown(6)
        watched.ask("seek", 2.0)

    watched.run(script())
    counts = watched.lines[-1].model_dump()["counts"]
    assert (counts["received"], counts["lost"], counts["poses"], counts["dropped"]) == (14, 1, 14, 0)


def test_paused_a_seek_to_the_end_of_the_duration_shows_the_last_frame_before_it_and_stays(watched: Watched) -> None:
    """Also where a frame came in that very moment, which is none of what was asked for."""

    def script() -> Script:
        yield from watched.shown(2)
        watched.ask("pause")
        for at_s in (3.0, 1e9):
            poses = len(watched.poses)
            watched.ask("seek", at_s)
            for _ in range(LONG):
                yield
            assert watched.poses[poses:] == [2]
            assert (watched.playing.position_s, watched.playing.length_s) == (2.0, 3.0)
        watched.ask("resume")

    watched.run(script(), duration_s=3.0)
    assert types(watched.lines)[-2:] == ["pose", "end"]


class Gone(Exception):
    """What an output raises."""


def test_what_becomes_of_the_outputs_is_noticed_while_paused(watched: Watched) -> None:
    gone = list[Gone]()

    def check() -> None:
        if gone:
            raise gone[0]

    def script() -> Script:
        yield from watched.shown(2)
        watched.ask("pause")
        for _ in range(LONG):
            yield
        gone.append(Gone())
        yield
        raise AssertionError("the loop has not noticed")

    with pytest.raises(Gone):
        watched.run(script(), check=check)
    assert watched.poses == [0, 1]


def test_a_stdout_that_closes_ends_a_paused_replay_that_has_no_other_output(watched: Watched) -> None:
    """A line waits in the full pipe as its reader goes."""
    reader, writer = os.pipe()
    room = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with (
        os.fdopen(writer, "w") as stdout,
        Fanout([QueuedOutput(JsonLines(stdout), "json:-", lossless=True)]) as outputs,
    ):
        outputs.start()

        def script() -> Script:
            yield from watched.shown(2)
            watched.ask("pause")
            yield
            os.write(writer, bytes(room))
            outputs.put(Item(watched.lines[-1]))
            for _ in range(LONG):
                yield
            os.close(reader)
            for _ in range(10_000):
                time.sleep(0.002)
                yield
            raise AssertionError("the loop has not noticed")

        with pytest.raises(OutputClosed):
            watched.run(script(), check=outputs.check)
    assert watched.poses == [0, 1]


@pytest.mark.parametrize("action", ["tare", "even", "weigh", "record", "stop_recording", "turn", "seek"])
def test_what_a_recording_cannot_do_is_refused_at_once(watched: Watched, action: Action) -> None:
    answers: list[Future[Reply]] = []

    def script() -> Script:
        yield
        answers.append(watched.ask(action))

    watched.run(script())
    assert not answers[0].result(0).ok
    assert len(watched.poses) == FRAMES - 1


def test_a_replay_without_pace_is_neither_paused_nor_sought_in(recording: Path, model: KeypointModel) -> None:
    control = Control(["bed"])
    refused = [control.ask(Command("bed", action, at_s=0.0)) for action in ("pause", "resume", "seek")]
    tare = control.ask(Command("bed", "tare"))
    assert types(replay(recording, model, Player(control=control))).count("pose") == FRAMES - 1
    assert {answer.result(0).ok for answer in [*refused, tare]} == {False}
    assert "--speed 1" in refused[0].result(0).text


def test_edge_run_is_paused_and_sought_in_over_http_and_ends_by_itself(recording: Path, model_path: Path) -> None:
    port = free_port()
    play = ("--replay", recording, "--speed", "1", "--model", model_path)
    with Daemon(*play, "--output", "json:-", "--output", f"http://127.0.0.1:{port}") as daemon:
        daemon.until("pose")
        assert post(port, "pause")["ok"]
        state = get(port, "/api/state")[1]["replay"]
        assert (state["length_s"], state["paused"]) == (76.0, True)
        assert post(port, "seek", at_s=75.2)["ok"]
        daemon.until("hello")
        assert post(port, "resume")["ok"]
        assert daemon.finish() == 0
    after = daemon.lines[[line["type"] for line in daemon.lines].index("hello", 1) :]
    assert [line["seq"] for line in after if line["type"] == "pose"] == [15, 16]
    assert after[-1]["counts"]["received"] == after[-1]["counts"]["poses"] == 2


def post(port: int, action: str, **body: float) -> dict[str, object]:
    origin = f"http://127.0.0.1:{port}"
    content = json.dumps({"mat": "mat"} | body).encode()
    headers = {"Origin": origin, "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{origin}/api/{action}", content, headers)) as answer:
        return dict(json.load(answer))


def test_who_asks_when_a_replay_ends_is_answered(watched: Watched) -> None:
    watched.run(iter_nothing())
    assert watched.control.playing is None
    assert not watched.ask("pause").result(0).ok


def iter_nothing() -> Script:
    yield from ()
