"""Heads fitted on moved and mirrored copies of few labelled maps."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.manifest import JointMap
from firmware_bridge.skeleton import JOINTS
from tests.convert_once import DEFAULT_ENCODER
from train.checkpoint import load_checkpoint
from train.heads import CONFIDENCE_MAPS, COPIES, POSTURE_COPIES_REAL, fit_heads, labelled_features
from train.linear import features, features_of, fit_joint_map
from train.maps import Group, Maps
from train.pmd import GRID_I, read_pmd
from train.predict import FloatModel, Found
from train.simulated import FIRST_TRAINING_SEED, read_simulated


def test_only_annotated_maps_count_each_with_its_copies(pmd: Path, joints_i: Path) -> None:
    model = FloatModel(load_checkpoint(DEFAULT_ENCODER))
    with_joints, without = read_pmd(pmd, [1], joints=joints_i).medians(), read_pmd(pmd, [2]).medians()
    constants = model.checkpoint.config.preprocessing
    both = Maps(
        np.concatenate([with_joints.pressure, without.pressure]),
        GRID_I,
        [*with_joints.groups, *without.groups],
        np.arange(34),
        np.concatenate([with_joints.joints, without.joints]),
    )
    known = labelled_features(model, both.examples(GRID_I, constants))
    assert known.x.shape == (17 * (1 + COPIES), 4 * 32)
    assert set(known.people.tolist()) == {"pmd:1"}
    np.testing.assert_array_equal(
        known.x[:17], features(model.predict(with_joints.examples(GRID_I, constants).inputs)["keypoints"])
    )
    assert len(np.unique(known.joints_norm[:, 0, 0])) > 100  # moved, not repeated


def test_copies_teach_a_map_of_one_persons_labels_to_reach_other_people(pmd: Path, joints_i: Path) -> None:
    model = FloatModel(load_checkpoint(DEFAULT_ENCODER))
    constants = model.checkpoint.config.preprocessing
    examples = read_pmd(pmd, [1], joints=joints_i).medians().examples(GRID_I, constants)
    test = read_pmd(pmd, [13], joints=joints_i).medians().examples(GRID_I, constants)
    x_test = features(model.predict(test.inputs)["keypoints"])
    known = labelled_features(model, examples)

    def error(joint_map: JointMap) -> float:
        found = joint_map(x_test).reshape(-1, 14, 2)
        return float(np.linalg.norm(found - test.joints_norm[..., :2], axis=-1)[test.joints_norm[..., 2] >= 1].mean())

    without_copies = fit_joint_map(known.x[:17], ["pmd:1"] * 17, known.joints_norm[:17])
    assert error(fit_joint_map(known.x, known.people.tolist(), known.joints_norm)) < error(without_copies)


def test_without_labels_there_is_no_joint_map_and_without_postures_no_posture_head(pmd: Path) -> None:
    checkpoint = replace(load_checkpoint(DEFAULT_ENCODER), joint_map=None, posture=None)
    maps = read_pmd(pmd, [1]).medians()
    fit_heads(checkpoint, [maps])
    assert checkpoint.joint_map is None
    assert checkpoint.posture is not None
    assert set(checkpoint.posture.classes) == {"supine", "left", "right"}
    assert checkpoint.posture.reads == ["keypoints", "joints"]
    assert len(checkpoint.posture.weights) == 4 * (32 + 14)
    checkpoint.posture = None
    fit_heads(checkpoint, [replace(maps, groups=[replace(g, posture="") for g in maps.groups])])
    assert checkpoint.posture is None


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many maps each call shows to the model."""
    counts: list[int] = []
    predict = FloatModel.predict

    def counted(self: FloatModel, inputs: NDArray[np.float32]) -> Found:
        counts.append(len(inputs))
        return predict(self, inputs)

    monkeypatch.setattr(FloatModel, "predict", counted)
    return counts


def recording(frames: int, posture: str = "") -> Maps:
    """Each frame a group, as of train.recordings; nothing but a posture is known of them."""
    random = np.random.default_rng(0)
    groups = [Group(f"night/{i}", "recording:night", posture) for i in range(frames)]
    pressure = random.gamma(1, 50, (frames, GRID_I.rows, GRID_I.cols)).astype(np.float32)
    return Maps(pressure, GRID_I, groups, np.arange(frames))


def test_frames_that_tell_nothing_are_not_looked_at(pmd: Path, looked_at: list[int]) -> None:
    """A recording has hundreds of thousands."""
    alone, beside = load_checkpoint(DEFAULT_ENCODER), load_checkpoint(DEFAULT_ENCODER)
    real = read_pmd(pmd, [1])
    fit_heads(alone, [real])
    fit_heads(beside, [real, recording(30)])
    assert looked_at == [17 * (1 + POSTURE_COPIES_REAL)] * 2
    assert beside.posture == alone.posture
    fit_heads(beside, [recording(30)])
    assert len(looked_at) == 2


def test_frames_with_joints_of_unknown_posture_are_not_copied_for_the_posture_head(
    pmd: Path, joints_i: Path, looked_at: list[int]
) -> None:
    maps = read_pmd(pmd, [1], joints=joints_i).medians()
    fit_heads(load_checkpoint(DEFAULT_ENCODER), [replace(maps, groups=[replace(g, posture="") for g in maps.groups])])
    assert looked_at == [CONFIDENCE_MAPS, 17 * (1 + COPIES)]


def test_of_long_recordings_few_frames_are_looked_at_evenly_spread(
    pmd: Path, looked_at: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.heads.MOST", 40)
    checkpoint = load_checkpoint(DEFAULT_ENCODER)
    seen: list[Sequence[int]] = []
    of_groups = Maps.of_groups
    monkeypatch.setattr(Maps, "of_groups", lambda maps, keep: seen.append(keep) or of_groups(maps, keep))
    fit_heads(checkpoint, [read_pmd(pmd, [1]), recording(50, "supine")])
    assert seen == [list(range(17)), [i * 50 // 20 for i in range(20)]]
    assert looked_at == [(17 + 20) * (1 + POSTURE_COPIES_REAL)]


def test_simulated_people_alone_teach_postures_that_real_people_show(pmd: Path) -> None:
    checkpoint = load_checkpoint(DEFAULT_ENCODER)
    constants = checkpoint.config.preprocessing
    seeds = range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + 200)
    fit_heads(checkpoint, [], [read_simulated(seeds, checkpoint.grid)])
    assert checkpoint.posture is not None
    test = read_pmd(pmd, [13]).medians()
    found = FloatModel(checkpoint).predict(test.examples(checkpoint.grid, constants).inputs)
    votes = checkpoint.posture(features_of(found, checkpoint.posture.reads)).argmax(1)
    right = [checkpoint.posture.classes[v] == g.posture for v, g in zip(votes, test.groups, strict=True)]
    assert sum(right) >= 14  # of 17; by chance 6


def test_a_model_without_a_joint_output_reads_postures_from_keypoints_alone(pmd: Path) -> None:
    checkpoint = load_checkpoint(DEFAULT_ENCODER)
    config = checkpoint.config.model_copy(
        update={"weights": checkpoint.config.weights.model_copy(update={"joints": 0.0})}
    )
    checkpoint = replace(checkpoint, config=config)
    fit_heads(checkpoint, [read_pmd(pmd, [1])])
    assert checkpoint.posture is not None
    assert checkpoint.posture.reads == ["keypoints"]


def test_a_joint_that_is_off_more_for_its_spread_reaches_half_confidence_sooner(pmd: Path, joints_i: Path) -> None:
    """Wrists err more than knees at the same spread, so their confidence must fall earlier."""
    checkpoint = load_checkpoint(DEFAULT_ENCODER)
    fit_heads(checkpoint, [read_pmd(pmd, [1, 2], joints=joints_i)])
    half_cm = dict(zip(JOINTS, checkpoint.joints_half_cm or [], strict=True))
    assert half_cm["r_wrist"] < half_cm["r_knee"]
    assert half_cm["l_wrist"] < half_cm["l_knee"]
    fit_heads(checkpoint, [read_pmd(pmd, [1])])
    assert checkpoint.joints_half_cm is None


def test_bodies_are_fitted_on_known_poses_unless_they_are_switched_off(pmd: Path, joints_i: Path) -> None:
    """The heads that read joints are fitted on joints as bodies have them: those that the model will find."""
    checkpoint = load_checkpoint(DEFAULT_ENCODER)
    real = [read_pmd(pmd, [1, 2], joints=joints_i)]
    simulated = [read_simulated(range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + 100), checkpoint.grid)]
    off = replace(checkpoint, config=checkpoint.config.model_copy(update={"body": False}))
    fit_heads(checkpoint, real, simulated)
    fit_heads(off, real, simulated)
    assert checkpoint.body is not None
    assert checkpoint.body.people == ["pmd:1", "pmd:2"]
    assert off.body is None
    assert checkpoint.joints_half_cm == off.joints_half_cm  # how wrong heat maps are, whatever is made of it
    assert checkpoint.posture != off.posture
    fit_heads(checkpoint, [read_pmd(pmd, [1])])
    assert checkpoint.body is None
