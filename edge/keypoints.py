"""int8 heat-map logits -> keypoints, without a floating-point softmax in the graph.

TFLite fixes an int8 softmax's output at steps of 1/256, which ruins the soft-argmax on large maps. So the
graph ends in logits, and the exponential is a table of 256 entries here.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.manifest import Output
from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import MIRRORED

FEATURE_HALF_CM: Final = 8.0
"""Spread at which the confidence among `Keypoints.features` is 0.5; fitted heads depend on it."""

MIDDLE: Final = np.float32(0.5)
"""Moments are taken around it: float32 keeps more of the spread, which is a difference of squares."""


@dataclass(frozen=True, slots=True)
class Keypoints:
    """What heat maps say of K points."""

    xy_norm: NDArray[np.float32]
    """(K, 2): x along columns, y along rows, 0..1 of the model's grid."""
    value: NDArray[np.float32]
    """(K,): the model's input expected at the point, 0..1."""
    spread_cm: NDArray[np.float32]
    """(K,): standard deviation of the heat map around the point; small where the model is sure."""

    def __getitem__(self, some: slice) -> "Keypoints":
        return Keypoints(self.xy_norm[some], self.value[some], self.spread_cm[some])

    def __add__(self, others: "Keypoints") -> "Keypoints":
        return Keypoints(
            np.concatenate([self.xy_norm, others.xy_norm]),
            np.concatenate([self.value, others.value]),
            np.concatenate([self.spread_cm, others.spread_cm]),
        )

    def mirrored_joints(self) -> "Keypoints":
        """The 14 joints of a body that was seen in a mirror, as they are: other names, other half of the mat."""
        joints = list(MIRRORED)
        return Keypoints(of_image(self.xy_norm), self.value[joints], self.spread_cm[joints])

    @property
    def features(self) -> NDArray[np.float32]:
        """(4K,): x_norm, y_norm, value, sureness of each point, as the manifest's linear heads take them."""
        features = np.empty((len(self.value), 4), np.float32)
        features[:, :2], features[:, 2] = self.xy_norm, self.value
        features[:, 3] = confidence(self.spread_cm, FEATURE_HALF_CM)
        return features.ravel()


class Cells:
    """The cells of heat maps on the model's grid, and what is expected over them."""

    def __init__(self, rows: int, cols: int, model: Grid) -> None:
        self.shape = rows, cols
        x_norm = (np.arange(cols) + 0.5) / cols - MIDDLE
        y_norm = (np.arange(rows) + 0.5) / rows - MIDDLE
        y, x = np.meshgrid(y_norm, x_norm, indexing="ij")
        r2_cm2 = (x * model.width_cm) ** 2 + (y * model.height_cm) ** 2
        moments = [np.ones_like(x), x, y, r2_cm2, np.zeros_like(x)]
        self._moments = np.stack([m.ravel() for m in moments]).astype(np.float32)
        self._value = self._moments[-1].reshape(rows, cols)
        self._pool_rows = _pooling(rows, model.rows)
        self._pool_cols = _pooling(cols, model.cols).T

    def moments(self, model_input: NDArray[np.float32]) -> NDArray[np.float32]:
        """(5, rows * cols): 1, x_norm, y_norm, r2_cm2 and the input's value of each cell, until the next call."""
        self._value[:] = self._pool_rows.dot(model_input).dot(self._pool_cols)
        return self._moments


class HeatmapDecoder:
    """Soft-argmax of one int8 output: expectation of (value, row, col) under each map's softmax."""

    def __init__(self, output: Output, model: Grid) -> None:
        self.output = output
        self.cells = Cells(output.rows, output.cols, model)
        self._size_cm = np.array([[model.width_cm], [model.height_cm]], np.float32)
        self.weight_of_step = np.exp(-output.scale * np.arange(256)).astype(np.float32)

    def __call__(self, logits: NDArray[np.int8], model_input: NDArray[np.float32]) -> Keypoints:
        """logits (rows, cols, K), model_input on the model's grid in 0..1."""
        return expected(self.cells.moments(model_input).dot(self.weights(logits)), self._size_cm)

    def weights(self, logits: NDArray[np.int8]) -> NDArray[np.float32]:
        """(rows, cols, K) -> (rows * cols, K): the softmax of each map, but for a factor."""
        largest = logits.max(0).max(0)
        below = (largest - logits).view(np.uint8)  # 0..255: what int8 wraps, uint8 shows as it is
        flat = below.reshape(-1, len(largest))
        return np.asarray(self.weight_of_step.take(flat, mode="wrap"))  # nothing wraps: it is the fastest mode

    def from_float(self, logits: NDArray[Any], model_input: NDArray[np.float32]) -> Keypoints:
        """The same from float logits (rows, cols, K): what the int8 result is compared with."""
        flat = logits.reshape(-1, logits.shape[-1])
        weights = np.exp(flat - flat.max(0)).astype(np.float32)
        return expected(self.cells.moments(model_input).dot(weights), self._size_cm)


def expected(sums: NDArray[np.float32], size_cm: NDArray[np.float32]) -> Keypoints:
    """(5, K) sums of `Cells.moments` under weights, (2, 1) width and height of the model's grid -> K points."""
    mean = sums[1:] / sums[0]
    x_cm, y_cm = mean[:2] * size_cm
    variance_cm2 = mean[2] - (x_cm * x_cm + y_cm * y_cm)
    return Keypoints(mean[:2].T + MIDDLE, mean[3], np.sqrt(np.maximum(variance_cm2, 0)))


def mixed(one: Keypoints, other: Keypoints, size_cm: NDArray[np.float32]) -> Keypoints:
    """The points of the mean of both heat maps: where they disagree, it is wide. size_cm as for `expected`."""
    apart_cm2 = np.square((one.xy_norm - other.xy_norm) * size_cm.T).sum(1)
    variance_cm2 = (np.square(one.spread_cm) + np.square(other.spread_cm)) / 2 + apart_cm2 / 4
    return Keypoints(
        np.asarray((one.xy_norm + other.xy_norm) / 2, np.float32),
        np.asarray((one.value + other.value) / 2, np.float32),
        np.sqrt(variance_cm2),
    )


def of_image(joints_norm: NDArray[Any]) -> NDArray[Any]:
    """Joints (..., 14, 2) in 0..1 of the model's grid, seen in a mirror -> where they are."""
    swapped = joints_norm[..., list(MIRRORED), :]
    return np.stack([1 - swapped[..., 0], swapped[..., 1]], -1)


def _pooling(n_cells: int, n: int) -> NDArray[np.float32]:
    """(n_cells, n): the mean of the n / n_cells lines of each cell."""
    return np.repeat(np.eye(n_cells, dtype=np.float32), n // n_cells, axis=1) * np.float32(n_cells / n)


def confidence(spread_cm: NDArray[np.float32], half_cm: float | NDArray[np.float32]) -> NDArray[np.float32]:
    """0..1 from the heat maps' spread: 1 for a point, 0.5 at `half_cm` (the manifest's constants)."""
    return np.asarray(1 / (1 + (spread_cm / half_cm) ** 2), np.float32)
