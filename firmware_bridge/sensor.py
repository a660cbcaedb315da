"""A mat of piezoresistive taxels: pressure in, ADC counts out, with the faults of real mats.

Constants are chosen to look like pmd Experiment I (PhysioNet pmd 1.0.0, Vista Medical FSA): 99th
percentile 300-700 counts, no load within a few counts of 0, faint stripes along loaded rows and columns.
"""

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.geometry import Grid

FULL_SCALE = 4095
COUNTS_PER_KPA = 60.0
"""75 kg give about 70,000 counts in sum over taxels of 2.54 cm, as the maps of pmd do."""
RESPONSE = 1.2
"""Exponent of counts over pressure: counts bunch at the bones as in pmd. COUNTS_PER_KPA holds at BENT_AT_KPA."""
BENT_AT_KPA = 4.0
GAIN_SPREAD = 0.22
"""Standard deviation of ln(gain) from taxel to taxel; lines share a part of it, as in woven mats. In pmd a taxel's
logarithm stands out from its neighbours' by 0.3 on every person alike, and by 0.4 in all."""
HOT_SHARE = 0.03
HOT_GAIN = (1.5, 3.5)
"""A few taxels, or folds above them, show far more: pmd's peaks are five times its 99th percentile."""
LINE_GAIN_SPREAD = 0.06
NEIGHBOUR_CM = 1.0
"""Standard deviation of the blur by the cover and by currents to the neighbours."""
ROW_CROSSTALK, COL_CROSSTALK = 0.03, 0.05
"""Mean share of a line's mean load that each of its taxels shows; varies from line to line."""
OFFSET_COUNTS = -0.5
NOISE_COUNTS = 0.8
FAULTY_SHARE = 0.0007
"""Of the taxels; half are dead (0), half stuck at a value."""


class Sensor:
    """One mat: its gains, crosstalk and faults follow from the seed; its noise goes on from frame to frame."""

    def __init__(self, seed: int, grid: Grid) -> None:
        rng = np.random.default_rng([seed, 0x5E45])
        rows, cols = grid.rows, grid.cols
        spread = rng.normal(0, GAIN_SPREAD, (rows, cols))
        spread += rng.normal(0, LINE_GAIN_SPREAD, (rows, 1)) + rng.normal(0, LINE_GAIN_SPREAD, (1, cols))
        hot = rng.random((rows, cols)) < HOT_SHARE
        self._gain = np.exp(spread) * np.where(hot, rng.uniform(*HOT_GAIN, (rows, cols)), 1.0)
        self._blur_y = blur_matrix(rows, grid.pitch_y_cm, NEIGHBOUR_CM)
        self._blur_x = blur_matrix(cols, grid.pitch_x_cm, NEIGHBOUR_CM)
        self._row_share = rng.gamma(1.5, ROW_CROSSTALK / 1.5, (rows, 1))
        self._col_share = rng.gamma(1.5, COL_CROSSTALK / 1.5, (1, cols))
        self._offset = rng.normal(OFFSET_COUNTS, 1.0, (rows, cols))
        faulty = rng.random((rows, cols)) < FAULTY_SHARE
        stuck_at = np.where(rng.random((rows, cols)) < 0.5, 0, rng.integers(0, 400, (rows, cols)))
        self._faulty, self._stuck_at = faulty, stuck_at.astype(np.uint16)
        self._rng = rng

    def __call__(self, pressure_kpa: NDArray[np.float32]) -> NDArray[np.uint16]:
        """(rows, cols) kPa -> (rows, cols) counts, 0..4095."""
        blurred = self._blur_y @ np.maximum(np.asarray(pressure_kpa, np.float64), 0) @ self._blur_x.T
        loaded = COUNTS_PER_KPA * BENT_AT_KPA * (blurred / BENT_AT_KPA) ** RESPONSE * self._gain
        stripes = self._row_share * loaded.mean(1, keepdims=True) + self._col_share * loaded.mean(0, keepdims=True)
        counts = loaded + stripes + self._offset + self._rng.normal(0, NOISE_COUNTS, loaded.shape)
        sampled = np.clip(np.rint(counts), 0, FULL_SCALE).astype(np.uint16)
        return np.where(self._faulty, self._stuck_at, sampled)


def blur_matrix(n: int, pitch_cm: float, sigma_cm: float) -> NDArray[np.float64]:
    """(n, n) Gaussian blur along one axis that keeps the sum: what would leave the mat stays at its edge."""
    at_cm = np.arange(n) * pitch_cm
    weights = np.exp(-0.5 * ((at_cm[:, None] - at_cm) / sigma_cm) ** 2)
    return np.asarray(weights / weights.sum(0), np.float64)
