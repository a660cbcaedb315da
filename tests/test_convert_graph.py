"""The deployed graph holds only what every int8 runtime has, and no names."""

from pathlib import Path

import numpy as np
import pytest
from convert_once import Converted, convert_once, examples_once, float_graph_once

from convert.graph import ALIGNMENT, buffer_offsets, operators, output_position, stripped
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
