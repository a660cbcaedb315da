"""What a .tflite file holds, and the same file without what no device needs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from numpy.typing import NDArray

ALIGNMENT = 16
"""Of every buffer, as the schema wants (force_align): microcontrollers read weights in place."""


@dataclass(frozen=True, slots=True)
class Operator:
    """One node: its name, and the indices of the tensors that it reads (constants too) and writes."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def operators(model: bytes) -> list[Operator]:
    """The nodes of the only subgraph, in order of execution."""
    content = flatbuffer_utils.read_model_from_bytearray(model)
    return [
        Operator(
            str(flatbuffer_utils.opcode_to_name(content, node.opcodeIndex)), tuple(node.inputs), tuple(node.outputs)
        )
        for node in content.subgraphs[0].operators
    ]


def output_position(model: bytes, signature_name: str) -> int:
    """Where among the graph's outputs the one is that the signature calls so. Stripped files have no signature."""
    content = flatbuffer_utils.read_model_from_bytearray(model)
    tensors = {entry.name.decode(): entry.tensorIndex for entry in content.signatureDefs[0].outputs}
    return list(content.subgraphs[0].outputs).index(tensors[signature_name])


def stripped(model: bytes) -> bytes:
    """The same graph without names, signatures and metadata, its buffers aligned."""
    content = flatbuffer_utils.read_model_from_bytearray(model)
    flatbuffer_utils.strip_strings(content)
    content.metadata = content.metadataBuffer = None
    constants = {0} | {tensor.buffer for graph in content.subgraphs for tensor in graph.tensors}
    content.buffers = [
        _AlignedBuffer(buffer.data if i in constants else None) for i, buffer in enumerate(content.buffers)
    ]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(content))


def with_names(model: bytes, signature: str, argument: str) -> bytes:
    """A stripped graph with names again, t0, t1, ..., and a signature whose outputs are output_0, output_1, ..."""
    content = flatbuffer_utils.read_model_from_bytearray(model)
    graph = content.subgraphs[0]
    for i, tensor in enumerate(graph.tensors):
        tensor.name = f"t{i}".encode()
    named = schema.SignatureDefT()
    named.signatureKey, named.subgraphIndex = signature.encode(), 0
    named.inputs = [_entry(argument, graph.inputs[0])]
    named.outputs = [_entry(f"output_{i}", index) for i, index in enumerate(graph.outputs)]
    content.signatureDefs = [named]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(content))


def _entry(name: str, tensor: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name.encode(), int(tensor)
    return entry


def in_float(model: bytes) -> bytes:
    """An int8 graph with its weights as they were rounded, but computed in float: nothing else is rounded.

    Tensors and operators keep their places. Not every runtime can run it where the graph itself converts between
    int8 and float.
    """
    content = flatbuffer_utils.read_model_from_bytearray(model)
    for tensor in content.subgraphs[0].tensors:
        quantised = tensor.quantization is not None and tensor.quantization.scale is not None
        if not quantised or tensor.type not in _DTYPES:
            continue
        data = content.buffers[tensor.buffer].data
        if data is not None and len(data):
            values = np.frombuffer(np.asarray(data, np.uint8).tobytes(), _DTYPES[tensor.type]).reshape(tensor.shape)
            q = tensor.quantization
            real = dequantised(values, np.asarray(q.scale), np.asarray(q.zeroPoint), q.quantizedDimension)
            content.buffers[tensor.buffer].data = np.frombuffer(real.tobytes(), np.uint8)
        tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
    return bytes(flatbuffer_utils.convert_object_to_bytearray(content))


_DTYPES = {schema.TensorType.INT8: np.int8, schema.TensorType.INT32: np.int32}


def dequantised(
    values: NDArray[Any], scales: NDArray[Any], zero_points: NDArray[Any], axis: int
) -> NDArray[np.float32]:
    """Integers -> what they stand for; one scale and zero point, or one a channel along `axis`."""
    if len(scales) > 1:
        shape = [1] * values.ndim
        shape[axis] = -1
        scales, zero_points = scales.reshape(shape), zero_points.reshape(shape)
    return np.asarray((values.astype(np.float64) - zero_points) * scales, np.float32)


def buffer_offsets(model: bytes) -> list[int]:
    """Where in the file the data of each constant begin."""
    root = schema.Model.GetRootAs(model)
    buffers = [root.Buffers(i) for i in range(root.BuffersLength())]
    file = np.frombuffer(model, np.uint8)
    return [int(b.DataAsNumpy().ctypes.data - file.ctypes.data) for b in buffers if b.DataLength()]


class _AlignedBuffer(schema.BufferT):
    """The generated class packs data at any multiple of 4 bytes: it does not know force_align."""

    def Pack(self, builder: Any) -> int:  # noqa: N802  (overrides the generated name)
        if self.data is not None:
            data = np.asarray(self.data, np.uint8).tobytes()
            builder.StartVector(1, len(data), ALIGNMENT)
            builder.head -= len(data)
            builder.Bytes[builder.head : builder.head + len(data)] = data
            vector = builder.EndVector()
        schema.BufferStart(builder)
        if self.data is not None:
            schema.BufferAddData(builder, vector)
        return int(schema.BufferEnd(builder))
