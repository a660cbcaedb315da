"""Every tensor of the graph has its noise, worst first, and what to do about it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.tools import flatbuffer_utils
from convert_once import examples_once
from numpy.typing import NDArray

from convert.graph import in_float, operators
from convert.tensors import MOST_DB, TensorReport, tensor_reports
from edge.model import DEFAULT_MODEL

MODEL = DEFAULT_MODEL.read_bytes()
GRAPH = in_float(MODEL)


def reports(inputs: NDArray[np.float32], float_inputs: NDArray[np.float32] | None = None) -> list[TensorReport]:
    return tensor_reports(MODEL, GRAPH, inputs, inputs if float_inputs is None else float_inputs)


def test_every_operator_and_the_input_is_ranked_worst_first(pmd: Path) -> None:
    found = reports(examples_once(pmd, 13).inputs[:4])
    assert {r.index for r in found} == {0, *(node.outputs[0] for node in operators(MODEL))}
    assert [r.snr_db for r in found] == sorted(r.snr_db for r in found)
    assert found[-1].operator == "INPUT"  # 255 steps, noise of nothing else
    for report in found:
        assert 20 < report.snr_db <= report.own_db + 0.5
        assert 0 <= report.clipped_percent < 1
        assert 0 <= report.beyond_percent < 10
        assert 5 < report.used_percent <= 100
        assert (report.weights_db is None) == ("CONV" not in report.operator)


def test_the_weights_of_a_graph_against_itself_have_no_noise(pmd: Path) -> None:
    found = reports(examples_once(pmd, 13).inputs[:1])
    assert {r.weights_db for r in found} == {None, MOST_DB}


def test_noise_adds_up_on_the_way(pmd: Path) -> None:
    """The one whose rounding is named for it comes earlier in the graph."""
    found = {r.index: r for r in reports(examples_once(pmd, 13).inputs[:4])}
    worst = min(found.values(), key=lambda r: r.snr_db)
    assert worst.own_db - worst.snr_db > 3
    start = int(worst.remedy.removeprefix("noise from before it (tensor ").partition(" ")[0])
    assert start < worst.index
    assert found[start].own_db == min(r.own_db for r in found.values() if r.index < worst.index)


@pytest.mark.parametrize(
    ("spoil", "remedy"),
    [
        (lambda x: x * 3, "range too small: calibrate on more maps"),
        (lambda x: x * 0.2, "range too wide: calibrate on real maps"),
    ],
)
def test_maps_that_do_not_fit_the_ranges_are_told_from_those_that_do(
    pmd: Path, spoil: Callable[[NDArray[np.float32]], NDArray[np.float32]], remedy: str
) -> None:
    inputs = examples_once(pmd, 13).inputs[:2]
    (of_input,) = [r for r in reports(spoil(inputs)) if r.operator == "INPUT"]
    assert of_input.remedy.startswith(remedy)
    (fitting,) = [r for r in reports(inputs) if r.operator == "INPUT"]
    assert fitting.remedy.startswith("its own rounding")


def test_a_graph_of_other_operators_cannot_be_compared(pmd: Path) -> None:
    content = flatbuffer_utils.read_model_from_bytearray(GRAPH)
    content.subgraphs[0].operators.pop()
    shorter = bytes(flatbuffer_utils.convert_object_to_bytearray(content))
    inputs = examples_once(pmd, 13).inputs[:1]
    with pytest.raises(ValueError, match="other operators"):
        tensor_reports(MODEL, shorter, inputs, inputs)
