"""Simulated people as training maps."""

import numpy as np
import pytest

from firmware_bridge.geometry import Grid
from train.simulated import COARSE_POSTURES, FIRST_TRAINING_SEED, coarse_posture, read_simulated

GRID = Grid(64, 32, 2.54, 2.54)


def test_each_seed_is_a_person_and_a_group_of_its_own() -> None:
    maps = read_simulated(range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + 4), GRID)
    assert len(maps) == len(maps.groups) == len(maps.people) == 4
    assert maps.pressure.shape == (4, 64, 32)
    assert (maps.joints[..., 2] == 2).all()
    assert not np.array_equal(maps.pressure[0], maps.pressure[1])


def test_the_same_seed_gives_the_same_map_alone_or_among_others() -> None:
    among = read_simulated(range(5, 8), GRID)
    alone = read_simulated([6], GRID)
    np.testing.assert_array_equal(alone.pressure[0], among.pressure[1])
    np.testing.assert_array_equal(alone.joints[0], among.joints[1])


@pytest.mark.parametrize(
    ("simulated", "coarse"),
    [("supine", "supine"), ("reclined", "supine"), ("left_60", "left"), ("right_foetal", "right"), ("prone", "")],
)
def test_simulated_postures_have_the_names_of_real_ones(simulated: str, coarse: str) -> None:
    assert coarse_posture(simulated) == coarse


def test_groups_name_the_coarse_posture() -> None:
    groups = read_simulated(range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + 30), GRID).groups
    assert set(COARSE_POSTURES) <= {g.posture for g in groups} <= {*COARSE_POSTURES, ""}
