"""What a tared mat's counts are worth, from a load that is known."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.calibration.calibrator import Calibrator
from edge.calibration.collector import Collector, Refused
from edge.calibration.values import Calibration, PowerLaw
from firmware_bridge.geometry import Grid

GRAVITY: Final = 9.81
LARGEST_GAIN: Final = 5.0
"""A taxel that shows less than a fifth of the others' load shows too little to be enlarged."""
COVERED_SHARE: Final = 0.95
"""Of the taxels show more than that under an even load: at least 0.999 in simulation, where it leaves three rows out
0.953; a body at most 0.35."""
LIGHTEST_NOISES, LIGHTEST_COUNTS = 15.0, 20.0
"""An even load that shows with less is blurred by the noise and its floor, or by rounding to whole counts."""
MOVED_SHARE: Final = 0.1
"""Of the load, which left its taxels from the first half of the frames to the second: simulated sleepers who breathe
at most 0.055, those who turn about 0.2 and more."""


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


def worth(calibration: Calibration) -> str:
    """What a count is worth, in words."""
    if calibration.curve:
        return f"{calibration.curve.counts_per_kpa:.1f} counts are 1 kPa"
    low, high = np.percentile(1.0 if calibration.gain is None else calibration.gain, (5, 95))
    return f"9 of 10 gains are {low:.2f} to {high:.2f}, and pressure is in counts until somebody is weighed"


class KnownLoad(Collector):
    """Is fed frames of a tared mat on which an even load lies, or somebody who weighs `mass_kg`; then `result`.

    Gains change what a count is worth, so that a curve from before them is dropped.
    """

    def __init__(self, calibration: Calibration, grid: Grid, mass_kg: float | None = None) -> None:
        super().__init__()
        self._calibration = calibration.model_copy(update={"curve": None})
        self._grid, self._mass_kg = grid, mass_kg

    def result(self) -> Calibration | Refused:
        if refused := self._too_few("calibration"):
            return refused
        frames = self._stack()
        n = len(frames)
        first, second = self._pressure(frames[: n // 2]), self._pressure(frames[n // 2 :])
        pressure = self._pressure(frames)
        if reason := self._uneven(pressure) if self._mass_kg is None else self._no_body():
            return Refused(reason)
        seen = float((first + second).sum())
        moved = float(np.abs(first - second).sum()) / seen if seen else 1.0
        if moved > MOVED_SHARE:
            return Refused(f"{100 * moved:.0f} % of the load moves: keep it still, and calibrate again")
        if self._mass_kg is None:
            return with_even_load(self._calibration, pressure)
        return with_weight(self._calibration, pressure, self._grid, self._mass_kg)

    def _pressure(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """(frames, rows, cols) as sent -> (rows, cols) counts, median of them."""
        calibrate = Calibrator(self._calibration, self._calibration.rows, self._calibration.cols)
        return calibrate(np.median(frames, 0), occupied_before=True, t_s=0.0)

    def _no_body(self) -> str | None:
        if self._occupied == len(self._frames):
            return None
        missing = len(self._frames) - self._occupied
        return f"nobody lies on the mat in {missing} of {len(self._frames)} frames: lie on it wholly, and still"

    def _uneven(self, pressure: NDArray[np.float32]) -> str | None:
        healthy = ~self._calibration.faulty
        high = float(np.percentile(pressure[healthy], 90))
        least = max(LIGHTEST_COUNTS, LIGHTEST_NOISES * float(np.median(self._calibration.noise_counts)))
        if high < least:
            return f"the mat shows {high:.0f} counts, an even load needs {least:.0f}: lay more on it"
        covered = float((pressure[healthy] > high / LARGEST_GAIN).mean())
        if covered < COVERED_SHARE:
            return f"the load covers {100 * covered:.0f} % of the mat: lay an even one on all of it"
        return None
