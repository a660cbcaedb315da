"""An adult: bones, masses and the soft slices that press on the mat.

Sources: segment lengths as shares of the stature, Drillis & Contini (1966); segment masses as shares of the body
mass, Winter, "Biomechanics and Motor Control of Human Movement", table 4.1; stature by sex, NCD-RisC (2016);
APPARENT and the breadths, measured on pmd Experiment I (see `BONE_SHARES`).

A body is a set of bones between POINTS and a table of slices. Each slice is an ellipse across its bone with its
share of the mass. Axes: x along the columns, y along the rows (towards the feet), z up from the mat.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

POINTS: Final = (
    "pelvis", "waist", "neck", "head", "r_hip", "l_hip", "r_knee", "l_knee", "r_ankle", "l_ankle", "r_toe", "l_toe",
    "r_shoulder", "l_shoulder", "r_elbow", "l_elbow", "r_wrist", "l_wrist", "r_fingers", "l_fingers",
)  # fmt: skip
"""Ends of the bones; `pelvis` is midway between the hips, `neck` midway above the shoulders."""

APPARENT: Final = 0.94
"""Distances between contacts on the mat over those between the joints of a standing person: thighs and shanks of
people on their side, joints.json (38 and 40.5 cm at a mean stature of 177 cm)."""

BONE_SHARES: Final = {
    "pelvis": 0.110, "thorax": 0.200, "head": 0.106, "hip": 0.060, "shoulder": 0.107, "shoulder_drop": 0.022,
    "thigh": 0.245, "shank": 0.246, "foot": 0.110, "upper_arm": 0.172, "forearm": 0.146, "hand": 0.075,
}  # fmt: skip
"""Of the stature (times APPARENT). pelvis + thorax reach from the hips to the neck; hip and shoulder are half
breadths; shoulder_drop is how far the shoulders lie below the neck; foot is from the ankle to the ball of the toes;
hand is to the middle of the fingers. The upper arm counts from the joint's centre (0.186 from the acromion)."""

REFERENCE_BMI: Final = 23.0
"""Body mass index in kg/m2 of the person whose radii the slice table gives, at REFERENCE_CM."""
REFERENCE_CM: Final = 175.0


class Strand(NamedTuple):
    """A row of equal slices along a bone. Lengths in cm at REFERENCE_CM, offsets across the bone."""

    bone: tuple[str, str]
    start: float
    """Share of the bone's length at the first slice's edge."""
    stop: float
    slices: int
    lateral_cm: tuple[float, float]
    """Half breadth at start and stop, along the person's left-right axis."""
    sagittal_cm: tuple[float, float]
    """Half depth at start and stop."""
    left_cm: float
    """Offset of the centres towards the person's left."""
    back_cm: tuple[float, float]
    """Offset towards the person's back at start and stop."""
    mass: float
    """Share of the body mass, Winter's table."""


def _both(bone: tuple[str, str], *rest: object) -> list[Strand]:
    """The strand on the right and on the left limb."""
    return [Strand((f"{s}_{bone[0]}", f"{s}_{bone[1]}"), *rest) for s in "rl"]  # type: ignore[arg-type]


def _pair(*values: object) -> list[Strand]:
    """A strand on the trunk left of the middle, and its like on the right."""
    left = Strand(*values)  # type: ignore[arg-type]
    return [left, left._replace(left_cm=-left.left_cm)]


PELVIS, THORAX, SKULL = ("pelvis", "waist"), ("waist", "neck"), ("neck", "head")
STRANDS: Final = (
    # trunk: three columns on the pelvis and the back, so that it can lie on its back, on a side or between
    *_pair(PELVIS, -0.45, 0.6, 4, (9.5, 10.0), (9.0, 9.0), 9.0, (2.2, 1.6), 0.056),
    Strand(PELVIS, -0.35, 0.75, 3, (8.0, 8.0), (9.0, 9.0), 0.0, (0.8, 1.0), 0.04),
    *_pair(PELVIS, 0.6, 1.15, 2, (8.5, 8.0), (9.0, 9.0), 7.5, (0.8, 0.0), 0.03),
    *_pair(THORAX, -0.1, 0.35, 3, (8.0, 8.5), (9.0, 9.3), 7.5, (0.0, 0.3), 0.05),
    *_pair(THORAX, 0.35, 0.95, 5, (8.0, 8.0), (9.5, 9.0), 9.0, (0.3, 0.8), 0.083),
    Strand(THORAX, 0.4, 0.95, 4, (8.0, 7.0), (10.0, 9.0), 0.0, (0.2, -0.2), 0.045),
    # skull; the neck clears the mat
    Strand(SKULL, 0.2, 0.7, 1, (4.8, 4.8), (5.0, 5.0), 0.0, (-2.0, -1.0), 0.012),
    Strand(SKULL, 0.78, 1.24, 2, (7.5, 7.5), (9.0, 9.0), 0.0, (0.0, 0.0), 0.064),
    # legs
    *_both(("hip", "knee"), 0.12, 0.62, 5, (9.4, 7.4), (8.8, 7.2), 0.0, (1.8, 0.8), 0.078),
    *_both(("hip", "knee"), 0.62, 1.0, 3, (6.8, 5.5), (6.8, 5.5), 0.0, (0.0, -1.0), 0.028),
    *_both(("knee", "ankle"), 0.0, 0.25, 2, (5.3, 5.6), (5.3, 5.6), 0.0, (-0.5, 0.8), 0.014),
    *_both(("knee", "ankle"), 0.25, 0.65, 4, (5.8, 5.0), (5.8, 5.0), 0.0, (0.8, 0.4), 0.023),
    *_both(("knee", "ankle"), 0.65, 1.0, 3, (4.5, 3.6), (4.5, 3.6), 0.0, (-0.6, -1.0), 0.0105),
    *_both(("ankle", "toe"), -0.38, -0.06, 1, (3.2, 3.2), (3.2, 3.2), 0.0, (0.0, 0.0), 0.006),
    *_both(("ankle", "toe"), 0.2, 1.1, 3, (3.8, 4.0), (2.6, 2.0), 0.0, (0.0, 0.0), 0.0085),
    # arms
    *_both(("shoulder", "elbow"), -0.1, 0.3, 2, (6.0, 5.2), (6.0, 5.2), 0.0, (2.3, 1.0), 0.014),
    *_both(("shoulder", "elbow"), 0.3, 1.0, 4, (4.8, 3.8), (4.8, 3.8), 0.0, (0.0, 0.3), 0.016),
    *_both(("elbow", "wrist"), 0.0, 1.0, 4, (4.0, 2.8), (4.0, 2.8), 0.0, (0.2, 0.0), 0.016),
    *_both(("wrist", "fingers"), 0.0, 1.2, 2, (3.4, 3.6), (2.2, 1.6), 0.0, (0.0, 0.0), 0.006),
)  # fmt: skip


@dataclass(frozen=True)
class Body:
    """One person. Arrays over the N slices unless said otherwise; lengths in cm."""

    sex: str
    stature_cm: float
    mass_kg: float
    girth: float
    """Radii over those of STRANDS."""
    bone_cm: dict[str, float]
    proximal: Indices
    """Index in POINTS of the end from which `along` counts."""
    distal: Indices
    along: Array
    length_cm: Array
    half_cm: Array
    """(N, 2): lateral, sagittal half axes."""
    left_cm: Array
    back_cm: Array
    mass_share: Array
    """Sums to 1."""
    strand: Indices
    """Index in STRANDS."""


def random_body(rng: np.random.Generator) -> Body:
    """An adult: either sex, stature and body mass index as in the general population (clipped to 148-198, 17.5-36)."""
    female = bool(rng.integers(2))
    stature_cm = float(np.clip(rng.normal(164 if female else 177, 7), 148, 198))
    bmi = float(np.clip(np.exp(rng.normal(np.log(24.5), 0.16)), 17.5, 36))
    # breadth of the pelvis and the shoulders: Drillis & Contini give both sexes together, women about 5 % apart
    sex_breadth = {"hip": 1.05, "shoulder": 0.94} if female else {}
    bone_cm = {
        name: float(share * APPARENT * stature_cm * sex_breadth.get(name, 1) * np.clip(rng.normal(1, 0.03), 0.92, 1.08))
        for name, share in BONE_SHARES.items()
    }
    girth = stature_cm / REFERENCE_CM * np.sqrt(bmi / REFERENCE_BMI)
    mass_kg = bmi * (stature_cm / 100) ** 2
    return build_body("female" if female else "male", stature_cm, mass_kg, float(girth), bone_cm)


def build_body(sex: str, stature_cm: float, mass_kg: float, girth: float, bone_cm: dict[str, float]) -> Body:
    """The slices of STRANDS for these bones, the radii multiplied by `girth`."""
    columns: list[tuple[float, ...]] = []
    for index, s in enumerate(STRANDS):
        bone = bone_cm[_bone_name(s.bone)]
        for i in range(s.slices):
            f = (i + 0.5) / s.slices
            lateral_cm, sagittal_cm, back_cm = (
                (ends[0] + f * (ends[1] - ends[0])) * girth for ends in (s.lateral_cm, s.sagittal_cm, s.back_cm)
            )
            columns.append((
                POINTS.index(s.bone[0]), POINTS.index(s.bone[1]), s.start + f * (s.stop - s.start),
                bone * (s.stop - s.start) / s.slices, lateral_cm, sagittal_cm,
                s.left_cm * girth, back_cm, s.mass / s.slices, index,
            ))  # fmt: skip
    a, b, along, length, lateral, sagittal, left, back, mass, strand = np.array(columns).T
    return Body(
        sex, stature_cm, mass_kg, girth, bone_cm, a.astype(np.intp), b.astype(np.intp), along, length,
        np.stack([lateral, sagittal], 1), left, back, mass / mass.sum(), strand.astype(np.intp),
    )  # fmt: skip


def _bone_name(bone: tuple[str, str]) -> str:
    """The key of BONE_SHARES for a bone between two POINTS."""
    names = {"waist": "pelvis", "neck": "thorax", "head": "head", "knee": "thigh", "ankle": "shank", "toe": "foot",
             "elbow": "upper_arm", "wrist": "forearm", "fingers": "hand"}  # fmt: skip
    return names[bone[1].removeprefix("r_").removeprefix("l_")]
