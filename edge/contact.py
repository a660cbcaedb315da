"""Whether somebody lies on the mat, where their weight is and how much of the mat it touches.

All of it is unit-free: nothing here knows what a count is worth, so a mat needs no calibration and a frame
times any factor gives the same answer. The price: a drift that slopes smoothly over an empty mat looks like a
body; a tare takes it away.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.preprocess import rank_values
from firmware_bridge.geometry import Grid

BASELINE_PERCENT, SCALE_PERCENT = 25, 95
"""Ranks of the frame that count as no load and as full load; what is above full load is clipped, so that spikes
and stuck taxels have no more say than others as long as they are fewer than one in twenty."""
CONTACT_SHARE = 0.1
"""Of full load, from which on a taxel is touched."""
SMALLEST_COHERENCE = 0.55
"""Noise and stuck taxels have 0 +- 0.08, stripes along rows and columns at most 0.53. Bodies: pmd Experiment I at
least 0.78 (0.66 at twice the pitch), Experiment II 0.67, simulated people 0.80."""
SMALLEST_BODY_CM2 = 1600.0
"""Contact of a body: pmd Experiment I at least 2890 cm2, Experiment II 2840, simulated people 2260. What lies on
the mats of Experiment I before somebody does: at most 1370 cm2, and 1920 and 2240 where legs lie on them already."""


@dataclass(frozen=True, slots=True)
class Contact:
    """What the pressure alone says; x and y in cm from the canonical frame's top left corner."""

    occupied: bool
    area_cm2: float
    """0 on an empty mat."""
    centre_cm: tuple[float, float] | None
    """Centre of pressure; None on an empty mat."""
    peak: float
    """Largest value of the frame, in its own unit."""


def contact(frame: NDArray[np.float32], grid: Grid) -> Contact:
    """frame (rows, cols), canonical, any unit."""
    peak = float(frame.max())
    baseline, full = rank_values(frame.ravel(), BASELINE_PERCENT, SCALE_PERCENT)
    scale = full - baseline
    if scale <= 0:
        return Contact(False, 0.0, None, peak)
    load = ((frame - baseline) / scale).clip(0, 1)
    touched = load > CONTACT_SHARE
    area_cm2 = np.count_nonzero(touched) * grid.pitch_x_cm * grid.pitch_y_cm
    if area_cm2 < SMALLEST_BODY_CM2 or coherence(load) < SMALLEST_COHERENCE:
        return Contact(False, 0.0, None, peak)
    load *= touched
    total = load.sum()
    x_cm = float(load.sum(0) @ (np.arange(grid.cols) + 0.5) / total) * grid.pitch_x_cm
    y_cm = float(load.sum(1) @ (np.arange(grid.rows) + 0.5) / total) * grid.pitch_y_cm
    return Contact(True, area_cm2, (x_cm, y_cm), peak)


def coherence(load: NDArray[np.float32]) -> float:
    """Correlation of neighbouring taxels, the smaller of along columns and along rows: stripes do not count."""
    return min(_correlation(load[1:], load[:-1]), _correlation(load[:, 1:], load[:, :-1]))


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    if not a.size:
        return 0.0
    a, b = a - a.sum() / a.size, b - b.sum() / b.size
    norm = math.sqrt(np.vdot(a, a) * np.vdot(b, b))
    return float(np.vdot(a, b)) / norm if norm else 0.0
