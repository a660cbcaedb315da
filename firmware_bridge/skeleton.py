"""The 14 named joints, in SLP order, and the bones between them."""

from typing import Final

JOINTS: Final = (
    "r_ankle", "r_knee", "r_hip", "l_hip", "l_knee", "l_ankle",
    "r_wrist", "r_elbow", "r_shoulder", "l_shoulder", "l_elbow", "l_wrist",
    "neck", "head",
)  # fmt: skip

MIRRORED: Final = tuple(
    JOINTS.index({"r": "l", "l": "r"}[j[0]] + j[1:]) if j[1] == "_" else JOINTS.index(j) for j in JOINTS
)
"""MIRRORED[i] is the joint that joint i becomes when the body is mirrored left to right."""

MIRRORED_POSTURE: Final = {"left": "right", "right": "left"}
"""Every other way of lying stays what it is in a mirror."""

BONES: Final = (
    ("r_ankle", "r_knee"), ("r_knee", "r_hip"), ("r_hip", "l_hip"), ("l_hip", "l_knee"), ("l_knee", "l_ankle"),
    ("r_wrist", "r_elbow"), ("r_elbow", "r_shoulder"), ("l_shoulder", "l_elbow"), ("l_elbow", "l_wrist"),
    ("r_shoulder", "neck"), ("neck", "l_shoulder"), ("neck", "head"), ("r_shoulder", "r_hip"), ("l_shoulder", "l_hip"),
)  # fmt: skip
