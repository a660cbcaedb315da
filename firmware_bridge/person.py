"""A simulated person on a mat: stills for training, and nights for the virtual mat.

The parts: body (bones and masses), posing (a pose and where it puts the body), postures (random poses), contact
(the foam), motion (what happens when), sensor (the mat's electronics, applied by the caller).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.body import Array, random_body
from firmware_bridge.contact import Foam
from firmware_bridge.geometry import Grid
from firmware_bridge.motion import motion
from firmware_bridge.posing import place
from firmware_bridge.postures import lie_down, random_posture


@dataclass(frozen=True)
class Moment:
    """What is on the mat at one time."""

    pressure_kpa: NDArray[np.float32]
    """(rows, cols), canonical: seen from above, head at row 0."""
    joints_cm: NDArray[np.float32] | None
    """(14, 2) x, y from the mat's top left corner in the order of skeleton.JOINTS; None when nobody lies there."""
    posture: str
    """One of postures.POSTURES while lying still, else one of motion.Act."""


def still(seed: int, grid: Grid) -> Moment:
    """A random adult in a random posture; another person for each seed."""
    rng = np.random.default_rng([seed, 0x571])
    body = random_body(rng)
    posture = random_posture(rng)
    pose = lie_down(rng, body, posture, grid)
    placed = place(body, pose)
    return Moment(Foam(body, grid).press(placed, pose), _from_corner(placed.joints_cm, grid), posture)


def night(seed: int, grid: Grid, frame_rate_hz: float, scene: str = "night") -> Iterator[Moment]:
    """Frames of one person who gets in, lies, turns, bends, gets out and comes back, without end.

    Time-lapsed: a posture lasts 6-15 s, a stay a few minutes. The first stay begins within 0.8 s and the person
    lies after 2.5 s at most. Scene "empty": nobody ever. Raises ValueError for other scenes and rates not above 0.
    """
    if scene not in ("night", "empty"):
        raise ValueError(f"scene {scene!r} is neither night nor empty")
    if not frame_rate_hz > 0:
        raise ValueError(f"frame rate {frame_rate_hz} Hz is not above 0")
    nobody = np.zeros((grid.rows, grid.cols), np.float32)
    if scene == "empty":
        while True:
            yield Moment(nobody.copy(), None, "empty")
    rng = np.random.default_rng([seed, 0x2164])
    body = random_body(rng)
    foam = Foam(body, grid)
    for state in motion(rng, body, grid, frame_rate_hz):
        if state.pose is None:
            yield Moment(nobody.copy(), None, state.what)
            continue
        placed = place(body, state.pose)
        joints_cm = _from_corner(placed.joints_cm, grid) if state.lying else None
        yield Moment(foam.press(placed, state.pose) * np.float32(state.presence), joints_cm, state.what)


def _from_corner(centred_cm: Array, grid: Grid) -> NDArray[np.float32]:
    return np.asarray(centred_cm + np.array([grid.width_cm, grid.height_cm]) / 2, np.float32)
