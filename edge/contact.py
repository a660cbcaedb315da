"""Whether somebody lies on the mat, where their weight is and how much of the mat it touches.

All of it is unit-free: nothing here knows what a count is worth, so a mat needs no calibration and a frame
times any factor gives the same answer. The price: a drift that slopes smoothly over an empty mat looks like a
body; a tare takes it away.
"""

import math
from functools import cache
from typing import NamedTuple

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


class Contact(NamedTuple):
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
    baseline, full, largest = rank_values(frame.ravel(), BASELINE_PERCENT, SCALE_PERCENT, 100)
    peak = float(largest[0])
    scale = full - baseline
    if scale <= 0:
        return Contact(False, 0.0, None, peak)
    load = ((frame - baseline) / scale).clip(0, 1)
    touched = load > CONTACT_SHARE
    area_cm2 = np.count_nonzero(touched) * grid.pitch_x_cm * grid.pitch_y_cm
    if area_cm2 < SMALLEST_BODY_CM2 or coherence(load) < SMALLEST_COHERENCE:
        return Contact(False, 0.0, None, peak)
    load *= touched
    of_rows, of_cols = _line_sums(load)
    total = of_cols.sum()
    x_cm = float(of_cols.dot(_middles(grid.cols)) / total) * grid.pitch_x_cm
    y_cm = float(of_rows.dot(_middles(grid.rows)) / total) * grid.pitch_y_cm
    return Contact(True, area_cm2, (x_cm, y_cm), peak)


def coherence(load: NDArray[np.float32]) -> float:
    """Correlation of neighbouring taxels, the smaller of along columns and along rows: stripes do not count."""
    rows, cols = load.shape
    flat = load.ravel()
    along_cols = float(np.vdot(load[1:], load[:-1]))
    along_rows = float(np.vdot(flat[1:], flat[:-1]) - np.vdot(load[1:, 0], load[:-1, -1]))  # no row meets the next
    of_rows, of_cols = _line_sums(load)
    squares_of_rows, squares_of_cols = _line_sums(load * load)
    return min(
        _correlation(of_rows, squares_of_rows, along_cols, cols),
        _correlation(of_cols, squares_of_cols, along_rows, rows),
    )


def _correlation(sums: NDArray[np.float32], squares: NDArray[np.float32], products: float, width: int) -> float:
    """Of each value with the one that is as far along the next line; of L lines with `width` values each the sums (L,)
    and sums of squares (L,), and the sum of all products."""
    n = (len(sums) - 1) * width
    if n == 0:
        return 0.0
    of_line, squares_of_line = sums.tolist(), squares.tolist()
    total, total_squares = sum(of_line), sum(squares_of_line)
    a, b = total - of_line[0], total - of_line[-1]
    spreads = (total_squares - squares_of_line[0] - a * a / n) * (total_squares - squares_of_line[-1] - b * b / n)
    return (products - a * b / n) / math.sqrt(spreads) if spreads > 0 else 0.0


def _line_sums(load: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(rows, cols) -> (rows,), (cols,); as products, which BLAS is faster at than np.sum."""
    rows, cols = load.shape
    return load.dot(_ones(cols)), _ones(rows).dot(load)


@cache
def _ones(n: int) -> NDArray[np.float32]:
    return np.ones(n, np.float32)


@cache
def _middles(n: int) -> NDArray[np.floating]:
    """Of n taxels in a line."""
    return np.arange(n) + 0.5
