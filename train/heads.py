"""Heads on label-free keypoints, fitted with the labels of a few people on moved and mirrored copies of their maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from edge.body import HALF_ERROR_CM
from firmware_bridge.skeleton import MIRRORED_POSTURE
from train.augment import distort, pillow, random_similarity
from train.body import fit_body
from train.checkpoint import Checkpoint
from train.config import Augmentation
from train.linear import features, features_of, fit_joint_map, fit_posture
from train.maps import Examples, Maps
from train.predict import FloatModel

COPIES: Final = 8
MOST: Final = 2000
"""Maps that heads are fitted on, of real and of simulated people each: a recording may have a hundred times as many."""
CONFIDENCE_MAPS: Final = 500
COPY_CHANGES: Final = Augmentation(mirror=0.5, rotation_deg=12, scale=0.08, shift_cm=8)
POSTURE_CHANGES: Final = COPY_CHANGES.model_copy(update={"soft_layer": 0.7, "gamma": 0.5})
"""As on mats softer than those of the training people: a posture is the same there."""
POSTURE_COPIES_REAL: Final = 16
POSTURE_COPIES_SIMULATED: Final = 8


@dataclass(frozen=True)
class LabelledFeatures:
    """N maps as a linear head sees them."""

    x: NDArray[np.float64]
    """(N, 4K)."""
    people: NDArray[np.str_]
    joints_norm: NDArray[np.float32]
    """(N, 14, 3)."""

    def of(self, people: Sequence[str]) -> "LabelledFeatures":
        chosen = np.isin(self.people, list(people))
        return LabelledFeatures(self.x[chosen], self.people[chosen], self.joints_norm[chosen])


def labelled_features(model: FloatModel, examples: Examples, output: str = "keypoints") -> LabelledFeatures:
    """Points of that output on the annotated maps among `examples` and COPIES changed copies of each.

    One map a group.
    """
    labelled = np.flatnonzero(examples.joints_norm[..., 2].any(1))
    inputs = torch.from_numpy(examples.inputs[labelled])[:, None]
    joints = torch.from_numpy(examples.joints_norm[labelled])
    random = torch.Generator().manual_seed(0)
    maps, moved_joints = [inputs], [joints]
    for _ in range(COPIES):
        change = random_similarity(len(inputs), COPY_CHANGES, model.checkpoint.grid, random)
        maps.append(change.maps(inputs))
        moved_joints.append(change.joints_norm(joints))
    people = np.array([examples.groups[g].person for g in labelled.tolist()])
    x = features(model.predict(torch.cat(maps)[:, 0].numpy())[output])
    return LabelledFeatures(x, np.tile(people, 1 + COPIES), torch.cat(moved_joints).numpy())


def fit_heads(checkpoint: Checkpoint, real: Sequence[Maps], simulated: Sequence[Maps] = ()) -> None:
    """Joint map, posture head, confidence and body of `checkpoint`; without labels what needs them stays away."""
    checkpoint.body = None  # its heat maps alone, until it is known how wrong they are
    model = FloatModel(checkpoint)

    def seen(maps: Sequence[Maps]) -> list[Examples]:
        return [m.examples(checkpoint.grid, checkpoint.config.preprocessing) for m in _telling(maps)]

    real_parts, simulated_parts = seen(real), seen(simulated)
    if checkpoint.knows_joints:
        checkpoint.joints_half_cm = _joints_half_cm(model, real_parts + simulated_parts)
        if checkpoint.joints_half_cm and checkpoint.config.body:
            checkpoint.body = fit_body(real_parts + simulated_parts, checkpoint.grid)
            model = FloatModel(checkpoint)
    in_copies = [(part, POSTURE_COPIES_SIMULATED) for part in simulated_parts]
    if real_parts:
        examples = Examples.joined(real_parts)
        if examples.joints_norm[..., 2].any():
            known = labelled_features(model, examples)
            checkpoint.joint_map = fit_joint_map(known.x, known.people.tolist(), known.joints_norm)
        in_copies.insert(0, (examples, POSTURE_COPIES_REAL))
    _fit_posture(checkpoint, model, in_copies)


def _telling(sources: Sequence[Maps]) -> list[Maps]:
    """One map each of the groups whose joints or posture are known: at most MOST, evenly over each source."""
    known = [m.joints[..., 2].any(1) | np.array([bool(group.posture) for group in m.groups]) for m in sources]
    told = [(m, np.flatnonzero(k)) for m, k in zip(sources, known, strict=True) if k.any()]
    most = MOST // max(1, len(told))
    return [m.of_groups(_evenly(groups, most).tolist()).medians() for m, groups in told]


def _evenly(values: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    count = min(len(values), max(1, most))
    return values[np.arange(count) * len(values) // count]


def _fit_posture(checkpoint: Checkpoint, model: FloatModel, parts: Sequence[tuple[Examples, int]]) -> None:
    """On parts with one map a group, and so many copies of each; every part counts the same.

    Where the maps do not show two postures there is no head.
    """
    parts = [(part, copies) for part, copies in parts if any(group.posture for group in part.groups)]
    reads = ["keypoints", "joints"] if checkpoint.knows_joints else ["keypoints"]
    x, names, weight = [], [], []
    for part, copies in parts:
        found, postures = _posture_features(model, part, copies, reads)
        x.append(found)
        names += postures
        weight.append(np.full(len(postures), 1 / len(postures)))
    if len(set(names) - {""}) > 1:
        posture = fit_posture(np.concatenate(x), names, np.concatenate(weight))
        checkpoint.posture = posture.model_copy(update={"reads": reads})


def _posture_features(
    model: FloatModel, part: Examples, copies: int, reads: Sequence[str]
) -> tuple[NDArray[np.float64], list[str]]:
    """The maps and distorted, moved copies as (M, features), with their postures; a mirrored side swaps."""
    original, random = torch.from_numpy(part.inputs)[:, None], torch.Generator().manual_seed(0)
    grid = model.checkpoint.grid
    postures = [part.groups[g].posture for g in part.group_index]
    maps, names = [original], list(postures)
    for _ in range(copies):
        change = random_similarity(len(original), POSTURE_CHANGES, grid, random)
        on_pillows = pillow(original, POSTURE_CHANGES.pillow, grid, random)
        maps.append(distort(change.maps(on_pillows), POSTURE_CHANGES, random))
        mirrored = zip(postures, change.mirrored.tolist(), strict=True)
        names += [MIRRORED_POSTURE.get(name, name) if swap else name for name, swap in mirrored]
    return features_of(model.predict(torch.cat(maps)[:, 0].numpy()), reads), names


def _joints_half_cm(model: FloatModel, known: Sequence[Examples]) -> list[float] | None:
    """Spread at which each joint is HALF_ERROR_CM off; on distorted copies, as errors on the maps themselves flatter.

    Every part counts the same; a part without joints is left out.
    """
    drawn, order = [], np.random.default_rng(0)
    for part in known:
        rows = np.flatnonzero(part.joints_norm[part.group_index, :, 2].any(1))
        if len(rows):
            rows = order.choice(rows, CONFIDENCE_MAPS)
            drawn.append((part.inputs[rows], part.joints_norm[part.group_index[rows]]))
    if not drawn:
        return None
    inputs = torch.from_numpy(np.concatenate([x for x, _ in drawn]))[:, None]
    joints = torch.from_numpy(np.concatenate([y for _, y in drawn]))
    grid, random = model.checkpoint.grid, torch.Generator().manual_seed(0)
    size = Augmentation()
    change = random_similarity(len(inputs), size, grid, random)
    truth = change.joints_norm(joints).numpy()
    found = model.predict(distort(change.maps(inputs), size, random)[:, 0].numpy())["joints"]
    error_cm = np.linalg.norm(
        (np.stack([k.xy_norm for k in found]) - truth[..., :2]) * [grid.width_cm, grid.height_cm], axis=-1
    )
    spread_cm = np.stack([k.spread_cm for k in found])
    seen = (truth[..., 2] >= 1) & ((truth[..., :2] > 0) & (truth[..., :2] < 1)).all(-1)
    return [
        round(HALF_ERROR_CM * float(spread_cm[seen[:, j], j].sum() / error_cm[seen[:, j], j].sum()), 2)
        for j in range(truth.shape[1])
    ]
