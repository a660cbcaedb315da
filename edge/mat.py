"""One mat of a live run: its port's reader, its session, and what people ask of it."""

import logging
import math
from collections.abc import Generator, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.calibration import store
from edge.calibration.collector import Refused
from edge.calibration.faults import FaultFinder
from edge.calibration.gains import KnownLoad, worth
from edge.calibration.tare import Tare
from edge.calibration.values import Calibration, in_words
from edge.control import Command, Reply
from edge.latency import Stopwatch
from edge.outputs.sink import Item
from edge.recorder import Recorder
from edge.session import Instant, Session
from edge.source import Arrival, PortReader
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import ORIENTATIONS
from firmware_bridge.link import LinkDown, LinkUp
from firmware_bridge.messages import Info

QUICK_MS: Final = 50.0
"""In which the port may be left alone: serial ports hold what comes meanwhile."""
FADES: Final = 0.9
"""How much of the slowest frame's time counts a frame later."""
STORE_EVERY_S: Final = 3600.0
"""How often the zero that follows the mat's drift is written down."""


@dataclass(frozen=True, slots=True)
class Calibrating:
    """What somebody asked for, while frames are collected for it."""

    collector: Tare | KnownLoad
    info: Info
    calibration: Calibration | None
    """As they were when it began."""
    answer: Future[Reply]

    def is_of(self, info: Info, calibration: Calibration | None) -> bool:
        """Whether they are the mat's still."""
        mat = info.device_id, info.rows, info.cols
        return calibration is self.calibration and mat == (self.info.device_id, self.info.rows, self.info.cols)


@dataclass(frozen=True, slots=True)
class Places:
    """Where a mat's files go."""

    state_dir: Path
    recordings: Path
    """The folder that people record to."""


class LiveMat:
    """All but the reading of the port is the processing loop's, whichever thread it turns in."""

    def __init__(
        self,
        reader: PortReader,
        session: Session,
        recorder: Recorder,
        places: Places,
    ) -> None:
        self.reader, self.session, self.recorder, self._places = reader, session, recorder, places
        self._calibrating: Calibrating | None = None
        self._faults: FaultFinder | None = None
        self._stored_s = -math.inf
        self._slowest_ms = 20 * QUICK_MS
        self._turned: str | None = None
        """How people laid the mat in this run, which a mat that is not tared yet cannot keep for the next."""

    @property
    def name(self) -> str:
        return self.session.mat

    @property
    def is_quick(self) -> bool:
        """Whether the next frame is likely to take no longer than the port can wait: lately none did, and none will
        be written down as a calibration."""
        return self._calibrating is None and self._slowest_ms < QUICK_MS

    def turn(self, now: Instant, quit_on_loss: bool) -> Iterator[Item]:
        """Everything that came since the last turn. Raises Failure for a loss under `quit_on_loss`, and whatever
        ended the reader."""
        notices, info, arrival = self.reader.mailbox.take()
        self.session.dropped = self.reader.mailbox.dropped
        links = [notice for notice in notices if isinstance(notice, LinkDown | LinkUp)]
        if arrival and links and isinstance(links[-1], LinkDown):  # which it came before
            yield from self.frame(arrival)
            arrival = None
        for notice in notices:
            if isinstance(notice, LinkDown | LinkUp):
                fatal = quit_on_loss and isinstance(notice, LinkDown) and notice.code != Exit.PERMISSION
                yield from self.session.link(notice, now, fatal=fatal)
                if fatal and isinstance(notice, LinkDown):
                    raise Failure(notice.reason, notice.code)
        if arrival:
            yield from self.frame(arrival)
        if info:  # it came after the frame, or is the frame's own
            yield from self.session.meet(info, now)
        for notice in notices:
            if not isinstance(
                notice, LinkDown | LinkUp
            ):  # a recording begins with the INFO that the session meets here
                yield from self.session.record(notice, now)
        yield from self.session.tick(now)
        if self.session.stale:
            self._end_calibrating(Reply(False, "the mat sends no frames any more: nothing was calibrated"))
        if now.steady_s - self._stored_s >= STORE_EVERY_S:
            self._stored_s = now.steady_s
            self._store_followed()

    def frame(self, arrival: Arrival) -> Iterator[Item]:
        """It is the newest, and nothing waits that came before it."""
        self.session.dropped = self.reader.mailbox.dropped
        now, watch = Instant(arrival.unix_s, arrival.steady_s), Stopwatch(arrival.steady_s)
        yield from self.session.frame(arrival.frame, arrival.info, now, watch)
        self._slowest_ms = max(watch.total_ms, FADES * self._slowest_ms)
        yield from self._go_on_calibrating(arrival, now)
        yield from self._look_for_faults(arrival, now)

    def obey(self, command: Command, answer: Future[Reply], now: Instant) -> Iterator[Item]:
        """Answers now, or for a calibration when it ends."""
        try:
            match command.action:
                case "tare" | "even" | "weigh":
                    self._begin_calibrating(command, answer)
                    return
                case "record":
                    reply = self._record()
                case "stop_recording":
                    self.recorder.stop()
                    yield from self.session.given_up(now)
                    reply = Reply(True, "recording has stopped")
                case "turn":
                    reply = yield from self._turn_mat(command, now)
        except Failure as failure:
            reply = Reply(False, str(failure))
        answer.set_result(reply)

    def close(self) -> None:
        """After the reader has stopped."""
        self.recorder.close()
        self._end_calibrating(Reply(False, "edge-run ends"))
        self._store_followed()

    def _record(self) -> Reply:
        folder = self._places.recordings
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Failure(f"cannot make the folder {folder}: {error.strerror}", Exit.PERMISSION) from None
        self.recorder.start(folder)
        if full := self.recorder.lacks_room(folder):
            return Reply(False, f"nothing is recorded yet: {full}; it begins by itself once there is room")
        return Reply(True, f"recording to {folder}")

    def _turn_mat(self, command: Command, now: Instant) -> Generator[Item, None, Reply]:
        if command.orientation not in ORIENTATIONS:
            known = ", ".join(ORIENTATIONS)
            raise Failure(f"orientation {command.orientation} is not known: give one of {known}", Exit.USAGE)
        text = f"the mat lies turned by {command.orientation} from now on"
        if self.session.calibrated:  # before the turn, so that what is stored later has the orientation too
            values = dict(self._followed()) | {"orientation": command.orientation}
            text += self._keep(Calibration.model_validate(values))
        else:
            text += ", until edge-run ends: tare it, or set its orientation in the configuration"
        self._turned = command.orientation
        yield from self.session.turn(ORIENTATIONS[command.orientation], now)
        return Reply(True, text)

    def _begin_calibrating(self, command: Command, answer: Future[Reply]) -> None:
        session = self.session
        if session.info is None or session.stale:
            raise Failure("no frames come from this mat: nothing to calibrate", Exit.DEVICE_LOST)
        collector: Tare | KnownLoad
        if command.action == "tare":
            collector = Tare(session.info, session.calibration, force=command.force)
        else:
            collector = self._known_load(session.info, command)
        self._end_calibrating(Reply(False, "another calibration was asked for"))
        self._calibrating = Calibrating(collector, session.info, session.calibration, answer)

    def _known_load(self, info: Info, command: Command) -> KnownLoad:
        if command.action == "weigh" and not (command.mass_kg and command.mass_kg > 0):
            raise Failure("weigh needs mass_kg, the weight of whoever lies on the mat", Exit.USAGE)
        if not self.session.calibrated:
            raise Failure("the mat is not tared yet: empty it and tare it first", Exit.USAGE)
        return KnownLoad(self._followed(), info.grid, command.mass_kg if command.action == "weigh" else None)

    def _go_on_calibrating(self, arrival: Arrival, now: Instant) -> Iterator[Item]:
        if self._calibrating is None:
            return
        if not self._calibrating.is_of(arrival.info, self.session.calibration):
            self._end_calibrating(Reply(False, "the mat or its calibration has changed meanwhile: ask again"))
            return
        collector = self._calibrating.collector
        if not collector.feed(arrival.frame.counts, self.session.occupied, now.steady_s):
            return
        tared = isinstance(collector, Tare)
        made = collector.result(now.unix_s) if isinstance(collector, Tare) else collector.result()
        if isinstance(made, Refused):
            self._end_calibrating(Reply(False, made.reason))
            return
        if self._turned:
            made = made.model_copy(update={"orientation": self._turned})
        done = "tared; faulty taxels: " + in_words(made.faulty) if tared else "calibrated: " + worth(made)
        detail = done + self._keep(made)
        self._end_calibrating(Reply(True, detail))
        yield from self.session.use(made, now)
        yield from self.session.tell("tared" if tared else "calibrated", detail, now)

    def _end_calibrating(self, reply: Reply) -> None:
        if self._calibrating:
            self._calibrating.answer.set_result(reply)
            self._calibrating = None

    def _look_for_faults(self, arrival: Arrival, now: Instant) -> Iterator[Item]:
        """Taxels that die in use: an empty mat cannot show them."""
        if not self.session.calibrated:
            return
        if self._faults is None:
            self._faults = FaultFinder(self._followed())
        if not self._faults.feed(arrival.frame.counts, self.session.occupied, now.steady_s):
            return
        calibration = self._followed()
        wider = calibration.with_faults(self._faults.faults)
        if wider.faults != calibration.faults:
            self.session.log(logging.WARNING, f"faulty taxels: {in_words(wider.faulty)}")
            self._stored_s = -math.inf  # the next turn writes it down, which need not wait for a disk
            yield from self.session.use(wider, now)

    def _followed(self) -> Calibration:
        """Of a calibrated session; too dear for every frame."""
        followed = self.session.followed
        assert followed
        return followed

    def _store_followed(self) -> None:
        """A zero that has drifted for weeks is not to begin anew where it was."""
        if followed := self.session.followed:
            self._store(followed)

    def _keep(self, calibration: Calibration) -> str:
        """For this run and, where the disk takes it, for the next: '' or why not, to be said after the good news."""
        self.session.calibration, self._faults = calibration, None
        failure = self._store(calibration)
        return f"; until edge-run ends: {failure}" if failure else ""

    def _store(self, calibration: Calibration) -> Failure | None:
        try:
            store.write(store.path_of(self._places.state_dir, self.name), calibration)
        except Failure as failure:
            self.session.log(logging.WARNING, str(failure))
            return failure
        return None
