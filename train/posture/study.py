"""Which head reads which posture from which points: fitted on a fold's training people, one vote a test file."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from train.maps import Group
from train.pmd import MIRRORED_POSE_I, POSES_I, pose_i
from train.posture.fitting import Head, Labelled
from train.posture.folds import INPUTS, Fold, Known
from train.posture.graphs import complete_graph
from train.posture.linear import coordinates, fit_linear, with_distances
from train.posture.networks import LAYERS, fit_graph
from train.scoring import INTERVAL_PERCENT, RESAMPLES

Fit = Callable[[Labelled, Tensor], Head]
"""Of the training people's maps and the sparse graph of their points."""


def _complete(known: Labelled, _: Tensor, layer: str) -> Head:
    return fit_graph(known, complete_graph(known.x.shape[1]), layer)


HEADS: Final[Mapping[str, Fit]] = {
    "linear": lambda known, _: fit_linear(known, coordinates),
    "linear-distances": lambda known, _: fit_linear(known, with_distances),
    **{f"{layer}-sparse": partial(fit_graph, layer=layer) for layer in LAYERS},
    **{f"{layer}-complete": partial(_complete, layer=layer) for layer in LAYERS},
}


TASKS: Final[Mapping[str, Callable[[Group], str]]] = {
    "3 classes": lambda group: group.posture,
    "17 classes": lambda group: str(pose_i(group)),
}
"""What of a group is asked. Heads learn the 17 postures, and a coarser class is the sum of its postures: a body rolled
by 30 degrees is not halfway between the others on its side."""


@dataclass(frozen=True)
class Votes:
    """What one head says of one fold's test files."""

    task: str
    input: str
    head: str
    voted: Mapping[Group, str]
    frames_right: int
    frames: int


def study(fold: Fold, heads: Sequence[str]) -> Iterator[Votes]:
    """Of each input and head a result for each task. A file's vote is the largest mean score over its frames."""
    for name in INPUTS:
        known, graph = labelled(fold.known, name), fold.known.sparse_graph(name)
        for head in heads:
            scores = HEADS[head](known, graph)(fold.unseen.points[name])
            for task in TASKS:
                yield _votes(fold, task, name, head, scores)


def labelled(known: Known, name: str) -> Labelled:
    """A fold's training maps with their postures, those of mirrored copies mirrored."""
    poses = [_pose(group) for group in known.groups]
    shown = [MIRRORED_POSE_I.get(p, p) if m else p for p, m in zip(poses, known.mirrored.tolist(), strict=True)]
    people = np.array([group.person for group in known.groups])
    return Labelled(known.points[name], np.array(shown, np.int64) - 1, people, known.moved, POSES_I)


def _votes(fold: Fold, task: str, name: str, head: str, scores: NDArray[np.float64]) -> Votes:
    """scores (M, 17) are logarithms."""
    class_of_pose = {_pose(group): TASKS[task](group) for group in fold.known.groups}
    of_pose = np.array([class_of_pose[pose] for pose in range(1, POSES_I + 1)])
    classes = list(dict.fromkeys(of_pose.tolist()))
    merged = np.stack([np.logaddexp.reduce(scores[:, of_pose == one], 1) for one in classes], 1)
    files, file_index = fold.unseen.files, fold.unseen.file_index[name]
    best = [merged[file_index == f].mean(0).argmax() for f in range(len(files))]
    truth = np.array([classes.index(TASKS[task](file)) for file in files])
    right = int((merged.argmax(1) == truth[file_index]).sum())
    voted = {file: classes[b] for file, b in zip(files, best, strict=True)}
    return Votes(task, name, head, voted, right, len(merged))


def _pose(group: Group) -> int:
    pose = pose_i(group)
    assert pose is not None, f"{group.name} is not of Experiment I"
    return pose


def pooled(folds: Sequence[Votes]) -> dict[str, Any]:
    """One head on one task and input over all folds: files right, with their 95 % bootstrap interval over people."""
    task = TASKS[folds[0].task]
    voted = {file: vote for fold in folds for file, vote in fold.voted.items()}
    wrong = {file.name: vote for file, vote in voted.items() if vote != task(file)}
    people = sorted({file.person for file in voted})
    files = np.array([sum(file.person == person for file in voted) for person in people])
    right = np.array([sum(file.person == person and file.name not in wrong for file in voted) for person in people])
    return {
        "right": int(right.sum()),
        "files": int(files.sum()),
        "interval_95": _interval(right, files),
        "frames_percent": 100 * sum(fold.frames_right for fold in folds) / sum(fold.frames for fold in folds),
        "right_per_person": dict(zip(people, right.tolist(), strict=True)),
        "wrong": wrong,
    }


def _interval(right: NDArray[np.int64], files: NDArray[np.int64]) -> list[float] | None:
    """Files right among as many files; None for a single person."""
    if len(files) < 2:
        return None
    drawn = np.random.default_rng(0).integers(len(files), size=(RESAMPLES, len(files)))
    share = right[drawn].sum(1) / files[drawn].sum(1)
    return [float(files.sum() * bound) for bound in np.percentile(share, INTERVAL_PERCENT)]
