"""A mat's zero while people lie on it: what creeps, and what may be followed."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

FLOOR_NOISES: Final = 4.0
"""A taxel that shows less than this many standard deviations of its noise shows nothing."""
IDLE_FLOORS: Final = 3.0
"""Of an empty mat's taxels those below so many floors are followed: of an occupied one's, those below the noise."""
EVERY_S: Final = 0.5
"""How often the zero is looked at."""
LONGEST_STEP_S: Final = 10.0
"""What a pause of the frames counts as at most: one frame says little of the hours before it."""
FOLLOW_S: Final = 300.0
"""Time constant with which an idle taxel's zero is followed."""
CREEP_IN_S, CREEP_OUT_S = 120.0, 1200.0
"""Time constants with which a load is counted as lately carried, and forgotten: slower than the zero follows, so that
what a body leaves behind is learnt before the floor comes down."""
CREEP_SHARE: Final = 0.15
"""Of the load a taxel carried lately, what it may still show without any, as piezoresistive foils do. Person 13 of pmd
after 50 minutes in another posture that leaves 10 % behind: joints off by 2.06 cm without this floor, 1.88 with it, and
the bed is empty at once when it is; where nothing is left behind the floor costs 0.05 cm."""


class Drift:
    """The zero of each taxel and the floor below which it shows nothing. Arrays are (rows, cols), counts.

    A loaded taxel and its neighbours stay as they are, so that a body is never learnt away however long it lies
    still. What is below its zero is followed at any distance: nothing pulls a taxel.
    """

    def __init__(self, baseline: NDArray[np.float32], noise: NDArray[np.float32]) -> None:
        self.zero = baseline.copy()
        self._least_floor = FLOOR_NOISES * noise
        self._creep = np.zeros_like(baseline)
        self._time_s: float | None = None
        self.floor = self._least_floor.copy()

    def follow(self, counts: NDArray[np.float32], occupied: bool, t_s: float) -> None:
        """A frame at `t_s` on a clock that never goes back; most frames change nothing."""
        if self._time_s is None:
            self._time_s = t_s
        passed_s = t_s - self._time_s
        if passed_s < EVERY_S:
            return
        self._time_s = t_s
        passed_s = min(passed_s, LONGEST_STEP_S)
        residual = counts - self.zero
        more = np.maximum(residual, 0) - self._creep
        self._creep += more * np.where(more > 0, _share(passed_s, CREEP_IN_S), _share(passed_s, CREEP_OUT_S))
        self.floor = np.hypot(self._least_floor, CREEP_SHARE * self._creep)
        loaded = residual > (self._least_floor if occupied else IDLE_FLOORS * self.floor)
        self.zero += _share(passed_s, FOLLOW_S) * np.where(_widened(loaded), 0, residual)


def _share(passed_s: float, constant_s: float) -> np.float32:
    return np.float32(-np.expm1(-passed_s / constant_s))


def _widened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """By one taxel in each of the 8 directions."""
    rows = mask.copy()
    rows[1:] |= mask[:-1]
    rows[:-1] |= mask[1:]
    wide = rows.copy()
    wide[:, 1:] |= rows[:, :-1]
    wide[:, :-1] |= rows[:, 1:]
    return wide
