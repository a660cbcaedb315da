"""What an int8 model is measured by: the float model that it was made from, in PyTorch and as a float graph."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.graph import in_float
from convert.litert import float_graph
from convert.package import ENCODER_SUFFIX, FLOAT_SUFFIX, encoder_bytes
from edge.body import BodyPrior
from edge.keypoints import HeatmapDecoder, Keypoints
from edge.manifest import Manifest
from edge.model import NO_KEYPOINTS
from edge.runtime import Interpreter
from firmware_bridge.errors import Exit, Failure
from train.checkpoint import Checkpoint, load_checkpoint, sha256_of

OWN_GRAPH = "the model's own graph and weights, computed in float: what rounding the weights cost is not seen"


@dataclass(frozen=True)
class FloatSide:
    """The float model in the forms in which it is at hand."""

    graph: bytes
    """Float TFLite with the outputs of the int8 file."""
    checkpoint: Checkpoint | None
    """PyTorch's form; None where there is none."""
    origin: str
    """Where both come from, for the reports."""


def float_side(model: Path, manifest: Manifest, checkpoint: Path | None, graph: Path | None) -> FloatSide:
    """The files that the user named, else what lies beside `model`, else the model's own graph in float.

    Raises Failure: 66 for missing files, 78 for a checkpoint that the model was not made from.
    """
    beside = model.with_name(model.stem + ENCODER_SUFFIX)
    wanted = manifest.encoder_sha256 and (graph is None or beside.is_file())
    encoder = checkpoint or (beside if wanted else None)
    pytorch = float_model_of(encoder, manifest) if encoder else None
    float_beside = model.with_name(model.stem + FLOAT_SUFFIX)
    if graph is None and float_beside.is_file():
        graph = float_beside
    if graph is not None:
        return FloatSide(_read(graph), pytorch, graph.name)
    if pytorch is None:
        return FloatSide(in_float(model.read_bytes()), None, OWN_GRAPH)
    names = [output.name for output in manifest.outputs]  # as convert-run ordered them: the graph's order follows
    content = float_graph(pytorch.build_encoder(), pytorch.grid.rows, pytorch.grid.cols, names)
    return FloatSide(content, pytorch, f"converted from {encoder and encoder.name}")


def float_model_of(path: Path, manifest: Manifest) -> Checkpoint:
    """The checkpoint at `path`, if the int8 model was made from it; its encoder alone counts."""
    checkpoint = load_checkpoint(path)
    if manifest.encoder_sha256 in (None, sha256_of(path)):
        return checkpoint
    if manifest.encoder_sha256 != hashlib.sha256(encoder_bytes(checkpoint)).hexdigest():
        raise Failure(
            f"{path} is not what model {manifest.name} was made from: give --checkpoint the right one",
            Exit.BAD_CONFIG,
        )
    return checkpoint


class FloatGraph:
    """A float graph with the outputs of `manifest`, decoded by edge's own soft-argmax."""

    def __init__(self, model: bytes, manifest: Manifest, name: str) -> None:
        """Raises Failure (78) where it is no float graph with such outputs; `name` is for the message."""
        try:
            self._interpreter = Interpreter(model)
            self._interpreter.allocate()
        except (ValueError, RuntimeError) as error:
            raise Failure(f"{name} cannot be run: {str(error).splitlines()[0]}", Exit.BAD_CONFIG) from None
        self._outputs = manifest.outputs
        wanted = {o.index: (1, o.rows, o.cols, o.k) for o in self._outputs}
        shapes = {i: tensor.shape for i, tensor in enumerate(self._interpreter.outputs)}
        types = {tensor.dtype for tensor in [*self._interpreter.inputs, *self._interpreter.outputs]}
        if shapes != wanted or types != {"float32"}:
            raise Failure(
                f"{name} is not the float graph of model {manifest.name}: its outputs are {list(shapes.values())} of "
                f"{', '.join(sorted(types))}, not {list(wanted.values())} of float32",
                Exit.BAD_CONFIG,
            )
        self._body = BodyPrior.of(manifest)
        self._decoders: dict[str, HeatmapDecoder] = {o.name: HeatmapDecoder(o, manifest.grid) for o in self._outputs}

    def logits(self, model_input: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """(rows, cols) in 0..1 -> heat maps (h, w, k) of each output."""
        found: list[NDArray[Any]] = self._interpreter.invoke(model_input[None, :, :, None])  # type: ignore[arg-type]
        return {output.name: found[output.index][0] for output in self._outputs}

    def predict(self, inputs: NDArray[np.float32]) -> dict[str, list[Keypoints]]:
        """(N, rows, cols) in 0..1 -> keypoints and joints of each map; without such an output, none."""
        found: dict[str, list[Keypoints]] = {"keypoints": [], "joints": []}
        for x in inputs:
            for name, logits in self.logits(x).items():
                found[name].append(self._decoders[name].from_float(logits, x))
        if self._body:
            found["joints"] = [self._body(joints) for joints in found["joints"]]
        if not found["keypoints"]:
            found["keypoints"] = [NO_KEYPOINTS] * len(inputs)
        return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Failure(f"cannot read the float graph {path}: {error.strerror}", Exit.MISSING_INPUT) from None
