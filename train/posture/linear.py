"""Linear posture heads in closed form: Fisher's discriminant on the points' features, or on their distances too."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from train.posture.fitting import Labelled, inner_splits

SHRINKAGES: Final = (0.3, 0.6, 0.9)
NEAR_CM: Final = 3.0
"""Added to a distance before its logarithm: nearer than this, points are at one place."""

Features = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""(N, K, F) -> (N, D)."""


def coordinates(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """All features of all points side by side: D = K F. A head on them fits into the manifest."""
    return x.reshape(len(x), -1)


def with_distances(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """And the logarithm of each distance between two points, whose differences are the body's proportions."""
    a, b = np.triu_indices(x.shape[1], 1)
    distance_cm = np.linalg.norm(x[:, a, :2] - x[:, b, :2], axis=-1)
    return np.concatenate([coordinates(x), np.log(distance_cm + NEAR_CM)], 1)


@dataclass(frozen=True)
class LinearHead:
    """Scores linear in `features`."""

    features: Features
    weights: NDArray[np.float64]
    """(D, classes)."""
    bias: NDArray[np.float64]

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self.features(x) @ self.weights + self.bias)


def fit_linear(known: Labelled, features: Features) -> LinearHead:
    """The discriminant with the fewest errors on people left out; of equals the most shrunk."""
    splits = inner_splits(known)

    def errors(shrinkage: float) -> int:
        return sum(
            int((discriminant(inner, features, shrinkage)(left_out.x).argmax(1) != left_out.y).sum())
            for inner, left_out in splits
        )

    chosen = min(reversed(SHRINKAGES), key=errors) if splits else SHRINKAGES[len(SHRINKAGES) // 2]
    return discriminant(known, features, chosen)


def discriminant(known: Labelled, features: Features, shrinkage: float) -> LinearHead:
    """Class means of standardised features under one covariance within classes.

    Shrunk (0..1) towards a multiple of the unit matrix, as there are more features than people.
    """
    raw = features(known.x)
    mean, scale = raw.mean(0), raw.std(0) + 1e-9
    x = (raw - mean) / scale
    means = np.stack([x[known.y == c].mean(0) for c in range(known.classes)])
    residual = x - means[known.y]
    covariance = residual.T @ residual / len(x)
    level = np.trace(covariance) / len(covariance)
    shrunk = (1 - shrinkage) * covariance + shrinkage * level * np.eye(len(covariance))
    weights = np.linalg.solve(shrunk, means.T)
    bias = -0.5 * (means.T * weights).sum(0)
    weights /= scale[:, None]
    return LinearHead(features, weights, bias - mean @ weights)
