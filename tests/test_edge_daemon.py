"""A live run ends with its counts, whatever happens."""

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from edge_packages import info, package

from edge.control import Command, Control, Reply
from edge.daemon import run_live
from edge.mat import LiveMat, Places
from edge.messages import Line
from edge.model import KeypointModel
from edge.outputs.sink import Item, OutputClosed
from edge.recorder import Recorder, RecordingStarted
from edge.session import Session
from edge.source import Mailbox, PortReader
from firmware_bridge.decoder import Frame
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.link import Link, LinkLost, ReopeningLink
from firmware_bridge.recording import read_recording
from firmware_bridge.scans import Scan
from firmware_bridge.virtual_mat import VirtualLink, VirtualMat, open_port
from train.pmd import read_pmd


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> KeypointModel:
    return KeypointModel.from_files(package(tmp_path_factory.mktemp("package")))


def never() -> bool:
    return False


def types(lines: list[Line]) -> list[str]:
    return [getattr(line, "event", line.type) for line in lines]


class Live:
    """A live run whose lines are kept: one mat for each link, named bed, bed2 ..."""

    def __init__(
        self,
        model: KeypointModel,
        *open_links: Callable[[], Link],
        folder: Path = Path("/nowhere"),
        recordings: Path = Path("/nowhere"),
        **reader_settings: float,
    ) -> None:
        self.lines: list[Line] = []
        self.changed = threading.Condition()
        self.mats = []
        for n, open_link in enumerate(open_links, 1):
            name = "bed" if n == 1 else f"bed{n}"
            mailbox = Mailbox(self.changed)
            recorder = Recorder(name, notify=mailbox.put)
            reader = PortReader(ReopeningLink(open_link), recorder, mailbox, **reader_settings)  # type: ignore[arg-type]
            session = Session(model, name, reader.counts)
            self.mats.append(LiveMat(reader, session, recorder, Places(folder, recordings)))
        self.control = Control([mat.name for mat in self.mats], self.wake)
        self.reader = self.mats[0].reader

    def wake(self) -> None:
        with self.changed:
            self.changed.notify()

    def keep(self, item: Item) -> None:
        self.lines.append(item.line)

    def run(
        self,
        stopping: Callable[[], bool],
        quit_on_loss: bool = False,
        output: Callable[[Item], None] | None = None,
        check: Callable[[], None] = lambda: None,
        **settings: float,
    ) -> None:
        run_live(
            self.mats,
            output or self.keep,
            stopping,
            changed=self.changed,
            control=self.control,
            check=check,
            quit_on_loss=quit_on_loss,
            **settings,
        )

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


def test_slow_turns_get_the_newest_frames_and_the_rest_is_counted(model: KeypointModel) -> None:
    live = Live(model, lambda: open_port("sim:?rate=100&scene=empty"))

    def output(item: Item) -> None:
        live.keep(item)
        time.sleep(0.05 if item.is_pose else 0)

    live.run(lambda: live.said("pose") >= 8, output=output)
    counts = live.lines[-1].model_dump()["counts"]
    assert counts["dropped"] >= 20
    assert counts["received"] == counts["poses"] + counts["dropped"]
    assert counts["lost"] == 0


def test_a_frame_that_finds_the_loop_idle_is_taken_by_the_thread_that_read_it(model: KeypointModel) -> None:
    live = Live(model, lambda: open_port("sim:?rate=100&scene=empty"))
    threads: list[str] = []

    def output(item: Item) -> None:
        live.keep(item)
        if item.is_pose:
            threads.append(threading.current_thread().name)

    live.run(lambda: threads.count("port-reader") >= 20, output=output, duration_s=30)
    assert threads.count("port-reader") >= 20
    assert threads[0] != "port-reader", "nobody knows yet how long a frame takes"


def test_a_frame_waits_for_a_turn_under_way_and_goes_through_the_loop_then(model: KeypointModel) -> None:
    live = Live(model, lambda: open_port("sim:?rate=100&scene=empty"))
    at_the_same_time: list[int] = []
    inside = 0

    def output(item: Item) -> None:
        nonlocal inside
        inside += 1
        at_the_same_time.append(inside)
        live.keep(item)
        time.sleep(0.005)
        inside -= 1

    live.run(lambda: live.said("pose") >= 100, output=output)
    assert max(at_the_same_time) == 1


def test_what_an_output_raises_in_the_thread_that_read_the_frame_ends_the_run(model: KeypointModel) -> None:
    live = Live(model, lambda: open_port("sim:?rate=100&scene=empty"))

    def output(item: Item) -> None:
        if threading.current_thread().name == "port-reader":
            raise OutputClosed
        live.keep(item)

    with pytest.raises(OutputClosed):
        live.run(never, output=output)
    assert not live.reader._thread.is_alive()


def test_an_error_in_the_thread_that_read_the_frame_is_raised_whatever_comes_with_it(model: KeypointModel) -> None:
    """A signal ends the run in the same moment, and the recorder has something to tell."""
    live = Live(model, lambda: open_port("sim:?rate=100&scene=empty"))
    broken = threading.Event()

    def output(item: Item) -> None:
        if threading.current_thread().name == "port-reader":
            live.reader.mailbox.put(RecordingStarted(Path("night.matlog")))
            broken.set()
            raise RuntimeError("unexpected")
        live.keep(item)

    with pytest.raises(RuntimeError, match="unexpected"):
        live.run(broken.is_set, output=output)
    assert types(live.lines)[-1] == "pose"


def test_nothing_is_said_after_an_output_has_failed(model: KeypointModel) -> None:
    live = Live(model, lambda: open_port("sim:?rate=50&scene=empty"))
    said: list[int] = []

    def check() -> None:
        if live.said("pose") >= 40:
            said.append(len(live.lines))
            raise RuntimeError("the disk has gone")

    with pytest.raises(RuntimeError, match="the disk has gone"):
        live.run(never, check=check)
    assert len(live.lines) == said[0]


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

    def idle(self) -> bool:
        return self.link.idle()

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

    def output(item: Item) -> None:
        if item.line.type == "pose":
            raise OutputClosed

    with pytest.raises(OutputClosed):
        live.run(never, output=output)
    assert not live.reader._thread.is_alive()


def test_a_run_of_no_duration_is_the_end_line_alone(model: KeypointModel) -> None:
    live = Live(model, missing)
    live.run(never, duration_s=0)
    assert [json.loads(line.json_line())["type"] for line in live.lines] == ["end"]


def empty_mat(seed: int = 7) -> Callable[[], Link]:
    return lambda: open_port(f"sim:?rate=50&scene=empty&seed={seed}")


def test_several_mats_in_one_run_each_have_their_own_lines(model: KeypointModel) -> None:
    live = Live(model, empty_mat(7), empty_mat(8))
    live.run(
        lambda: all(sum(line.type == "pose" and line.mat == mat.name for line in live.lines) > 5 for mat in live.mats)
    )
    for mat in live.mats:
        own = [line for line in live.lines if line.mat == mat.name]
        assert (own[0].type, own[-1].type) == ("hello", "end")
        counts = own[-1].model_dump()["counts"]
        assert counts["received"] == counts["poses"] + counts["dropped"]


def test_a_mat_without_port_does_not_keep_the_other_from_its_poses(model: KeypointModel) -> None:
    live = Live(model, missing, empty_mat())
    live.run(lambda: live.said("pose") >= 5)
    assert {line.mat for line in live.lines if line.type == "pose"} == {"bed2"}


class Asked:
    """Asks once there are poses, and goes on until the answer has come and `after` more poses."""

    def __init__(self, live: Live, command: Command) -> None:
        self.live, self.command = live, command
        self.reply: Reply | None = None
        self._answer = None

    def __call__(self) -> bool:
        if self._answer is None and self.live.said("pose") >= 5:
            self._answer = self.live.control.ask(self.command)
        if self._answer is not None and self._answer.done() and self.reply is None:
            self.reply = self._answer.result()
            self.poses = self.live.said("pose")
        return self.reply is not None and self.live.said("pose") > self.poses + 5


def test_a_tare_is_answered_told_of_and_kept(model: KeypointModel, tmp_path: Path) -> None:
    live = Live(model, empty_mat(), folder=tmp_path)
    asked = Asked(live, Command("bed", "tare"))
    live.run(asked)
    assert asked.reply is not None
    assert asked.reply.ok, asked.reply
    assert live.said("tared") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["bed.calibration.json"]
    after = [line.model_dump() for line in live.lines if line.type == "pose"][-3:]
    before = [line.model_dump() for line in live.lines if line.type == "pose"][:3]
    assert max(pose["peak_pressure"] for pose in after) < min(pose["peak_pressure"] for pose in before)


def test_an_occupied_mat_is_not_tared_unless_forced(model: KeypointModel, pmd: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(3)

    def lying() -> Link:
        scans = (Scan((body + noise.integers(0, 8, body.shape)).astype(np.uint16)) for _ in itertools.count())
        return VirtualLink(VirtualMat(info(), scans, rate_mhz=50_000))

    body = read_pmd(pmd, [5]).medians().pressure[0]
    asked = Asked(live := Live(model, lying, folder=tmp_path), Command("bed", "tare"))
    live.run(asked)
    assert asked.reply is not None
    assert not asked.reply.ok
    assert "somebody lies on the mat" in asked.reply.text
    assert list(tmp_path.iterdir()) == []
    forced = Asked(live := Live(model, lying, folder=tmp_path), Command("bed", "tare", force=True))
    live.run(forced)
    assert forced.reply is not None
    assert forced.reply.ok, forced.reply


def test_recording_begins_and_ends_when_asked_to(model: KeypointModel, tmp_path: Path) -> None:
    live = Live(model, empty_mat(), recordings=tmp_path / "recordings")
    started = Asked(live, Command("bed", "record"))
    stopped = Asked(live, Command("bed", "stop_recording"))
    live.run(lambda: started() and live.said("recording_started") == 1 and stopped())
    assert (started.reply, stopped.reply) == (
        Reply(True, f"recording to {tmp_path / 'recordings'}"),
        Reply(True, "recording has stopped"),
    )
    assert live.said("recording_stopped") == 1
    (path,) = (tmp_path / "recordings").iterdir()
    assert sum(isinstance(recorded.event, Frame) for recorded in read_recording(path)) >= 5


def test_recording_into_a_folder_that_cannot_be_made_is_refused(model: KeypointModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    asked = Asked(
        live := Live(model, empty_mat(), recordings=tmp_path / "file" / "recordings"), Command("bed", "record")
    )
    live.run(asked)
    assert asked.reply is not None
    assert not asked.reply.ok
    assert f"cannot make the folder {tmp_path / 'file' / 'recordings'}" in asked.reply.text


@pytest.mark.parametrize("orientation", ["90", "sideways"])
def test_a_mat_is_turned_when_asked_to(model: KeypointModel, orientation: str) -> None:
    asked = Asked(live := Live(model, empty_mat()), Command("bed", "turn", orientation=orientation))
    live.run(asked)
    assert asked.reply is not None
    grids = [line.model_dump()["grid"]["rows"] for line in live.lines if line.type == "hello"]
    assert (asked.reply.ok, grids) == ((True, [64, 32]) if orientation == "90" else (False, [64]))


def test_a_request_about_a_mat_that_is_not_there_is_refused(model: KeypointModel) -> None:
    reply = Live(model, empty_mat()).control.ask(Command("sofa", "tare")).result(0)
    assert reply == Reply(False, "no mat sofa: this daemon has bed")


def test_requests_that_wait_when_the_run_ends_are_answered(model: KeypointModel) -> None:
    live = Live(model, missing)
    answer = live.control.ask(Command("bed", "tare"))
    live.run(never, duration_s=0)
    assert answer.result(0) == Reply(False, "no frames come from this mat: nothing to calibrate")
