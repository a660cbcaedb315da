"""Where in the graph int8 loses: every tensor's signal-to-noise ratio on real maps, worst first, with a remedy."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from convert.graph import Operator, dequantised, operators
from convert.kernels import Watched

MOST_MAPS: Final = 24
"""Evenly chosen: the ranking does not change with more."""
MOST_DB: Final = 99.0
"""Stands for no noise at all."""
BEYOND_PERCENT: Final = 10.0
"""Of the int8 range. Calibrated on the median maps of one person, no tensor goes further beyond on another person;
on another mat neither (pmd Experiment II: 5.3)."""
UNUSED_PERCENT: Final = 50.0
WEIGHTS_DB: Final = 30.0
"""Less used or noisier weights than this is what a remedy is named for."""
TRAINING: Final = "quantization-aware training (steps_quant)"
HALF_DB: Final = 3.0
"""Where own and whole noise are closer than this, half of it or more is the tensor's own."""


@dataclass(frozen=True)
class TensorReport:
    """What one operator writes (the first entry: the graph's input), int8 against float."""

    index: int
    operator: str
    shape: tuple[int, ...]
    snr_db: float
    """Power of the float values over that of the difference, all noise from before included."""
    own_db: float
    """The same if this tensor alone were rounded and clipped."""
    weights_db: float | None
    """Of the operator's weights; None where it has none."""
    clipped_percent: float
    """Share of the float values beyond the int8 range."""
    beyond_percent: float
    """How far the furthest float value lies beyond the int8 range, of that range."""
    used_percent: float
    """How much of the int8 range the float values span."""

    remedy: str
    """What to do about this tensor's noise."""


def tensor_reports(
    model: bytes, graph: bytes, model_inputs: NDArray[np.float32], graph_inputs: NDArray[np.float32]
) -> list[TensorReport]:
    """Worst first; `model` int8, `graph` float with the same operators, their inputs (N, rows, cols) in 0..1.

    Raises ValueError where the two graphs' operators differ or one cannot be run.
    """
    nodes, float_nodes = operators(model), operators(graph)
    if [node.name for node in nodes] != [node.name for node in float_nodes]:
        raise ValueError("the float graph has other operators")
    try:
        int8, real = Watched(model), Watched(graph)
    except RuntimeError as error:
        raise ValueError(str(error)) from None
    ours, theirs = ([w.input, *(n.outputs[0] for n in ns)] for w, ns in ((int8, nodes), (real, float_nodes)))
    sums = [_Sums(*int8.scales(tensor)[:2]) for tensor in ours]
    scale, zero_point = sums[0].scale, sums[0].zero_point
    for i in np.unique(np.linspace(0, len(model_inputs) - 1, MOST_MAPS).round().astype(int)):
        q = np.clip(np.rint(model_inputs[i] / scale) + zero_point, -128, 127).astype(np.int8)
        rounded = int8.run(q[None, :, :, None], ours)
        exact = real.run(graph_inputs[i][None, :, :, None], theirs)
        for one, a, b in zip(sums, rounded, exact, strict=True):
            one.add(a, b)
    weights = [None, *(_weights_db(int8, real, *pair) for pair in zip(nodes, float_nodes, strict=True))]
    names = ["INPUT", *(node.name for node in nodes)]
    reports: list[TensorReport] = []
    for tensor, name, one, weights_db in zip(ours, names, sums, weights, strict=True):
        reports.append(one.report(tensor, name, weights_db, min(reports, key=lambda r: r.own_db, default=None)))
    return sorted(reports, key=lambda report: report.snr_db)


class _Sums:
    """Running sums over the maps for one tensor."""

    def __init__(self, scales: NDArray[np.float32], zero_points: NDArray[np.int32]) -> None:
        if len(scales) != 1:
            raise ValueError("a tensor between the operators is not int8")
        self.scale, self.zero_point = float(scales[0]), int(zero_points[0])
        self.signal = self.noise = self.own = 0.0
        self.clipped = self.count = 0
        self.low, self.high = np.inf, -np.inf
        self.shape: tuple[int, ...] = ()

    def add(self, rounded: NDArray[np.int8], exact: NDArray[np.float32]) -> None:
        q = np.rint(exact / self.scale) + self.zero_point
        self.signal += float((exact.astype(np.float64) ** 2).sum())
        self.noise += float(((self._real(rounded) - exact) ** 2).sum())
        self.own += float(((self._real(np.clip(q, -128, 127)) - exact) ** 2).sum())
        self.clipped += int(((q < -128) | (q > 127)).sum())
        self.count += exact.size
        self.low, self.high = min(self.low, float(exact.min())), max(self.high, float(exact.max()))
        self.shape = exact.shape[1:]

    def _real(self, q: NDArray[np.generic]) -> NDArray[np.float64]:
        return np.asarray((q.astype(np.float64) - self.zero_point) * self.scale)

    def report(
        self, index: int, operator: str, weights_db: float | None, coarsest_before: TensorReport | None
    ) -> TensorReport:
        snr_db, own_db = _db(self.signal, self.noise), _db(self.signal, self.own)
        clipped_percent = 100 * self.clipped / self.count
        range_low, range_high = (-128 - self.zero_point) * self.scale, (127 - self.zero_point) * self.scale
        span = range_high - range_low
        beyond_percent = 100 * max(0.0, range_low - self.low, self.high - range_high) / span
        used_percent = 100 * min(1.0, (self.high - self.low) / span)
        if beyond_percent > BEYOND_PERCENT:
            remedy = "range too small: calibrate on more maps, of people trained on"
        elif used_percent < UNUSED_PERCENT:
            remedy = "range too wide: calibrate on real maps of people trained on, without foreign frames"
        elif weights_db is not None and weights_db < WEIGHTS_DB:
            remedy = f"weights too coarse: one scale a channel, or {TRAINING}"
        elif coarsest_before is None or own_db - snr_db < HALF_DB:
            remedy = f"its own rounding: {TRAINING}"
        else:
            remedy = f"noise from before it (tensor {coarsest_before.index} rounds coarsest): {TRAINING}"
        return TensorReport(
            index,
            operator,
            self.shape,
            snr_db,
            own_db,
            weights_db,
            clipped_percent,
            beyond_percent,
            used_percent,
            remedy,
        )


def _weights_db(int8: Watched, real: Watched, node: Operator, float_node: Operator) -> float | None:
    if len(node.inputs) < 2 or not len(int8.scales(node.inputs[1])[0]) or "CONV" not in node.name:
        return None
    exact = real.constant(float_node.inputs[1]).astype(np.float64)
    rounded = dequantised(int8.constant(node.inputs[1]), *int8.scales(node.inputs[1]))
    return _db(float((exact**2).sum()), float(((rounded - exact) ** 2).sum()))


def _db(signal: float, noise: float) -> float:
    return min(MOST_DB, float(10 * np.log10(signal / noise))) if noise > 0 and signal > 0 else MOST_DB
