"""Why a model loses more than int8 must: what the check can tell from the files and the measurements, in words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from convert.compare import Stage, shift
from convert.graph import operators, with_names
from convert.kernels import Watched
from convert.litert import ARGUMENT, SIGNATURE, activation_ranges, int8_graph
from convert.tensors import BEYOND_PERCENT, TensorReport
from edge.manifest import Manifest
from firmware_bridge.skeleton import JOINTS
from train.checkpoint import Checkpoint

MISPLACED_CM: Final = 2.0
"""A point further than this from its float counterpart, and nearer than this and four times nearer to another one,
has been mixed up with it."""
FOUND_AGAIN: Final = 0.25
FIXED_RANGES: Final = (1.0, 6.0, 255 / 256)
"""Of model inputs, ReLU6 and softmax: the same whatever a model is calibrated on."""
CONVERTED_CM: Final = 0.01
"""More than float32's last digits: they move the default model's joints by 0.00001 cm."""
FEW: Final = 2
"""Tensors whose ranges do not cover the test maps: from so many on it is worth a word."""
MANY: Final = 5
"""From so many on the calibration is at fault: sound models have none, one calibrated on uniform noise 8 to 22 of 32,
on a single map 21, on three maps 5; people of a simulator have 2 in a model calibrated on real ones."""


@dataclass(frozen=True)
class Cause:
    """One thing that is wrong, or looks so."""

    text: str
    certain: bool
    """Wrong whatever was measured: the check fails for it alone."""


def causes_in_files(model: bytes, manifest: Manifest, checkpoint: Checkpoint | None) -> Iterator[Cause]:
    """What the files say without any map."""
    if checkpoint is not None:
        yield from _differences(manifest, checkpoint)
    if "SOFTMAX" in {node.name for node in operators(model)}:
        yield Cause(
            "the graph ends in an int8 softmax, whose steps of 1/256 lose most of a heat map: "
            "let it end in logits, edge takes their exponential",
            certain=True,
        )
    entry = manifest.input
    low, high = (-128 - entry.zero_point) * entry.scale, (127 - entry.zero_point) * entry.scale
    if low > entry.scale or high < 1 - entry.scale:
        yield Cause(
            f"the input takes {low:.2f} to {high:.2f} and is fed 0 to 1: wrong scale or zero point, "
            "or calibrated on other maps than edge.preprocess makes",
            certain=True,
        )
    elif high - low > 2:
        yield Cause(
            f"the input takes {low:.2f} to {high:.2f} and is fed 0 to 1, less than half of its steps: "
            "wrong scale, or calibrated on maps that edge.preprocess has not been over",
            certain=False,
        )


def _differences(manifest: Manifest, checkpoint: Checkpoint) -> Iterator[Cause]:
    """Between the manifest and the checkpoint that it says it was made from."""
    trained = checkpoint.config.preprocessing
    for name in type(trained).model_fields:
        ours, theirs = getattr(manifest.preprocessing, name), getattr(trained, name)
        if ours != theirs:
            yield Cause(
                f"the manifest's preprocessing has {name} {ours}, the checkpoint was trained with {theirs}: "
                "the model is not fed what it knows",
                certain=True,
            )
    if manifest.grid != checkpoint.grid:
        yield Cause(
            f"the manifest's grid is {manifest.grid}, the checkpoint was trained on {checkpoint.grid}", certain=True
        )
    heads = {
        "joint_map": (manifest.joint_map, checkpoint.joint_map),
        "posture": (manifest.posture, checkpoint.posture),
        "body": (manifest.body, checkpoint.readable_body),
    }
    for name, (ours, theirs) in heads.items():
        if (ours and ours.model_dump()) != (theirs and theirs.model_dump()):
            yield Cause(f"the manifest's {name} is not the checkpoint's", certain=True)


def causes_in_points(int8: Stage, real: Stage, manifest: Manifest) -> Iterator[Cause]:
    """Points that lie where another point of the float model does: outputs or channels in another order."""
    names, ours, theirs = [], [], []
    if manifest.output("keypoints"):
        names += [f"keypoint {k}" for k in range(int8.keypoints_cm.shape[1])]
        ours.append(int8.keypoints_cm)
        theirs.append(real.keypoints_cm)
    if manifest.output("joints"):
        names += JOINTS
        ours.append(int8.joints_cm)
        theirs.append(real.joints_cm)
    if not ours:
        return
    found, expected = np.concatenate(ours, 1), np.concatenate(theirs, 1)
    if found.shape != expected.shape:
        return
    apart_cm = np.linalg.norm(found[:, :, None] - expected[:, None], axis=-1).mean(0)
    own_cm, nearest = np.diag(apart_cm), apart_cm.argmin(1)
    mixed = [
        i
        for i, j in enumerate(nearest)
        if own_cm[i] > MISPLACED_CM and apart_cm[i, j] < min(MISPLACED_CM, FOUND_AGAIN * own_cm[i])
    ]
    if not mixed:
        return
    pairs = ", ".join(f"{names[i]} lies where {names[nearest[i]]} belongs" for i in mixed[:4])
    more = f" and {len(mixed) - 4} more" if len(mixed) > 4 else ""
    yield Cause(f"outputs or channels are swapped: {pairs}{more}", certain=True)


def causes_in_conversion(pytorch: Stage, graph: Stage) -> Iterator[Cause]:
    """A float graph that is not what PyTorch computes."""
    found = shift(pytorch.joints_cm, graph.joints_cm)
    if found.mean_cm > CONVERTED_CM:
        yield Cause(
            f"the float graph's joints lie {found.mean_cm:.2f} cm from PyTorch's: it is another model's, or the "
            "conversion to TFLite is at fault, before int8 is",
            certain=True,
        )


def causes_in_tensors(tensors: Sequence[TensorReport]) -> Iterator[Cause]:
    """Ranges that the test maps do not fit into."""
    beyond = [tensor for tensor in tensors if tensor.beyond_percent > BEYOND_PERCENT]
    if len(beyond) >= FEW:
        worst = max(beyond, key=lambda tensor: tensor.beyond_percent)
        yield Cause(
            f"{len(beyond)} of {len(tensors)} tensors leave their int8 range by more than {BEYOND_PERCENT:.0f} %, "
            f"tensor {worst.index} ({worst.operator}) by {worst.beyond_percent:.0f} %: calibrated on noise, on foreign "
            "or on too few maps; calibrate on the frames of the people trained on",
            certain=len(beyond) >= MANY,
        )


def cause_of_ranges(
    model: bytes, graph: bytes, n_outputs: int, tests: Sequence[NDArray[np.float32]], people: Sequence[str]
) -> Iterator[Cause]:
    """int8 ranges that are, to the last bit, those that the test maps give. `graph`: before quantisation.

    `tests`: maps (N, rows, cols) that it may have been calibrated on, such as the medians and all frames of `people`.
    """
    if [node.name for node in operators(model)] != [node.name for node in operators(graph)]:
        return
    own, graph = _ranges(model), with_names(graph, SIGNATURE, ARGUMENT)
    for inputs in tests:
        given, _ = int8_graph(graph, activation_ranges(graph, inputs), n_outputs)
        same = {a for a, b in zip(own, _ranges(given), strict=True) if a == b and not _is_fixed(a)}
        if same:
            yield Cause(
                f"{len(same)} ranges of the graph are to the last bit what the maps of {', '.join(people)} give: "
                "it was calibrated on the people who test it, whatever its manifest says",
                certain=True,
            )
            return


def _ranges(model: bytes) -> list[tuple[float, int]]:
    """Scale and zero point of what each operator writes."""
    watched = Watched(model)
    found = [watched.scales(node.outputs[0])[:2] for node in operators(model)]
    return [(float(scales[0]), int(zero_points[0])) for scales, zero_points in found if len(scales) == 1]


def _is_fixed(quantisation: tuple[float, int]) -> bool:
    return any(abs(quantisation[0] * 255 - span) < 1e-4 for span in FIXED_RANGES)
