"""Heads on label-free keypoints, fitted with the labels of a few people on moved and mirrored copies of their maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from train.augment import random_similarity
from train.checkpoint import Checkpoint
from train.config import Augmentation
from train.linear import features, fit_joint_map, fit_posture
from train.maps import Examples, Maps
from train.predict import FloatModel

COPIES: Final = 8
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


def fit_heads(checkpoint: Checkpoint, real: Sequence[Maps]) -> None:
    """Joint map and posture head of `checkpoint` from the labelled maps; none without labels."""
    examples = Examples.joined([m.medians().examples(checkpoint.grid, checkpoint.config.preprocessing) for m in real])
    model = FloatModel(checkpoint)
    if examples.joints_norm[..., 2].any():
        known = labelled_features(model, examples)
        checkpoint.joint_map = fit_joint_map(known.x, known.people.tolist(), known.joints_norm)
    postures = [group.posture for group in examples.groups]
    if len(set(postures) - {""}) > 1:
        checkpoint.posture = fit_posture(features(model.predict(examples.inputs)["keypoints"]), postures)
