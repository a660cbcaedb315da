"""Pressure frame -> what the model is fed: unit-free, on the model's grid.

No load, a middle load and full load, all three ranks of the frame itself, become 0, a constant and 1; a power lies
between them. So neither a mat's gain, offset and unit nor the exponent of its sensors' curve matter.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.manifest import Preprocessing
from firmware_bridge.geometry import Grid

SMALLEST_HEIGHT, SMALLEST_WIDTH, COARSEST_PITCH = 0.7, 0.6, 2.2
"""Of the model's height, width and pitch: beyond these a mat cannot show the body that the model knows."""
SQUARE_ROOT = 0.5
EXPONENTS = (0.25, 1.0)
"""Least and largest. Bodies have 0.34 to 0.72 on pmd Experiment I, 0.41 to 0.92 on Experiment II."""


def misfit(mat: Grid, model: Grid) -> str | None:
    """Why the model cannot read this mat (both canonical), or None when it can."""
    if mat.height_cm < SMALLEST_HEIGHT * model.height_cm or mat.width_cm < SMALLEST_WIDTH * model.width_cm:
        return (
            f"the mat is {mat.width_cm:.0f} x {mat.height_cm:.0f} cm, the model needs at least "
            f"{SMALLEST_WIDTH * model.width_cm:.0f} x {SMALLEST_HEIGHT * model.height_cm:.0f} cm"
        )
    if mat.pitch_x_cm > COARSEST_PITCH * model.pitch_x_cm or mat.pitch_y_cm > COARSEST_PITCH * model.pitch_y_cm:
        return (
            f"the mat's pitch is {mat.pitch_x_cm:.2f} x {mat.pitch_y_cm:.2f} cm, the model reads up to "
            f"{COARSEST_PITCH * model.pitch_x_cm:.2f} x {COARSEST_PITCH * model.pitch_y_cm:.2f} cm"
        )
    return None


class Preprocessor:
    """Turns canonical frames of one mat into the model's input.

    The mat and the model's grid share their centre; where the model's grid reaches beyond the mat there is
    no pressure.
    """

    def __init__(self, mat: Grid, model: Grid, constants: Preprocessing) -> None:
        self.mat, self.model, self.constants = mat, model, constants
        self.weights = None if mat == model else _weights(mat, model)
        """(model rows, mat rows) and (model cols, mat cols) of the resampling; None where both grids are the same."""
        self._size_cm = np.array([model.width_cm, model.height_cm])
        self._margin_cm = (self._size_cm - [mat.width_cm, mat.height_cm]) / 2

    def __call__(self, frames: NDArray[Any]) -> NDArray[np.float32]:
        """(..., mat rows, mat cols) in any unit -> (..., model rows, model cols) in 0..1, float32."""
        frames = np.asarray(frames, np.float32)
        flat = frames.reshape(*frames.shape[:-2], -1)
        ordered = np.sort(flat)  # NumPy has it vectorised: faster than np.partition
        baseline = _rank(ordered, self.constants.baseline_percent)
        scale = _rank(ordered, self.constants.scale_percent) - baseline
        scale[scale <= 0] = np.inf  # a flat frame shows nothing
        exponent = self._exponent(ordered, baseline, scale)[..., None]
        scale = scale[..., None]
        pressure = frames - baseline[..., None]
        np.maximum(pressure, 0, out=pressure)
        if self.weights:
            rows, cols = self.weights
            pressure = np.asarray(rows @ pressure @ cols.T, np.float32)
        pressure /= scale
        np.minimum(pressure, 1, out=pressure)
        with np.errstate(divide="ignore"):  # the logarithm of no pressure is -inf, whose exponential is 0 again
            np.log(pressure, out=pressure)
        pressure *= exponent
        return np.exp(pressure, out=pressure)  # vectorised, as np.power is not

    def _exponent(
        self, ordered: NDArray[np.float32], baseline: NDArray[np.float32], scale: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """What takes the middle load to its constant: sorted frames (..., n) -> (..., 1)."""
        if not self.constants.middle_percent:
            return np.full_like(baseline, SQUARE_ROOT)
        frames = ordered.reshape(-1, ordered.shape[-1])
        middle = map(self._middle_share, frames, baseline.ravel().tolist(), scale.ravel().tolist())
        exponents = [math.log(self.constants.middle) / math.log(min(max(share, 1e-3), 0.999)) for share in middle]
        least, largest = EXPONENTS
        bounded = [min(max(exponent, least), largest) for exponent in exponents]
        return np.array(bounded, np.float32).reshape(baseline.shape)

    def _middle_share(self, ordered: NDArray[np.float32], baseline: float, scale: float) -> float:
        """The middle load of one sorted frame, as a share of full load; on one frame Python is faster than NumPy."""
        threshold = np.float32(baseline + self.constants.loaded_percent / 100 * scale)
        loaded = len(ordered) - int(ordered.searchsorted(threshold, "right"))
        above = loaded - loaded * self.constants.middle_percent // 100
        return (float(ordered[-max(above, 1)]) - baseline) / scale

    def mat_cm(self, xy_norm: NDArray[np.floating]) -> NDArray[np.float64]:
        """Model coordinates (..., 2) in 0..1 -> cm from the mat's top left corner."""
        return np.asarray(xy_norm * self._size_cm - self._margin_cm, np.float64)

    def model_norm(self, xy_cm: NDArray[np.floating]) -> NDArray[np.float64]:
        """The inverse of `mat_cm`."""
        return np.asarray((xy_cm + self._margin_cm) / self._size_cm, np.float64)


def rank_values(flat: NDArray[np.float32], *percents: int) -> list[NDArray[np.float32]]:
    """The values of those ranks along the last axis, without interpolation: (..., n) -> (..., 1) for each."""
    ordered = np.sort(flat)  # NumPy has it vectorised: faster than np.partition
    return [_rank(ordered, percent) for percent in percents]


def _rank(ordered: NDArray[np.float32], percent: int) -> NDArray[np.float32]:
    rank = (ordered.shape[-1] - 1) * percent // 100
    return ordered[..., rank : rank + 1]


def _weights(mat: Grid, model: Grid) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return (
        _resampling(mat.rows, mat.pitch_y_cm, model.rows, model.pitch_y_cm),
        _resampling(mat.cols, mat.pitch_x_cm, model.cols, model.pitch_x_cm),
    )


def _resampling(n_from: int, pitch_from_cm: float, n_to: int, pitch_to_cm: float) -> NDArray[np.float32]:
    """(n_to, n_from) weights of a triangle as wide as the coarser pitch, both grids centred on one another."""
    reach = 1 + int(np.ceil(n_to * pitch_to_cm / pitch_from_cm))
    from_cm = (np.arange(-reach, n_from + reach) + 0.5 - n_from / 2) * pitch_from_cm
    to_cm = (np.arange(n_to) + 0.5 - n_to / 2) * pitch_to_cm
    width_cm = max(pitch_from_cm, pitch_to_cm)
    weights = np.maximum(0, 1 - np.abs(to_cm[:, None] - from_cm) / width_cm)
    weights /= weights.sum(1, keepdims=True)
    return weights[:, reach : reach + n_from].astype(np.float32)
