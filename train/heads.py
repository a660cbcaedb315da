"""Heads on label-free keypoints, fitted with the labels of a few people on moved and mirrored copies of their maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from train.augment import distort, pillow, random_similarity
from train.checkpoint import Checkpoint
from train.config import Augmentation
from train.linear import features, fit_joint_map, fit_posture
from train.maps import Examples, Maps
from train.predict import FloatModel

COPIES: Final = 8
CONFIDENCE_MAPS: Final = 500
HALF_ERROR_CM: Final = 5.0
MIRRORED_POSTURE: Final = {"left": "right", "right": "left"}
COPY_CHANGES: Final = Augmentation(mirror=0.5, rotation_deg=12, scale=0.08, shift_cm=8)


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


def fit_heads(checkpoint: Checkpoint, real: Sequence[Maps], simulated: Examples | None = None) -> None:
    """Joint map, posture head and confidence of `checkpoint`; without labels what needs them stays away."""
    constants = checkpoint.config.preprocessing
    parts = [m.medians().examples(checkpoint.grid, constants) for m in real]
    model = FloatModel(checkpoint)
    if checkpoint.knows_joints:
        checkpoint.joints_half_cm = _joints_half_cm(model, parts + ([simulated] if simulated else []))
    if not parts:
        return
    examples = Examples.joined(parts)
    if examples.joints_norm[..., 2].any():
        known = labelled_features(model, examples)
        checkpoint.joint_map = fit_joint_map(known.x, known.people.tolist(), known.joints_norm)
    postures = [group.posture for group in examples.groups]
    if len(set(postures) - {""}) > 1:
        checkpoint.posture = fit_posture(*_posture_features(model, examples.inputs, postures))


def _posture_features(
    model: FloatModel, inputs: NDArray[np.float32], postures: Sequence[str]
) -> tuple[NDArray[np.float64], list[str]]:
    """(N, rows, cols) and their postures -> the maps and distorted, moved copies as (M, 4K); a mirrored side swaps."""
    original, random = torch.from_numpy(inputs)[:, None], torch.Generator().manual_seed(0)
    grid = model.checkpoint.grid
    maps, names = [original], list(postures)
    for _ in range(COPIES):
        change = random_similarity(len(inputs), COPY_CHANGES, grid, random)
        maps.append(distort(change.maps(pillow(original, COPY_CHANGES.pillow, grid, random)), COPY_CHANGES, random))
        mirrored = zip(postures, change.mirrored.tolist(), strict=True)
        names += [MIRRORED_POSTURE.get(name, name) if swap else name for name, swap in mirrored]
    return features(model.predict(torch.cat(maps)[:, 0].numpy())["keypoints"]), names


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
