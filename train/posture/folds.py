"""What a fold's checkpoint finds on the people it was trained on and on people new to it, beside annotated joints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge.keypoints import Keypoints
from firmware_bridge.errors import Exit, Failure
from train.augment import random_similarity
from train.checkpoint import Checkpoint, load_checkpoint
from train.heads import COPY_CHANGES
from train.maps import Examples, Group
from train.pmd import person_of, read_pmd, subjects_of
from train.posture.graphs import body_graph, nearest_graph
from train.predict import FloatModel

COPIES: Final = 4
KEYPOINTS, JOINTS, ANNOTATED = INPUTS = ("keypoints", "joints", "annotated joints")


@dataclass(frozen=True)
class Known:
    """The training people: one map a file, and moved and mirrored copies of it."""

    points: Mapping[str, NDArray[np.float64]]
    """Input -> (N, K, F): x_cm, y_cm, value, sureness of a found point, x_cm, y_cm of an annotated one."""
    groups: Sequence[Group]
    """(N,)."""
    moved: NDArray[np.bool_]
    mirrored: NDArray[np.bool_]

    def sparse_graph(self, name: str) -> Tensor:
        """Bones between named joints; nearest neighbours among label-free points."""
        return nearest_graph(self.points[name][~self.moved, :, :2]) if name == KEYPOINTS else body_graph()


@dataclass(frozen=True)
class Unseen:
    """The test people: all usable frames of each file; annotated joints are one a file."""

    points: Mapping[str, NDArray[np.float64]]
    """Input -> (M, K, F)."""
    file_index: Mapping[str, NDArray[np.int64]]
    """Input -> (M,)."""
    files: Sequence[Group]


@dataclass(frozen=True)
class Fold:
    """One checkpoint with people to fit on and people to test on."""

    name: str
    labelled_people: Sequence[str]
    """Whose joint labels the checkpoint saw; with nobody's its joints are no named joints."""
    known: Known
    unseen: Unseen


def read_fold(path: Path, subjects: Sequence[int], data: Path, joints: Path) -> Fold:
    """Raises Failure: (2) where a test person trained the checkpoint or nobody of pmd did or nobody taught it joints,
    (66) for missing files.
    """
    checkpoint = load_checkpoint(path)
    trained = checkpoint.training.people
    if seen := sorted({person_of("i", s) for s in subjects} & set(trained)):
        raise Failure(f"{path} was trained on {', '.join(seen)}: test it on people who are new to it", Exit.USAGE)
    numbers = sorted(subjects_of(trained))
    if not numbers:
        raise Failure(f"{path} was trained on nobody of pmd: there is nobody to fit heads on", Exit.USAGE)
    if not checkpoint.knows_joints and checkpoint.joint_map is None:
        raise Failure(f"{path} finds no joints: give train-run --joints or simulated people", Exit.USAGE)
    finder = _Finder(checkpoint, joints)
    return Fold(
        path.name,
        checkpoint.training.labelled_people,
        finder.known(finder.examples(data, numbers, medians=True)),
        finder.unseen(finder.examples(data, subjects, medians=False)),
    )


class _Finder:
    def __init__(self, checkpoint: Checkpoint, joints: Path) -> None:
        self._model, self._joints = FloatModel(checkpoint), joints
        self._grid, self._preprocessing = checkpoint.grid, checkpoint.config.preprocessing

    def examples(self, data: Path, subjects: Sequence[int], *, medians: bool) -> Examples:
        maps = read_pmd(data, subjects, joints=self._joints)
        for group, found in zip(maps.groups, maps.joints, strict=True):
            if not found[:, 2].any():
                raise Failure(f"{self._joints} has no joints of {group.name}: every file needs them", Exit.USAGE)
        return (maps.medians() if medians else maps).examples(self._grid, self._preprocessing)

    def known(self, examples: Examples) -> Known:
        inputs = torch.from_numpy(examples.inputs)[:, None]
        joints = torch.from_numpy(examples.joints_norm)
        random = torch.Generator().manual_seed(0)
        changes = [random_similarity(len(inputs), COPY_CHANGES, self._grid, random) for _ in range(COPIES)]
        all_inputs = torch.cat([inputs, *(change.maps(inputs) for change in changes)])[:, 0]
        all_joints = torch.cat([joints, *(change.joints_norm(joints) for change in changes)])
        unchanged = torch.zeros(len(inputs), dtype=torch.bool)
        mirrored = torch.cat([unchanged, *(change.mirrored for change in changes)])
        moved = np.arange(len(all_inputs)) >= len(inputs)
        points = self._points(all_inputs.numpy(), all_joints.numpy())
        return Known(points, list(examples.groups) * (1 + COPIES), moved, mirrored.numpy())

    def unseen(self, examples: Examples) -> Unseen:
        file_index = {KEYPOINTS: examples.group_index, JOINTS: examples.group_index}
        file_index[ANNOTATED] = np.arange(len(examples.groups))
        return Unseen(self._points(examples.inputs, examples.joints_norm), file_index, examples.groups)

    def _points(self, inputs: NDArray[np.float32], joints_norm: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
        """Of annotated joints those too that are a guess: a posture is a whole body."""
        found: dict[str, list[Keypoints]] = self._model.predict(inputs)
        flat = {name: np.stack([one.features for one in points]) for name, points in found.items()}
        points = {name: self._in_cm(x.reshape(len(x), -1, 4)) for name, x in flat.items()}
        return points | {ANNOTATED: self._in_cm(joints_norm[..., :2])}

    def _in_cm(self, points_norm: NDArray[np.float32]) -> NDArray[np.float64]:
        size_cm = np.ones(points_norm.shape[-1])
        size_cm[:2] = self._grid.width_cm, self._grid.height_cm
        return points_norm * size_cm
