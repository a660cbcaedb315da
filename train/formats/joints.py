"""Skeletons of other data sets as the 14 named joints, and a check that they fit the canonical view."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import JOINTS
from train.formats.arrays import foreign

Members = tuple[tuple[int, ...], ...]

OF_COCO: Final[Members] = (
    (16,), (14,), (12,), (11,), (13,), (15,), (10,), (8,), (6,), (5,), (7,), (9,), (5, 6), (0, 1, 2, 3, 4),
)  # fmt: skip
"""COCO-17 has no neck and no crown: the middle of the shoulders, and of nose, eyes and ears."""

OF_SMPL: Final[Members] = (
    (8,), (5,), (2,), (1,), (4,), (7,), (21,), (19,), (17,), (16,), (18,), (20,), (12,), (15,),
)  # fmt: skip
"""SMPL's 24 joints; its head is the joint at the base of the skull."""


def named_joints(points: NDArray[Any], members: Members) -> NDArray[np.float64]:
    """(..., points, D) -> (..., 14, D): each joint the mean of its members."""
    return np.stack([points[..., list(m), :].mean(-2) for m in members], -2).astype(np.float64)


def on_mat(xy_cm: NDArray[Any], visibility: NDArray[Any], grid: Grid) -> NDArray[np.float32]:
    """(G, 14, 2), (G, 14) -> (G, 14, 3); a joint beside the mat or without a place is all zero."""
    with np.errstate(invalid="ignore"):
        inside = np.all((xy_cm >= 0) & (xy_cm < [grid.width_cm, grid.height_cm]), -1)
    joints = np.concatenate([xy_cm, visibility[..., None]], -1)
    return np.where(inside[..., None], joints, 0).astype(np.float32)


def require_canonical(joints: NDArray[np.float32], postures: Sequence[str], path: Path) -> None:
    """Raises Failure (65) where most joints contradict the canonical view: a wrong one would spoil training silently.

    joints: (G, 14, 3), all of them annotated. Heads are nearer row 0 than ankles, and on the back the left
    shoulder is at the higher columns.
    """
    remedy = "the frames or joints are not in the orientation this reader knows; joints=False reads the maps alone"
    if len(joints) and (joints[..., 2] > 0).mean() < 0.5:
        raise foreign(path, f"has most of its joints beside the mat: {remedy}")
    head, r_ankle, l_ankle = (joints[:, JOINTS.index(j)] for j in ("head", "r_ankle", "l_ankle"))
    seen = (head[:, 2] > 0) & (r_ankle[:, 2] > 0) & (l_ankle[:, 2] > 0)
    if seen.any() and (head[seen, 1] < (r_ankle[seen, 1] + l_ankle[seen, 1]) / 2).mean() < 0.5:
        raise foreign(path, f"has heads below the feet: {remedy}")
    left, right = joints[:, JOINTS.index("l_shoulder")], joints[:, JOINTS.index("r_shoulder")]
    supine = np.flatnonzero((left[:, 2] > 0) & (right[:, 2] > 0) & np.array([p == "supine" for p in postures], bool))
    if len(supine) and (left[supine, 0] > right[supine, 0]).mean() < 0.5:
        raise foreign(path, f"has left and right swapped on the back: {remedy}")
