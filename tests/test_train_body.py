"""What bodies look like, from poses: what is learnt, from whom, and how well it tells of joints that nobody sees."""

import functools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.body import BodyPrior
from edge.keypoints import Keypoints
from edge.manifest import Body, Confidence
from edge.preprocess import Preprocessor
from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import JOINTS, MIRRORED
from train.body import ANNOTATION_CM, FEWEST, PLACE_CM, fit_body
from train.config import TrainConfig
from train.maps import NOWHERE, Examples, Group, Maps
from train.pmd import GRID_I, read_pmd
from train.simulated import FIRST_TRAINING_SEED, read_simulated

SIZE_CM = np.array([GRID_I.width_cm, GRID_I.height_cm])
CONSTANTS = TrainConfig().preprocessing


def examples(poses_cm: NDArray[np.float64], posture: str, person: str = "x:1", visibility: float = 2) -> Examples:
    """Poses (G, 14, 2), one group each; of their maps nobody wants to know anything."""
    joints = np.concatenate([poses_cm / SIZE_CM, np.full((*poses_cm.shape[:2], 1), visibility)], -1)
    groups = [Group(f"{person}/{posture}/{i}", person, posture) for i in range(len(poses_cm))]
    maps = np.zeros((len(groups), GRID_I.rows, GRID_I.cols), np.float32)
    return Examples(maps, groups, np.arange(len(groups)), joints.astype(np.float32))


def random_poses(count: int, seed: int = 0, about_cm: tuple[float, float] = (40, 80)) -> NDArray[np.float64]:
    random = np.random.default_rng(seed)
    shape_cm = random.uniform(-30, 30, (len(JOINTS), 2))
    return np.asarray(about_cm + shape_cm + random.normal(size=(count, len(JOINTS), 2)) * 2)


def fitted(*parts: Examples) -> Body:
    body = fit_body(parts, GRID_I)
    assert body is not None
    return body


def test_a_mirrored_body_lies_on_its_other_side() -> None:
    body = fitted(examples(random_poses(FEWEST), "left"))
    assert body.shapes == ["left", "right"]
    assert body.shares == [0.5, 0.5]
    left, right = np.array(body.mean_cm).reshape(2, len(JOINTS), 2)
    mirrored = left[list(MIRRORED)].copy()
    mirrored[:, 0] = GRID_I.width_cm - mirrored[:, 0]
    np.testing.assert_allclose(right, mirrored, atol=0.011)


def test_where_on_the_mat_somebody_lies_does_not_matter() -> None:
    """Only the mean place does; two sets that differ in it have the same covariance."""
    here, there = (fitted(examples(random_poses(FEWEST, about_cm=at), "left")) for at in ((40, 80), (35, 60)))
    np.testing.assert_allclose(here.covariance_cm2, there.covariance_cm2, atol=0.02)
    moved = np.array(there.mean_cm[0]).reshape(-1, 2) - np.array(here.mean_cm[0]).reshape(-1, 2)
    np.testing.assert_allclose(moved, np.tile([-5.0, -20.0], (len(JOINTS), 1)), atol=0.02)
    variance = np.diagonal(here.matrices(), axis1=1, axis2=2)
    assert (variance > PLACE_CM**2 + ANNOTATION_CM**2).all()
    assert (variance < PLACE_CM**2 + ANNOTATION_CM**2 + 10).all()  # they vary by 2 cm


def test_few_poses_make_no_shape() -> None:
    """Mirrored ones count: half of FEWEST are enough on the back, not on one side."""
    half = FEWEST // 2
    assert fit_body([examples(random_poses(half), "left")], GRID_I) is None
    assert fit_body([examples(random_poses(half - 1), "supine")], GRID_I) is None
    assert fitted(examples(random_poses(half), "supine")).shapes == ["supine"]
    assert fitted(examples(random_poses(half), "supine"), examples(random_poses(3), "left", "x:2")).shares == [1.0]
    assert fit_body([], GRID_I) is None


def test_poses_without_a_known_posture_are_a_shape_too() -> None:
    assert fitted(examples(random_poses(FEWEST), "")).shapes == ["other"]


def test_maps_without_labels_and_poses_with_unknown_joints_teach_nothing() -> None:
    unlabelled = examples(np.zeros((FEWEST, len(JOINTS), 2)), "left", visibility=0)
    partial = examples(random_poses(FEWEST, 1), "left", "x:2")
    partial.joints_norm[:, 3] = NOWHERE, NOWHERE, 0
    whole = examples(random_poses(FEWEST, 2), "left", "x:3")
    guessed = examples(random_poses(FEWEST, 2), "left", "x:4")
    guessed.joints_norm[:, 3, 2] = 0  # the annotator's guess is part of a pose
    assert fit_body([unlabelled, partial], GRID_I) is None
    assert fitted(unlabelled, partial, whole).model_dump() == fitted(whole).model_dump()
    assert fitted(guessed).mean_cm == fitted(whole).mean_cm
    assert fitted(guessed, whole).people == ["x:3", "x:4"]


def test_the_corner_of_a_small_mat_is_no_place_of_a_joint_that_its_data_set_lacks() -> None:
    small = Grid(48, 24, GRID_I.pitch_x_cm, GRID_I.pitch_y_cm)
    poses = np.concatenate([random_poses(FEWEST), np.full((FEWEST, len(JOINTS), 1), 2)], -1).astype(np.float32)
    groups = [Group(str(i), "x:1", "left") for i in range(FEWEST)]
    maps = Maps(np.zeros((FEWEST, 48, 24), np.float32), small, groups, np.arange(FEWEST), poses)
    assert fit_body([maps.examples(GRID_I, CONSTANTS)], GRID_I) is not None
    maps.joints[:, 3] = 0
    assert fit_body([maps.examples(GRID_I, CONSTANTS)], GRID_I) is None


def test_each_part_counts_the_same() -> None:
    few, many = random_poses(FEWEST, 3, (30, 80)), np.repeat(random_poses(FEWEST, 3, (50, 80)), 9, 0)
    mean = np.array(fitted(examples(few, "left"), examples(many, "left", "x:2")).mean_cm[0]).reshape(-1, 2)
    expected = (few.mean((0, 1)) + many.mean((0, 1))) / 2
    np.testing.assert_allclose(mean.mean(0), expected, atol=0.05)


def test_simulated_people_are_not_named() -> None:
    simulated = read_simulated(range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + 80), GRID_I)
    assert fitted(simulated.examples(GRID_I, CONSTANTS)).people == []


@functools.cache
def body_of_people_1_to_4_and_simulated_ones(pmd: Path, joints_i: Path) -> Body:
    known = read_pmd(pmd, range(1, 5), joints=joints_i).medians().examples(GRID_I, CONSTANTS)
    simulated = read_simulated(range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + 300), GRID_I)
    return fitted(known, simulated.examples(GRID_I, CONSTANTS))


@pytest.mark.parametrize("joint", ["l_wrist", "r_elbow", "l_knee", "head"])
def test_other_peoples_poses_tell_of_a_joint_that_nobody_sees(joint: str, pmd: Path, joints_i: Path) -> None:
    """13 is asked: nearer than the joint's mean place in the same posture."""
    body = body_of_people_1_to_4_and_simulated_ones(pmd, joints_i)
    prior = BodyPrior(body, Confidence(), GRID_I)
    test = read_pmd(pmd, [13], joints=joints_i).medians()
    truth = Preprocessor(test.grid, GRID_I, CONSTANTS).model_norm(test.joints[..., :2]) * SIZE_CM
    j = JOINTS.index(joint)
    errors_cm, by_mean_cm = [], []
    for group, pose_cm, visibility in zip(test.groups, truth, test.joints[:, j, 2], strict=True):
        if visibility < 1:
            continue
        lost_cm, spread_cm = pose_cm.copy(), np.full(len(JOINTS), 1.0, np.float32)
        lost_cm[j], spread_cm[j] = SIZE_CM / 2, 200
        found = prior(Keypoints((lost_cm / SIZE_CM).astype(np.float32), np.zeros(len(JOINTS), np.float32), spread_cm))
        errors_cm.append(np.linalg.norm(found.xy_norm[j] * SIZE_CM - pose_cm[j]))
        mean_cm = np.array(body.mean_cm[body.shapes.index(group.posture)]).reshape(-1, 2)
        by_mean_cm.append(np.linalg.norm(mean_cm[j] - pose_cm[j]))
    assert len(errors_cm) >= 8
    assert np.mean(errors_cm) < 0.8 * np.mean(by_mean_cm)
