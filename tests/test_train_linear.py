"""Linear heads recover what is linear, and respect visibility and people."""

import numpy as np

from edge.keypoints import Keypoints
from train.linear import features, fit_joint_map, fit_posture


def test_features_are_x_y_value_and_sureness_of_each_point() -> None:
    points = Keypoints(np.array([[1, 2], [3, 4]], np.float32), np.array([5, 6], np.float32), np.float32([0, 8]))
    np.testing.assert_array_equal(features([points]), [[1, 2, 5, 1, 3, 4, 6, 0.5]])


def test_a_linear_map_is_found_and_joints_not_seen_do_not_disturb_it() -> None:
    random = np.random.default_rng(0)
    x = random.normal(scale=10, size=(60, 8))
    truth = (x @ random.normal(size=(8, 28)) * 0.01 + 0.5).reshape(60, 14, 2)
    joints = np.concatenate([truth, np.full((60, 14, 1), 2)], 2).astype(np.float32)
    unseen = random.random((60, 14)) < 0.3
    joints[unseen] = [9, 9, 0]
    head = fit_joint_map(x, ["a", "b", "c"] * 20, joints)
    found = (x @ np.array(head.weights) + head.bias).reshape(60, 14, 2)
    np.testing.assert_allclose(found, truth, atol=1e-3)
    assert head.people == ["a", "b", "c"]


def test_the_penalty_is_chosen_on_people_left_out() -> None:
    """Features that tell the person and nothing else must be damped: more noise, more penalty."""
    random = np.random.default_rng(1)
    people = np.repeat(np.arange(4), 15)
    signal = random.normal(size=(60, 2))
    noise = np.eye(4)[people] + 0.01 * random.normal(size=(60, 4))
    truth = np.tile(0.5 + 0.1 * signal[:, None], (1, 14, 1))
    truth[..., 0] += 0.05 * random.normal(size=4)[people][:, None]
    joints = np.concatenate([truth, np.full((60, 14, 1), 2)], 2).astype(np.float32)
    head = fit_joint_map(np.concatenate([signal, noise, noise[:, :2]], 1), [str(p) for p in people], joints)
    weights = np.abs(np.array(head.weights))
    assert weights[0, 0::2].mean() > 0.05


def test_what_a_position_tells_is_taken_from_it_and_not_from_the_value_or_the_sureness() -> None:
    random = np.random.default_rng(3)
    signal = random.normal(size=(60, 1))
    truth = np.tile(0.5 + 0.1 * signal[:, None], (1, 14, 2))
    joints = np.concatenate([truth, np.full((60, 14, 1), 2)], 2).astype(np.float32)
    head = fit_joint_map(np.repeat(signal, 4, 1), ["a", "b", "c"] * 20, joints)
    x, y, value, sureness = np.array(head.weights).mean(1)
    assert x + y + value + sureness > 0.09
    assert value + sureness < (x + y) / 50


def test_a_map_shown_twice_changes_nothing() -> None:
    random = np.random.default_rng(4)
    x = random.normal(size=(20, 8))
    joints = np.concatenate([random.random((20, 14, 2)), np.full((20, 14, 1), 2)], 2).astype(np.float32)
    once, twice = (fit_joint_map(np.tile(x, (n, 1)), ["a"] * 20 * n, np.tile(joints, (n, 1, 1))) for n in (1, 2))
    np.testing.assert_allclose(once.weights, twice.weights, atol=2e-5)


def test_posture_votes_for_the_right_class_and_ignores_unknown_rows() -> None:
    random = np.random.default_rng(2)
    centres = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])
    classes = random.integers(3, size=90)
    x = centres[classes] + 0.3 * random.normal(size=(90, 2))
    names = [["left", "right", "supine"][c] for c in classes]
    names[0] = ""
    head = fit_posture(x, names)
    votes = (x @ np.array(head.weights) + head.bias).argmax(1)
    assert head.classes == ["left", "right", "supine"]
    assert (votes == classes).mean() > 0.95
