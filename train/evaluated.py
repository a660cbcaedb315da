"""A .pt or a .tflite behind one interface, with what it cost and whom it knows."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.keypoints import Keypoints
from edge.manifest import Confidence, JointMap, Manifest, Preprocessing, Training, read_manifest
from edge.model import KeypointModel, named
from train.checkpoint import load_checkpoint, sha256_of
from train.cost import multiply_accumulates, parameters
from train.predict import FloatModel, Found


class Predictor(Protocol):
    """Model inputs (N, rows, cols) in 0..1 -> the points of each output on each map."""

    def predict(self, inputs: NDArray[np.float32], /) -> dict[str, list[Keypoints]]: ...


class Evaluated:
    """One model file. Raises Failure: 66 for a missing file, 78 for one that is no model.

    `mirrored_too` is as in edge.model, and doubles the MAC. Without `body` joints stay where their heat maps are.
    """

    def __init__(self, path: Path, *, mirrored_too: bool = False, body: bool = True) -> None:
        self.name = path.name
        self.arena_bytes: int | None = None
        """None for a .pt without a manifest: convert-run measures it."""
        self.preprocessing: Preprocessing
        self.training: Training
        self.joint_map: JointMap | None
        self._model: FloatModel | KeypointModel
        if path.suffix == ".tflite":
            model = KeypointModel.from_files(path, mirrored_too=mirrored_too)
            manifest = model.manifest
            self._model, self.grid, self.preprocessing = model, manifest.grid, manifest.preprocessing
            self.parameters, self.mac, self.arena_bytes = manifest.parameters, manifest.mac, manifest.arena_bytes
            self.training, self.joint_map = manifest.training, manifest.joint_map
            self.joints_half_cm = manifest.confidence.joints_half_cm
        else:
            checkpoint = load_checkpoint(path)
            self._model, self.grid = FloatModel(checkpoint, mirrored_too=mirrored_too), checkpoint.grid
            self.preprocessing = checkpoint.config.preprocessing
            self.parameters = parameters(self._model.encoder)
            self.mac = multiply_accumulates(self._model.encoder, self.grid.rows, self.grid.cols)
            self.training, self.joint_map = checkpoint.training, checkpoint.joint_map
            self.joints_half_cm = checkpoint.joints_half_cm or Confidence().joints_half_cm
            manifest_of = _manifest_of_encoder(path)
            if manifest_of:
                self.arena_bytes = manifest_of.arena_bytes
        self.mac *= 1 + mirrored_too
        if not body:
            self._model.body = None

    def predict(self, inputs: NDArray[np.float32]) -> Found:
        """(N, rows, cols) in 0..1 -> lists of N."""
        return self.read(inputs)[0]

    def read(self, inputs: NDArray[np.float32]) -> tuple[Found, list[str] | None]:
        """The same, and each map's posture; None without a posture head."""
        if isinstance(self._model, FloatModel):
            return self._model.read(inputs)
        readings = [self._model.read(self._model.logits(x), x) for x in inputs]
        found = [named(reading.points) for reading in readings]
        postures = [reading.posture for reading in readings if reading.posture]
        return {name: [f[name] for f in found] for name in found[0]}, postures or None


def _manifest_of_encoder(path: Path) -> Manifest | None:
    """The manifest beside NAME.encoder.pt, if it is about this very file."""
    beside = path.with_name(path.name.removesuffix(".encoder.pt") + ".json")
    if beside.name == path.name or not beside.is_file():
        return None
    manifest = read_manifest(beside)
    return manifest if manifest.encoder_sha256 == sha256_of(path) else None
