"""What int8 does to a model's outputs: how far one step of a logit moves a point, and what rounding alone costs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.compare import Shift, shift_of
from convert.float_side import FloatGraph
from edge.keypoints import HeatmapDecoder
from edge.manifest import Manifest, Output


@dataclass(frozen=True)
class OutputReport:
    """One output of the graph."""

    name: str
    step: float
    """One int8 step, in the logits' unit."""
    step_cm: float
    """How far a point moves when the one logit that moves it most changes by one step; mean over points and maps."""
    rounding: Shift
    """What rounding and clipping this output's float logits alone moves its points by."""
    clipped_percent: float
    """Share of the float logits that lie beyond the int8 range."""
    used_percent: float
    """How much of the int8 range the float logits span."""


def output_reports(graph: FloatGraph, manifest: Manifest, inputs: NDArray[np.float32]) -> list[OutputReport]:
    """Over the maps `inputs` (N, rows, cols)."""
    logits = [graph.logits(x) for x in inputs]
    return [
        _output_report(output, manifest, [maps[output.name] for maps in logits], inputs) for output in manifest.outputs
    ]


def _output_report(
    output: Output, manifest: Manifest, maps: Sequence[NDArray[np.float32]], inputs: NDArray[np.float32]
) -> OutputReport:
    grid, decoder = manifest.grid, HeatmapDecoder(output, manifest.grid)
    size_cm = np.array([grid.width_cm, grid.height_cm])
    steps_cm, moved_cm, clipped = [], [], []
    for logits, x in zip(maps, inputs, strict=True):
        steps_cm.append(_step_cm(logits, output, size_cm))
        q = np.rint(logits / output.scale) + output.zero_point
        clipped.append(((q < -128) | (q > 127)).mean())
        rounded = decoder(np.clip(q, -128, 127).astype(np.int8), x).xy_norm
        moved_cm.append(np.linalg.norm((rounded - decoder.from_float(logits, x).xy_norm) * size_cm, axis=1))
    span = max(float(m.max()) for m in maps) - min(float(m.min()) for m in maps)
    return OutputReport(
        output.name,
        output.scale,
        float(np.mean(steps_cm)),
        shift_of(np.stack(moved_cm)),
        100 * float(np.mean(clipped)),
        100 * min(1.0, span / (255 * output.scale)),
    )


def _step_cm(logits: NDArray[np.float32], output: Output, size_cm: NDArray[np.float64]) -> NDArray[np.float64]:
    """(h, w, K) -> (K,): d(point)/d(logit of a cell) is the cell's softmax times its distance from the point."""
    rows, cols, k = logits.shape
    flat = logits.reshape(-1, k).astype(np.float64)
    weight = np.exp(flat - flat.max(0))
    weight /= weight.sum(0)
    y, x = np.meshgrid((np.arange(rows) + 0.5) / rows, (np.arange(cols) + 0.5) / cols, indexing="ij")
    cells_cm = np.column_stack([x.ravel(), y.ravel()]) * size_cm
    distance_cm = np.linalg.norm(cells_cm[:, None] - weight.T @ cells_cm, axis=-1)
    return np.asarray((weight * distance_cm).max(0) * output.scale)
