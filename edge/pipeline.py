"""One frame in, one result out: the only path from counts to keypoints. No IO and no clock."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.calibration.calibrator import Calibrator
from edge.calibration.values import Calibration
from edge.core.library import CORE, Library
from edge.core.steps import CoreSteps
from edge.model import KeypointModel
from edge.preprocess import misfit
from edge.smoothing import Smoother, Smoothing
from edge.steps import NumPySteps, Steps
from edge.units import PressureUnit
from firmware_bridge.decoder import Frame
from firmware_bridge.geometry import Grid, Orientation
from firmware_bridge.messages import Info

Lap = Callable[[str], None]
"""Is told the name of each stage as it ends: what takes the time belongs to a clock, which is somebody else's."""


def no_lap(stage: str) -> None:
    """Nobody measures."""


class Result(NamedTuple):
    """What one frame shows. cm are counted from the top left corner of the canonical frame."""

    pressure: NDArray[np.float32]
    """(rows, cols), canonical, calibrated where the mat is."""
    occupied: bool
    centre_of_pressure_cm: tuple[float, float] | None
    """x, y; None on an empty mat."""
    contact_area_cm2: float
    peak_pressure: float
    """In the frame's unit."""
    joints: NDArray[np.float64] | None = None
    """(14, 3): x_cm, y_cm, confidence, smoothed where that is asked for; None on an empty mat or without a model
    that reads this mat."""
    raw_joints: NDArray[np.float64] | None = None
    """The same before smoothing."""
    keypoints: NDArray[np.float64] | None = None
    """(K, 3): x_norm, y_norm of the mat, confidence; None wherever joints are."""
    posture: str | None = None
    problem: str | None = None
    """Why there are no joints although somebody lies there."""


class Pipeline:
    """For frames of one mat as its INFO describes it.

    `orientation` overrides INFO's. Without a model, or with one that cannot read this mat (`problem` says
    why), results hold pressure only. `calibration` must be this mat's.
    Without `core` NumPy computes what is around the graph.
    """

    def __init__(
        self,
        model: KeypointModel | None,
        mat: Info,
        orientation: Orientation | None = None,
        *,
        calibration: Calibration | None = None,
        smoothing: Smoothing | None = None,
        core: Library | None = CORE,
    ) -> None:
        self.orientation = mat.orientation if orientation is None else orientation
        self.grid = self.orientation.canonical_grid(mat.grid)
        self.problem = misfit(self.grid, model.manifest.grid) if model else "no model is loaded"
        self.unit: PressureUnit = calibration.unit if calibration else "counts"
        self._calibrate = Calibrator(calibration, mat.rows, mat.cols)
        self._smooth = Smoother(smoothing, core) if smoothing else None
        self._occupied = False
        self._reads = self.problem is None
        self._steps = _steps(model if self._reads else None, self.orientation, self.grid, core)

    @property
    def followed(self) -> Calibration | None:
        """The calibration with the zero where it has drifted to."""
        return self._calibrate.followed()

    def goes_on_from(self, before: "Pipeline") -> bool:
        """Whether places and pressures are what they were there, so that what was added up still holds."""
        return (self.grid, self.orientation, self.unit) == (before.grid, before.orientation, before.unit)

    def step(self, frame: Frame, boot_id: int = 0, t_s: float = 0.0, lap: Lap = no_lap) -> Result:
        """`boot_id` tells of reboots, `t_s` is any clock that does not go back: what lasts is judged by it.

        Raises nothing that the model raises: it becomes the result's `problem`.
        """
        pressure, seen = self._steps.see(self._calibrate(frame.counts, self._occupied, t_s))
        self._occupied = seen.occupied
        measures = (pressure, seen.occupied, seen.centre_cm, seen.area_cm2, seen.peak)
        lap("pressure")
        if not (self._reads and seen.occupied):
            self._smoothed(None, frame, boot_id)
            return Result(*measures, problem=self.problem)
        try:
            logits = self._steps.infer()
            lap("inference")
            joints, keypoints, posture = self._steps.find(logits)
        except (RuntimeError, ValueError) as error:
            self._smoothed(None, frame, boot_id)
            return Result(*measures, problem=f"inference failed: {error}")
        return Result(*measures, self._smoothed(joints, frame, boot_id), joints, keypoints, posture)

    def _smoothed(self, joints: NDArray[np.float64] | None, frame: Frame, boot_id: int) -> NDArray[np.float64] | None:
        return self._smooth(joints, frame.t_us, boot_id) if self._smooth else joints


def _steps(model: KeypointModel | None, orientation: Orientation, grid: Grid, core: Library | None) -> Steps:
    if core and model:
        return CoreSteps(core, model, orientation, grid)
    return NumPySteps(model, orientation, grid)
