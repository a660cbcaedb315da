"""One frame in, one result out: the only path from counts to keypoints. No IO and no clock."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.calibration.calibrator import Calibrator
from edge.calibration.values import Calibration
from edge.contact import ContactFinder
from edge.core.library import CORE, Library
from edge.model import KeypointModel
from edge.placing import Placing
from edge.preprocess import Preprocessor, misfit
from edge.smoothing import Smoother, Smoothing
from edge.units import PressureUnit
from edge.window import Window
from firmware_bridge.decoder import Frame
from firmware_bridge.geometry import Orientation
from firmware_bridge.messages import Info

Lap = Callable[[str], None]
"""Is told the name of each stage as it ends: what takes the time belongs to a clock, which is somebody else's."""


def no_lap(stage: str) -> None:
    """Nobody measures."""


@dataclass(frozen=True, slots=True, eq=False)
class Result:
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
    `core` computes what it can, the model what its own can.
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
        self._contact = ContactFinder(self.grid, core)
        self.problem = misfit(self.grid, model.manifest.grid) if model else "no model is loaded"
        self.unit: PressureUnit = calibration.unit if calibration else "counts"
        self._calibrate = Calibrator(calibration, mat.rows, mat.cols)
        self._smooth = Smoother(smoothing, core) if smoothing else None
        self._occupied = False
        self._model = None if self.problem else model
        if self._model:
            manifest = self._model.manifest
            self._window = Window(self.grid, manifest.grid, core)
            self._preprocess = Preprocessor(self._window.grid, manifest.grid, manifest.preprocessing, core)
            self._place = Placing(self._model, self._preprocess, self.grid, core)

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
        counts = self._calibrate(frame.counts, self._occupied, t_s)
        pressure = np.ascontiguousarray(self.orientation.to_canonical(counts), np.float32)
        seen = self._contact(pressure)
        self._occupied = seen.occupied
        measures = (pressure, seen.occupied, seen.centre_cm, seen.area_cm2, seen.peak)
        lap("pressure")
        if self._model is None or not seen.occupied:
            self._smoothed(None, frame, boot_id)
            return Result(*measures, problem=self.problem)
        try:
            joints, keypoints, posture = self._points(self._model, pressure, lap)
        except (RuntimeError, ValueError) as error:
            self._smoothed(None, frame, boot_id)
            return Result(*measures, problem=f"inference failed: {error}")
        return Result(*measures, self._smoothed(joints, frame, boot_id), joints, keypoints, posture)

    def _smoothed(self, joints: NDArray[np.float64] | None, frame: Frame, boot_id: int) -> NDArray[np.float64] | None:
        return self._smooth(joints, frame.t_us, boot_id) if self._smooth else joints

    def _points(
        self, model: KeypointModel, pressure: NDArray[np.float32], lap: Lap
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], str | None]:
        shown, corner_cm = self._window(pressure)
        model_input = self._preprocess(shown)
        lap("prepare")
        logits = model.logits(model_input)
        lap("inference")
        points, posture = model.read(logits, model_input)
        keypoints, joints = self._place(points, corner_cm)
        return joints, keypoints, posture
