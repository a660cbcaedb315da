"""What a tared mat's counts are worth, from a load that is known."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.calibration.values import Calibration, PowerLaw
from firmware_bridge.geometry import Grid

GRAVITY: Final = 9.81
LARGEST_GAIN: Final = 5.0
"""A taxel that shows less than a fifth of the others' load shows too little to be enlarged."""


def with_even_load(calibration: Calibration, pressure: NDArray[np.float32]) -> Calibration:
    """Gains from an even load on the whole mat, such as a bag of water: the mean of some calibrated frames of it.

    `pressure` (rows, cols) in counts, by a calibration without curve. Raises ValueError where nothing lies there.
    """
    typical = float(np.median(pressure[~calibration.faulty]))
    if calibration.curve or typical <= 0:
        raise ValueError("an even load on most of the mat is needed, in counts")
    shown = pressure / (1 if calibration.gain is None else np.array(calibration.gain))
    gain = np.clip(typical / np.maximum(shown, 1e-9), 1 / LARGEST_GAIN, LARGEST_GAIN)
    return calibration.model_copy(update={"gain": np.round(gain.astype(float), 4).tolist()})


def with_weight(calibration: Calibration, pressure: NDArray[np.float32], grid: Grid, mass_kg: float) -> Calibration:
    """The curve, as a straight line, from somebody of known weight who lies wholly on the mat.

    `pressure` (rows, cols) in counts, by a calibration without curve. Raises ValueError where nothing lies there.
    """
    taxel_m2 = grid.pitch_x_cm * grid.pitch_y_cm / 1e4
    sum_kpa = mass_kg * GRAVITY / taxel_m2 / 1000
    if calibration.curve or not (pressure.sum() > 0 and sum_kpa > 0):
        raise ValueError("a known weight on the mat is needed, in counts")
    return calibration.model_copy(update={"curve": PowerLaw(counts_per_kpa=float(pressure.sum()) / sum_kpa)})
