"""TIP: Temporal human In-bed Pose dataset of PIMesh, Wu et al., Ubicomp 2024.

https://github.com/USTCWzy/PIMesh: its README gives the layout, 56 x 40 taxels and their pitch of 3.11 x 1.95 cm;
dataset/InBedPressureDataset.py gives how joints become rows and columns.

Orientation: an ASSUMPTION from that code (column = x / 1.95 cm, row = y / 3.11 cm from the top left sensor, in the
view of a camera above the bed), checked on reading against the joints: heads must be nearer row 0 than feet.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import JOINTS
from train.formats.arrays import chosen_subjects, foreign, load_array, load_member, require_finite
from train.formats.joints import OF_COCO, named_joints, on_mat, require_canonical
from train.maps import Group, Maps

GRID: Final = Grid(rows=56, cols=40, pitch_x_cm=1.95, pitch_y_cm=3.11)
CLIP_COUNTS: Final = 512
FIRST_GROUPS: Final = (1, 6, 10, 15, 21, 25, 29, 33, 37)
"""The first of the 40 groups of subjects 1-9 (`name_group_map` of the README)."""
KEYPOINTS: Final = ("keypoints_meter_smooth", "keypoints_meter")


def read_tip(folder: Path, subjects: Sequence[int] | None = None, *, every: int = 10, joints: bool = True) -> Maps:
    """Every `every`-th frame, in counts clipped at 512, each a group of its own because people move.

    folder holds either <subject>/<group>/pressure_correct.npy with labels.npz, or the reorganised data_1.npz ...
    data_40.npz. COCO-17 keypoints become the 14 joints. Postures are unknown: TIP's posture_index is a pickled
    object, which is not opened.

    Raises Failure (66) for missing files or subjects, (65) for a file that is not TIP's.
    """
    recordings = list(_recordings(folder))
    if not recordings:
        raise Failure(
            f"no <subject>/<group>/pressure_correct.npy and no data_<n>.npz in {folder}: --data wants TIP's folder",
            Exit.MISSING_INPUT,
        )
    wanted = chosen_subjects(sorted({subject for subject, _, _ in recordings}), subjects, folder)
    frames: list[NDArray[np.float32]] = []
    places: list[NDArray[np.float32]] = []
    groups: list[Group] = []
    for subject, group, path in recordings:
        if subject not in wanted:
            continue
        pressure, count = _pressure(path, every)
        frames.append(pressure)
        places.append(
            _joints(path, count)[::every] if joints else np.zeros((len(pressure), len(JOINTS), 3), np.float32)
        )
        groups += [Group(f"tip/{subject}/{group}/{i * every:06d}", f"tip:{subject}") for i in range(len(pressure))]
    return Maps(np.concatenate(frames), GRID, groups, np.arange(len(groups)), np.concatenate(places))


def _recordings(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """(subject, group, folder of the group or its data_<n>.npz), in order."""
    found = []
    for path in folder.glob("*/*/pressure_correct.npy"):
        subject, group = path.parent.parent.name, path.parent.name
        if subject.isdigit() and group.isdigit():
            found.append((int(subject), int(group), path.parent))
    for path in [] if found else folder.glob("data_*.npz"):
        number = re.fullmatch(r"data_(\d+)", path.stem)
        if number and 1 <= int(number[1]) <= 40:
            n = int(number[1])
            found.append((sum(n >= first for first in FIRST_GROUPS), n, path))
    yield from sorted(found)


def _pressure(path: Path, every: int) -> tuple[NDArray[np.float32], int]:
    """The chosen frames, and how many there are in all."""
    if path.suffix == ".npz":
        stored = load_member(path, ["pressure"], (None, GRID.rows, GRID.cols))
    else:
        path = path / "pressure_correct.npy"
        stored = load_array(path, (None, GRID.rows, GRID.cols), mapped=True)
    chosen = stored[::every]
    require_finite(chosen, path)
    return np.clip(chosen, 0, CLIP_COUNTS).astype(np.float32), len(stored)


def _joints(path: Path, frames: int) -> NDArray[np.float32]:
    """(frames, 14, 3) canonical cm."""
    labels = path if path.suffix == ".npz" else path / "labels.npz"
    keypoints_m = load_member(labels, KEYPOINTS, (None, 17, 2)).astype(np.float64)
    if len(keypoints_m) != frames:
        raise foreign(labels, f"has keypoints of {len(keypoints_m)} frames, the pressure has {frames}")
    camera = path / "camera_params.npz"
    if path.is_dir() and camera.is_file():
        keypoints_m = _from_world(keypoints_m, load_member(camera, ["infer_sensor_position"], (4, 2)))
    half_taxel_cm = np.array([GRID.pitch_x_cm, GRID.pitch_y_cm]) / 2
    xy_cm = named_joints(keypoints_m, OF_COCO) * 100 + half_taxel_cm
    joints = on_mat(xy_cm, np.full(xy_cm.shape[:-1], 2), GRID)
    require_canonical(joints, [""] * frames, labels)
    return joints


def _from_world(points_m: NDArray[np.float64], corners_m: NDArray[Any]) -> NDArray[np.float64]:
    """World coordinates, y towards the head -> metres right of and below the top left sensor's centre.

    corners_m: sensors at bottom left, top left, top right, bottom right. The line is in PIMesh's data set class, as
    a comment, for the data before they were reorganised.
    """
    x_m, y_m = corners_m[0]
    top_m = y_m + (GRID.rows - 1) * GRID.pitch_y_cm / 100
    return np.stack([points_m[..., 0] - x_m, top_m - points_m[..., 1]], -1)
