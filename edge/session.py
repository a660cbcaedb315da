"""What a mat does -> the items that tell of it. No IO and no clock: live ports and replays drive the same code."""

import logging
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, Literal, NamedTuple

from edge.behaviour import Behaviour
from edge.calibration.values import Calibration
from edge.latency import Stopwatch
from edge.messages import Counts, End, EventLine, EventName, Health, hello
from edge.model import KeypointModel
from edge.outputs.sink import Item, Picture, PoseItem
from edge.pipeline import Pipeline, Result, no_lap
from edge.pose_text import PoseText
from edge.recorder import RecordingChange, RecordingStarted, RecordingStopped
from edge.regions import Regions
from edge.smoothing import Smoothing
from firmware_bridge.decoder import Frame, StreamCounts
from firmware_bridge.errors import Exit
from firmware_bridge.geometry import ORIENTATIONS, Orientation
from firmware_bridge.link import LinkDown, LinkUp
from firmware_bridge.messages import Info

log = logging.getLogger(__name__)

STALE_S: Final = 3.0
STALE_PERIODS: Final = 5
"""Without a frame for so many seconds and frame periods the mat is stale: some mats scan once a second."""
HEALTH_EVERY_S: Final = 10.0


class Instant(NamedTuple):
    """Now, on two clocks: `unix_s` may jump, `steady_s` never goes back (in a replay both are the recording's)."""

    unix_s: float
    steady_s: float


class Session:
    """Items of one run, `hello` first. What happens before the mat is known is only logged and counted.

    `calibration` is used where it is this mat's. `orientation` overrides its, and that INFO's. A `fatal_problem` ends
    the run, which tells of it then; any other is told by the log. `one_of_several`: the log says which mat it is.
    """

    def __init__(
        self,
        model: KeypointModel,
        mat: str,
        stream: StreamCounts,
        orientation: Orientation | None = None,
        *,
        smoothing: Smoothing | None = None,
        calibration: Calibration | None = None,
        fatal_problem: bool = False,
        one_of_several: bool = False,
    ) -> None:
        self.mat, self.stream = mat, stream
        self.problem: str | None = None
        """Why there are no joints, while it lasts."""
        self.info: Info | None = None
        """The mat's latest."""
        self.dropped = self.poses = self.port_losses = 0
        self.recording = self.recording_waits = False
        self.occupied = False
        """In the latest frame; `behaviour` tells what has settled."""
        self.behaviour = Behaviour()
        self._model, self._orientation, self._smoothing = model, orientation, smoothing
        self.calibration = calibration
        self._fatal_problem, self._log_prefix = fatal_problem, f"{mat}: " if one_of_several else ""
        self._calibration_problem: str | None = None
        self._pipeline: Pipeline | None = None
        self._regions: Regions | None = None
        self._seq: int | None = None
        self._stale = False
        self._waiting_since_s: float | None = None
        self._unknown_since_s: float | None = None
        """Since when the port is open, while no INFO has ever come."""
        self._told_unknown = False
        self._period_s = 0.0
        self._frame_s: float | None = None
        self._waited_s = math.inf
        """For the latest frame, where the mat does not tell its rate."""
        self._health_s: float | None = None
        self._poses_at_health = 0

    @property
    def stale(self) -> bool:
        """Whether frames fail to come, or none has come yet."""
        return self._stale or self.poses == 0

    @property
    def calibrated(self) -> bool:
        """Whether a calibration is in use."""
        return bool(self._pipeline and self.calibration and not self._calibration_problem)

    @property
    def followed(self) -> Calibration | None:
        """The calibration in use, with the zero where it is now."""
        return self._pipeline.followed if self._pipeline else None

    def log(self, level: int, text: str) -> None:
        """What happens to this mat."""
        log.log(level, "%s%s", self._log_prefix, text)

    def meet(self, info: Info, now: Instant) -> Iterator[Item]:
        """INFO came; all but the first of one kind say nothing new."""
        before, self.info = self.info, info
        if before and info.boot_id != before.boot_id:
            yield from self._event(now, "reboot", f"the mat restarted: boot id {before.boot_id} -> {info.boot_id}")
        if info.frame_rate_mhz:
            self._period_s = 1000 / info.frame_rate_mhz
        if before is None or not _same_mat(before, info):
            if before:
                self._regions = None
                yield from self._event(now, "mat_changed", f"another mat: {_in_words(before)} -> {_in_words(info)}")
            yield from self._begin(info, now)

    def frame(self, frame: Frame, info: Info, now: Instant, watch: Stopwatch | None = None) -> Iterator[Item]:
        """A frame came from the mat that `info` describes. `watch`, of live frames, began with its last byte."""
        if info is not self.info:
            yield from self.meet(info, now)
        assert self._pipeline
        assert self._regions
        if watch:
            watch("wait")
        self._seq = frame.seq
        if not info.frame_rate_mhz and self._frame_s is not None:
            waited_s = now.steady_s - self._frame_s
            self._period_s, self._waited_s = min(waited_s, self._waited_s), waited_s  # one long wait is an outage
        self._frame_s = now.steady_s
        self._waiting_since_s = now.steady_s
        if self._stale:
            self._stale = False
            yield from self._event(now, "fresh", "frames come again")
            yield self._health(now)
        result = self._pipeline.step(frame, info.boot_id, now.steady_s, watch or no_lap)
        if watch:
            watch("points")
        self.occupied = result.occupied
        posture_before = self.behaviour.posture
        happened = self.behaviour.step(now.steady_s, result.occupied, result.posture)
        self.poses += 1
        yield self._pose(frame, info, result, now, watch)
        occupied, posture = self.behaviour.occupied, self.behaviour.posture
        self._regions.step(now.steady_s, result.pressure, result.joints, occupied, posture)
        for event in happened:
            yield from self._event(now, event.event, event.detail)
        if happened or posture != posture_before:  # the first posture of somebody is no event
            yield self._health(now)
        if result.occupied or result.problem:
            yield from self._set_problem(now, result.problem)

    def link(self, change: LinkDown | LinkUp, now: Instant, *, fatal: bool = False) -> Iterator[Item]:
        """The port was lost, does not open, or opened. What is `fatal` the end of the run will tell, not the log."""
        self._unknown_since_s = now.steady_s if isinstance(change, LinkUp) else None
        match change:
            case LinkUp(down_s):
                yield from self._event(now, "port_open", f"the port is open after {down_s:.1f} s")
            case LinkDown(reason, Exit.DEVICE_LOST):
                self.port_losses += 1
                yield from self._event(now, "port_lost", reason, logged=not fatal)
            case LinkDown(reason):
                if not fatal:
                    yield from self._event(now, "port_waiting", f"{reason}; waiting for it")

    def record(self, change: RecordingChange, now: Instant) -> Iterator[Item]:
        """A recording began or ended; the recorder has logged it."""
        self.recording = isinstance(change, RecordingStarted)
        self.recording_waits = isinstance(change, RecordingStopped) and change.waits
        if isinstance(change, RecordingStarted):
            yield from self._event(now, "recording_started", f"recording to {change.path}", logged=False)
        else:
            detail = f"recording to {change.path} stopped: {change.reason}"
            yield from self._event(now, "recording_stopped", detail, logged=False)
        if self._pipeline:
            yield self._health(now)

    def given_up(self, now: Instant) -> Iterator[Item]:
        """A recording that waits for the disk, if there is one: nobody asks for it any more."""
        if self.recording_waits:
            self.recording_waits = False
            if self._pipeline:
                yield self._health(now)

    def use(self, calibration: Calibration, now: Instant) -> Iterator[Item]:
        """From now on the mat is calibrated so: pressure, unit and orientation may be others than before."""
        self.calibration = calibration
        if self.info:
            yield from self._begin(self.info, now)

    def turn(self, orientation: Orientation, now: Instant) -> Iterator[Item]:
        """From now on the mat lies so, whatever it says itself."""
        self._orientation = orientation
        if self.info:
            yield from self._begin(self.info, now)

    def tick(self, now: Instant) -> Iterator[Item]:
        """Time passed: notices missing frames; to be called at least once a second."""
        if self.info is None or self._waiting_since_s is None:
            self._tell_unknown(now)
            return
        limit_s = max(STALE_S, STALE_PERIODS * self._period_s)
        if not self._stale and now.steady_s - self._waiting_since_s > limit_s:
            self._stale = True
            yield from self._event(now, "stale", f"no frame for {limit_s:g} s")
            yield self._health(now)
        elif self._health_s is None or now.steady_s - self._health_s >= HEALTH_EVERY_S:
            yield self._health(now)

    def _tell_unknown(self, now: Instant) -> None:
        """Once: there is no line yet that could tell of a port without a mat."""
        since_s, told = self._unknown_since_s, self._told_unknown
        if since_s is not None and not told and now.steady_s - since_s > STALE_S:
            self._told_unknown = True
            log.warning("%s: the port is open, but no INFO comes from a mat: edge-doctor says why", self.mat)

    def truncated(self, detail: str, now: Instant) -> Iterator[Item]:
        """The recording that is being played ends within a message."""
        yield from self._event(now, "recording_truncated", detail)

    def tell(self, event: Literal["tared", "calibrated"], detail: str, now: Instant) -> Iterator[Item]:
        """What people did to the mat."""
        yield from self._event(now, event, detail)

    def end(self, now: Instant) -> Item:
        return Item(End(ts=now.unix_s, seq=self._seq, mat=self.mat, counts=self._counts()))

    def _begin(self, info: Info, now: Instant) -> Iterator[Item]:
        calibration = self.calibration
        self._calibration_problem = calibration.misfit(info) if calibration else None
        if self._calibration_problem:
            calibration = None
            self.log(logging.WARNING, self._calibration_problem)
        orientation = self._orientation
        if orientation is None and calibration and calibration.orientation:
            orientation = ORIENTATIONS[calibration.orientation]
        before = self._pipeline
        self._pipeline = Pipeline(self._model, info, orientation, calibration=calibration, smoothing=self._smoothing)
        if self._regions is None or not before or not self._pipeline.goes_on_from(before):
            self._regions = Regions(self._pipeline.grid)
        self._waiting_since_s = now.steady_s if self._waiting_since_s is None else self._waiting_since_s
        yield Item(hello(now.unix_s, self._seq, self.mat, self._model, info, self._pipeline))
        yield from self._set_problem(now, self._pipeline.problem)

    def _pose(self, frame: Frame, info: Info, result: Result, now: Instant, watch: Stopwatch | None) -> Item:
        assert self._pipeline
        if watch:
            watch("line")
        text = PoseText(now.unix_s, self.mat, info.boot_id, frame, result, watch.total_ms if watch else None)
        stages_ms = watch.stages_ms if watch else {}
        return PoseItem(text, Picture(result.pressure, self._pipeline.unit, result.raw_joints, stages_ms))

    def _event(self, now: Instant, event: EventName, detail: str, *, logged: bool = True) -> Iterator[Item]:
        if logged:
            self.log(logging.WARNING if event in ALARMING else logging.INFO, detail)
        if self._pipeline:
            yield Item(EventLine(ts=now.unix_s, seq=self._seq, mat=self.mat, event=event, detail=detail))

    def _set_problem(self, now: Instant, problem: str | None) -> Iterator[Item]:
        if problem != self.problem or self._health_s is None:
            if problem and not self._fatal_problem:
                self.log(logging.WARNING, f"pressure only: {problem}")
            self.problem = problem
            yield self._health(now)

    def _health(self, now: Instant) -> Item:
        passed_s = 0.0 if self._health_s is None else now.steady_s - self._health_s
        fps = (self.poses - self._poses_at_health) / passed_s if passed_s else None
        self._health_s, self._poses_at_health = now.steady_s, self.poses
        status: Literal["ok", "pressure_only", "stale"] = "ok"
        reason = self.problem
        if self._stale:
            status, reason = "stale", "no fresh frames"
        elif self.problem:
            status = "pressure_only"
        health = Health(
            ts=now.unix_s,
            seq=self._seq,
            mat=self.mat,
            status=status,
            reason=reason,
            counts=self._counts(),
            fps=fps,
            recording=self.recording,
            recording_waits=self.recording_waits,
            occupied=self.behaviour.occupied,
            posture=self.behaviour.posture,
            turns=self.behaviour.turns,
            unturned_s=self.behaviour.unturned_s(now.steady_s),
            load=self._regions.loads() if self._regions and self.behaviour.occupied else {},
            calibration=self._calibration_problem,
        )
        return Item(health)

    def _counts(self) -> Counts:
        return Counts.of(self.stream, dropped=self.dropped, poses=self.poses, port_losses=self.port_losses)


ALARMING: Final = frozenset({"port_lost", "port_waiting", "reboot", "mat_changed", "stale", "recording_truncated"})
"""Events that the log shows as warnings."""


def _same_mat(a: Info, b: Info) -> bool:
    """Whether both describe the same mat, which may have restarted or changed its rate."""
    return replace(a, boot_id=b.boot_id, frame_rate_mhz=b.frame_rate_mhz) == b


def _in_words(info: Info) -> str:
    return f"{info.rows} x {info.cols} taxels, {info.firmware_name} {info.firmware_version}"
