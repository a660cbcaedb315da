"""How many people must be annotated? Joints by a linear map from label-free points, fitted on few people's labels."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from edge.keypoints import of_image
from edge.preprocess import Preprocessor
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.skeleton import JOINTS
from train.checkpoint import Checkpoint
from train.heads import labelled_features
from train.linear import features, fit_joint_map
from train.maps import Maps
from train.predict import FloatModel
from train.scoring import pooled

Source = Literal["keypoints", "joints"]
SOURCES: Final[tuple[Source, ...]] = ("keypoints", "joints")
"""Which output's points the map reads; a joint output is label-free where only simulated people had joints."""


@dataclass(frozen=True)
class BudgetScore:
    """Joints of one fold's test maps after fitting on every choice of `people` annotated training people."""

    source: Source
    people: int
    found_cm: NDArray[np.float64]
    """(choices, G, 14, 2), from the mat's top left corner."""
    test: Maps


def label_budget(
    checkpoint: Checkpoint, training: Maps, test: Maps, budgets: Sequence[int], *, mirrored_too: bool = False
) -> Iterator[BudgetScore]:
    """`training` must be annotated; `test` has one map a group. `mirrored_too`: the mean of what the map makes of a
    test map and of its mirror image."""
    model = FloatModel(checkpoint)
    constants = checkpoint.config.preprocessing
    test = test.around_people(checkpoint.grid)
    known_maps = training.medians().examples(checkpoint.grid, constants)
    preprocessor = Preprocessor(test.grid, checkpoint.grid, constants)
    inputs = preprocessor(test.pressure)
    test_points = model.predict(inputs)
    points_of_images = model.predict(np.ascontiguousarray(inputs[..., ::-1])) if mirrored_too else None
    for source in SOURCES if checkpoint.knows_joints else SOURCES[:1]:
        known = labelled_features(model, known_maps, source)
        x = features(test_points[source])
        x_of_images = features(points_of_images[source]) if points_of_images else None
        people = sorted(set(known.people.tolist()))
        for budget in budgets:
            found = []
            if budget > len(people):
                raise Failure(
                    f"{len(people)} of the model's training people are annotated, not {budget}", Exit.MISSING_INPUT
                )
            for chosen in itertools.combinations(people, budget):
                few = known.of(chosen)
                joint_map = fit_joint_map(few.x, few.people.tolist(), few.joints_norm)
                joints_norm = joint_map(x).reshape(-1, len(JOINTS), 2)
                if x_of_images is not None:
                    joints_norm = (joints_norm + of_image(joint_map(x_of_images).reshape(-1, len(JOINTS), 2))) / 2
                found.append(preprocessor.mat_cm(joints_norm))
            yield BudgetScore(source, budget, np.stack(found), test)


def pooled_budget(folds: Sequence[BudgetScore]) -> dict[str, Any]:
    """One row over all folds' test people; a choice's maps count like maps of their own."""
    parts = [(found, fold.test) for fold in folds for found in fold.found_cm]
    first = folds[0]
    return {"source": first.source, "people": first.people, "choices": len(first.found_cm)} | pooled(parts)
