"""Pooling over folds, and intervals over people."""

from dataclasses import replace

import numpy as np
import pytest

from edge.model import DEFAULT_MODEL
from firmware_bridge.geometry import Grid
from train.evaluated import Evaluated
from train.maps import Group, Maps
from train.scoring import Scored, score, summary
from train.simulated import read_simulated

GRID = Grid(64, 32, 2.54, 2.54)


def scored(people: dict[str, float], maps_each: int = 3) -> Scored:
    """Every joint of a person is off by the given distance along x."""
    names = [person for person in people for _ in range(maps_each)]
    joints = np.full((len(names), 14, 3), 30.0, np.float32)
    joints[..., 2] = 2
    groups = [Group(f"{i}", name) for i, name in enumerate(names)]
    maps = Maps(np.zeros((len(names), 64, 32), np.float32), GRID, groups, np.arange(len(names)), joints)
    found = joints[..., :2].astype(float)
    found[..., 0] += np.array([people[name] for name in names])[:, None]
    return Scored(maps, [], {"joints": found}, [True] * len(names))


def test_folds_are_pooled_over_all_their_joints() -> None:
    result = summary([scored({"a": 2.0}), scored({"b": 6.0, "c": 12.0})])
    assert result["joints"]["mean_cm"] == pytest.approx(20 / 3)
    assert result["joints"]["pck_5cm"] == pytest.approx(100 / 3)
    assert result["joints"]["pck_10cm"] == pytest.approx(200 / 3)
    assert result["joints"]["per_person_cm"] == pytest.approx({"a": 2, "b": 6, "c": 12})
    assert result["joints"]["joints"] == 9 * 14
    assert result["data"]["people"] == ["a", "b", "c"]
    assert result["posture"] == {"maps": 9, "right": 9}


def test_the_interval_is_over_people_not_over_joints() -> None:
    """Many joints of few different people say little: the interval spans the people."""
    wide = summary([scored({"a": 2.0, "b": 10.0}, maps_each=50)])["joints"]["interval_95"]["mean_cm"]
    assert wide == pytest.approx([2, 10])
    same = summary([scored({"a": 3.0, "b": 3.0, "c": 3.0})])["joints"]["interval_95"]["mean_cm"]
    assert same == pytest.approx([3, 3])


def test_one_person_has_no_interval() -> None:
    assert summary([scored({"a": 2.0})])["joints"]["interval_95"] is None


def test_a_figure_that_not_every_fold_has_is_left_out() -> None:
    one, two = scored({"a": 2.0}), scored({"b": 2.0})
    one.found_cm["keypoints_linear"] = one.found_cm["joints"]
    assert "keypoints_linear" not in summary([one, two])


def test_confidence_is_judged_by_how_well_it_orders_the_errors() -> None:
    """Where it falls as the error grows, doubt and error correlate with 1 and the surest joints are the best ones."""
    folds = [scored({"a": 1.0, "b": 2.0, "c": 9.0})]
    error_cm = np.linalg.norm(folds[0].found_cm["joints"] - folds[0].maps.joints[..., :2], axis=-1)
    folds[0].confidence = 1 / (1 + error_cm)
    confidence = summary(folds)["confidence"]
    assert confidence["rank_correlation"] == pytest.approx(1)
    assert confidence["mean_cm_of_surest_percent"][100] == pytest.approx(4)
    assert confidence["mean_cm_of_surest_percent"][25] == pytest.approx(1)
    folds[0].confidence = error_cm / 10
    assert summary(folds)["confidence"]["rank_correlation"] == pytest.approx(-1)


def test_equivariance_is_the_mean_over_the_maps_that_have_points() -> None:
    one, two = scored({"a": 2.0}, maps_each=2), scored({"b": 2.0}, maps_each=2)
    one.equivariance_cm = {"keypoints": np.array([0.5, 1.5]), "joints": np.full(2, np.nan)}
    two.equivariance_cm = {"keypoints": np.array([2.0, np.nan]), "joints": np.full(2, np.nan)}
    result = summary([one, two])
    assert result["equivariance_keypoints_cm"] == pytest.approx(4 / 3)
    assert "equivariance_joints_cm" not in result


def test_people_at_the_end_of_a_long_mat_are_scored_as_on_their_own() -> None:
    """As edge-run reads them, whose window follows whoever lies there."""
    maps, model = read_simulated(range(4), GRID), Evaluated(DEFAULT_MODEL)
    pressure = np.pad(maps.pressure, [(0, 0), (64, 0), (0, 0)])
    joints = maps.joints + np.float32([0, 64 * GRID.pitch_y_cm, 0]) * maps.joints.any(-1, keepdims=True)
    longer = replace(maps, pressure=pressure, joints=joints, grid=replace(GRID, rows=128))
    error_cm = [summary([score(model, seen)])["joints"]["mean_cm"] for seen in (maps, longer)]
    assert error_cm[1] == pytest.approx(error_cm[0], rel=0.2)
