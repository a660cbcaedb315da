"""Counts as the mat sends them -> pressure without baseline, noise, faults and uneven gains."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.calibration.drift import Drift
from edge.calibration.values import Calibration
from edge.units import PressureUnit

NEIGHBOURS: Final = 8
"""Healthy taxels from which a faulty one is interpolated: of a dead line three on either side, and the next two."""


class Calibrator:
    """For frames of one mat. Without a calibration they stay as they are."""

    def __init__(self, calibration: Calibration | None, rows: int, cols: int) -> None:
        """Raises ValueError for a calibration of another grid (Calibration.misfit tells beforehand)."""
        self._calibration = calibration
        self.unit: PressureUnit = calibration.unit if calibration else "counts"
        if calibration is None:
            return
        if (calibration.rows, calibration.cols) != (rows, cols):
            raise ValueError(f"a calibration of {calibration.rows} x {calibration.cols} for {rows} x {cols} taxels")
        baseline, noise = (np.array(v, np.float32) for v in (calibration.baseline_counts, calibration.noise_counts))
        self._drift = Drift(baseline, noise)
        self._gain = None if calibration.gain is None else np.array(calibration.gain, np.float32)
        self._faulty = np.flatnonzero(calibration.faulty)
        self._from, self._weights = _interpolation(calibration.faulty)

    def __call__(self, counts: NDArray[Any], occupied_before: bool, t_s: float) -> NDArray[Any]:
        """counts (rows, cols), of a mat that was occupied one frame earlier or not -> pressure in `unit`, float32.

        `t_s` is on a clock that never goes back. Below a taxel's noise floor f it shows 0, above it x - f^2 / x:
        without a jump, and without taking from a load.
        """
        if self._calibration is None:
            return counts
        frame = np.array(counts, np.float32, order="C")
        frame.ravel()[self._faulty] = self._drift.zero.ravel()[self._faulty]
        self._drift.follow(frame, occupied_before, t_s)
        floor = self._drift.floor
        above = np.maximum(frame - self._drift.zero, floor)
        pressure = (above - floor) * (above + floor) / above
        if self._gain is not None:
            pressure *= self._gain
        if len(self._faulty):
            flat = pressure.ravel()
            flat[self._faulty] = (flat[self._from] * self._weights).sum(1)
        return self._calibration.curve(pressure) if self._calibration.curve else pressure

    def followed(self) -> Calibration | None:
        """The calibration with the zero where it is now: what a later run should begin with."""
        if self._calibration is None:
            return None
        zero = np.round(self._drift.zero.astype(float), 2).tolist()
        return self._calibration.model_copy(update={"baseline_counts": zero})


def _interpolation(faulty: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """For each of the F faulty taxels the flat indices of its nearest healthy ones (F, n) and their weights (F, n)."""
    healthy, at = np.argwhere(~faulty), np.argwhere(faulty)
    n = min(NEIGHBOURS, len(healthy))
    squared = np.empty((len(at), n))
    index = np.empty((len(at), n), np.intp)
    for i, place in enumerate(at):
        distances = ((healthy - place) ** 2).sum(1)
        nearest = np.argsort(distances, kind="stable")[:n]
        squared[i] = distances[nearest]
        index[i] = healthy[nearest] @ [faulty.shape[1], 1]
    weights = 1 / squared
    return index, np.asarray(weights / weights.sum(1, keepdims=True), np.float32)
