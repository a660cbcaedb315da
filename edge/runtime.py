"""One small adapter over the TFLite interpreters, so that nothing else knows which one is installed."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import Exit, Failure

RUNTIMES = (
    ("ai-edge-litert", "ai_edge_litert.interpreter"),
    ("tflite-runtime", "tflite_runtime.interpreter"),
    ("tensorflow", "tensorflow.lite.python.interpreter"),
)
"""(distribution, module that holds Interpreter), best first: only the first hands int8 to XNNPACK on the Pi."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """Shape, type and quantisation (real = scale * (int8 - zero_point)) of one input or output."""

    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class Delegation:
    """What XNNPACK took of a graph."""

    partitions: int
    whole_graph: bool
    """One partition from the graph's input to its outputs."""


class Interpreter:
    """One loaded model. Raises ValueError when `model` is no valid TFLite flatbuffer."""

    def __init__(self, model: bytes, num_threads: int = 1) -> None:
        self.runtime, interpreter_class = _installed()
        self._tflite = interpreter_class(model_content=model, num_threads=num_threads)
        self.inputs = _tensors(self._tflite.get_input_details())
        self.outputs = _tensors(self._tflite.get_output_details())
        self._output_index = [int(d["index"]) for d in self._tflite.get_output_details()]
        self._input_index = int(self._tflite.get_input_details()[0]["index"])

    def allocate(self) -> None:
        """Once before `invoke`, apart from loading so that a model can be refused before it costs memory."""
        self._tflite.allocate_tensors()

    def invoke(self, values: NDArray[np.int8]) -> list[NDArray[np.int8]]:
        """int8 array in the shape of the first input -> one int8 array for each output."""
        self._tflite.set_tensor(self._input_index, values)
        self._tflite.invoke()
        return [self._tflite.get_tensor(index) for index in self._output_index]

    def delegation(self) -> Delegation:
        """Once allocated: which nodes of the graph XNNPACK runs."""
        nodes: list[dict[str, Any]] = self._tflite._get_ops_details()  # no public way tells
        partitions = [node for node in nodes if node["op_name"] == "DELEGATE"]
        outputs = set(self._output_index)
        computed = {int(t) for node in nodes for t in node["outputs"]}
        whole = len(partitions) == 1 and (
            {int(t) for t in partitions[0]["inputs"]} & (computed | {self._input_index}) == {self._input_index}
            and {int(t) for t in partitions[0]["outputs"]} == outputs
        )
        return Delegation(len(partitions), whole)


def installed_runtime() -> str:
    """Name and version of the interpreter that models run on. Raises Failure (78) when none loads."""
    return _installed()[0]


def _installed() -> tuple[str, Any]:
    broken = ""
    for distribution, module in RUNTIMES:
        try:
            interpreter_class = importlib.import_module(module).Interpreter
            return f"{distribution} {version(distribution)}", interpreter_class
        except ModuleNotFoundError:
            continue
        except (ImportError, AttributeError) as error:  # built for another numpy, C library or processor
            reason = str(error).strip().splitlines()[-1]
            broken = broken or f"{distribution} {version(distribution)} is installed but does not load ({reason})"
    missing = "no TFLite interpreter is installed"
    raise Failure(f"{broken or missing}: pip install {RUNTIMES[0][0]}", Exit.BAD_CONFIG)


def _tensors(details: Sequence[dict[str, Any]]) -> list[Tensor]:
    return [
        Tensor(
            tuple(int(n) for n in d["shape"]),
            np.dtype(d["dtype"]).name,
            float(d["quantization"][0]),
            int(d["quantization"][1]),
        )
        for d in details
    ]
