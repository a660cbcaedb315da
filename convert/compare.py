"""One model computed in several ways over the same maps: where each finds the points, and how far apart they lie."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.keypoints import Keypoints
from edge.manifest import JointMap, Posture
from edge.model import KeypointModel
from edge.preprocess import Preprocessor
from edge.score import Score, joint_errors_cm
from firmware_bridge.skeleton import JOINTS
from train.evaluated import Predictor
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
    features: Mapping[str, NDArray[np.float64]]
    """`keypoints` (N, 4K) and, where there is such an output, `joints` (N, 56): what the linear heads read."""

    def postures(self, head: Posture) -> list[str]:
        """The class of each map."""
        features = np.concatenate([self.features[name] for name in head.reads], 1)
        return head.votes(features)


def _nothing() -> None:
    pass


class Bench:
    """Maps ready to be put through every stage: one median map a group, or every frame."""

    def __init__(
        self,
        maps: Maps,
        preprocessor: Preprocessor,
        *,
        every_frame: bool = False,
        advance: Callable[[], object] = _nothing,
    ) -> None:
        """`advance` is called after each map that `int8_stage` is through with."""
        self.maps = maps if every_frame else maps.medians()
        self.preprocessor = preprocessor
        self.inputs = self.maps.examples(preprocessor.model, preprocessor.constants).inputs
        self._advance = advance

    def float_stage(self, model: FloatModel, joint_map: JointMap | None, *, has_joints: bool) -> Stage:
        """PyTorch. `has_joints`: whether the deployed graph has an output `joints`, or the map stands in for it."""
        found = model.predict(self.inputs)
        return self._stage(found["keypoints"], found["joints"] if has_joints else None, joint_map)

    def graph_stage(self, model: Predictor, joint_map: JointMap | None) -> Stage:
        """A float graph with the deployed outputs alone."""
        found = model.predict(self.inputs)
        return self._stage(found["keypoints"], found["joints"], joint_map)

    def int8_stage(self, model: KeypointModel, joint_map: JointMap | None) -> Stage:
        """The edge's own path, on whatever kernels `model` was given."""
        found = []
        for x in self.inputs:
            found.append(model.predict(x))
            self._advance()
        return self._stage([f["keypoints"] for f in found], [f["joints"] for f in found], joint_map)

    def score(self, joints_cm: NDArray[np.float64]) -> Score | None:
        """Against the annotations with visibility >= 1; None where no map has any."""
        return score_of(joints_cm, self.maps)

    def _stage(
        self, keypoints: Sequence[Keypoints], joints: Sequence[Keypoints] | None, joint_map: JointMap | None
    ) -> Stage:
        x = features(keypoints)
        mapped = self._cm(joint_map(x).reshape(-1, len(JOINTS), 2)) if joint_map and x.size else None
        joints_cm = self._cm(np.stack([j.xy_norm for j in joints])) if joints else mapped
        assert joints_cm is not None  # without an output `joints` there is a joint map: convert-run and edge see to it
        read = {"keypoints": x} | ({"joints": features(joints)} if joints else {})
        return Stage(joints_cm, self._cm(np.stack([k.xy_norm for k in keypoints])), mapped, read)

    def _cm(self, xy_norm: NDArray[Any]) -> NDArray[np.float64]:
        return self.preprocessor.mat_cm(xy_norm)


def score_of(joints_cm: NDArray[np.float64], maps: Maps) -> Score | None:
    """Joints (frames, 14, 2) in cm against the annotations of `maps`' groups; None where no group has any."""
    joints = maps.joints[maps.group_index]
    labelled = joints[..., 2].any(1)
    if not labelled.any():
        return None
    truth = joints[labelled]
    return joint_errors_cm(joints_cm[labelled], truth[..., :2], truth[..., 2].astype(np.int64))


@dataclass(frozen=True)
class PointShift:
    """How far one point lies apart in two stages, over all maps."""

    mean_cm: float
    p95_cm: float
    worst_cm: float


@dataclass(frozen=True)
class Shift:
    """Distances of the same points in two stages, over all maps."""

    mean_cm: float
    p95_cm: float
    p99_cm: float
    worst_cm: float
    per_point: list[PointShift]


def distances(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, P, 2) and (N, P, 2) -> (N, P)."""
    return np.asarray(np.linalg.norm(one - other, axis=-1), np.float64)


def shift(one: NDArray[np.float64], other: NDArray[np.float64]) -> Shift:
    """(N, P, 2) and (N, P, 2) in cm, N and P > 0."""
    return shift_of(distances(one, other))


def shift_of(distance: NDArray[np.float64]) -> Shift:
    """Distances (N, P) in cm, N and P > 0."""
    return Shift(
        float(distance.mean()),
        float(np.percentile(distance, 95)),
        float(np.percentile(distance, 99)),
        float(distance.max()),
        [PointShift(float(d.mean()), float(np.percentile(d, 95)), float(d.max())) for d in distance.T],
    )
