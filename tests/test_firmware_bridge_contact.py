"""Foam under a body."""

import numpy as np
import pytest

from firmware_bridge.body import random_body
from firmware_bridge.contact import GRAVITY, Foam
from firmware_bridge.geometry import Grid
from firmware_bridge.posing import place
from firmware_bridge.postures import POSTURES, random_pose

WIDE = Grid(110, 90, 2.54, 2.54)
"""So large that no part of a body lies beside it."""


@pytest.mark.parametrize("posture", POSTURES)
def test_the_foam_carries_the_weight_in_every_posture(posture: str) -> None:
    rng = np.random.default_rng(4)
    for _ in range(3):
        body = random_body(rng)
        pose = random_pose(rng, body, posture)
        foam, placed = Foam(body, WIDE), place(body, pose)
        weight_n = body.mass_kg * GRAVITY
        loads, _ = foam.loads_n(placed, pose)
        assert loads.sum() == pytest.approx(weight_n)
        assert (loads >= 0).all()
        force_n = float(foam.press(placed, pose).sum()) * 0.1 * WIDE.pitch_x_cm * WIDE.pitch_y_cm
        assert force_n == pytest.approx(weight_n, rel=0.01)


@pytest.mark.parametrize("posture", ["supine", "right", "left_30", "right_foetal", "prone"])
def test_the_mirrored_pose_gives_the_mirrored_map(posture: str) -> None:
    rng = np.random.default_rng(5)
    body = random_body(rng)
    pose = random_pose(rng, body, posture)
    foam = Foam(body, WIDE)
    pressure, mirrored = (foam.press(place(body, p), p) for p in (pose, pose.mirrored()))
    assert np.abs(mirrored[:, ::-1] - pressure).max() < 1e-3 * pressure.max()


def test_a_part_in_the_air_presses_nothing_and_its_weight_goes_to_the_rest() -> None:
    rng = np.random.default_rng(6)
    body = random_body(rng)
    pose = random_pose(rng, body, "right")
    placed = place(body, pose)
    loads, _ = Foam(body, WIDE).loads_n(placed, pose)
    high = placed.centre_cm[:, 2] > 25
    assert high.any()
    assert loads[high].sum() < 0.01 * loads.sum()


def test_twice_the_mass_on_the_same_bones_gives_a_wider_contact_and_more_pressure() -> None:
    rng = np.random.default_rng(7)
    body = random_body(rng)
    pose = random_pose(rng, body, "supine")
    heavy = type(body)(**{**vars(body), "mass_kg": 2 * body.mass_kg})
    light_map, heavy_map = (Foam(b, WIDE).press(place(b, pose), pose) for b in (body, heavy))
    assert heavy_map.sum() == pytest.approx(2 * light_map.sum(), rel=0.01)
    assert heavy_map.max() > light_map.max()
    assert (heavy_map > 0.5).sum() > (light_map > 0.5).sum()
