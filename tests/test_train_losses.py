"""Each loss term: where it is zero, and which way it grows."""

import pytest
import torch

from train import losses


def test_a_perfect_mask_costs_nothing_and_a_wrong_one_everything() -> None:
    mask = (torch.rand(2, 16, 8, generator=torch.Generator().manual_seed(0)) > 0.5).long()
    sure = torch.stack([1 - mask, mask], 1) * 200.0 - 100
    assert losses.mask_f_score(sure, mask) < 1e-6
    assert losses.mask_cross_entropy(sure, mask) < 1e-6
    assert losses.mask_f_score(-sure, mask) > 0.999


def test_a_perfect_map_costs_nothing() -> None:
    x = torch.rand(2, 1, 64, 32, generator=torch.Generator().manual_seed(0))
    for term in (losses.map_l1, losses.map_l2, losses.map_dissimilarity):
        assert term(x, x) < 1e-6
        assert term(x.flip(-1), x) > 0.05


def test_contact_is_more_than_a_sixteenth_of_the_scale() -> None:
    x = torch.tensor([0.0, 0.24, 0.26, 1.0]).reshape(1, 1, 2, 2)
    assert losses.contact_mask(x).flatten().tolist() == [0, 0, 1, 1]


def test_equivariance_ignores_points_that_left_the_map() -> None:
    points, expected = torch.zeros(1, 2, 2), torch.tensor([[[3.0, 4.0], [100.0, 0.0]]])
    assert losses.equivariance(points, expected, torch.tensor([[1.0, 0.0]])) == 7
    assert losses.equivariance(points, expected, torch.zeros(1, 2)) == 0


def test_points_that_crowd_cost_more_than_points_apart() -> None:
    apart = torch.tensor([[[0.0, 0.0], [50.0, 0.0], [0.0, 50.0]]])
    assert losses.separation(apart) < 1e-6
    torch.testing.assert_close(losses.separation(apart * 0), torch.tensor(2.0))


def test_joints_that_were_not_seen_do_not_count() -> None:
    truth = torch.tensor([[[0.5, 0.5], [0.0, 0.0]]])
    size = torch.tensor([32.0, 64.0])
    found = torch.tensor([[[0.5, 0.5], [1.0, 1.0]]])
    assert losses.joint_distance(found, truth, size, torch.tensor([[1.0, 0.0]])) == 0
    assert losses.joint_distance(found, truth, size, torch.tensor([[1.0, 1.0]])) > 10


def test_a_doubtful_teacher_counts_less() -> None:
    size, told = torch.tensor([32.0, 64.0]), torch.full((1, 2, 2), 0.5)
    found = told + torch.tensor([1 / 32, 0.0])
    assert losses.joint_consistency(told, told, size, torch.ones(1, 2)) == 0
    terms = [losses.joint_consistency(found, told, size, torch.full((1, 2), sure)) for sure in (1.0, 0.5, 0.0)]
    assert terms == [0.5, 0.25, 0]


def test_a_wide_heat_map_costs_more_than_a_narrow_one() -> None:
    assert losses.concentration(torch.tensor([[9.0, 16.0]])) == 3.5


def test_rounding_is_the_mean_distance_in_cm() -> None:
    exact = torch.zeros(1, 2, 2)
    moved = torch.tensor([[[3.0, 4.0], [0.0, 0.0]]])
    assert float(losses.rounding(moved, exact)) == pytest.approx(2.5, abs=1e-3)
