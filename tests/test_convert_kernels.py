"""TFLM equals TFLite's reference kernels, the arena is what TFLM needs, and XNNPACK takes the whole graph."""

from pathlib import Path

import numpy as np
import pytest
import torch
from convert_once import convert_once, examples_once, quantised
from tflite_micro import runtime as micro_runtime
from torch import Tensor, nn
from torch.nn import functional as F

from convert.graph import operators
from convert.kernels import Kept, MicroKernels, ReferenceKernels, Watched, xnnpack_delegation
from convert.litert import activation_ranges, float_graph, int8_graph
from edge.runtime import Interpreter
from train.encoder import HeatMaps

ARENA_BUDGET_BYTES = 80_000


@pytest.fixture(scope="module")
def model(pmd: Path, joints_i: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return convert_once(pmd, joints_i, tmp_path_factory.getbasetemp()).model.read_bytes()


def test_tflm_equals_the_reference_kernels_byte_for_byte(model: bytes, pmd: Path) -> None:
    micro, reference = Kept(MicroKernels(model)), Kept(ReferenceKernels(model))
    for kernels in (micro, reference):
        kernels.allocate()
        for values in quantised(examples_once(pmd, 13).inputs):
            kernels.invoke(values)
    assert len(micro.answers) == 17
    assert micro.equals(reference)
    reference.answers[7][1][0, 3, 3, 3] ^= 1
    assert not micro.equals(reference)


def test_a_watched_graph_shows_what_every_operator_wrote(model: bytes, pmd: Path) -> None:
    watched, reference = Watched(model), ReferenceKernels(model)
    reference.allocate()
    values = quantised(examples_once(pmd, 13).inputs)[0]
    written = [node.outputs[0] for node in operators(model)]
    first, *_, keypoints, joints = watched.run(values, [watched.input, *written])
    np.testing.assert_array_equal(first, values)
    for a, b in zip((keypoints, joints), reference.invoke(values), strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(len(watched.scales(tensor)[0]) == 1 for tensor in written)
    weights = operators(model)[-1].inputs[1]
    assert watched.constant(weights).shape == (14, 1, 1, 16)
    assert len(watched.scales(weights)[0]) == 14


def test_xnnpack_is_close_to_the_reference_kernels(model: bytes, pmd: Path) -> None:
    edge, reference = Interpreter(model), ReferenceKernels(model)
    edge.allocate()
    reference.allocate()
    for values in quantised(examples_once(pmd, 13).inputs[:3]):
        for a, b in zip(edge.invoke(values), reference.invoke(values), strict=True):
            assert np.abs(a.astype(int) - b).max() <= 8
            assert np.abs(a.astype(int) - b).mean() < 1


def test_the_arena_is_the_least_that_tflm_starts_with_and_within_the_budget(model: bytes) -> None:
    arena_bytes = MicroKernels(model).arena_bytes()
    assert arena_bytes <= ARENA_BUDGET_BYTES
    micro_runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)
    with pytest.raises(RuntimeError, match="allocate"):
        micro_runtime.Interpreter.from_bytes(model, arena_size=arena_bytes - 16)


def test_xnnpack_takes_the_whole_graph_in_one_partition(model: bytes) -> None:
    delegation = xnnpack_delegation(model)
    assert (delegation.partitions, delegation.whole_graph) == (1, True)


class _Nearest(nn.Module):
    """XNNPACK does not take int8 nearest-neighbour resize."""

    def __init__(self, *, at_the_end: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.at_the_end = at_the_end

    def forward(self, x: Tensor) -> HeatMaps:
        y = self.first(x)
        y = self.second(y) if self.at_the_end else y
        y = F.interpolate(y, scale_factor=2.0, mode="nearest")
        y = y if self.at_the_end else self.second(y)
        return HeatMaps(y, y, y)


@pytest.mark.parametrize(("at_the_end", "partitions"), [(False, 2), (True, 1)])
def test_a_graph_that_xnnpack_takes_in_part_is_told_apart(at_the_end: bool, partitions: int) -> None:
    torch.manual_seed(0)
    graph = float_graph(_Nearest(at_the_end=at_the_end).eval(), 8, 8, ["keypoints"])
    inputs = np.random.default_rng(0).random((4, 8, 8)).astype(np.float32)
    delegation = xnnpack_delegation(int8_graph(graph, activation_ranges(graph, inputs), 1)[0])
    assert (delegation.partitions, delegation.whole_graph) == (partitions, False)
