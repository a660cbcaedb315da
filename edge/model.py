"""A .tflite and its manifest as one thing that turns the model's input into keypoints."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge import __version__
from edge.body import BodyPrior
from edge.keypoints import HeatmapDecoder, Keypoints, confidence, expected, mixed
from edge.manifest import Input, JointMap, LinearHead, Manifest, Output, read_manifest
from edge.runtime import Interpreter, Tensor
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.skeleton import JOINTS

DEFAULT_MODEL = Path(__file__).parent / "models" / "default.tflite"
RELATIVE_TOLERANCE = 1e-5
"""Of a quantisation scale: the graph holds float32, the manifest its decimal digits."""


class Reading(NamedTuple):
    """What a model says of one frame."""

    points: Keypoints
    """K keypoints, and after them the 14 joints."""
    posture: str | None
    """None where the manifest has no posture head."""


class KeypointModel:
    """Runs one model; everything that could disagree has been checked when it exists.

    `mirrored_too`: each frame is also read mirrored; joints are the mean of both answers, and both vote on the
    posture. The second inference takes as long as the first and pays on mats that the model was not trained on.
    """

    def __init__(self, interpreter: Interpreter, manifest: Manifest, *, mirrored_too: bool = False) -> None:
        """Raises ValueError with the reason when graph and manifest disagree."""
        if problem := next(_disagreements(interpreter, manifest), None):
            raise ValueError(problem)
        interpreter.allocate()
        self.manifest = manifest
        self.runtime = interpreter.runtime
        self.mirrored_too = mirrored_too
        self._interpreter = interpreter
        keypoints, joints = manifest.output("keypoints"), manifest.output("joints")
        self.decoders = [HeatmapDecoder(output, manifest.grid) for output in (keypoints, joints) if output]
        """Of the keypoints, if the graph has any, and of the joints, unless they follow from those."""
        self._cells = {decoder.cells.shape: decoder.cells for decoder in self.decoders}
        self._size_cm = np.array([[manifest.grid.width_cm], [manifest.grid.height_cm]], np.float32)
        self.joint_map = None if joints else manifest.joint_map
        """The joints of a graph that has none."""
        half_cm = manifest.confidence.keypoints_half_cm, manifest.confidence.joints_half_cm
        self.body = BodyPrior.of(manifest)
        """None leaves joints where their heat maps are."""
        k = keypoints.k if keypoints else 0
        self.half_cm = np.array([half_cm[0]] * k + half_cm[1], np.float32)
        """Spread of each of the K + 14 points at which its confidence is 0.5."""
        features = {"keypoints": np.arange(4 * k), "joints": np.arange(4 * k, 4 * (k + len(JOINTS)))}
        self.posture_reads = [features[name] for name in manifest.posture.reads] if manifest.posture else []
        """Which of the features of all points the posture head takes, in its order."""

    @classmethod
    def from_files(cls, path: Path, num_threads: int = 1, *, mirrored_too: bool = False) -> "KeypointModel":
        """Load `path` and the manifest beside it. Raises Failure: 66 when `path` is missing, else 78."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise Failure(f"no model {path}: give --model an existing .tflite file", Exit.MISSING_INPUT) from None
        except OSError as error:
            raise Failure(f"cannot read the model {path}: {error.strerror}", Exit.BAD_CONFIG) from None
        if content[4:8] != b"TFL3":
            raise Failure(f"{path} is not a .tflite model: convert-run writes one", Exit.BAD_CONFIG)
        manifest = read_manifest(path.with_suffix(".json"))
        if _release(manifest.requires_software) > _release(__version__):
            raise Failure(
                f"model {path} requires version {manifest.requires_software} of this software, "
                f"this is {__version__}: update it",
                Exit.BAD_CONFIG,
            )
        if (sha256 := hashlib.sha256(content).hexdigest()) != manifest.model_sha256:
            raise Failure(
                f"model {path} has SHA-256 {sha256[:12]}, its manifest says {manifest.model_sha256[:12]}: "
                "copy both files of one conversion",
                Exit.BAD_CONFIG,
            )
        try:
            return cls(Interpreter(content, num_threads), manifest, mirrored_too=mirrored_too)
        except (ValueError, RuntimeError) as error:
            raise Failure(
                f"model {path}: {error}: convert it again with this version's convert-run", Exit.BAD_CONFIG
            ) from None

    def predict(self, model_input: NDArray[np.float32]) -> dict[str, Keypoints]:
        """model_input (rows, cols) in 0..1 -> `keypoints` (K of them, perhaps none) and `joints` (14)."""
        return named(self.read(self.logits(model_input), model_input).points)

    def logits(self, model_input: NDArray[np.float32]) -> list[NDArray[np.int8]]:
        """model_input (rows, cols) in 0..1 -> each output of the graph (1, rows, cols, K).

        Where the mirror image is read too, its outputs follow.
        """
        return self.invoke(self._quantised(model_input))

    def invoke(self, quantised: NDArray[np.int8]) -> list[NDArray[np.int8]]:
        """The same of the input as the graph takes it, (1, rows, cols, 1)."""
        logits = self._interpreter.invoke(quantised)
        return logits + self._interpreter.invoke(quantised[:, :, ::-1]) if self.mirrored_too else logits

    def _quantised(self, model_input: NDArray[np.float32]) -> NDArray[np.int8]:
        """(1, rows, cols, 1)."""
        quantisation = self.manifest.input
        q = model_input / quantisation.scale
        np.rint(q, out=q)
        q += quantisation.zero_point
        q.clip(-128, 127, out=q)
        return q.astype(np.int8)[None, :, :, None]

    def read(self, logits: list[NDArray[np.int8]], model_input: NDArray[np.float32]) -> Reading:
        """What `logits` say of the `model_input` that they come from."""
        count = len(self.manifest.outputs)
        seen = self._seen(logits[:count], model_input)
        points = self._of_body(seen)
        if not self.mirrored_too:
            return Reading(points, self._posture(points))
        image = self._seen(logits[count:], model_input[:, ::-1])
        joints = mixed(seen[-len(JOINTS) :], image[-len(JOINTS) :].mirrored_joints(), self._size_cm)
        posture = self._posture(points, self._of_body(image))
        return Reading(self._of_body(seen[: -len(JOINTS)] + joints), posture)

    def _of_body(self, seen: Keypoints) -> Keypoints:
        """The same, joints where a body has them."""
        return seen[: -len(JOINTS)] + self.body(seen[-len(JOINTS) :]) if self.body else seen

    def _seen(self, logits: list[NDArray[np.int8]], model_input: NDArray[np.float32]) -> Keypoints:
        """The same of one inference."""
        moments = {shape: cells.moments(model_input) for shape, cells in self._cells.items()}
        sums = [moments[d.cells.shape].dot(d.weights(logits[d.output.index][0])) for d in self.decoders]
        points = expected(np.concatenate(sums, 1), self._size_cm)
        return points + mapped(points, self.joint_map) if self.joint_map else points

    def confidence(self, points: Keypoints) -> NDArray[np.float32]:
        """Confidence 0..1 of what was read, (K + 14,)."""
        return confidence(points.spread_cm, self.half_cm)

    def confidences(self, found: dict[str, Keypoints]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The same of the keypoints (K,) and of the joints (14,) that `predict` found."""
        k = len(found["keypoints"].value)
        return (
            confidence(found["keypoints"].spread_cm, self.half_cm[:k]),
            confidence(found["joints"].spread_cm, self.half_cm[k:]),
        )

    def _posture(self, *views: Keypoints) -> str | None:
        """The most likely class by the manifest's head, of a frame and perhaps its mirror image."""
        if self.manifest.posture is None:
            return None
        features = (view.features[None] for view in views)
        read = [np.concatenate([each[:, part] for part in self.posture_reads], 1) for each in features]
        return self.manifest.posture.votes(*read)[0]


NO_KEYPOINTS = Keypoints(np.zeros((0, 2), np.float32), np.zeros(0, np.float32), np.zeros(0, np.float32))


def named(points: Keypoints) -> dict[str, Keypoints]:
    """What `KeypointModel.read` found, by name."""
    return {"keypoints": points[: -len(JOINTS)], "joints": points[-len(JOINTS) :]}


def mapped(points: Keypoints, joint_map: JointMap) -> Keypoints:
    """Joints by the linear map; a joint is as sure as the keypoints that move it, weighted by how much they do."""
    xy_norm = joint_map(points.features).reshape(len(JOINTS), 2).astype(np.float32)
    share = shares(joint_map)
    return Keypoints(xy_norm, points.value @ share, points.spread_cm @ share)


def shares(joint_map: JointMap) -> NDArray[np.float32]:
    """(K, 14): how much each keypoint moves each joint."""
    weights = np.asarray(joint_map.weights, np.float32)
    pull = np.abs(weights).reshape(-1, 4, len(JOINTS), 2)[:, :2].sum((1, 3))
    return np.asarray(pull / np.maximum(pull.sum(0), np.finfo(np.float32).tiny))


def _release(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(\.\d+)*", version)
    if not match:
        raise Failure(f"manifest: requires_software {version!r} is not a version such as 0.1.0", Exit.BAD_CONFIG)
    return tuple(int(part) for part in match[0].split("."))


def _disagreements(interpreter: Interpreter, manifest: Manifest) -> Iterator[str]:
    """Each thing in which the graph's tensors and the manifest differ, in words."""
    inputs, outputs = interpreter.inputs, interpreter.outputs
    if len(inputs) != 1:
        yield f"the graph has {len(inputs)} inputs, not 1"
    if len(outputs) != len(manifest.outputs):
        yield f"the graph has {len(outputs)} outputs, the manifest {len(manifest.outputs)}"
    if sorted(o.index for o in manifest.outputs) != list(range(len(outputs))):
        yield "the manifest's output indices are not each of the graph's outputs once"
    if len({o.name for o in manifest.outputs}) != len(manifest.outputs):
        yield "the manifest names an output twice"
    yield from _tensor_disagreements("input", inputs[0], (1, manifest.rows, manifest.cols, 1), manifest.input)
    for output in manifest.outputs:
        shape = (1, output.rows, output.cols, output.k)
        yield from _tensor_disagreements(f"output {output.name}", outputs[output.index], shape, output)
        if manifest.rows % output.rows or manifest.cols % output.cols:
            yield f"output {output.name} has {output.rows} x {output.cols} cells, no divisor of the input's grid"
    keypoints = manifest.output("keypoints")
    n_features = 4 * keypoints.k if keypoints else 0
    if manifest.output("joints") is None:
        if manifest.joint_map is None or not keypoints:
            yield "the manifest has neither an output joints nor keypoints with a joint_map"
        else:
            yield from _head_disagreements("joint_map", manifest.joint_map, n_features, 2 * len(JOINTS))
        if manifest.body:
            yield "the manifest has a body, but no output joints that it could be read with"
    if manifest.posture:
        read = [manifest.output(name) for name in manifest.posture.reads]
        n_read = 4 * sum(output.k for output in read if output)
        if None in read:
            yield f"the manifest's posture reads {' and '.join(manifest.posture.reads)}, not all of them are outputs"
        yield from _head_disagreements("posture", manifest.posture, n_read, len(manifest.posture.classes))


def _tensor_disagreements(what: str, tensor: Tensor, shape: tuple[int, ...], says: Input | Output) -> Iterator[str]:
    if tensor.shape != shape:
        yield f"{what} has shape {tensor.shape}, the manifest says {shape}"
    if tensor.dtype != "int8":
        yield f"{what} is {tensor.dtype}, not int8"
    if abs(tensor.scale - says.scale) > RELATIVE_TOLERANCE * says.scale:
        yield f"{what} has scale {tensor.scale:.7g}, the manifest says {says.scale:.7g}"
    if tensor.zero_point != says.zero_point:
        yield f"{what} has zero point {tensor.zero_point}, the manifest says {says.zero_point}"


def _head_disagreements(what: str, head: LinearHead, n_features: int, n_outputs: int) -> Iterator[str]:
    widths = {len(row) for row in head.weights} | {len(head.bias)}
    if len(head.weights) != n_features or widths != {n_outputs}:
        yield f"the manifest's {what} is not a matrix of {n_features} x {n_outputs} with its bias"
