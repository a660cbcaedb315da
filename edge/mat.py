"""One mat of a live run: its port's reader, its session, and what people ask of it."""

import logging
import math
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.calibration import store
from edge.calibration.faults import FaultFinder
from edge.calibration.tare import Refused, Tare
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

log = logging.getLogger(__name__)

STORE_EVERY_S: Final = 3600.0
"""How often the zero that follows the mat's drift is written down."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where a mat's files go."""

    state_dir: Path
    recordings: Path
    """The folder that people record to."""


class LiveMat:
    """All but the thread that reads the port runs in the processing loop."""

    def __init__(
        self,
        reader: PortReader,
        session: Session,
        recorder: Recorder,
        places: Places,
    ) -> None:
        self.reader, self.session, self.recorder, self._places = reader, session, recorder, places
        self._tare: tuple[Tare, Future[Reply]] | None = None
        self._faults: FaultFinder | None = None
        self._stored_s = -math.inf

    @property
    def name(self) -> str:
        return self.session.mat

    def turn(self, now: Instant, quit_on_loss: bool) -> Iterator[Item]:
        """Everything that came since the last turn. Raises Failure for a loss under `quit_on_loss`, and whatever
        ended the reader."""
        notices, info, arrival = self.reader.mailbox.take(0.0)
        self.session.dropped = self.reader.mailbox.dropped
        for notice in notices:
            if isinstance(notice, LinkDown | LinkUp):
                fatal = quit_on_loss and isinstance(notice, LinkDown) and notice.code != Exit.PERMISSION
                yield from self.session.link(notice, now, fatal=fatal)
                if fatal and isinstance(notice, LinkDown):
                    raise Failure(notice.reason, notice.code)
        if arrival:
            yield from self._frame(arrival)
        if info:  # it came after the frame, or is the frame's own
            yield from self.session.meet(info, now)
        for notice in notices:
            if not isinstance(
                notice, LinkDown | LinkUp
            ):  # a recording begins with the INFO that the session meets here
                yield from self.session.record(notice, now)
        yield from self.session.tick(now)
        if self._tare and self.session.stale:
            self._end_taring(Reply(False, "the mat sends no frames any more: nothing was tared"))
        if now.steady_s - self._stored_s >= STORE_EVERY_S:
            self._stored_s = now.steady_s
            self._store_followed()

    def _frame(self, arrival: Arrival) -> Iterator[Item]:
        now = Instant(arrival.unix_s, arrival.steady_s)
        yield from self.session.frame(arrival.frame, arrival.info, now, Stopwatch(arrival.steady_s))
        yield from self._go_on_taring(arrival, now)
        yield from self._look_for_faults(arrival, now)

    def obey(self, command: Command, answer: Future[Reply], now: Instant) -> Iterator[Item]:
        """Answers now, or for a tare when it ends."""
        try:
            match command.action:
                case "tare":
                    self._begin_taring(command, answer)
                    return
                case "record":
                    reply = self._record()
                case "stop_recording":
                    self.recorder.stop()
                    reply = Reply(True, "recording has stopped")
                case "turn":
                    yield from self._turn_mat(command, now)
                    reply = Reply(True, self._turned(command))
        except Failure as failure:
            reply = Reply(False, str(failure))
        answer.set_result(reply)

    def close(self) -> None:
        """After the reader has stopped."""
        self.recorder.close()
        self._end_taring(Reply(False, "edge-run ends"))
        self._store_followed()

    def _record(self) -> Reply:
        folder = self._places.recordings
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Failure(f"cannot make the folder {folder}: {error.strerror}", Exit.PERMISSION) from None
        self.recorder.start(folder)
        return Reply(True, f"recording to {folder}")

    def _turn_mat(self, command: Command, now: Instant) -> Iterator[Item]:
        if command.orientation not in ORIENTATIONS:
            known = ", ".join(ORIENTATIONS)
            raise Failure(f"orientation {command.orientation} is not known: give one of {known}", Exit.USAGE)
        yield from self.session.turn(ORIENTATIONS[command.orientation], now)

    def _turned(self, command: Command) -> str:
        """The reply, once it has been turned; a calibration keeps it for the next run."""
        text = f"the mat lies turned by {command.orientation} from now on"
        if self.session.calibration is None:
            return f"{text}, until edge-run ends: tare it, or set its orientation in the configuration"
        values = dict(self.session.calibration) | {"orientation": command.orientation}
        return text + self._keep(Calibration.model_validate(values))

    def _begin_taring(self, command: Command, answer: Future[Reply]) -> None:
        self._end_taring(Reply(False, "another tare was asked for"))
        if self.session.info is None or self.session.stale:
            answer.set_result(Reply(False, "no frames come from this mat: nothing to tare"))
            return
        self._tare = (Tare(self.session.info, self.session.calibration, force=command.force), answer)

    def _go_on_taring(self, arrival: Arrival, now: Instant) -> Iterator[Item]:
        if self._tare is None:
            return
        tare, _ = self._tare
        if not tare.feed(arrival.frame.counts, self.session.occupied, now.steady_s):
            return
        made = tare.result(now.unix_s)
        if isinstance(made, Refused):
            self._end_taring(Reply(False, made.reason))
            return
        detail = f"tared; faulty taxels: {in_words(made.faulty)}{self._keep(made)}"
        self._end_taring(Reply(True, detail))
        yield from self.session.use(made, now)
        yield from self.session.tared(detail, now)

    def _end_taring(self, reply: Reply) -> None:
        if self._tare:
            self._tare[1].set_result(reply)
            self._tare = None

    def _look_for_faults(self, arrival: Arrival, now: Instant) -> Iterator[Item]:
        """Taxels that die in use: an empty mat cannot show them."""
        calibration = self.session.followed
        if calibration is None:
            return
        self._faults = self._faults or FaultFinder(calibration)
        if not self._faults.feed(arrival.frame.counts, self.session.occupied, now.steady_s):
            return
        wider = calibration.with_faults(self._faults.faults)
        if wider.faults != calibration.faults:
            log.warning("faulty taxels: %s", in_words(wider.faulty))
            self._store(wider)
            yield from self.session.use(wider, now)

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
            log.warning("%s", failure)
            return failure
        return None
