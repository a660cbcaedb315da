"""Batches: groups weigh the same, shares hold, and a map's other view stays in its group."""

import numpy as np
import pytest
import torch

from train.maps import Examples, Group
from train.sampling import TrainingSet


def examples(frames_per_group: list[int], first: int = 0) -> Examples:
    """Group g's frames hold first + g + a hundredth for each frame; its joints lie at first + g."""
    index = np.repeat(np.arange(len(frames_per_group)), frames_per_group)
    number = np.concatenate([np.arange(n) for n in frames_per_group])
    inputs = np.broadcast_to((first + index + number / 100)[:, None, None], (len(index), 8, 8)).astype(np.float32)
    joints = np.zeros((len(frames_per_group), 14, 3), np.float32)
    joints[..., 0] = first + np.arange(len(frames_per_group))[:, None]
    return Examples(inputs, [Group(str(g), "a") for g in range(len(frames_per_group))], index, joints)


def groups_of(x: torch.Tensor) -> torch.Tensor:
    return x[:, 0, 0, 0].floor()


def test_groups_are_drawn_equally_often_whatever_their_frames() -> None:
    batch = TrainingSet(examples([1, 50]), None).batch(400, 0.5, np.random.default_rng(0))
    assert batch.inputs.shape == (400, 1, 8, 8)
    assert groups_of(batch.inputs).mean() == pytest.approx(0.5, abs=0.1)
    assert torch.equal(groups_of(batch.inputs), batch.joints[:, 0, 0])


def test_simulated_people_take_their_share() -> None:
    data = TrainingSet(examples([3, 3]), examples([1, 1], first=10))
    assert (groups_of(data.batch(40, 0.25, np.random.default_rng(0)).inputs) >= 10).sum() == 10
    assert (groups_of(data.batch(40, 0.0, np.random.default_rng(0)).inputs) >= 10).sum() == 0


def test_rare_ways_of_lying_of_simulated_people_are_drawn_as_often_as_others() -> None:
    def with_one_prone(first: int) -> Examples:
        known = examples([1] * 10, first)
        known.groups[:] = [Group(str(g), "a", "" if g == 9 else "supine") for g in range(10)]
        return known

    def share_of_the_last(first: int, *, evenly: bool) -> float:
        data = TrainingSet(with_one_prone(0), with_one_prone(10), simulated_evenly=evenly)
        drawn = groups_of(data.batch(4000, 0.5, np.random.default_rng(0)).inputs)
        return float((drawn == first + 9).sum() / 2000)

    assert share_of_the_last(10, evenly=True) == pytest.approx(0.5, abs=0.05)
    assert share_of_the_last(10, evenly=False) == pytest.approx(0.1, abs=0.03)
    assert share_of_the_last(0, evenly=True) == pytest.approx(0.1, abs=0.03)


def test_annotated_real_maps_take_their_share_among_others() -> None:
    """Ten groups of which the last is annotated; all alike, they are drawn as without a share."""

    def drawn(known: list[int], share: float) -> torch.Tensor:
        real = examples([1] * 10)
        real.joints_norm[known, :, 2] = 1
        data = TrainingSet(real, examples([1], first=10), annotated_share=share)
        return groups_of(data.batch(4000, 0.5, np.random.default_rng(0)).inputs)

    assert (drawn([9], 0.4) == 9).sum() / 2000 == pytest.approx(0.4, abs=0.05)
    assert [(drawn([9], 0.4) == g).sum() / 2000 for g in range(9)] == pytest.approx([0.6 / 9] * 9, abs=0.02)
    assert (drawn([9], 0.0) == 9).sum() / 2000 == pytest.approx(0.1, abs=0.03)
    assert torch.equal(drawn([], 0.4), drawn([], 0.0))
    assert torch.equal(drawn(list(range(10)), 0.4), drawn([], 0.0))


def test_the_other_view_is_of_the_same_group_as_often_as_asked() -> None:
    data = TrainingSet(examples([60, 60]), None)
    batch = data.batch(200, 0.0, np.random.default_rng(0), other_frame=0.5)
    assert batch.others is not None
    assert torch.equal(groups_of(batch.others), groups_of(batch.inputs))
    same = (batch.others == batch.inputs).flatten(1).all(1).float().mean()
    assert same == pytest.approx(0.5, abs=0.1)


def test_without_other_frames_the_batches_are_what_they_were() -> None:
    data = TrainingSet(examples([60, 60]), None)
    plain = data.batch(20, 0.0, np.random.default_rng(0))
    assert plain.others is None
    assert torch.equal(data.batch(20, 0.0, np.random.default_rng(0), other_frame=1.0).inputs, plain.inputs)
