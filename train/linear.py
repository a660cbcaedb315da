"""Linear heads on label-free keypoints: a map to the 14 joints and a posture vote. They ship in the manifest."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from edge.keypoints import Keypoints
from edge.manifest import JointMap, Posture

RIDGES: Final = (2e-5, 6e-5, 2e-4, 6e-4, 2e-3, 2e-2)
"""Penalties tried, for each map that is fitted; the inner split by person chooses."""
RIDGE_OF_ONE_PERSON: Final = 2e-4
"""Where nobody can be left out."""
WITHOUT_PLACE: Final = 0.1
"""What value and sureness are multiplied with, so that 100 times as much is to be paid for them as for positions."""
POSTURE_PENALTY: Final = 1e-5
"""On the squared weights of standardised features, against the mean of the cross-entropy."""
POSTURE_ITERATIONS: Final = 200
SMALLEST_SPREAD: Final = 1e-6


def features(points: Sequence[Keypoints]) -> NDArray[np.float64]:
    """N x K keypoints -> (N, 4K)."""
    return np.stack([p.features for p in points]).astype(np.float64)


def features_of(found: Mapping[str, Sequence[Keypoints]], outputs: Sequence[str]) -> NDArray[np.float64]:
    """N points of each of those outputs -> (N, 4 x all their points), output after output."""
    return np.concatenate([features(found[name]) for name in outputs], 1)


def fit_joint_map(x: NDArray[np.float64], people: Sequence[str], joints_norm: NDArray[np.float32]) -> JointMap:
    """Ridge regression of the joints with visibility >= 1; x (G, 4K), people (G,) and joints_norm (G, 14, 3).

    The penalty is the one with the least error when each person in turn is left out.
    """
    share = np.tile([1, 1, WITHOUT_PLACE, WITHOUT_PLACE], x.shape[1] // 4)
    x = x * share
    ridge = _best_ridge(x, np.array(people), joints_norm) if len(set(people)) > 1 else RIDGE_OF_ONE_PERSON
    ((weights, bias),) = _fit_joints(x, joints_norm, [ridge])
    weights *= share[:, None]
    return JointMap(weights=weights.round(5).tolist(), bias=bias.round(5).tolist(), people=sorted(set(people)))


def fit_posture(x: NDArray[np.float64], postures: Sequence[str], weight: NDArray[np.float64] | None = None) -> Posture:
    """Logistic regression, x (G, F), postures (G,), weight (G,); rows without a posture are left out."""
    known = [i for i, posture in enumerate(postures) if posture]
    classes = sorted({postures[i] for i in known})
    mean, scale = x[known].mean(0), x[known].std(0) + SMALLEST_SPREAD
    standard = torch.from_numpy((x[known] - mean) / scale)
    target = torch.tensor([classes.index(postures[i]) for i in known])
    share = torch.ones(len(known)) if weight is None else torch.from_numpy(weight[known])
    head = torch.zeros(x.shape[1] + 1, len(classes), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([head], max_iter=POSTURE_ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> float:
        optimizer.zero_grad()
        each = F.cross_entropy(standard @ head[:-1] + head[-1], target, reduction="none")
        total = (share * each).sum() / share.sum() + POSTURE_PENALTY * head[:-1].square().sum()
        total.backward()
        return total.item()

    optimizer.step(loss)
    weights = head.detach()[:-1].numpy() / scale[:, None]
    bias = head.detach()[-1].numpy() - mean @ weights
    return Posture(classes=classes, weights=weights.round(5).tolist(), bias=bias.round(5).tolist())


def _best_ridge(x: NDArray[np.float64], people: NDArray[np.str_], joints_norm: NDArray[np.float32]) -> float:
    errors = np.zeros(len(RIDGES))
    for person in np.unique(people):
        inner, outer = people != person, people == person
        seen = joints_norm[outer, :, 2] >= 1
        for i, (weights, bias) in enumerate(_fit_joints(x[inner], joints_norm[inner], RIDGES)):
            predicted = (x[outer] @ weights + bias).reshape(-1, joints_norm.shape[1], 2)
            errors[i] += np.linalg.norm(predicted - joints_norm[outer, :, :2], axis=-1)[seen].sum()
    return RIDGES[errors.argmin()]


def _fit_joints(
    x: NDArray[np.float64], joints: NDArray[np.float32], ridges: Sequence[float]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """For each penalty weights and bias; one regression a joint, as each joint is visible in maps of its own."""
    seen = (joints[..., 2] >= 1).astype(float)
    fits = [_ridge(x, joints[:, j, :2], seen[:, j], ridges) for j in range(joints.shape[1])]
    return [
        (np.concatenate([w for w, _ in of_joints], 1), np.concatenate([b for _, b in of_joints]))
        for of_joints in zip(*fits, strict=True)
    ]


def _ridge(
    x: NDArray[np.float64], y: NDArray[np.floating], weight: NDArray[np.float64], ridges: Sequence[float]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Weighted ridge regressions with a free bias: (N, F), (N, T), (N,) -> (F, T), (T,) for each penalty a row."""
    total = max(weight.sum(), 1.0)
    mean_x, mean_y = weight @ x / total, weight @ y / total
    centred = (x - mean_x) * weight[:, None]
    gram, moments = centred.T @ (x - mean_x), centred.T @ (y - mean_y)
    fits = [np.linalg.solve(gram + ridge * total * np.eye(len(gram)), moments) for ridge in ridges]
    return [(weights, mean_y - mean_x @ weights) for weights in fits]
