"""The numerics of one frame on either side of the graph: from what the mat sends to what the model is fed, and from
what it says to named places on the mat. What lasts longer than a frame is the pipeline's.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.contact import Contact, contact
from edge.model import KeypointModel
from edge.preprocess import Preprocessor
from edge.window import Window
from firmware_bridge.geometry import Grid, Orientation
from firmware_bridge.skeleton import JOINTS


class Points(NamedTuple):
    """Where things are on the mat."""

    joints: NDArray[np.float64]
    """(14, 3): x_cm, y_cm, confidence."""
    keypoints: NDArray[np.float64]
    """(K, 3): x_norm, y_norm of the mat, confidence."""
    posture: str | None


class Steps(Protocol):
    """Of one mat and one model, to be taken in this order for each frame; the last two where somebody lies there."""

    def see(self, values: NDArray[Any]) -> tuple[NDArray[np.float32], Contact]:
        """values (rows, cols) as the mat sends them, counts (uint16) or pressure (float32) -> canonical pressure."""

    def infer(self) -> list[NDArray[np.int8]]:
        """What the graph says of the frame that was seen last: KeypointModel.logits."""

    def find(self, logits: list[NDArray[np.int8]]) -> Points:
        """What that means."""


class NumPySteps:
    """Whatever the machine; what edge.core does is compared with it. Without a model frames are only seen."""

    def __init__(self, model: KeypointModel | None, orientation: Orientation, mat: Grid) -> None:
        """`mat`: canonical."""
        self._orientation, self._mat, self._model = orientation, mat, model
        if model:
            manifest = model.manifest
            self._size_cm = np.array([mat.width_cm, mat.height_cm])
            self._window = Window(mat, manifest.grid)
            self._preprocess = Preprocessor(self._window.grid, manifest.grid, manifest.preprocessing)

    def see(self, values: NDArray[Any]) -> tuple[NDArray[np.float32], Contact]:
        pressure = np.ascontiguousarray(self._orientation.to_canonical(values), np.float32)
        seen = contact(pressure, self._mat)
        if self._model and seen.occupied:
            shown, self._corner_cm = self._window(pressure)
            self._input = self._preprocess(shown)
        return pressure, seen

    def infer(self) -> list[NDArray[np.int8]]:
        assert self._model
        return self._model.logits(self._input)

    def find(self, logits: list[NDArray[np.int8]]) -> Points:
        assert self._model
        points, posture = self._model.read(logits, self._input)
        found = np.empty((len(points.value), 3))
        found[:, :2] = self._preprocess.mat_cm(points.xy_norm) + self._corner_cm
        found[:, 2] = self._model.confidence(points)
        keypoints, joints = found[: -len(JOINTS)], found[-len(JOINTS) :]
        keypoints[:, :2] /= self._size_cm
        return Points(joints, keypoints, posture)
