"""A checkpoint and calibration maps -> NAME.tflite, NAME.json, NAME.float.tflite, NAME.encoder.pt."""

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from convert.compare import Bench, Stage
from convert.graph import stripped
from convert.kernels import MicroKernels
from convert.litert import Progress, activation_ranges, clipped_percent, float_graph, int8_graph
from edge import __version__
from edge.manifest import Accuracy, Calibration, Confidence, Input, Manifest, Output
from edge.model import KeypointModel
from edge.preprocess import Preprocessor
from edge.runtime import Interpreter
from firmware_bridge.errors import Exit, Failure
from train.checkpoint import Checkpoint
from train.cost import multiply_accumulates, parameters
from train.maps import Maps
from train.predict import FloatModel

REQUIRES_SOFTWARE: Final = "0.1.0"
"""The first version that reads manifest format 1 with these outputs."""
ENCODER_SUFFIX: Final = ".encoder.pt"
FLOAT_SUFFIX: Final = ".float.tflite"


@dataclass(frozen=True)
class Package:
    """A converted model and its manifest."""

    model: bytes
    manifest: Manifest
    float_model: bytes
    """The same graph before quantisation, its outputs in the order of the manifest's."""
    encoder: bytes
    """The same in PyTorch."""

    def files(self) -> dict[str, bytes]:
        """What each file holds, by its name."""
        name = self.manifest.name
        return {
            f"{name}.tflite": self.model,
            f"{name}.json": _one_key_a_line(self.manifest).encode(),
            f"{name}{FLOAT_SUFFIX}": self.float_model,
            f"{name}{ENCODER_SUFFIX}": self.encoder,
        }


def write_together(files: Mapping[str, bytes], folder: Path) -> list[Path]:
    """Nothing in `folder` is replaced before all files are written; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as partial:
        for name, data in files.items():
            Path(partial, name).write_bytes(data)
        return [Path(partial, name).replace(folder / name) for name in files]


def encoder_bytes(checkpoint: Checkpoint) -> bytes:
    """A checkpoint of the float encoder alone, as the accuracy check reads it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "encoder.pt")
        checkpoint.encoder_only().save(path)
        return path.read_bytes()


def convert(
    checkpoint: Checkpoint,
    inputs: NDArray[np.float32],
    people: Sequence[str],
    name: str,
    progress: Progress = iter,
) -> Package:
    """Quantise with the ranges that `inputs` (N, rows, cols), maps of `people`, give; the accuracy table is empty."""
    names = _outputs(checkpoint)
    grid, network = checkpoint.grid, checkpoint.build_encoder()
    graph = float_graph(network, grid.rows, grid.cols, names)
    model, positions = int8_graph(graph, activation_ranges(graph, inputs, progress), len(names))
    kernels = MicroKernels(model)
    (entry,) = kernels.inputs
    outputs = []
    for output_name, position in zip(names, positions, strict=True):
        tensor = kernels.outputs[position]
        _, rows, cols, k = tensor.shape
        outputs.append(
            Output(
                name=output_name,
                index=position,
                rows=rows,
                cols=cols,
                k=k,
                scale=tensor.scale,
                zero_point=tensor.zero_point,
            )
        )
    encoder = encoder_bytes(checkpoint)
    manifest = Manifest(
        name=name,
        version=__version__,
        requires_software=REQUIRES_SOFTWARE,
        model_sha256=hashlib.sha256(model).hexdigest(),
        encoder_sha256=hashlib.sha256(encoder).hexdigest(),
        variant=checkpoint.config.encoder.variant,
        rows=grid.rows,
        cols=grid.cols,
        pitch_x_cm=grid.pitch_x_cm,
        pitch_y_cm=grid.pitch_y_cm,
        preprocessing=checkpoint.config.preprocessing,
        input=Input(scale=entry.scale, zero_point=entry.zero_point),
        outputs=outputs,
        joint_map=checkpoint.joint_map,
        posture=checkpoint.posture,
        confidence=_confidence(checkpoint),
        body=checkpoint.readable_body,
        training=checkpoint.training,
        calibration=Calibration(
            people=list(people),
            frames=len(inputs),
            clipped_percent=round(clipped_percent(inputs, entry.scale, entry.zero_point), 4),
        ),
        accuracy=[],
        parameters=parameters(network),
        mac=multiply_accumulates(network, grid.rows, grid.cols),
        arena_bytes=kernels.arena_bytes(),
    )
    return Package(model, manifest, stripped(graph), encoder)


def with_accuracy(package: Package, checkpoint: Checkpoint, test: Maps) -> Package:
    """The same package with the accuracy table filled in from the annotated maps of `test`."""
    manifest = package.manifest
    test = test.around_people(manifest.grid)
    bench = Bench(test.labelled(), Preprocessor(test.grid, manifest.grid, manifest.preprocessing))
    has_joints = manifest.output("joints") is not None
    stages = {
        "float": bench.float_stage(FloatModel(checkpoint), manifest.joint_map, has_joints=has_joints),
        "int8": bench.int8_stage(KeypointModel(Interpreter(package.model), manifest), manifest.joint_map),
    }
    rows = [row for name, stage in stages.items() for row in _accuracy(name, stage, bench, has_joints)]
    return replace(package, manifest=manifest.model_copy(update={"accuracy": rows}))


def _accuracy(name: str, stage: Stage, bench: Bench, has_joints: bool) -> list[Accuracy]:
    found = {"joint output": stage.joints_cm if has_joints else None, "joint map": stage.mapped_cm}
    rows = []
    for what, joints_cm in found.items():
        score = bench.score(joints_cm) if joints_cm is not None else None
        if score:
            rows.append(
                Accuracy(
                    what=f"{what}, {name}",
                    people=bench.maps.people,
                    maps=len(bench.maps),
                    mean_cm=round(score.mean_cm, 3),
                    pck_5cm=round(score.pck_5cm, 2),
                    pck_10cm=round(score.pck_10cm, 2),
                )
            )
    return rows


def _confidence(checkpoint: Checkpoint) -> Confidence:
    return Confidence(joints_half_cm=checkpoint.joints_half_cm) if checkpoint.joints_half_cm else Confidence()


def _outputs(checkpoint: Checkpoint) -> list[Literal["keypoints", "joints"]]:
    """A joint output that no label has reached stays behind: the joint map stands in for it."""
    if checkpoint.knows_joints:
        return ["keypoints", "joints"]
    if checkpoint.joint_map is None:
        raise Failure(
            "this checkpoint is label-free and has no joint map: give train-run --joints to fit one", Exit.BAD_CONFIG
        )
    return ["keypoints"]


def _one_key_a_line(manifest: Manifest) -> str:
    """JSON that shows a diff key by key; its matrices would take thousands of lines if indented."""
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in manifest.model_dump(mode="json").items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"
