"""Torch to int8: the float graph is the encoder, and ranges do not depend on the order of the maps."""

from pathlib import Path

import numpy as np
import pytest
import torch
from convert_once import Converted, convert_once, examples_once, float_graph_once

from convert.litert import activation_ranges, clipped_percent, int8_graph
from edge.runtime import Interpreter


@pytest.fixture(scope="module")
def converted(pmd: Path, joints_i: Path, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    return convert_once(pmd, joints_i, tmp_path_factory.getbasetemp())


def test_the_float_graph_computes_what_pytorch_computes(converted: Converted, pmd: Path) -> None:
    inputs = examples_once(pmd, 13).inputs[:4]
    graph = Interpreter(float_graph_once(converted))
    graph.allocate()
    with torch.inference_mode():
        maps = converted.load_checkpoint().build_encoder()(torch.from_numpy(inputs)[:, None])
    for i, values in enumerate(inputs):
        keypoints, joints = graph.invoke(values[None, :, :, None])
        np.testing.assert_allclose(keypoints[0], maps.keypoints[i].permute(1, 2, 0), atol=1e-3)
        np.testing.assert_allclose(joints[0], maps.joints[i].permute(1, 2, 0), atol=1e-3)


def test_the_order_of_the_calibration_maps_changes_no_byte(converted: Converted, pmd: Path) -> None:
    graph, inputs = float_graph_once(converted), examples_once(pmd, 1).inputs
    shuffled = np.random.default_rng(3).permutation(inputs)
    models = [int8_graph(graph, activation_ranges(graph, maps), 2)[0] for maps in (inputs, inputs[::-1], shuffled)]
    assert models[0] == models[1] == models[2]


def test_other_calibration_maps_give_another_model(converted: Converted, pmd: Path) -> None:
    """So that the test above can fail."""
    graph, inputs = float_graph_once(converted), examples_once(pmd, 1).inputs
    models = [int8_graph(graph, activation_ranges(graph, maps), 2)[0] for maps in (inputs, inputs[:1])]
    assert models[0] != models[1]


def test_ranges_span_the_values_of_all_maps(converted: Converted, pmd: Path) -> None:
    graph, inputs = float_graph_once(converted), examples_once(pmd, 1).inputs
    (of_input,) = [r for name, r in activation_ranges(graph, inputs[:3] * 0.5).items() if "args_0" in name]
    assert (float(of_input["min"][0]), float(of_input["max"][0])) == (0.0, 0.5)


def test_weights_are_per_channel_and_every_tensor_is_integer(converted: Converted) -> None:
    model = Interpreter(converted.model.read_bytes())
    assert {t.dtype for t in model.inputs + model.outputs} == {"int8"}
    details = model._tflite.get_tensor_details()
    scales = {len(d["quantization_parameters"]["scales"]) for d in details if d["dtype"] == np.int8}
    assert {1, 14, 32} <= scales
    assert {np.dtype(d["dtype"]).name for d in details} == {"int8", "int32"}


def test_clipped_is_what_lies_beyond_the_int8_range() -> None:
    inputs = np.array([[[0.0, 1.0, 1.5, -0.2]]], np.float32)
    assert clipped_percent(inputs, 1 / 255, -128) == 50.0
    assert clipped_percent(inputs[..., :2], 1 / 255, -128) == 0.0
