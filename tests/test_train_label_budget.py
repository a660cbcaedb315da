"""Linear maps fitted on the labels of few people."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.errors import Exit, Failure
from firmware_bridge.skeleton import MIRRORED
from tests.convert_once import DEFAULT_ENCODER
from train.checkpoint import Checkpoint, load_checkpoint
from train.label_budget import BudgetScore, label_budget, pooled_budget
from train.maps import Maps
from train.pmd import read_pmd


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_checkpoint(DEFAULT_ENCODER)


@pytest.fixture(scope="module")
def training(pmd: Path, joints_i: Path) -> Maps:
    return read_pmd(pmd, [1, 2, 3], joints=joints_i).medians()


@pytest.fixture(scope="module")
def test_maps(pmd: Path, joints_i: Path) -> Maps:
    return read_pmd(pmd, [13], joints=joints_i).medians()


def test_every_choice_of_people_is_fitted_and_more_labels_help(
    checkpoint: Checkpoint, training: Maps, test_maps: Maps
) -> None:
    scores = list(label_budget(checkpoint, training, test_maps, [1, 2, 3]))
    assert [(s.source, s.people, len(s.found_cm)) for s in scores] == [
        (source, people, choices) for source in ("keypoints", "joints") for people, choices in ((1, 3), (2, 3), (3, 1))
    ]
    one, _, three = (pooled_budget([score])["mean_cm"] for score in scores[:3])
    assert three < one
    assert pooled_budget(scores[-1:])["mean_cm"] < 4  # the joint output's own points, corrected linearly


def test_with_mirror_images_a_map_says_the_same_of_both(
    checkpoint: Checkpoint, training: Maps, test_maps: Maps
) -> None:
    shown = np.ascontiguousarray(test_maps.pressure[..., ::-1])
    swapped = test_maps.joints[:, list(MIRRORED)].copy()
    swapped[..., 0] = test_maps.grid.width_cm - swapped[..., 0]
    images = replace(test_maps, pressure=shown, joints=swapped)
    once, both = (
        [
            next(label_budget(checkpoint, training, maps, [3], mirrored_too=too)).found_cm[0]
            for maps in (test_maps, images)
        ]
        for too in (False, True)
    )
    for _, found_cm in (once, both):
        found_cm[:] = found_cm[:, list(MIRRORED)]
        found_cm[..., 0] = test_maps.grid.width_cm - found_cm[..., 0]
    np.testing.assert_allclose(both[1], both[0], atol=1e-3)
    assert np.abs(once[1] - once[0]).max() > 0.1


def test_folds_are_pooled_with_each_choice_counting_like_maps_of_its_own(test_maps: Maps) -> None:
    truth = test_maps.joints[..., :2].astype(float)
    near, far = truth + np.array([1, 0]), truth + np.array([3, 0])
    row = pooled_budget([BudgetScore("keypoints", 1, np.stack([near, far]), test_maps)])
    assert row["mean_cm"] == pytest.approx(2, abs=1e-4)
    assert (row["source"], row["people"], row["choices"]) == ("keypoints", 1, 2)


def test_more_people_than_are_annotated_are_refused(checkpoint: Checkpoint, training: Maps, test_maps: Maps) -> None:
    with pytest.raises(Failure, match="3 of the model's training people are annotated, not 4") as refused:
        list(label_budget(checkpoint, training, test_maps, [4]))
    assert refused.value.code == Exit.MISSING_INPUT
