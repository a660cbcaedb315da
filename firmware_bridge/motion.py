"""What a person does on the mat, frame by frame: gets in, lies, turns, gets out, and comes back."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np

from firmware_bridge.body import Body
from firmware_bridge.geometry import Grid
from firmware_bridge.posing import Pose
from firmware_bridge.postures import lie_down, random_posture

FIRST_EMPTY_S: Final = (0.3, 0.8)
SIT_DOWN_S: Final = 0.4
LIE_DOWN_S: Final = 1.2
"""With FIRST_EMPTY_S at most 2.4 s until the person lies."""
EMPTY_S: Final = (3.0, 6.0)
STAY_S: Final = (100.0, 240.0)
"""Time-lapsed: a night's 20-40 postures of half an hour pass at 6-15 s each."""
HOLD_S: Final = (6.0, 15.0)
TURN_S: Final = (1.2, 2.2)
BREATH_HZ: Final = (0.2, 0.3)
BREATH_CM: Final = 0.35
"""Rise of the chest."""
FIDGET_DEG: Final = 3.0
"""Standard deviation of what each limb drifts while the person lies still."""
SITS_FROM_EDGE_CM: Final = 14.0


@dataclass(frozen=True)
class State:
    """The person at one frame."""

    what: str
    """A posture while lying, else empty, getting in, turning, getting out."""
    pose: Pose | None
    presence: float = 1.0
    """Share of the weight that the mat carries; less than 1 only while sitting down or standing up."""
    lying: bool = False


@dataclass(frozen=True)
class _Scene:
    what: str
    lasts_s: float
    begin: Pose | None = None
    end: Pose | None = None
    presence: tuple[float, float] = (1.0, 1.0)
    lying: bool = False


def motion(rng: np.random.Generator, body: Body, grid: Grid, frame_rate_hz: float) -> Iterator[State]:
    """The states at 0, 1 / rate, 2 / rate, ... seconds, without end."""
    breath_hz, phase = rng.uniform(*BREATH_HZ), rng.uniform(0, 2 * np.pi)
    frame, began_s = 0, 0.0
    for scene in _scenes(rng, body, grid):
        while (t := frame / frame_rate_hz) < began_s + scene.lasts_s:
            frame += 1
            if scene.begin is None or scene.end is None:
                yield State(scene.what, None)
                continue
            share = (t - began_s) / scene.lasts_s
            smooth = share * share * (3 - 2 * share)
            pose = scene.begin.blend(scene.end, smooth)
            rise = BREATH_CM / 2 * (1 + np.sin(2 * np.pi * breath_hz * t + phase))
            pose = replace(pose, trunk_lift_cm=pose.trunk_lift_cm + np.array([rise, 0.0]))
            presence = scene.presence[0] + smooth * (scene.presence[1] - scene.presence[0])
            yield State(scene.what, pose, float(presence), scene.lying)
        began_s += scene.lasts_s


def _scenes(rng: np.random.Generator, body: Body, grid: Grid) -> Iterator[_Scene]:
    empty_s = rng.uniform(*FIRST_EMPTY_S)
    while True:
        yield _Scene("empty", empty_s)
        posture = random_posture(rng)
        pose = lie_down(rng, body, posture, grid)
        sitting = _sitting(rng, pose, grid)
        yield _Scene("getting in", SIT_DOWN_S, sitting, sitting, (0.0, 1.0))
        yield _Scene("getting in", LIE_DOWN_S, sitting, pose)
        left_s = rng.uniform(*STAY_S)
        while True:
            hold_s = rng.uniform(*HOLD_S)
            drifted = _fidget(rng, pose)
            yield _Scene(posture, hold_s, pose, drifted, lying=True)
            left_s -= hold_s
            if left_s < 0:
                break
            posture = random_posture(rng)
            pose = _nearest(lie_down(rng, body, posture, grid), drifted)
            yield _Scene("turning", rng.uniform(*TURN_S), drifted, pose, lying=True)
        sitting = _nearest(_sitting(rng, drifted, grid), drifted)
        yield _Scene("getting out", LIE_DOWN_S, drifted, sitting)
        yield _Scene("getting out", SIT_DOWN_S, sitting, sitting, (1.0, 0.0))
        empty_s = rng.uniform(*EMPTY_S)


def _sitting(rng: np.random.Generator, lying: Pose, grid: Grid) -> Pose:
    """On the mat's edge, the feet beside the bed; on the side to which the lying person faces."""
    roll = float(lying.roll_deg[0])
    edge = -np.sign(np.sin(np.radians(roll))) if abs(np.sin(np.radians(roll))) > 0.3 else rng.choice([-1.0, 1.0])
    limb, lift = np.zeros((2, 6)), np.zeros((2, 6))
    for s, sign in enumerate((-1.0, 1.0)):
        limb[s] = sign * np.array([6.0, 0.0, 0.0, 30.0, 0.0, 0.0])
        lift[s] = [3.0, -45.0, -45.0, 8.0, 1.0, 0.0]
    at = np.array([edge * (grid.width_cm / 2 - SITS_FROM_EDGE_CM), lying.pelvis_cm[1]])
    return Pose(
        at, np.asarray(-90.0 * edge), np.zeros(3), np.zeros(2), np.array([34.0, 60.0]), limb, lift,
        np.zeros(()), np.zeros(()),
    )  # fmt: skip


def _fidget(rng: np.random.Generator, pose: Pose) -> Pose:
    """The pose a little later."""
    return replace(
        pose,
        limb_deg=pose.limb_deg + rng.normal(0, FIDGET_DEG, (2, 6)),
        roll_deg=pose.roll_deg + rng.normal(0, 1, 3),
        pelvis_cm=pose.pelvis_cm + rng.normal(0, 0.4, 2),
    )


def _nearest(pose: Pose, to: Pose) -> Pose:
    """The same pose with its angles within half a turn of another's, so that a blend takes the short way."""
    angles = {f.name: getattr(pose, f.name) for f in fields(pose) if f.name in ("roll_deg", "limb_deg")}
    near = {name: value - 360 * np.round((value - getattr(to, name)) / 360) for name, value in angles.items()}
    return replace(pose, **near)
