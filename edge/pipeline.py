"""One frame in, one result out: the only path from counts to keypoints. No IO and no clock."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.contact import contact
from edge.model import KeypointModel
from edge.preprocess import Preprocessor, misfit
from firmware_bridge.decoder import Frame
from firmware_bridge.geometry import Orientation
from firmware_bridge.messages import Info


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What one frame shows. cm are counted from the top left corner of the canonical frame."""

    occupied: bool
    centre_of_pressure_cm: tuple[float, float] | None
    """x, y; None on an empty mat."""
    contact_area_cm2: float
    peak_pressure: float
    """In the frame's unit."""
    joints: NDArray[np.float64] | None = None
    """(14, 3): x_cm, y_cm, confidence; None on an empty mat or without a model that reads this mat."""
    keypoints: NDArray[np.float64] | None = None
    """(K, 3): x_norm, y_norm of the mat, confidence; None wherever joints are."""
    posture: str | None = None
    problem: str | None = None
    """Why there are no joints although somebody lies there."""


class Pipeline:
    """For frames of one mat as its INFO describes it.

    `orientation` overrides INFO's. Without a model, or with one that cannot read this mat (`problem` says
    why), results hold pressure only.
    """

    def __init__(self, model: KeypointModel | None, mat: Info, orientation: Orientation | None = None) -> None:
        self.orientation = mat.orientation if orientation is None else orientation
        self.grid = self.orientation.canonical_grid(mat.grid)
        self.problem = misfit(self.grid, model.manifest.grid) if model else "no model is loaded"
        self._model = None if self.problem else model
        if self._model:
            manifest = self._model.manifest
            self._preprocess = Preprocessor(self.grid, manifest.grid, manifest.preprocessing)

    def step(self, frame: Frame) -> Result:
        """Raises nothing that the model raises: it becomes the result's `problem`."""
        pressure = np.ascontiguousarray(self.orientation.to_canonical(frame.counts), np.float32)
        seen = contact(pressure, self.grid)
        measures = (seen.occupied, seen.centre_cm, seen.area_cm2, seen.peak)
        if self._model is None or not seen.occupied:
            return Result(*measures, problem=self.problem)
        try:
            joints, keypoints, posture = self._points(self._model, pressure)
        except (RuntimeError, ValueError) as error:
            return Result(*measures, problem=f"inference failed: {error}")
        return Result(*measures, joints, keypoints, posture)

    def _points(
        self, model: KeypointModel, pressure: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], str | None]:
        found = model.predict(self._preprocess(pressure))
        keypoint_confidence, joint_confidence = model.confidences(found)
        joints_cm = self._preprocess.mat_cm(found["joints"].xy_norm)
        keypoints_cm = self._preprocess.mat_cm(found["keypoints"].xy_norm)
        keypoints_norm = keypoints_cm / [self.grid.width_cm, self.grid.height_cm]
        return (
            np.column_stack([joints_cm, joint_confidence]),
            np.column_stack([keypoints_norm, keypoint_confidence]),
            model.posture(found),
        )
