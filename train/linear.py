"""Linear heads on label-free keypoints: a map to the 14 joints and a posture vote. They ship in the manifest."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.keypoints import Keypoints
from edge.manifest import JointMap, Posture

RIDGES: Final = (1e-2, 1e-1, 1.0, 10.0, 100.0)
"""Penalties tried; the inner split by person chooses."""


def features(points: Sequence[Keypoints]) -> NDArray[np.float64]:
    """N x K keypoints -> (N, 4K)."""
    return np.stack([p.features for p in points]).astype(np.float64)


def fit_joint_map(x: NDArray[np.float64], people: Sequence[str], joints_norm: NDArray[np.float32]) -> JointMap:
    """Ridge regression of the joints with visibility >= 1; x (G, F), people (G,) and joints_norm (G, 14, 3).

    The penalty is the one with the least error when each person in turn is left out.
    """
    names = np.array(people)

    def error(ridge: float) -> float:
        total = 0.0
        for person in set(people):
            inner, outer = names != person, names == person
            weights, bias = _fit_joints(x[inner], joints_norm[inner], ridge)
            predicted = (x[outer] @ weights + bias).reshape(-1, 14, 2)
            distance = np.linalg.norm(predicted - joints_norm[outer, :, :2], axis=-1)
            total += float(distance[joints_norm[outer, :, 2] >= 1].sum())
        return total

    ridge = min(RIDGES, key=error) if len(set(people)) > 1 else RIDGES[len(RIDGES) // 2]
    weights, bias = _fit_joints(x, joints_norm, ridge)
    return JointMap(weights=weights.round(5).tolist(), bias=bias.round(5).tolist(), people=sorted(set(people)))


def fit_posture(x: NDArray[np.float64], postures: Sequence[str], ridge: float = 1e-1) -> Posture:
    """Least squares onto one-hot classes, x (G, F), postures (G,); rows without a posture are left out."""
    known = [i for i, posture in enumerate(postures) if posture]
    classes = sorted({postures[i] for i in known})
    target = np.array([[postures[i] == c for c in classes] for i in known], np.float64)
    weights, bias = _ridge(x[known], target, np.ones(len(known)), ridge)
    return Posture(classes=classes, weights=weights.round(5).tolist(), bias=bias.round(5).tolist())


def _fit_joints(
    x: NDArray[np.float64], joints: NDArray[np.float32], ridge: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One regression a joint, as each joint is visible in maps of its own."""
    fits = [_ridge(x, joints[:, j, :2], (joints[:, j, 2] >= 1).astype(float), ridge) for j in range(joints.shape[1])]
    return np.concatenate([w for w, _ in fits], 1), np.concatenate([b for _, b in fits])


def _ridge(
    x: NDArray[np.float64], y: NDArray[np.floating], weight: NDArray[np.float64], ridge: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted ridge regression with a free bias: (N, F), (N, T), (N,) -> (F, T), (T,)."""
    total = max(weight.sum(), 1.0)
    mean_x, mean_y = weight @ x / total, weight @ y / total
    centred = (x - mean_x) * weight[:, None]
    gram = centred.T @ (x - mean_x) + ridge * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, centred.T @ (y - mean_y))
    return weights, mean_y - mean_x @ weights
