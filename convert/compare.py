"""One model computed in several ways over the same maps: how far the points lie apart, in centimetres."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.keypoints import Keypoints
from edge.manifest import JointMap
from edge.model import KeypointModel
from edge.preprocess import Preprocessor
from edge.score import Score, joint_errors_cm
from firmware_bridge.skeleton import JOINTS
from train.linear import features
from train.maps import Maps
from train.predict import FloatModel


@dataclass(frozen=True)
class Stage:
    """What one way of computing the model finds on N maps, in cm from the mat's top left corner."""

    joints_cm: NDArray[np.float64]
    """(N, 14, 2)."""
    keypoints_cm: NDArray[np.float64]
    """(N, K, 2)."""
    mapped_cm: NDArray[np.float64] | None
    """(N, 14, 2): joints by the joint map; None where there is no map."""


class Bench:
    """One median map a group of `maps`, ready to be put through every stage."""

    def __init__(self, maps: Maps, preprocessor: Preprocessor) -> None:
        self.maps = maps.medians()
        self.preprocessor = preprocessor
        self.inputs = preprocessor(self.maps.pressure)

    def float_stage(self, model: FloatModel, joint_map: JointMap | None, *, has_joints: bool) -> Stage:
        """PyTorch. `has_joints`: whether the deployed graph has an output `joints`, or the map stands in for it."""
        found = model.predict(self.inputs)
        return self._stage(found["keypoints"], found["joints"] if has_joints else None, joint_map)

    def int8_stage(self, model: KeypointModel, joint_map: JointMap | None) -> Stage:
        """The edge's own path, on whatever kernels `model` was given."""
        found = [model.predict(x) for x in self.inputs]
        return self._stage([f["keypoints"] for f in found], [f["joints"] for f in found], joint_map)

    def score(self, joints_cm: NDArray[np.float64]) -> Score | None:
        """Against the annotations with visibility >= 1; None where no map has any."""
        labelled = self.maps.joints[..., 2].any(1)
        if not labelled.any():
            return None
        truth = self.maps.joints[labelled]
        return joint_errors_cm(joints_cm[labelled], truth[..., :2], truth[..., 2].astype(np.int64))

    def _stage(
        self, keypoints: Sequence[Keypoints], joints: Sequence[Keypoints] | None, joint_map: JointMap | None
    ) -> Stage:
        mapped = self._cm(joint_map(features(keypoints)).reshape(-1, len(JOINTS), 2)) if joint_map else None
        joints_cm = self._cm(np.stack([j.xy_norm for j in joints])) if joints else mapped
        assert joints_cm is not None  # without an output `joints` there is a joint map: convert-run and edge see to it
        return Stage(joints_cm, self._cm(np.stack([k.xy_norm for k in keypoints])), mapped)

    def _cm(self, xy_norm: NDArray[Any]) -> NDArray[np.float64]:
        return self.preprocessor.mat_cm(xy_norm)


@dataclass(frozen=True)
class Shift:
    """Distances of the same points in two stages, over all maps."""

    mean_cm: float
    p95_cm: float
    worst_cm: float
    per_point_cm: list[float]
    """Mean over the maps for each point."""


def shift(one: NDArray[np.float64], other: NDArray[np.float64]) -> Shift:
    """(N, P, 2) and (N, P, 2) in cm, P > 0."""
    distance = np.linalg.norm(one - other, axis=-1)
    return Shift(
        float(distance.mean()),
        float(np.percentile(distance, 95)),
        float(distance.max()),
        [float(d) for d in distance.mean(0)],
    )
