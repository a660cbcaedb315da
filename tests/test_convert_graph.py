"""The deployed graph holds only what every int8 runtime has, and no names."""

from pathlib import Path

import numpy as np
import pytest
from convert_once import Converted, convert_once, examples_once, float_graph_once

from convert.graph import (
    ALIGNMENT,
    buffer_offsets,
    dequantised,
    in_float,
    operators,
    output_position,
    stripped,
    with_names,
)
from convert.kernels import Watched
from convert.litert import ARGUMENT, SIGNATURE, activation_ranges, int8_graph
from edge.runtime import Interpreter
from train.encoder import OPERATORS


@pytest.fixture(scope="module")
def converted(pmd: Path, joints_i: Path, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    return convert_once(pmd, joints_i, tmp_path_factory.getbasetemp())


def test_the_int8_graph_uses_only_the_encoders_operators(converted: Converted) -> None:
    names = {operator.name for operator in operators(converted.model.read_bytes())}
    assert names == OPERATORS  # no QUANTIZE, PAD or TRANSPOSE left, and nothing expected is missing


def test_operators_are_in_the_order_in_which_tensors_become_known(converted: Converted) -> None:
    nodes = operators(converted.model.read_bytes())
    computed = {tensor for node in nodes for tensor in node.outputs}
    known: set[int] = set()
    for node in nodes:
        assert not (set(node.inputs) & computed) - known
        known |= set(node.outputs)


def test_the_file_holds_no_names(converted: Converted) -> None:
    content = converted.model.read_bytes()
    named = float_graph_once(converted)
    for name in (b"serving_default", b"args_0", b"StatefulPartitionedCall", b"min_runtime_version"):
        assert name not in content
    assert b"serving_default" in named


def test_stripping_changes_no_output_and_makes_the_file_smaller(converted: Converted, pmd: Path) -> None:
    graph = float_graph_once(converted)
    small = stripped(graph)
    assert len(small) < len(graph)
    whole, bare = Interpreter(graph), Interpreter(small)
    whole.allocate()
    bare.allocate()
    values = examples_once(pmd, 13).inputs[:1, :, :, None]
    for before, after in zip(whole.invoke(values), bare.invoke(values), strict=True):
        np.testing.assert_array_equal(before, after)


def test_every_constant_is_aligned_for_microcontrollers(converted: Converted) -> None:
    offsets = buffer_offsets(converted.model.read_bytes())
    assert len(offsets) > 20
    assert {offset % ALIGNMENT for offset in offsets} == {0}


def test_outputs_are_found_by_name_wherever_they_are(converted: Converted) -> None:
    graph = float_graph_once(converted)
    outputs = Interpreter(graph).outputs
    assert outputs[output_position(graph, "output_0")].shape == (1, 32, 16, 32)
    assert outputs[output_position(graph, "output_1")].shape == (1, 32, 16, 14)


def test_the_int8_graph_in_float_differs_from_the_float_graph_by_its_weights_alone(
    converted: Converted, pmd: Path
) -> None:
    content = converted.model.read_bytes()
    assert [node.name for node in operators(in_float(content))] == [node.name for node in operators(content)]
    rounded, exact = Interpreter(in_float(content)), Interpreter(float_graph_once(converted))
    assert {t.dtype for t in rounded.inputs + rounded.outputs} == {"float32"}
    rounded.allocate()
    exact.allocate()
    values = examples_once(pmd, 13).inputs[:1, :, :, None]
    for a, b in zip(rounded.invoke(values), exact.invoke(values), strict=True):
        difference = np.abs(a - b)
        assert 0 < difference.mean() < 0.02 * np.abs(b).mean()


def test_integers_stand_for_numbers_by_channel_or_by_tensor() -> None:
    values = np.array([[-128, 0], [1, 2]], np.int8)
    whole = dequantised(values, np.array([0.5], np.float32), np.array([-128]), 0)
    np.testing.assert_array_equal(whole, [[0, 64], [64.5, 65]])
    by_row = dequantised(values, np.array([1, 10], np.float32), np.array([0, 0]), 0)
    np.testing.assert_array_equal(by_row, [[-128, 0], [10, 20]])
    by_column = dequantised(values, np.array([1, 10], np.float32), np.array([0, 1]), 1)
    np.testing.assert_array_equal(by_column, [[-128, -10], [1, 10]])


def test_a_stripped_graph_with_names_again_is_quantised_the_same(converted: Converted, pmd: Path) -> None:
    graph, inputs = float_graph_once(converted), examples_once(pmd, 1).inputs
    again = with_names(stripped(graph), SIGNATURE, ARGUMENT)
    (whole, places), (bare, same_places) = (int8_graph(g, activation_ranges(g, inputs), 2) for g in (graph, again))
    assert places == same_places
    one, other = Watched(whole), Watched(bare)
    for node in operators(whole):
        for tensor in (*node.inputs, *node.outputs):
            np.testing.assert_array_equal(one.scales(tensor)[0], other.scales(tensor)[0])
            np.testing.assert_array_equal(one.scales(tensor)[1], other.scales(tensor)[1])
