"""train-eval: how far a model's joints are from annotated ones, on people it never saw."""

import argparse
import json
from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from edge.keypoints import Keypoints
from edge.manifest import JointMap, Manifest, Posture, Preprocessing, Training, read_manifest
from edge.model import KeypointModel
from edge.preprocess import Preprocessor
from edge.score import Score, joint_errors_cm
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.skeleton import JOINTS
from train.arguments import add_data_arguments, read_data
from train.checkpoint import load_checkpoint, sha256_of
from train.cost import multiply_accumulates, parameters
from train.linear import features
from train.maps import Maps
from train.predict import FloatModel


class Evaluated:
    """A .pt or a .tflite behind one interface, with what it cost and whom it knows."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.arena_bytes: int | None = None
        self._model: FloatModel | KeypointModel
        self.preprocessing: Preprocessing
        if path.suffix == ".tflite":
            model = KeypointModel.from_files(path)
            manifest = model.manifest
            self._model, self.grid, self.preprocessing = model, manifest.grid, manifest.preprocessing
            self.parameters, self.mac, self.arena_bytes = manifest.parameters, manifest.mac, manifest.arena_bytes
            self._describe(manifest.training, manifest.joint_map, manifest.posture)
        else:
            checkpoint = load_checkpoint(path)
            self._model, self.grid = FloatModel(checkpoint), checkpoint.grid
            self.preprocessing = checkpoint.config.preprocessing
            self.parameters = parameters(self._model.encoder)
            self.mac = multiply_accumulates(self._model.encoder, self.grid.rows, self.grid.cols)
            self._describe(checkpoint.training, checkpoint.joint_map, checkpoint.posture)
            manifest_of = _manifest_of_encoder(path)
            if manifest_of:
                self.arena_bytes = manifest_of.arena_bytes

    def _describe(self, training: Training, joint_map: JointMap | None, posture: Posture | None) -> None:
        self.training, self.joint_map, self.posture = training, joint_map, posture

    def predict(self, inputs: NDArray[np.float32]) -> dict[str, list[Keypoints]]:
        """(N, rows, cols) in 0..1 -> lists of N."""
        if isinstance(self._model, FloatModel):
            return self._model.predict(inputs)
        found = [self._model.predict(x) for x in inputs]
        return {name: [f[name] for f in found] for name in found[0]}


def evaluate(model: Evaluated, maps: Maps) -> dict[str, Any]:
    """Scores over one median map a group; joints with visibility >= 1 count."""
    medians = maps.medians().labelled()
    if not len(medians):
        raise Failure("none of these maps has annotated joints: give --joints FILE", Exit.MISSING_INPUT)
    preprocessor = Preprocessor(medians.grid, model.grid, model.preprocessing)
    found = model.predict(preprocessor(medians.pressure))
    truth_cm, visible = medians.joints[..., :2], medians.joints[..., 2].astype(int)

    def score(xy_norm: NDArray[Any]) -> dict[str, Any]:
        return _as_json(joint_errors_cm(preprocessor.mat_cm(xy_norm), truth_cm, visible))

    result: dict[str, Any] = {
        "joints": score(np.stack([k.xy_norm for k in found["joints"]])),
        "data": {
            "people": medians.people,
            "maps": len(medians),
            "pitch_x_cm": medians.grid.pitch_x_cm,
            "pitch_y_cm": medians.grid.pitch_y_cm,
            "seen_in_training": sorted(set(medians.people) & set(model.training.people)),
        },
        "model": {
            "file": model.name,
            "parameters": model.parameters,
            "mac": model.mac,
            "arena_bytes": model.arena_bytes,
        },
    }
    x = features(found["keypoints"]) if len(found["keypoints"][0].value) else None
    if x is not None and model.joint_map:
        result["keypoints_linear"] = score(model.joint_map(x).reshape(-1, len(JOINTS), 2))
    if x is not None and model.posture:
        votes = model.posture(x).argmax(1)
        named = [model.posture.classes[v] == g.posture for v, g in zip(votes, medians.groups, strict=True) if g.posture]
        result["posture"] = {"classes": model.posture.classes, "maps": len(named), "right": sum(named)}
    return result


def _as_json(score: Score) -> dict[str, Any]:
    return {
        "mean_cm": score.mean_cm,
        "pck_5cm": score.pck_5cm,
        "pck_10cm": score.pck_10cm,
        "joints": score.n,
        "per_joint_cm": {joint: None if isnan(cm) else cm for joint, cm in score.per_joint_cm.items()},
    }


def _manifest_of_encoder(path: Path) -> Manifest | None:
    """The manifest beside NAME.encoder.pt, if it is about this very file."""
    beside = path.with_name(path.name.removesuffix(".encoder.pt") + ".json")
    if beside.name == path.name or not beside.is_file():
        return None
    manifest = read_manifest(beside)
    return manifest if manifest.encoder_sha256 == sha256_of(path) else None


def _print(result: dict[str, Any], console: Console) -> None:
    model, data = result["model"], result["data"]
    people = ", ".join(data["people"])
    table = Table(title=f"{model['file']} on {data['maps']} maps of {people}", title_justify="left")
    for column in ("", "mean cm", "PCK@5cm", "PCK@10cm"):
        table.add_column(column, justify="right" if column else "left")
    for key, label in (("joints", "joints"), ("keypoints_linear", "joints from label-free keypoints, linear map")):
        if key in result:
            s = result[key]
            table.add_row(label, f"{s['mean_cm']:.2f}", f"{s['pck_5cm']:.1f}", f"{s['pck_10cm']:.1f}")
    console.print(table)
    worst = sorted(result["joints"]["per_joint_cm"].items(), key=lambda item: -(item[1] or 0))
    console.print("per joint, cm: " + ", ".join(f"{joint} {cm:.1f}" for joint, cm in worst if cm is not None))
    if "posture" in result:
        console.print(f"posture: {result['posture']['right']} of {result['posture']['maps']} maps")
    arena = f"{model['arena_bytes']:,} bytes" if model["arena_bytes"] else "measured by convert-run"
    console.print(f"{model['parameters']:,} parameters, {model['mac'] / 1e6:.1f} M MAC, arena {arena}")
    if data["seen_in_training"]:
        console.print(
            f"warning: {', '.join(data['seen_in_training'])} trained this model: no figure here is about new people"
        )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="train-eval", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, metavar="FILE", help=".pt of train-run, or .tflite")
    add_data_arguments(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here too")
    args = parser.parse_args(argv)
    if args.joints is None:
        raise Failure("--joints FILE is needed to score joints: see data/pmd-joints in the repository", Exit.USAGE)
    result = evaluate(Evaluated(args.model), read_data(args))
    _print(result, Console())
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return Exit.OK
