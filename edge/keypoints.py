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

FEATURE_HALF_CM: Final = 8.0
"""Spread at which the confidence among `Keypoints.features` is 0.5; fitted heads depend on it."""

MIDDLE: Final = np.float32(0.5)
"""Moments are taken around it: float32 keeps more of the spread, which is a difference of squares."""


@dataclass(frozen=True, slots=True)
class Keypoints:
    """What one output says of K points."""

    xy_norm: NDArray[np.float32]
    """(K, 2): x along columns, y along rows, 0..1 of the model's grid."""
    value: NDArray[np.float32]
    """(K,): the model's input expected at the point, 0..1."""
    spread_cm: NDArray[np.float32]
    """(K,): standard deviation of the heat map around the point; small where the model is sure."""

    @property
    def features(self) -> NDArray[np.float32]:
        """(4K,): x_norm, y_norm, value, sureness of each point, as the manifest's linear heads take them."""
        return np.column_stack([self.xy_norm, self.value, confidence(self.spread_cm, FEATURE_HALF_CM)]).ravel()


class HeatmapDecoder:
    """Soft-argmax of one int8 output: expectation of (value, row, col) under each map's softmax."""

    def __init__(self, output: Output, model: Grid) -> None:
        self.output = output
        self._exp = np.exp(-output.scale * np.arange(256)).astype(np.float32)
        self._size_cm = np.array([model.width_cm, model.height_cm], np.float32)
        x_norm = (np.arange(output.cols) + 0.5) / output.cols - MIDDLE
        y_norm = (np.arange(output.rows) + 0.5) / output.rows - MIDDLE
        y, x = np.meshgrid(y_norm, x_norm, indexing="ij")
        r2_cm2 = (x * model.width_cm) ** 2 + (y * model.height_cm) ** 2
        moments = [np.ones_like(x), x, y, r2_cm2]
        self._moments = np.stack([m.ravel() for m in moments]).astype(np.float32)
        self._pool_rows = _pooling(output.rows, model.rows)
        self._pool_cols = _pooling(output.cols, model.cols).T

    def __call__(self, logits: NDArray[np.int8], model_input: NDArray[np.float32]) -> Keypoints:
        """logits (rows, cols, K), model_input on the model's grid in 0..1."""
        largest = logits.max(0).max(0)
        below = (largest - logits).view(np.uint8)  # 0..255: what int8 wraps, uint8 shows as it is
        weights = self._exp.take(below.reshape(-1, len(largest)))
        return self._expect(weights, model_input)

    def from_float(self, logits: NDArray[Any], model_input: NDArray[np.float32]) -> Keypoints:
        """The same from float logits (rows, cols, K): what the int8 result is compared with."""
        rows, cols, k = logits.shape
        flat = logits.reshape(rows * cols, k)
        return self._expect(np.exp(flat - flat.max(0)).astype(np.float32), model_input)

    def _expect(self, weights: NDArray[np.float32], model_input: NDArray[np.float32]) -> Keypoints:
        value = self._pool_rows @ model_input @ self._pool_cols
        sums = np.concatenate([self._moments, value.reshape(1, -1)]) @ weights
        mean = sums[1:] / sums[0]
        xy_norm = mean[:2].T
        variance_cm2 = mean[2] - ((xy_norm * self._size_cm) ** 2).sum(1)
        return Keypoints(xy_norm + MIDDLE, mean[3], np.sqrt(np.maximum(variance_cm2, 0)))


def _pooling(n_cells: int, n: int) -> NDArray[np.float32]:
    """(n_cells, n): the mean of the n / n_cells lines of each cell."""
    return np.repeat(np.eye(n_cells, dtype=np.float32), n // n_cells, axis=1) * np.float32(n_cells / n)


def confidence(spread_cm: NDArray[np.float32], half_cm: float | NDArray[np.float32]) -> NDArray[np.float32]:
    """0..1 from the heat maps' spread: 1 for a point, 0.5 at `half_cm` (the manifest's constants)."""
    return np.asarray(1 / (1 + (spread_cm / half_cm) ** 2), np.float32)
