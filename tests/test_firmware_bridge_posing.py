"""Poses, bones and joints."""

from itertools import islice

import numpy as np
import pytest

from firmware_bridge.body import BONE_SHARES, POINTS, Body, random_body
from firmware_bridge.geometry import Grid
from firmware_bridge.motion import motion
from firmware_bridge.posing import place
from firmware_bridge.postures import POSTURES, random_pose, settle
from firmware_bridge.skeleton import JOINTS, MIRRORED

MAT = Grid(64, 32, 2.54, 2.54)
BONES = {
    ("waist", "neck"): "thorax", ("neck", "head"): "head",
    **{(f"{s}_{a}", f"{s}_{b}"): bone for s in "rl" for a, b, bone in (
        ("hip", "knee", "thigh"), ("knee", "ankle", "shank"), ("ankle", "toe", "foot"),
        ("shoulder", "elbow", "upper_arm"), ("elbow", "wrist", "forearm"), ("wrist", "fingers", "hand"))},
    ("pelvis", "r_hip"): "hip", ("pelvis", "l_hip"): "hip",
}  # fmt: skip


def lengths_cm(points_cm: np.ndarray, body: Body) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of the bones in these points, and as the body has them."""
    at = {name: points_cm[i] for i, name in enumerate(POINTS)}
    measured = np.array([np.linalg.norm(at[b] - at[a]) for a, b in BONES])
    return measured, np.array([body.bone_cm[bone] for bone in BONES.values()])


def test_bones_keep_their_length_in_3d_through_a_night() -> None:
    """Sitting down, turning and getting out included."""
    rng = np.random.default_rng(2)
    body = random_body(rng)
    for state in islice(motion(rng, body, MAT, 2.0), 700):
        if state.pose is not None:
            measured, expected = lengths_cm(place(body, state.pose).points_cm, body)
            assert measured == pytest.approx(expected)


@pytest.mark.parametrize("posture", POSTURES)
def test_mirroring_a_pose_exchanges_left_and_right(posture: str) -> None:
    rng = np.random.default_rng(3)
    body = random_body(rng)
    pose = random_pose(rng, body, posture)
    joints, mirrored = (place(body, p).joints_cm for p in (pose, pose.mirrored()))
    assert mirrored == pytest.approx(joints[list(MIRRORED)] * [-1, 1], abs=1e-6)


def test_settling_keeps_the_body_and_brings_it_onto_the_mat() -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        body = random_body(rng)
        pose = settle(rng, body, random_pose(rng, body, "right"), MAT)
        joints = place(body, pose).joints_cm
        assert (np.abs(joints) <= [MAT.width_cm / 2, MAT.height_cm / 2]).all()


def test_masses_sum_to_the_body_and_women_are_smaller_on_average() -> None:
    people = [random_body(np.random.default_rng(seed)) for seed in range(300)]
    assert all(p.mass_share.sum() == pytest.approx(1) for p in people)
    stature = {sex: np.mean([p.stature_cm for p in people if p.sex == sex]) for sex in ("female", "male")}
    assert 160 < stature["female"] < stature["male"] < 181
    assert all(set(p.bone_cm) == set(BONE_SHARES) for p in people)


def test_limbs_are_as_long_on_the_mat_as_annotators_found_them() -> None:
    """Means over men of 169-184 cm within 3 cm of data/pmd-joints (people 1-6, 11, 12; on the back, legs straight).

    Real: neck to head 17.5, shoulder to hip 53.7, hip to hip 20.3, knee to ankle 40.7 (centimetres).
    """
    rng = np.random.default_rng(5)
    found = []
    while len(found) < 60:
        body = random_body(rng)
        if body.sex == "male" and 169 <= body.stature_cm <= 184:
            pose = random_pose(rng, body, "supine")
            if pose.lift_cm[:, 0].max() < 10:
                found.append(place(body, pose).joints_cm)
    joints = dict(zip(JOINTS, np.array(found).transpose(1, 0, 2), strict=True))
    expected = {("neck", "head"): 17.5, ("r_shoulder", "r_hip"): 53.7, ("r_hip", "l_hip"): 20.3,
                ("r_knee", "r_ankle"): 40.7, ("r_hip", "r_knee"): 31.2, ("r_shoulder", "neck"): 19.2}  # fmt: skip
    for (a, b), cm in expected.items():
        assert np.linalg.norm(joints[a] - joints[b], axis=1).mean() == pytest.approx(cm, abs=3)
