"""Dead and stuck taxels of a mat in use: what an empty mat cannot show."""

from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edge.calibration.values import Calibration, Fault, faults_of

WINDOW_S: Final = 300.0
"""Of time with somebody on the mat, over which a taxel's lowest and highest counts are kept."""
WINDOWS: Final = 3
"""In so many windows a taxel must look faulty before it shows a load in any."""
STILL_NOISES: Final = 12.0
"""Noise alone makes the highest and the lowest of thousands of frames 9 standard deviations apart."""
STILL_SHARE: Final = 0.03
"""Of its neighbours' swing: so much a dead taxel may show of them."""
LIVELY_NOISES: Final = 60.0
REACH: Final = 2
"""A taxel is compared with those up to so many rows and columns away: across two dead lines, side by side."""
LIVELY_SHARE: Final = 0.7
"""Of these, dead lines left out, so many must be lively; fewer are the rim of a body."""
LEAST_LIVELY: Final = 8
"""Taxels in each of the nearest lines on either side, before the up to REACH lines between them count as dead.
An outermost line has one side only, and many a body never reaches it: it is not judged."""


class FaultFinder:
    """Is fed raw frames of a tared mat in use; `faults` is what it is sure of. Arrays are (rows, cols), counts."""

    def __init__(self, calibration: Calibration) -> None:
        self._zero = np.array(calibration.baseline_counts, np.float32)
        self._noise = np.array(calibration.noise_counts, np.float32)
        self._sick = np.zeros(self._zero.shape, int)
        self._level = self._zero
        self._lowest: NDArray[Any] | None = None
        self._highest: NDArray[Any] | None = None
        self._lasted_s = 0.0
        self._before_s: float | None = None

    @property
    def faults(self) -> list[Fault]:
        """A dead line is all of its taxels (edge.calibration.values.in_words tells people of it)."""
        sure = self._sick >= WINDOWS
        stuck = np.abs(self._level - self._zero) > LIVELY_NOISES * self._noise
        return faults_of(sure & ~stuck, "dead") + faults_of(sure & stuck, "stuck")

    def feed(self, counts: NDArray[Any], occupied: bool, t_s: float) -> bool:
        """Whether `faults` may have changed: at the end of each window."""
        passed_s = 0.0 if self._before_s is None else min(max(0.0, t_s - self._before_s), 1.0)
        self._before_s = t_s
        if not occupied:
            return False
        if self._lowest is None or self._highest is None:
            self._lowest, self._highest = counts.copy(), counts.copy()
        np.minimum(self._lowest, counts, out=self._lowest)
        np.maximum(self._highest, counts, out=self._highest)
        self._lasted_s += passed_s
        if self._lasted_s < WINDOW_S:
            return False
        self._judge(self._lowest.astype(np.float32), self._highest.astype(np.float32))
        self._lowest = self._highest = None
        self._lasted_s = 0.0
        return True

    def _judge(self, lowest: NDArray[np.float32], highest: NDArray[np.float32]) -> None:
        swing = highest - lowest
        lively = swing > LIVELY_NOISES * self._noise
        around = _around(np.ones_like(swing))
        still = swing <= np.maximum(STILL_NOISES * self._noise, STILL_SHARE * _around(swing) / around)
        lines = _dead_lines(still, lively)[:, None] | _dead_lines(still.T, lively.T)
        others = _around(np.where(lines, 0, 1).astype(np.float32))
        surrounded = _around(np.where(lines, 0, lively).astype(np.float32)) >= LIVELY_SHARE * np.maximum(others, 1)
        self._sick = np.where(still, self._sick + (lines | surrounded), 0)
        self._level = lowest


def _around(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum of each taxel's neighbours up to REACH away, without itself."""
    side = 2 * REACH + 1
    return np.asarray(sliding_window_view(np.pad(values, REACH), (side, side)).sum((2, 3)) - values)


def _dead_lines(still: NDArray[np.bool_], lively: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(rows,): silent rows between busy ones."""
    silent, busy = np.asarray(still.all(1)), np.asarray(lively.sum(1) >= LEAST_LIVELY)
    dead = np.zeros(len(silent), np.bool_)
    for first in np.flatnonzero(silent[1:] & ~silent[:-1]) + 1:
        alive = np.flatnonzero(~silent[first:])
        if len(alive) and alive[0] <= REACH and busy[first - 1] and busy[first + alive[0]]:
            dead[first : first + alive[0]] = True
    return dead
