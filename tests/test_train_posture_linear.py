"""Linear posture heads: what they find, and that they stay linear."""

import numpy as np
import pytest
from posture_people import people

from train.posture.linear import SHRINKAGES, coordinates, discriminant, fit_linear, with_distances


@pytest.mark.parametrize("features", [coordinates, with_distances])
def test_the_posture_of_new_people_is_found(features) -> None:
    new = people("xyz", seed=1)
    votes = fit_linear(people("abcdef"), features)(new.x).argmax(1)
    assert (votes == new.y).mean() > 0.95


def test_shuffled_classes_teach_nothing() -> None:
    known = people("abcdef")
    new = people("xyz", seed=1)
    np.random.default_rng(0).shuffle(known.y)
    votes = fit_linear(known, coordinates)(new.x).argmax(1)
    assert (votes == new.y).mean() < 0.6


def test_on_coordinates_it_is_a_head_that_fits_into_the_manifest() -> None:
    """One matrix on the 4K features: halfway between two maps the scores are halfway too."""
    known = people("abcd")
    head = fit_linear(known, coordinates)
    assert head.weights.shape == (known.x.shape[1] * 4, 3)
    half = head((known.x[:1] + known.x[1:2]) / 2)
    np.testing.assert_allclose(half, (head(known.x[:1]) + head(known.x[1:2])) / 2, atol=1e-9)


def test_distances_do_not_change_when_the_body_moves() -> None:
    x = people("a").x
    moved = x.copy()
    moved[..., :2] += [9, -4]
    size = x.shape[1] * x.shape[2]
    assert with_distances(x).shape[1] == size + x.shape[1] * (x.shape[1] - 1) // 2
    np.testing.assert_allclose(with_distances(moved)[:, size:], with_distances(x)[:, size:])
    np.testing.assert_array_equal(with_distances(x)[:, :size], coordinates(x))


def test_full_shrinkage_votes_for_the_nearest_class_mean() -> None:
    known = people("abc")
    mean, scale = coordinates(known.x).mean(0), coordinates(known.x).std(0) + 1e-9
    x = (coordinates(known.x) - mean) / scale
    means = np.stack([x[known.y == c].mean(0) for c in range(3)])
    nearest = np.linalg.norm(x[:, None] - means, axis=-1).argmin(1)
    np.testing.assert_array_equal(discriminant(known, coordinates, 1.0)(known.x).argmax(1), nearest)


def test_one_person_is_enough_to_fit_and_takes_the_middle_setting() -> None:
    alone = people("a")
    head = fit_linear(alone, coordinates)
    middle = discriminant(alone, coordinates, SHRINKAGES[len(SHRINKAGES) // 2])
    np.testing.assert_array_equal(head.weights, middle.weights)
