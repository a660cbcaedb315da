"""The loop that plays a recording, at its pace, and what people who watch ask of it."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from edge.control import Command, Control, Playing, Reply
from edge.outputs.sink import Item
from edge.session import Instant, Session
from firmware_bridge.decoder import Decoder, Frame, StreamCounts
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.messages import Info
from firmware_bridge.recording import Truncated, read_recording
from firmware_bridge.timeline import Moment, Timeline

TURN_S: Final = 0.05
"""Longest turn of the loop, and so the delay with which a signal or somebody who watches is heeded."""
TICK_S: Final = 1e-6
"""Of a recording's clock."""


class Player:
    """The pace of a replay: `speed` times as fast as it was recorded, `duration_s` of the recording's time long.

    With a `timeline`, people pause it and seek in it through `control`; without, what is asked is refused.
    """

    def __init__(
        self,
        speed: float = math.inf,
        duration_s: float = math.inf,
        control: Control | None = None,
        timeline: Timeline | None = None,
        *,
        steady_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._speed, self._duration_s = speed, duration_s
        self._control, self.timeline = control or Control(()), timeline
        self._steady_s, self._sleep = steady_s, sleep
        self._first_s: float | None = None
        """When the first message was recorded."""
        self._played_s = 0.0
        """Since then, on the recording's clock, up to the message in turn."""
        self._origin_s: float | None = None
        """When, on this machine's clock, the first message would have been due."""
        self._paused = self._looking = False
        """_looking: somebody has sought and not yet seen the frame there."""
        if timeline and timeline.length_s:
            length_s = min(timeline.length_s, duration_s)
            self._control.playing = Playing(timeline.start_unix_s, 0.0, length_s, paused=False)

    @property
    def over(self) -> bool:
        """Whether what is in turn was recorded later than asked for."""
        return self._played_s >= self._duration_s

    def wait(self, now: Instant, stopping: Callable[[], bool], check: Callable[[], None]) -> Moment | None:
        """Until what was recorded at `now` is due, and while paused. As soon as somebody seeks: where to go on.

        Raises what `check` raises, which is called at every turn.
        """
        self._first_s = now.steady_s if self._first_s is None else self._first_s
        self._played_s = now.steady_s - self._first_s
        while not stopping():
            check()
            if moment := self._obey():
                return moment
            wait_s = self._wait_s()
            if wait_s <= 0:
                self._tell(self._played_s)
                break
            self._sleep(min(wait_s, TURN_S))
        return None

    def shown(self) -> None:
        """A frame is on its way to whoever watches."""
        self._looking = False

    def close(self) -> None:
        """Nobody is obeyed any longer."""
        self._control.playing = None
        for _, answer in self._control.take():
            answer.set_result(Reply(False, "edge-run ends"))

    def _wait_s(self) -> float:
        if self._paused:
            return 0.0 if self._looking else TURN_S
        if self._origin_s is None:
            self._origin_s = self._steady_s() - self._played_s / self._speed
        return self._origin_s + self._played_s / self._speed - self._steady_s()

    def _obey(self) -> Moment | None:
        moment: Moment | None = None
        for command, answer in self._control.take():
            match command:
                case Command(action="pause" | "resume"):
                    self._paused, self._origin_s = command.action == "pause", None
                    self._tell()
                    reply = Reply(True, "paused" if self._paused else "goes on")
                case Command(action="seek", at_s=float(at_s)) if self.timeline and (playing := self._control.playing):
                    moment = self.timeline.at(min(at_s, playing.length_s, self._duration_s - TICK_S))
                    self._looking, self._origin_s = True, None
                    self._tell(moment.unix_us / 1e6 - self.timeline.start_unix_s)
                    reply = Reply(True, "the recording goes on from there")
                case Command(action="seek"):
                    reply = Reply(False, "seek needs at_s, the seconds since the recording began")
                case _:
                    reply = Reply(False, "a recording is played, and no mat is there: that goes with edge-run --port")
            answer.set_result(reply)
        return moment

    def _tell(self, position_s: float | None = None) -> None:
        if playing := self._control.playing:
            position_s = playing.position_s if position_s is None else min(position_s, playing.length_s)
            self._control.playing = replace(playing, position_s=position_s, paused=self._paused)


def run_replay(
    path: Path,
    decoder: Decoder,
    session: Session,
    output: Callable[[Item], None],
    stopping: Callable[[], bool],
    *,
    check: Callable[[], None] = lambda: None,
    quit_on_loss: bool = False,
    player: Player | None = None,
    anew: Callable[[StreamCounts], Session] | None = None,
) -> None:
    """Every frame of a recording, as fast as `player` (otherwise as the outputs) will have it.

    `check` is called at every turn of waiting. Lines depend on the recording alone, not on the clock. Where somebody
    seeks, the run begins anew with the session that `anew` makes: a `hello`, and from there on joints, behaviour,
    load, counts, health and end tell of what was played since.
    Raises Failure as read_recording does, and under `quit_on_loss` for a mat that the model cannot read; whatever
    `output` and `check` raise, OutputClosed for one.
    """
    player = player or Player()
    now = Instant(0.0, 0.0)
    mat: Info | None = None
    failure: Failure | None = None
    reading = read_recording(path, decoder)
    while not failure:
        recorded = next(reading, None)
        if recorded:
            unix_s = recorded.unix_us / 1e6
            now = Instant(unix_s, max(now.steady_s, unix_s))
        else:
            player.shown()  # all that there is: a paused replay stays here
        if moment := player.wait(now, stopping, check):
            assert player.timeline
            assert anew
            now = Instant(moment.unix_us / 1e6, moment.unix_us / 1e6)
            decoder = Decoder(decoder.corrected)
            said = player.timeline.info(moment)
            decoder.info = mat = decoder.corrected(said) if said else None
            reading = read_recording(path, decoder, moment.byte)
            session = anew(decoder.counts)
            for item in session.meet(mat, now) if mat else ():
                output(item)
            continue
        if recorded is None or stopping() or player.over:
            break
        for item in session.tick(now):
            output(item)
        match recorded.event:
            case Info() as info:
                mat = info
                items = session.meet(mat, now)
            case Frame() as frame if mat and frame.counts.shape == (mat.rows, mat.cols):
                items = session.frame(frame, mat, now)
                player.shown()
            case Frame():
                session.dropped += 1
                continue
            case Truncated(n_bytes):
                detail = f"recording {path} ends within a message ({n_bytes} bytes are left out)"
                items = session.truncated(detail, now)
            case _:
                continue
        for item in items:
            output(item)
        if quit_on_loss and session.problem:
            failure = Failure(session.problem, Exit.BAD_CONFIG)
    player.close()
    output(session.end(now))
    if failure:
        raise failure
