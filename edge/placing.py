"""Points of the model's grid -> where they are on the mat, and how sure that is."""

import numpy as np
from numpy.typing import NDArray

from edge.core.calls import PlaceCall
from edge.core.library import CORE, Library
from edge.keypoints import Keypoints
from edge.model import KeypointModel
from edge.preprocess import Preprocessor
from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import JOINTS


class Placing:
    """For what `model` reads of a mat through `preprocess`; without `core` NumPy computes it."""

    def __init__(self, model: KeypointModel, preprocess: Preprocessor, mat: Grid, core: Library | None = CORE) -> None:
        self._model, self._preprocess = model, preprocess
        self._size_cm = np.array([mat.width_cm, mat.height_cm])
        grid = model.manifest.grid
        model_cm, margin_cm = np.array([grid.width_cm, grid.height_cm]), -preprocess.mat_cm(np.zeros(2))
        self._call = PlaceCall(core, model_cm, margin_cm, self._size_cm, model.half_cm) if core else None

    def __call__(
        self, points: Keypoints, corner_cm: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """K + 14 points, and where on the mat begins what the model was shown -> keypoints (K, 3): x_norm, y_norm of
        the mat, confidence; joints (14, 3): x_cm, y_cm, confidence."""
        if self._call:
            found = self._call(points.xy_norm, points.spread_cm, corner_cm)
            return found[: -len(JOINTS)], found[-len(JOINTS) :]
        found = np.empty((len(points.value), 3))
        found[:, :2] = self._preprocess.mat_cm(points.xy_norm) + corner_cm
        found[:, 2] = self._model.confidence(points)
        keypoints, joints = found[: -len(JOINTS)], found[-len(JOINTS) :]
        keypoints[:, :2] /= self._size_cm
        return keypoints, joints
