"""One model measured on the maps that test it: every stage, every output, every tensor, and what it costs."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from convert.causes import (
    Cause,
    cause_of_ranges,
    causes_in_conversion,
    causes_in_files,
    causes_in_points,
    causes_in_tensors,
)
from convert.compare import Bench, Stage
from convert.float_side import OWN_GRAPH, FloatGraph, FloatSide
from convert.graph import in_float, operators
from convert.kernels import Kept, MicroKernels, ReferenceKernels, xnnpack_delegation
from convert.outputs import OutputReport, output_reports
from convert.tensors import TensorReport, tensor_reports
from edge.manifest import Manifest
from edge.model import KeypointModel
from edge.preprocess import Preprocessor, misfit
from edge.runtime import Delegation
from firmware_bridge.errors import Exit, Failure
from train.maps import Maps
from train.predict import FloatModel

STAGES: Final = {
    "float": "PyTorch",
    "float_tflite": "float TFLite",
    "int8_weights": "int8 weights",
    "reference": "int8 reference",
    "tflm": "int8 TFLM",
    "int8": "int8 XNNPACK",
}
"""Ways of computing a model, from its source to what edge-run uses; the first there is counts as the truth.

`int8_weights`: the int8 graph computed in float, where nothing but the weights is rounded.
"""
STEPS: Final = {
    "conversion": ("float", "float_tflite"),
    "quantization": ("float_tflite", "reference"),
    "of it weights": ("float_tflite", "int8_weights"),
    "of it activations": ("int8_weights", "reference"),
    "kernels": ("reference", "int8"),
}
"""What changes from one stage to the next."""
INT8_STAGES: Final = 3


@dataclass(frozen=True)
class Examined:
    """One model and its test people."""

    file: str
    size_bytes: int
    manifest: Manifest
    operators: dict[str, int]
    """Name -> how many."""
    xnnpack: Delegation
    tflm_arena_bytes: int
    tflm_equals_reference: bool
    float_origin: str
    seen: list[str]
    """People among the testers whom the model has seen after all."""
    outputs: list[OutputReport]
    tensors: list[TensorReport]
    causes: list[Cause]
    maps: Maps
    """One median map a group."""
    stages: dict[str, Stage]
    """By STAGES' keys."""
    frame_maps: Maps | None = None
    """Every frame, where that was asked for."""
    frame_stages: dict[str, Stage] = field(default_factory=dict)
    """The float stages and `int8` over these."""


def examine(
    path: Path,
    model: KeypointModel,
    side: FloatSide,
    maps: Maps,
    seen: list[str],
    *,
    every_frame: bool,
    advance: Callable[[], object],
) -> Examined:
    """Raises Failure (65) where the mat of `maps` does not fit the model. `advance` is called for each map computed."""
    manifest, content = model.manifest, path.read_bytes()
    if reason := misfit(maps.grid, manifest.grid):
        raise Failure(f"{path.name} cannot read these maps: {reason}", Exit.FOREIGN_DATA)
    maps = maps.around_people(manifest.grid)
    float_model = _FloatModel(side, manifest)
    ours, real = float_model.benches(maps, every_frame=False, advance=advance)
    micro = MicroKernels(content)
    references, micros = Kept(ReferenceKernels(content)), Kept(micro)
    stages = float_model.stages(real)
    if side.origin != OWN_GRAPH and (own := _own_graph(content, manifest)):
        stages["int8_weights"] = ours.graph_stage(own, manifest.joint_map)
    kernels = {"reference": KeypointModel(references, manifest), "tflm": KeypointModel(micros, manifest), "int8": model}
    for name, on_kernels in kernels.items():
        stages[name] = ours.int8_stage(on_kernels, manifest.joint_map)
    frame_stages: dict[str, Stage] = {}
    if every_frame:
        our_frames, real_frames = float_model.benches(maps, every_frame=True, advance=advance)
        frame_stages = float_model.stages(real_frames)
        frame_stages["int8"] = our_frames.int8_stage(model, manifest.joint_map)
    plain = manifest.model_copy(update={"body": None})  # a body puts back joints that have changed places
    at_heat_maps = (
        Bench(maps, ours.preprocessor).int8_stage(KeypointModel(ReferenceKernels(content), plain), manifest.joint_map),
        next(iter(_FloatModel(side, plain).stages(real).values())),
    )
    tensors = _tensors(content, side, ours.inputs, real.inputs)
    return Examined(
        file=path.name,
        size_bytes=len(content),
        manifest=manifest,
        operators=dict(Counter(node.name for node in operators(content))),
        xnnpack=xnnpack_delegation(content),
        tflm_arena_bytes=micro.arena_bytes(),
        tflm_equals_reference=micros.equals(references),
        float_origin=side.origin,
        seen=seen,
        outputs=output_reports(float_model.graph, manifest, real.inputs),
        tensors=tensors,
        causes=list(_causes(content, side, manifest, maps, ours.inputs, stages, at_heat_maps, tensors, seen)),
        maps=ours.maps,
        stages=stages,
        frame_maps=maps if every_frame else None,
        frame_stages=frame_stages,
    )


class _FloatModel:
    """The float side, fed with what it was trained on, and its stages."""

    def __init__(self, side: FloatSide, manifest: Manifest) -> None:
        self.graph = FloatGraph(side.graph, manifest, side.origin)
        self._manifest, self._checkpoint = manifest, side.checkpoint
        self._joint_map = side.checkpoint.joint_map if side.checkpoint else manifest.joint_map

    def benches(self, maps: Maps, *, every_frame: bool, advance: Callable[[], object]) -> tuple[Bench, Bench]:
        """The int8 model's, as its manifest says, and the float model's, as its checkpoint says: one if they agree."""
        manifest, checkpoint = self._manifest, self._checkpoint
        fed = Preprocessor(maps.grid, manifest.grid, manifest.preprocessing)
        ours = Bench(maps, fed, every_frame=every_frame, advance=advance)
        if checkpoint is None or (checkpoint.grid, checkpoint.config.preprocessing) == (fed.model, fed.constants):
            return ours, ours
        trained = Preprocessor(maps.grid, checkpoint.grid, checkpoint.config.preprocessing)
        return ours, Bench(maps, trained, every_frame=every_frame)

    def stages(self, bench: Bench) -> dict[str, Stage]:
        """PyTorch, where there is a checkpoint, and the float graph."""
        found = {}
        if self._checkpoint is not None:
            has_joints = self._manifest.output("joints") is not None
            pytorch = FloatModel(self._checkpoint)
            if self._manifest.body is None:
                pytorch.body = None
            found["float"] = bench.float_stage(pytorch, self._joint_map, has_joints=has_joints)
        found["float_tflite"] = bench.graph_stage(self.graph, self._joint_map)
        return found


def _causes(
    content: bytes,
    side: FloatSide,
    manifest: Manifest,
    maps: Maps,
    medians: NDArray[np.float32],
    stages: dict[str, Stage],
    at_heat_maps: tuple[Stage, Stage],
    tensors: list[TensorReport],
    seen: list[str],
) -> Iterator[Cause]:
    """`at_heat_maps`: int8 and float, without bodies."""
    yield from causes_in_files(content, manifest, side.checkpoint)
    yield from causes_in_points(*at_heat_maps, manifest)
    yield from causes_in_tensors(tensors)
    if side.checkpoint is not None:
        yield from causes_in_conversion(stages["float"], stages["float_tflite"])
    if not seen and side.origin != OWN_GRAPH:
        frames = maps.examples(manifest.grid, manifest.preprocessing).inputs
        tests = [medians] if len(frames) == len(medians) else [medians, frames]
        yield from cause_of_ranges(content, side.graph, len(manifest.outputs), tests, maps.people)


def _own_graph(content: bytes, manifest: Manifest) -> FloatGraph | None:
    """The int8 graph computed in float; None where it cannot be."""
    try:
        return FloatGraph(in_float(content), manifest, OWN_GRAPH)
    except Failure:
        return None


def _tensors(
    content: bytes, side: FloatSide, inputs: NDArray[np.float32], float_inputs: NDArray[np.float32]
) -> list[TensorReport]:
    """Against the float side, or where that has other operators against the graph itself in float, else none."""
    for graph, graph_inputs in ((side.graph, float_inputs), (in_float(content), inputs)):
        try:
            return tensor_reports(content, graph, inputs, graph_inputs)
        except ValueError:
            continue
    return []
