"""Ways to spoil a converted model, the manifest brought in line each time so that edge would take it."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.tools import flatbuffer_utils
from convert_once import Converted
from numpy.typing import NDArray

from convert.graph import operators, with_names
from convert.litert import ARGUMENT, SIGNATURE, activation_ranges, int8_graph
from convert.package import ENCODER_SUFFIX, FLOAT_SUFFIX
from edge.runtime import Interpreter


def packaged(converted: Converted, model: bytes, folder: Path, **changes: Any) -> Path:
    """`model` under the manifest of `converted` with the graph's own scales, and `changes` to it; returns its path."""
    manifest = json.loads(converted.manifest.read_text())
    graph = Interpreter(model)
    manifest["model_sha256"] = hashlib.sha256(model).hexdigest()
    for entry, tensor in [
        (manifest["input"], graph.inputs[0]),
        *((output, graph.outputs[output["index"]]) for output in manifest["outputs"]),
    ]:
        entry.update(scale=tensor.scale, zero_point=tensor.zero_point)
    path = folder / converted.model.name
    path.write_bytes(model)
    path.with_suffix(".json").write_text(json.dumps(manifest | changes))
    for suffix in (ENCODER_SUFFIX, FLOAT_SUFFIX):
        shutil.copy(converted.model.with_suffix(suffix), folder)
    return path


def calibrated_on(converted: Converted, inputs: NDArray[np.float32], graph: bytes | None = None) -> bytes:
    """The int8 model whose ranges are those of `inputs` (N, rows, cols)."""
    graph = graph or with_names(converted.model.with_suffix(FLOAT_SUFFIX).read_bytes(), SIGNATURE, ARGUMENT)
    return int8_graph(graph, activation_ranges(graph, inputs), 2)[0]


def with_swapped_channels(model: bytes, output: int, a: int, b: int) -> bytes:
    """Two channels of one output of the graph change places: their weights, biases and scales."""
    content = flatbuffer_utils.read_model_from_bytearray(model)
    graph = content.subgraphs[0]
    (last,) = (node for node in operators(model) if graph.outputs[output] in node.outputs)
    for index in last.inputs[1:]:
        tensor = graph.tensors[index]
        scales = np.array(tensor.quantization.scale)
        scales[[a, b]] = scales[[b, a]]
        tensor.quantization.scale = scales
        data = np.asarray(content.buffers[tensor.buffer].data).reshape(len(scales), -1).copy()
        data[[a, b]] = data[[b, a]]
        content.buffers[tensor.buffer].data = data.ravel()
    return bytes(flatbuffer_utils.convert_object_to_bytearray(content))
