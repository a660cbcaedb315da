"""The same model on other kernels than the edge's, behind the edge's interface, and what XNNPACK takes of it."""

import os
import re
import tempfile
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter as LiteRt
from ai_edge_litert.interpreter import OpResolverType
from numpy.typing import NDArray
from tflite_micro import runtime as micro_runtime

from edge.runtime import Delegation, Interpreter

LARGEST_ARENA_BYTES = 16 * 2**20
"""The host can spare it; its own guess, ten times the file, is too small for wide maps."""


class ReferenceKernels(Interpreter):
    """TFLite's reference kernels: what the other kernels are measured by."""

    def __init__(self, model: bytes) -> None:
        super().__init__(model)
        self.runtime = "TFLite reference kernels"
        self._reference = LiteRt(model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)

    def allocate(self) -> None:
        self._reference.allocate_tensors()

    def invoke(self, values: NDArray[np.int8]) -> list[NDArray[np.int8]]:
        self._reference.set_tensor(self._reference.get_input_details()[0]["index"], values)
        self._reference.invoke()
        return [self._reference.get_tensor(d["index"]) for d in self._reference.get_output_details()]


class MicroKernels(Interpreter):
    """TensorFlow Lite for Microcontrollers, on this machine."""

    def __init__(self, model: bytes) -> None:
        super().__init__(model)
        self.runtime = "TensorFlow Lite for Microcontrollers"
        self._micro = micro_runtime.Interpreter.from_bytes(model, arena_size=LARGEST_ARENA_BYTES)

    def allocate(self) -> None:
        """Loading has done it: the arena is the caller's."""

    def invoke(self, values: NDArray[np.int8]) -> list[NDArray[np.int8]]:
        self._micro.set_input(values, 0)
        self._micro.invoke()
        return [self._micro.get_output(i).copy() for i in range(len(self.outputs))]

    def arena_bytes(self) -> int:
        """Memory for all tensors and the interpreter's own structures, as its recording allocator counts it.

        A model that is given one byte less does not start.
        """
        self.invoke(np.zeros(self.inputs[0].shape, np.int8))
        report = _printed_by(self._micro.print_allocations)
        total = re.search(r"Arena allocation total (\d+) bytes", report)
        if total is None:
            raise RuntimeError(f"tflite-micro's allocation report names no total: {report!r}")
        return int(total[1])


class Kept(Interpreter):
    """Passes everything on to `inner` and keeps what it answered."""

    def __init__(self, inner: Interpreter) -> None:
        self.inner, self.runtime, self.inputs, self.outputs = inner, inner.runtime, inner.inputs, inner.outputs
        self.answers: list[list[NDArray[np.int8]]] = []

    def allocate(self) -> None:
        self.inner.allocate()

    def invoke(self, values: NDArray[np.int8]) -> list[NDArray[np.int8]]:
        self.answers.append(self.inner.invoke(values))
        return self.answers[-1]

    def equals(self, other: "Kept") -> bool:
        """True when both were asked as often and each answer agrees byte for byte."""
        pairs = zip(self.answers, other.answers, strict=True)
        return all(np.array_equal(a, b) for mine, theirs in pairs for a, b in zip(mine, theirs, strict=True))


class Watched:
    """A float or int8 graph on the reference kernels, every tensor of which can be looked at after a run."""

    def __init__(self, model: bytes) -> None:
        with warnings.catch_warnings():
            # looking at every tensor is what this is for
            warnings.filterwarnings("ignore", "Warning: Enabling `experimental_preserve_all_tensors`", UserWarning)
            self._tflite = LiteRt(
                model_content=model,
                num_threads=1,
                experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
                experimental_preserve_all_tensors=True,
            )
        self._tflite.allocate_tensors()
        self._details: list[dict[str, Any]] = self._tflite.get_tensor_details()
        self.input = int(self._tflite.get_input_details()[0]["index"])

    def run(self, values: NDArray[Any], tensors: Sequence[int]) -> list[NDArray[Any]]:
        """The content of `tensors` after one inference of `values`, in the input's shape and type."""
        self._tflite.set_tensor(self.input, values)
        self._tflite.invoke()
        return [self._tflite.get_tensor(index) for index in tensors]

    def constant(self, tensor: int) -> NDArray[Any]:
        return np.asarray(self._tflite.get_tensor(tensor))

    def scales(self, tensor: int) -> tuple[NDArray[np.float32], NDArray[np.int32], int]:
        """Scales and zero points, one or one a channel, and the axis of the channels; empty for float tensors."""
        q = self._details[tensor]["quantization_parameters"]
        return q["scales"], q["zero_points"], int(q["quantized_dimension"])


def xnnpack_delegation(model: bytes) -> Delegation:
    """Load `model` as the edge does and look at which nodes run."""
    interpreter = Interpreter(model)
    interpreter.allocate()
    return interpreter.delegation()


def _printed_by(function: Any) -> str:
    """What a C++ function writes to the process's stderr, which Python's sys.stderr does not see."""
    with tempfile.TemporaryFile() as file:
        stderr = os.dup(2)
        try:
            os.dup2(file.fileno(), 2)
            function()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
        file.seek(0)
        return file.read().decode()
