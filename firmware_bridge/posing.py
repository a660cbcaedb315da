"""Where the body is: a pose in angles and heights, and the points and slices that follow from it.

Directions in a pose are as seen from above: 0 degrees is from the head to the feet along the trunk, positive
turns towards the high columns. Every bone keeps its length in 3D whatever the pose says: the height of its far
end and its direction are given, its reach in the plane follows.
"""

from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np

from firmware_bridge.body import POINTS, STRANDS, Array, Body
from firmware_bridge.skeleton import JOINTS

LIMB_BONES: Final = ("thigh", "shank", "foot", "upper_arm", "forearm", "hand")
TOUCHING_CM: Final = np.array([5.5, 3.6, 2.2, 3.8, 2.8, 1.8])
"""Height of each limb bone's far end, for girth 1, when it lies on the mat."""
SHOULDER_FORWARD_DEG: Final = (-4.0, 0.0)
"""How far the shoulder blades slide forward on the ribs: lying on the back, and the lower one lying on the side."""
STEEPEST: Final = 0.985
"""Sine of the steepest bone."""

# Joints as they are annotated on pressure maps (data/pmd-joints/README.md): at contacts, not at joint centres.
HIP_DOWN_CM: Final = (6.0, 2.0)
"""Towards the feet from the joint, on the back and on the side: the lower half of the buttock contact."""
KNEE_UP_SHARE: Final = (0.03, 0.0)
"""Of the thigh, on the back and on the side."""
ANKLE_UP_SHARE: Final = (0.03, 0.0)
"""Of the shank, on the back and on the side: at or one row above the heel contact."""
SHOULDER_OUT_SHARE: Final = 0.05
"""Of the upper arm."""


@dataclass(frozen=True)
class Pose:
    """One configuration of a body. Arrays, so that poses can be blended; sides are in the order right, left."""

    pelvis_cm: Array
    """(2,) x, y from the mat's centre."""
    heading_deg: Array
    """() direction of the trunk on the mat: 0 head at row 0, positive turns the feet to the high columns."""
    roll_deg: Array
    """(3,) pelvis, chest, head: 0 on the back, 90 on the right side, -90 on the left, 180 on the belly."""
    bend_deg: Array
    """(2,) direction of chest and skull relative to the pelvis: a curled back."""
    trunk_lift_cm: Array
    """(2,) of neck and head above where they touch the mat; a heavy head starts a little lower."""
    limb_deg: Array
    """(2, 6) direction of each of LIMB_BONES."""
    lift_cm: Array
    """(2, 6) of each far end above where it lies on the mat."""
    wedge: Array
    """() 1 where a wedge carries the raised side of the trunk."""
    recline: Array
    """() 0..1, the bed's head raised by up to 60 degrees: the load moves to the pelvis, and on the unfolded mat the
    trunk is 2 h tan(angle / 2) further from the legs, as the hips bend at a height h above the mat's fold."""

    def mirrored(self) -> Self:
        """The same pose with left and right exchanged."""
        return type(self)(
            self.pelvis_cm * [-1, 1], -self.heading_deg, -self.roll_deg, -self.bend_deg, self.trunk_lift_cm,
            -self.limb_deg[::-1], self.lift_cm[::-1], self.wedge, self.recline,
        )  # fmt: skip

    def blend(self, other: Self, share: float) -> Self:
        """Between this pose (0) and another (1); angles are not wrapped, a roll goes the way its numbers say."""
        pairs = [(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)]
        return type(self)(*[np.asarray(a + share * (b - a)) for a, b in pairs])

    def moved(self, by_cm: Array) -> Self:
        """The same pose elsewhere."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return type(self)(**{**values, "pelvis_cm": self.pelvis_cm + by_cm})


@dataclass(frozen=True)
class Placed:
    """A body in a pose, in cm: x, y from the mat's centre, z above the unloaded foam."""

    points_cm: Array
    """(20, 3) in the order of body.POINTS."""
    joints_cm: Array
    """(14, 2) in the order of skeleton.JOINTS."""
    centre_cm: Array
    """(N, 3) of the slices."""
    direction: Array
    """(N, 3) unit vectors along the bones."""
    left: Array
    """(N, 3) unit vectors to the person's left, across the bone."""
    front: Array
    """(N, 3) unit vectors to the person's front, across the bone."""


TRUNK_REGION: Final = np.array([0 if s.bone[0] == "pelvis" else 1 if s.bone[0] == "waist" else 2 for s in STRANDS])
_LIMB: Final = np.array([s.bone[0][:2] in ("r_", "l_") for s in STRANDS])
_ARM: Final = np.array([s.bone[0][2:] in ("shoulder", "elbow", "wrist") for s in STRANDS])
ROLL_INDEX: Final = np.where(_LIMB, np.where(_ARM, 1, 0), TRUNK_REGION)
"""For each of STRANDS: which of pelvis, chest, head it rolls with."""
_P: Final = {name: i for i, name in enumerate(POINTS)}


def place(body: Body, pose: Pose) -> Placed:
    """The body's points, joints and slices in this pose."""
    points = _points(body, pose)
    bone = points[body.distal] - points[body.proximal]
    direction = bone / np.linalg.norm(bone, axis=1, keepdims=True)
    outward = np.where(_LIMB[body.strand], 1.0, -1.0)[:, None] * direction
    roll = np.radians(pose.roll_deg)[ROLL_INDEX[body.strand]]
    left, front = _across(outward, roll)
    centre = points[body.proximal] + body.along[:, None] * bone
    centre = centre + body.left_cm[:, None] * left - body.back_cm[:, None] * front
    return Placed(points, _joints(points, pose), centre, direction, left, front)


def _across(outward: Array, roll: Array) -> tuple[Array, Array]:
    """Unit vectors to the person's left and front, perpendicular to (..., 3) bones that lead away from the trunk."""
    up = np.array([0.0, 0.0, 1.0]) - outward[..., 2:] * outward
    up = up / np.maximum(np.linalg.norm(up, axis=-1, keepdims=True), 1e-9)
    level = np.cross(outward, up)
    sin, cos = np.sin(roll)[..., None], np.cos(roll)[..., None]
    return cos * level + sin * up, cos * up - sin * level


def _points(body: Body, pose: Pose) -> Array:
    """(20, 3) ends of the bones."""
    bone, girth = body.bone_cm, body.girth
    p = np.zeros((len(POINTS), 3))
    roll = np.radians(pose.roll_deg)
    heights = [_resting_height(body, region, float(roll[region])) for region in range(3)]
    pelvis, chest, skull = -pose.heading_deg + np.array([0.0, -pose.bend_deg[0], -pose.bend_deg[1]])
    p[_P["pelvis"]] = [*pose.pelvis_cm, heights[0]]
    unfolded = 2 * heights[0] * float(np.tan(np.radians(30 * pose.recline)))
    waist_z = (heights[0] + heights[1]) / 2 + 0.3 * pose.trunk_lift_cm[0]
    p[_P["waist"]] = _reach(p[_P["pelvis"]], bone["pelvis"] + unfolded, pelvis + 180, waist_z)
    p[_P["neck"]] = _reach(p[_P["waist"]], bone["thorax"], chest + 180, heights[1] + pose.trunk_lift_cm[0])
    p[_P["head"]] = _reach(p[_P["neck"]], bone["head"], skull + 180, heights[2] + pose.trunk_lift_cm[1])

    caudal = np.stack([p[_P["pelvis"]] - p[_P["waist"]], p[_P["waist"]] - p[_P["neck"]]])
    caudal /= np.linalg.norm(caudal, axis=1, keepdims=True)
    left, front = _across(caudal, roll[:2])
    shoulders = p[_P["neck"]] + bone["shoulder_drop"] * caudal[1]
    for side, (prefix, sign) in enumerate((("r_", -1.0), ("l_", 1.0))):
        lowered = max(0.0, -sign * float(np.sin(roll[1])))
        forward = np.radians(SHOULDER_FORWARD_DEG[0] + lowered * (SHOULDER_FORWARD_DEG[1] - SHOULDER_FORWARD_DEG[0]))
        p[_P[prefix + "hip"]] = p[_P["pelvis"]] + sign * bone["hip"] * left[0]
        p[_P[prefix + "shoulder"]] = shoulders + bone["shoulder"] * (
            sign * np.cos(forward) * left[1] + np.sin(forward) * front[1]
        )
        for chain, first in ((("hip", "knee", "ankle", "toe"), 0), (("shoulder", "elbow", "wrist", "fingers"), 3)):
            for k in range(3):
                i = first + k
                p[_P[prefix + chain[k + 1]]] = _reach(
                    p[_P[prefix + chain[k]]], bone[LIMB_BONES[i]], float(pose.limb_deg[side, i] - pose.heading_deg),
                    float(TOUCHING_CM[i] * girth + pose.lift_cm[side, i]),
                )  # fmt: skip
    return p


def _reach(start: Array, length: float, angle_deg: float, far_height: float) -> Array:
    """The far end of a bone: its direction on the mat and its far end's height, as nearly as its length allows."""
    rise = float(np.clip(far_height - start[2], -STEEPEST * length, STEEPEST * length))
    reach, angle = np.sqrt(length**2 - rise**2), np.radians(angle_deg)
    return np.asarray(start + np.array([reach * np.sin(angle), reach * np.cos(angle), rise]))


def _resting_height(body: Body, region: int, roll: float) -> float:
    """Height of the pelvis', chest's or skull's bone when its lowest slice just touches the mat."""
    mine = (TRUNK_REGION[body.strand] == region) & ~_LIMB[body.strand]
    half, left, back = body.half_cm[mine], body.left_cm[mine], body.back_cm[mine]
    extent = np.hypot(half[:, 0] * np.sin(roll), half[:, 1] * np.cos(roll))
    height = float(np.max(extent - left * np.sin(roll) + back * np.cos(roll)))
    return max(height, body.bone_cm["shoulder"] * abs(float(np.sin(roll)))) if region == 1 else height


def _joints(p: Array, pose: Pose) -> Array:
    """(14, 2) named joints where annotators of pressure maps put them."""
    flat = float(np.cos(np.radians(pose.roll_deg[0])) ** 2)
    caudal = (p[_P["pelvis"]] - p[_P["waist"]])[:2]
    caudal = caudal / max(float(np.linalg.norm(caudal)), 1e-9)
    at: dict[str, Array] = {"neck": p[_P["neck"]][:2], "head": p[_P["head"]][:2]}
    for s in ("r_", "l_"):
        hip, knee, ankle = (p[_P[s + n]][:2] for n in ("hip", "knee", "ankle"))
        shoulder, elbow = (p[_P[s + n]][:2] for n in ("shoulder", "elbow"))
        at[s + "hip"] = hip + _between(HIP_DOWN_CM, flat) * caudal
        at[s + "knee"] = knee + _between(KNEE_UP_SHARE, flat) * (hip - knee)
        at[s + "ankle"] = ankle + _between(ANKLE_UP_SHARE, flat) * (knee - ankle)
        at[s + "shoulder"] = shoulder + SHOULDER_OUT_SHARE * (elbow - shoulder)
        at |= {s + n: p[_P[s + n]][:2] for n in ("elbow", "wrist")}
    return np.array([at[name] for name in JOINTS])


def _between(back_and_side: tuple[float, float], flat: float) -> float:
    """The first where the person lies on the back or belly (flat = 1), the second on a side (0)."""
    back, side = back_and_side
    return side + flat * (back - side)
