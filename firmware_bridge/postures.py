"""Random poses of each posture, as people take them on a mat (pmd Experiment I, and daily life)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from firmware_bridge.body import Array, Body
from firmware_bridge.geometry import Grid
from firmware_bridge.posing import Pose, place
from firmware_bridge.skeleton import JOINTS

POSTURES: Final = {
    "supine": 0.36, "right": 0.09, "left": 0.09, "right_30": 0.045, "left_30": 0.045, "right_60": 0.045,
    "left_60": 0.045, "right_foetal": 0.08, "left_foetal": 0.08, "reclined": 0.09, "prone": 0.03,
}  # fmt: skip
"""Posture -> how often it is taken."""


MARGIN_CM: Final = 3.0
"""Joints keep this far from the mat's edges where the person fits."""
HEAD_CM: Final = (5.0, 12.0)
"""From the mat's top edge to the skull's centre, as people of pmd lie (8 cm on average)."""
ASIDE_CM: Final = 4.0
"""Standard deviation of the trunk's distance from the middle line."""
WEDGE_ASIDE_CM: Final = 16.0
"""Further to the side on which people lie before a wedge."""
TURNED_DEG: Final = 5.0
"""Standard deviation of a person's direction on the mat."""
MOST_TURNED_DEG: Final = 15.0
TRIES: Final = 12


def random_posture(rng: np.random.Generator) -> str:
    """One of POSTURES."""
    return str(rng.choice(list(POSTURES), p=list(POSTURES.values())))


def lie_down(rng: np.random.Generator, body: Body, posture: str, grid: Grid) -> Pose:
    """A random pose of that posture on the mat, drawn again a few times where a joint would be beside the mat."""
    half = np.array([grid.width_cm, grid.height_cm]) / 2
    for _ in range(TRIES):
        pose = settle(rng, body, random_pose(rng, body, posture), grid)
        if (np.abs(place(body, pose).joints_cm) < half - 1).all():
            break
    return pose


def settle(rng: np.random.Generator, body: Body, pose: Pose, grid: Grid) -> Pose:
    """The pose turned a little and laid on the mat so that its joints are within it, if the person fits."""
    turn = np.clip(rng.normal(0, TURNED_DEG), -MOST_TURNED_DEG, MOST_TURNED_DEG)
    pose = replace(pose, heading_deg=np.asarray(pose.heading_deg + turn))
    joints = place(body, pose).joints_cm
    half = np.array([grid.width_cm, grid.height_cm]) / 2
    trunk = joints[[JOINTS.index(n) for n in ("r_hip", "l_hip", "neck")]].mean(0)
    head_y = joints[JOINTS.index("head"), 1]
    aside = -WEDGE_ASIDE_CM * float(pose.wedge * np.sin(np.radians(pose.roll_deg[0])))
    by = np.array([rng.normal(aside, ASIDE_CM) - trunk[0], rng.uniform(*HEAD_CM) - half[1] - head_y])
    low, high = joints.min(0) + half - MARGIN_CM, half - MARGIN_CM - joints.max(0)
    by = np.where(low + high < 0, (high - low) / 2, np.clip(by, np.minimum(-low, high), np.maximum(-low, high)))
    return pose.moved(by)


def random_pose(rng: np.random.Generator, body: Body, posture: str) -> Pose:
    """A pose of that posture with the pelvis at the mat's centre."""
    side, _, kind = posture.partition("_")
    if side in ("right", "left"):
        pose = _SIDEWAYS[kind](rng, body)
        return pose if side == "right" else pose.mirrored()
    pose = {"supine": _supine, "reclined": _reclined, "prone": _prone}[side](rng, body)
    return pose.mirrored() if rng.integers(2) else pose


def _pose(rng: np.random.Generator, roll: Array, limb_deg: Array, lift_cm: Array, *, heading: float = 0.0,
          bend: tuple[float, float] = (0.0, 0.0), wedge: float = 0.0, recline: float = 0.0) -> Pose:  # fmt: skip
    return Pose(
        np.zeros(2), np.asarray(heading + rng.normal(0, 3)), roll, np.array(bend) + rng.normal(0, (2.5, 6)),
        rng.normal((1.0, -0.7), (0.4, 0.5)), limb_deg + rng.normal(0, 2, (2, 6)), lift_cm, np.asarray(wedge),
        np.asarray(recline),
    )  # fmt: skip


def _supine(rng: np.random.Generator, body: Body) -> Pose:
    u, n = rng.uniform, rng.normal
    limb, lift = np.zeros((2, 6)), np.zeros((2, 6))
    apart, legs = n(1, 4), rng.random()
    for s, sign in enumerate((-1.0, 1.0)):
        limb[s, :3] = sign * np.array([apart + n(0, 2), apart - 5 + n(0, 4), u(5, 60)])
        lift[s, :3] = [u(1, 4.5), u(1.2, 2.6), u(16, 21)]
        if legs < 0.12 or (legs < 0.24 and s == 0):  # knees up, feet flat
            lift[s, :3] = [body.bone_cm["shank"] * u(0.88, 1.02), u(0.5, 1.5), 0.0]
            limb[s, :3] = sign * np.array([n(2, 6), n(-3, 6), n(12, 8)])
        elif legs > 0.92 and s == 0:  # a knee fallen outwards
            limb[s, :3] = sign * np.array([u(25, 55), u(-60, -20), u(-20, 20)])
            lift[s, :3] = [u(0, 4), 1.0, 2.0]
    if 0.24 < legs < 0.42:  # crossed at the ankles
        limb[0, :3], lift[0, :3] = [n(6, 3), n(9, 3), u(-20, 30)], [2.0, 9.0, 24.0]
        limb[1, :2] = [n(1, 3), n(-5, 3)]
    arms = rng.choice(len(_SUPINE_ARMS), 2, p=[0.44, 0.2, 0.3, 0.06])
    if rng.random() < 0.6:
        arms[1] = arms[0]
    for s, sign in enumerate((-1.0, 1.0)):
        degrees, lifts = _SUPINE_ARMS[arms[s]](rng, body)
        limb[s, 3:], lift[s, 3:] = sign * degrees, lifts
    return _pose(rng, n(0, (4, 4, 8)), limb, lift)


def _arm_at_side(rng: np.random.Generator, body: Body) -> tuple[Array, Array]:
    degrees = rng.normal((26, 3, 0), (7, 10, 12))
    return degrees, np.abs(rng.normal((0.3, 1.0, 0.5), (0.5, 1.0, 1.0)))


def _arm_on_belly(rng: np.random.Generator, body: Body) -> tuple[Array, Array]:
    degrees = np.array([rng.normal(34, 7), rng.normal(-85, 18), rng.normal(-90, 15)])
    return degrees, np.array([rng.uniform(0, 2), rng.uniform(13, 17) * body.girth, rng.uniform(17, 19) * body.girth])


def _arm_behind_head(rng: np.random.Generator, body: Body) -> tuple[Array, Array]:
    degrees = np.array([rng.normal(130, 10), rng.normal(258, 12), rng.normal(265, 15)])
    return degrees, np.array([rng.uniform(3, 14), rng.uniform(1, 6), rng.uniform(1, 5)])


def _arm_spread(rng: np.random.Generator, body: Body) -> tuple[Array, Array]:
    first = rng.uniform(45, 80)
    degrees = np.array([first, first + rng.uniform(20, 100), 0.0])
    degrees[2] = degrees[1] + rng.normal(0, 15)
    return degrees, np.abs(rng.normal((0.3, 1.0, 0.5), (0.5, 1.0, 1.0)))


_SUPINE_ARMS: Final = (_arm_at_side, _arm_on_belly, _arm_behind_head, _arm_spread)


def _reclined(rng: np.random.Generator, body: Body) -> Pose:
    limb, lift = np.zeros((2, 6)), np.zeros((2, 6))
    for s, sign in enumerate((-1.0, 1.0)):
        limb[s, :3] = sign * np.array([rng.normal(1, 3), rng.normal(-3, 3), rng.uniform(5, 60)])
        lift[s, :3] = [rng.uniform(1, 5), rng.uniform(1.2, 2.6), rng.uniform(16, 21)]
        degrees, lifts = _arm_at_side(rng, body)
        limb[s, 3:], lift[s, 3:] = sign * degrees, lifts
    return _pose(rng, rng.normal(0, 3, 3), limb, lift, recline=rng.uniform(0.2, 1))


def _prone(rng: np.random.Generator, body: Body) -> Pose:
    limb, lift = np.zeros((2, 6)), np.zeros((2, 6))
    for s, sign in enumerate((1.0, -1.0)):  # on the belly the right side is at the high columns
        arm = rng.uniform(105, 140) if rng.random() < 0.3 else rng.normal(26, 7)
        forearm = rng.normal(180, 15) if arm > 90 else rng.normal(3, 10)
        legs = rng.normal((4, 1, -5), (4, 5, 15))
        limb[s] = sign * np.array([*legs, arm, forearm, forearm])
        lift[s] = [0.0, rng.uniform(2, 5), 0.0, 0.0, 0.5, 0.5]
    return _pose(rng, np.array([180.0, 180.0, 180.0 - 80.0]), limb, lift)


def _side(rng: np.random.Generator, body: Body, foetal: bool = False) -> Pose:
    """On the right side, facing the low columns."""
    n, u = rng.normal, rng.uniform
    heading = n(-11, 4) if foetal else n(-3, 5)
    thigh, shank = (n(-75, 8), n(44, 12)) if foetal else (n(-43, 8), n(20, 10))
    limb, lift = np.zeros((2, 6)), np.zeros((2, 6))
    upper_thigh, upper_shank = thigh + n(-2, 7), shank + n(0, 9)
    limb[0, :3] = [thigh, shank, shank - u(60, 100)]
    limb[1, :3] = [upper_thigh, upper_shank, upper_shank - u(60, 100)]
    lift[0] = [u(0, 2.5), u(0.5, 3.5), u(0, 2), u(0, 1.5), u(0, 3), u(0, 2)]
    lift[1, :3] = [u(5, 13), u(0, 7), u(0, 4)]
    limb[0, 3:] = [n(-60, 12), n(-158, 14), n(-160, 15)]
    limb[1, 3:5] = [n(-40, 22), n(-100, 30)]
    limb[1, 5] = limb[1, 4] + n(0, 15)
    lift[1, 3:] = [u(3, 16) * body.girth, u(0, 9), u(0, 3)]
    roll = np.array([90 + n(0, 8), 90 + n(0, 8), 90 + n(0, 8)])
    bend = (n(-8, 5), n(-14, 12)) if foetal else (n(-1, 4), n(-6, 10))
    return _pose(rng, roll, limb, lift, heading=heading, bend=bend)


def _foetal(rng: np.random.Generator, body: Body) -> Pose:
    return _side(rng, body, foetal=True)


def _rolled(rng: np.random.Generator, body: Body, degrees: float) -> Pose:
    """Turned towards the right by a wedge under the left of the back."""
    n, u = rng.normal, rng.uniform
    limb, lift = np.zeros((2, 6)), np.zeros((2, 6))
    limb[0, :3] = [n(-10, 6), n(15, 6), u(-60, -20)]
    limb[1, :3] = [n(-3, 7), n(2, 6), u(-30, 30)]
    lift[0, :3], lift[1, :3] = [u(0, 2), u(0, 3), u(0, 8)], [u(2, 8), u(1, 4), u(8, 18)]
    limb[0, 3:] = [n(-35, 14), n(-15, 20), n(-15, 20)] if rng.random() < 0.7 else [n(-75, 20), n(-150, 25), n(-150, 25)]
    limb[1, 3:] = [n(20, 12), n(-8, 12), n(-8, 12)]
    lift[1, 3:] = [u(5, 12), u(4, 12), u(2, 8)]
    roll = np.array([n(degrees, 7), n(degrees + 6, 7), n(0.4 * degrees, 12)])
    return _pose(rng, roll, limb, lift, heading=n(0, 4), wedge=1.0)


_SIDEWAYS: Final[dict[str, Callable[[np.random.Generator, Body], Pose]]] = {
    "": _side,
    "foetal": _foetal,
    "30": lambda rng, body: _rolled(rng, body, 30),
    "60": lambda rng, body: _rolled(rng, body, 48),
}
