"""What a mat does -> the lines that tell of it. No IO and no clock: live ports and replays drive the same code."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from edge.messages import Counts, End, EventLine, EventName, Health, Line, Pose, hello, pose
from edge.model import KeypointModel
from edge.pipeline import Pipeline
from firmware_bridge.decoder import Frame, StreamCounts
from firmware_bridge.errors import Exit
from firmware_bridge.geometry import Orientation
from firmware_bridge.link import LinkDown, LinkUp
from firmware_bridge.messages import Info

log = logging.getLogger(__name__)

STALE_S: Final = 3.0
STALE_PERIODS: Final = 5
"""Without a frame for so many seconds and frame periods the mat is stale: some mats scan once a second."""
HEALTH_EVERY_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Instant:
    """Now, on two clocks: `unix_s` may jump, `steady_s` never goes back (in a replay both are the recording's)."""

    unix_s: float
    steady_s: float


class Session:
    """Lines of one run, `hello` first. What happens before the mat is known is only logged and counted."""

    def __init__(
        self, model: KeypointModel, mat: str, stream: StreamCounts, orientation: Orientation | None = None
    ) -> None:
        self.mat, self.stream = mat, stream
        self.problem: str | None = None
        """Why there are no joints, while it lasts."""
        self.dropped = self.poses = self.port_losses = 0
        self._model, self._orientation = model, orientation
        self._info: Info | None = None
        self._pipeline: Pipeline | None = None
        self._seq: int | None = None
        self._stale = False
        self._waiting_since_s: float | None = None
        self._period_s = 0.0
        self._health_s: float | None = None

    def info(self, info: Info, now: Instant) -> Iterator[Line]:
        """INFO came; all but the first of one kind say nothing new."""
        before, self._info = self._info, info
        if before and info.boot_id != before.boot_id:
            yield from self._event(now, "reboot", f"the mat restarted: boot id {before.boot_id} -> {info.boot_id}")
        if info.frame_rate_mhz:
            self._period_s = 1000 / info.frame_rate_mhz
        if before is None or not _same_mat(before, info):
            self._pipeline = Pipeline(self._model, info, self._orientation)
            self._waiting_since_s = now.steady_s if self._waiting_since_s is None else self._waiting_since_s
            yield hello(now.unix_s, self._seq, self.mat, self._model, info, self._pipeline)
            yield from self._set_problem(now, self._pipeline.problem)

    def frame(self, frame: Frame, info: Info, now: Instant) -> Iterator[Line]:
        """A frame came from the mat that `info` describes."""
        if info is not self._info:
            yield from self.info(info, now)
        assert self._pipeline
        self._seq = frame.seq
        if not info.frame_rate_mhz and self._waiting_since_s is not None:
            self._period_s = now.steady_s - self._waiting_since_s
        self._waiting_since_s = now.steady_s
        if self._stale:
            self._stale = False
            yield from self._event(now, "fresh", "frames come again")
            yield self._health(now)
        result = self._pipeline.step(frame)
        self.poses += 1
        yield pose(now.unix_s, self.mat, info.boot_id, frame, result)
        if result.occupied or result.problem:
            yield from self._set_problem(now, result.problem)

    def link(self, change: LinkDown | LinkUp, now: Instant, *, fatal: bool = False) -> Iterator[Line]:
        """The port was lost, does not open, or opened. What is `fatal` the end of the run will tell, not the log."""
        match change:
            case LinkUp(down_s):
                yield from self._event(now, "port_open", f"the port is open after {down_s:.1f} s")
            case LinkDown(reason, Exit.DEVICE_LOST):
                self.port_losses += 1
                yield from self._event(now, "port_lost", reason, logged=not fatal)
            case LinkDown(reason):
                if not fatal:
                    yield from self._event(now, "port_waiting", f"{reason}; waiting for it")

    def tick(self, now: Instant) -> Iterator[Line]:
        """Time passed: notices missing frames; to be called at least once a second."""
        if self._info is None or self._waiting_since_s is None:
            return
        limit_s = max(STALE_S, STALE_PERIODS * self._period_s)
        if not self._stale and now.steady_s - self._waiting_since_s > limit_s:
            self._stale = True
            yield from self._event(now, "stale", f"no frame for {limit_s:g} s")
            yield self._health(now)
        elif self._health_s is None or now.steady_s - self._health_s >= HEALTH_EVERY_S:
            yield self._health(now)

    def trouble(
        self, event: Literal["recording_failed", "recording_truncated"], detail: str, now: Instant
    ) -> Iterator[Line]:
        """Something went wrong with a recording."""
        yield from self._event(now, event, detail)

    def end(self, now: Instant) -> Line:
        return End(ts=now.unix_s, seq=self._seq, mat=self.mat, counts=self._counts())

    def _event(self, now: Instant, event: EventName, detail: str, *, logged: bool = True) -> Iterator[EventLine]:
        if logged:
            log.log(logging.INFO if event in ("port_open", "fresh") else logging.WARNING, detail)
        if self._pipeline:
            yield EventLine(ts=now.unix_s, seq=self._seq, mat=self.mat, event=event, detail=detail)

    def _set_problem(self, now: Instant, problem: str | None) -> Iterator[Health]:
        if problem != self.problem or self._health_s is None:
            if problem:
                log.warning("pressure only: %s", problem)
            self.problem = problem
            yield self._health(now)

    def _health(self, now: Instant) -> Health:
        self._health_s = now.steady_s
        status: Literal["ok", "pressure_only", "stale"] = "ok"
        reason = self.problem
        if self._stale:
            status, reason = "stale", "no fresh frames"
        elif self.problem:
            status = "pressure_only"
        return Health(ts=now.unix_s, seq=self._seq, mat=self.mat, status=status, reason=reason, counts=self._counts())

    def _counts(self) -> Counts:
        return Counts.of(self.stream, dropped=self.dropped, poses=self.poses, port_losses=self.port_losses)


def _same_mat(a: Info, b: Info) -> bool:
    """Whether both describe the same mat, which may have restarted or changed its rate."""
    return replace(a, boot_id=b.boot_id, frame_rate_mhz=b.frame_rate_mhz) == b


def with_latency(line: Line, latency_ms: float) -> Line:
    """`line` with its latency if it is a pose."""
    return line.model_copy(update={"latency_ms": latency_ms}) if isinstance(line, Pose) else line
