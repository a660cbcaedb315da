"""`<base>/<mat>/state`: what a mat's lines come to, and when that is worth saying again."""

import math
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict

from edge.messages import Health, Line, Pose
from edge.rounding import rounded

COP_DEADBAND_CM: Final = 2.0
AREA_DEADBAND_CM2: Final = 50.0
PEAK_DEADBAND_SHARE: Final = 0.1
"""Of the larger of two peaks, whatever their unit."""
FPS_DEADBAND: Final = 1.0
FASTEST_S: Final = 1.0
"""Between two states that differ in numbers only: somebody who moves does so in every frame."""


Tenths = Annotated[float, rounded(1)]


class MatState(BaseModel):
    """cm from the top left corner of the canonical mat; `peak_pressure` in the unit of hello.

    `occupied`, `posture` and `turns` as they settled (see Health), the other numbers as of the latest frame.
    """

    model_config = ConfigDict(frozen=True)

    ts: Annotated[float, rounded(3)]
    occupied: bool
    posture: str | None
    cop_cm: tuple[Tenths, Tenths] | None
    contact_area_cm2: Tenths
    peak_pressure: Tenths
    turns: int
    fps: Tenths | None
    lost: int
    corrupt: int
    recording: bool


class StateOfMat:
    """Gathers the lines of one mat."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._pose: Pose | None = None
        self._health: Health | None = None
        self._said: MatState | None = None
        self._said_s = -math.inf

    def take(self, line: Line, now_s: float) -> MatState | None:
        """The state where it is due: at once when somebody comes, goes or turns, or a recording begins or ends."""
        match line:
            case Pose():
                self._pose = line
            case Health():
                self._health = line
        if self._pose is None or self._health is None:
            return None
        state = _state(self._pose, self._health, line.ts)
        if not self._due(state, now_s - self._said_s):
            return None
        self._said, self._said_s = state, now_s
        return state

    def _due(self, state: MatState, since_s: float) -> bool:
        said = self._said
        if said is None or since_s >= self._every_s:
            return True
        return _facts(state) != _facts(said) or (since_s >= FASTEST_S and numbers_differ(state, said))


def _state(pose: Pose, health: Health, ts: float) -> MatState:
    return MatState(
        ts=ts,
        occupied=health.occupied,
        posture=health.posture,
        cop_cm=pose.cop_cm,
        contact_area_cm2=pose.contact_area_cm2,
        peak_pressure=pose.peak_pressure,
        turns=health.turns,
        fps=health.fps,
        lost=health.counts.lost,
        corrupt=health.counts.corrupt,
        recording=health.recording,
    )


def _facts(state: MatState) -> tuple[bool, str | None, int, bool]:
    return state.occupied, state.posture, state.turns, state.recording


def numbers_differ(a: MatState, b: MatState) -> bool:
    """Whether counts differ at all, or another number by more than its deadband.

    The peak counts where somebody lies: that of an empty mat is noise, whose share has no bound.
    """
    if (a.lost, a.corrupt) != (b.lost, b.corrupt):
        return True
    if (a.cop_cm is None) != (b.cop_cm is None) or (a.fps is None) != (b.fps is None):
        return True
    if a.fps is not None and b.fps is not None and abs(a.fps - b.fps) > FPS_DEADBAND:
        return True
    if a.cop_cm is None or b.cop_cm is None:
        return False
    return (
        math.dist(a.cop_cm, b.cop_cm) > COP_DEADBAND_CM
        or abs(a.contact_area_cm2 - b.contact_area_cm2) > AREA_DEADBAND_CM2
        or abs(a.peak_pressure - b.peak_pressure) > PEAK_DEADBAND_SHARE * max(a.peak_pressure, b.peak_pressure)
    )
