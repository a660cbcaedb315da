"""PressurePose of Bodies at Rest, Clever et al., CVPR 2020 (arXiv 2004.01166).

https://github.com/Healthcare-Robotics/bodies-at-rest: lib_py/tensorprep_lib_br.py gives the layout,
lib_py/visualization_lib_br.py how joints become rows and columns. PressurePose/lib_pyrender_basic.py lays body and
mat into one right-handed space whose x runs up from the foot of the mat and y along the columns: seen from above the
rows run down from the head and columns to the right, so the maps are canonical as stored (and the half taxel is
+0.5). Pitch 2.86 cm: INTER_SENSOR_DISTANCE there.
Unit: mmHg, as the authors' later code says that fills the same field (BodyPressure, lib_py/slp_prep_lib_bp.py).
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import JOINTS
from train.formats.arrays import chosen_subjects, foreign, require_finite
from train.formats.joints import OF_SMPL, named_joints, on_mat, require_canonical
from train.formats.pickles import load_pickle
from train.maps import Group, Maps

GRID: Final = Grid(rows=64, cols=27, pitch_x_cm=2.86, pitch_y_cm=2.86)
CLIP_MMHG: Final = 100
KPA_PER_MMHG: Final = 0.133322
MARGIN: Final = 10
"""Taxels that the simulated bed has more on each side than the mat."""
BED: Final = (GRID.rows + 2 * MARGIN, GRID.cols + 2 * MARGIN)


def read_pressurepose(folder: Path, subjects: Sequence[int] | None = None, *, joints: bool = True) -> Maps:
    """kPa; every map is a group of its own.

    folder is searched for *.p at any depth. Files below a folder S<number> are real people (`--subjects` chooses
    among them by that number; they have no joints), all others are simulated. Each simulated file counts as one
    person, so that no split parts it: its bodies are not named.
    Postures: of simulated people from their three-dimensional joints, of real people where pose_type says supine or
    prone.

    Raises Failure (66) for missing files or subjects, (65) for a file that is not PressurePose's, or that would run
    code: the pickles are read with a restricted unpickler.
    """
    files = sorted(p for p in folder.rglob("*.p") if not p.name.startswith("participant_info"))
    if not files:
        raise Failure(f"no .p file in {folder}: --data wants PressurePose's data_BR/real or synth", Exit.MISSING_INPUT)
    participants = {p: int(p.parent.name[1:]) for p in files if re.fullmatch(r"S\d+", p.parent.name)}
    if subjects is not None:
        wanted = chosen_subjects(sorted(set(participants.values())), subjects, folder)
        files = [p for p in files if participants.get(p) in wanted]
    parts = [_read_file(path, participants.get(path), joints) for path in files]
    groups = [group for _, _, part in parts for group in part]
    pressure, places = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    return Maps(pressure, GRID, groups, np.arange(len(groups)), places)


def _read_file(path: Path, participant: int | None, joints: bool) -> tuple[Any, Any, list[Group]]:
    """(N, 64, 27) kPa, (N, 14, 3) canonical cm and the N groups of one pickle."""
    data = load_pickle(path)
    if not isinstance(data, dict) or not isinstance(data.get("images"), list) or not data["images"]:
        raise foreign(path, "is no dictionary with a list of images")
    count = len(data["images"])
    frames = np.stack([_frame(path, values) for values in data["images"]])
    places = np.zeros((count, len(JOINTS), 3), np.float32)
    postures = [_posture_named(kind) for kind in _listed(data, "pose_type", count, path)]
    if participant is None:
        markers_m = _markers(path, _listed(data, "markers_xyz_m", count, path))
        postures = [posture_of(body) for body in markers_m]
        if joints:
            places = _joints(markers_m)
            require_canonical(places, postures, path)
    name = f"synth/{path.stem}" if participant is None else f"S{participant}/{path.stem}"
    person = f"pressurepose:{path.stem if participant is None else f'S{participant}'}"
    return frames, places, [Group(f"pressurepose/{name}/{i:05d}", person, p) for i, p in enumerate(postures)]


def posture_of(body: NDArray[Any]) -> str:
    """Where the chest of (14, 3) joints faces: x along the columns, y towards the head, z up."""
    left, right, neck, hips = (
        body[[JOINTS.index(j) for j in names]].mean(0)
        for names in (("l_shoulder",), ("r_shoulder",), ("neck",), ("l_hip", "r_hip"))
    )
    x, _, z = np.cross(left - right, neck - hips)
    if abs(z) >= abs(x):
        return "supine" if z > 0 else "prone"
    return "left" if x > 0 else "right"


def _posture_named(pose_type: Any) -> str:
    text = str(pose_type).lower()
    return "supine" if "supine" in text else "prone" if "prone" in text else ""


def _listed(data: dict[Any, Any], key: str, count: int, path: Path) -> list[Any]:
    """One entry a map; an absent or empty key is as good as unknown."""
    values = data.get(key)
    if not isinstance(values, list) or not values:
        return [None] * count
    if len(values) != count:
        raise foreign(path, f"has {len(values)} {key} for {count} images")
    return values


def _frame(path: Path, values: Any) -> NDArray[np.float32]:
    flat = _numbers(path, values, "images")
    if flat.size == BED[0] * BED[1]:
        flat = flat.reshape(BED)[MARGIN:-MARGIN, MARGIN:-MARGIN]
    if flat.size != GRID.rows * GRID.cols:
        raise foreign(path, f"has an image of {flat.size} values, not {GRID.rows * GRID.cols} or {BED[0] * BED[1]}")
    return (np.clip(flat, 0, CLIP_MMHG) * KPA_PER_MMHG).reshape(GRID.rows, GRID.cols).astype(np.float32)


def _markers(path: Path, entries: list[Any]) -> NDArray[np.float64]:
    """(N, 14, 3) metres."""
    bodies = []
    for entry in entries:
        flat = _numbers(path, entry, "markers_xyz_m")
        if flat.size < 72:
            raise foreign(path, f"has {flat.size} markers_xyz_m in an entry, not 24 joints x 3")
        bodies.append(named_joints(flat[:72].reshape(24, 3), OF_SMPL))
    return np.stack(bodies)


def _joints(markers_m: NDArray[np.float64]) -> NDArray[np.float32]:
    """(N, 14, 3) canonical cm. Every joint of a simulated body is known: v = 2."""
    pitch_m = GRID.pitch_x_cm / 100
    cols, rows = markers_m[..., 0] / pitch_m - MARGIN, (BED[0] - 1 - MARGIN) - markers_m[..., 1] / pitch_m
    xy_cm = (np.stack([cols, rows], -1) + 0.5) * GRID.pitch_x_cm
    return on_mat(xy_cm, np.full(rows.shape, 2), GRID)


def _numbers(path: Path, values: Any, key: str) -> NDArray[np.float64]:
    try:
        flat = np.asarray(values, np.float64).ravel()
    except (TypeError, ValueError):
        raise foreign(path, f"has {key} that are no numbers") from None
    require_finite(flat, path)
    return flat
