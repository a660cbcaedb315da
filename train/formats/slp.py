"""SLP: Simultaneously-Collected Multimodal Lying Pose Dataset, Liu and Ostadabbas, arXiv 2008.08735.

https://web.northeastern.edu/ostadabbas/2019/06/27/multimodal-in-bed-pose-estimation/ (on application,
non-commercial). Layout: data/SLP_RD.py of ostadabbas/SLP-Dataset-and-Code and the data set's README.

Orientation: the maps are the reference frame of all modalities, and the published homographies take the joints
of an upright colour picture, taken from above, into them: head at row 0, not mirrored. Checked on reading against
the joints. Pitch: an ASSUMPTION, Tekscan's 0.4 inch (195.1 x 85.3 cm); the data set does not state it, and
Healthcare-Robotics/BodyPressure (lib_py/slp_prep_lib_bp.py) reckons with about 1 cm, "1.92 x 0.84".
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import JOINTS
from train.formats.arrays import chosen_subjects, foreign, load_array, missing_file, require_finite
from train.formats.joints import on_mat, require_canonical
from train.maps import Group, Maps

Cover = Literal["uncover", "cover1", "cover2"]

GRID: Final = Grid(rows=192, cols=84, pitch_x_cm=1.016, pitch_y_cm=1.016)
FRAMES: Final = 45
COVERS: Final = ("uncover", "cover1", "cover2")
"""In the order of PMcali's rows."""
TRAIN_SUBJECTS: Final = range(1, 91)
TEST_SUBJECTS: Final = range(91, 103)


def read_slp(
    folder: Path,
    subjects: Sequence[int] | None = None,
    *,
    setting: Literal["dana", "sim"] = "dana",
    covers: Sequence[Cover] = ("uncover",),
    joints: bool = True,
) -> Maps:
    """kPa of danaLab, raw counts of simLab (which has no calibration); one group a pose, one frame a cover.

    folder: the one that holds danaLab/ or simLab/. A joint that the annotators marked as occluded has v = 1; the
    head is the top of the head, the neck SLP's thorax.

    Raises Failure (66) for missing folders, files or subjects, (65) for a file that is not SLP's.
    """
    root = folder / f"{setting}Lab"
    if not root.is_dir():
        raise Failure(f"no {root}: --data wants the folder that holds {setting}Lab/ of SLP", Exit.MISSING_INPUT)
    present = [int(p.name) for p in root.iterdir() if p.is_dir() and p.name.isdigit()]
    wanted = chosen_subjects(present, subjects, root)
    pressure = np.empty((len(wanted), FRAMES, len(covers), GRID.rows, GRID.cols), np.float32)
    places = np.zeros((len(wanted), FRAMES, len(JOINTS), 3), np.float32)
    for number, subject in enumerate(wanted):
        home = root / f"{subject:05d}"
        scale = load_array(home / "PMcali.npy", (3, FRAMES)) if setting == "dana" else np.ones((3, FRAMES))
        require_finite(scale, home / "PMcali.npy")
        for c, cover in enumerate(covers):
            for frame in range(FRAMES):
                raw = load_array(home / "PMarray" / cover / f"{frame + 1:06d}.npy", (GRID.rows, GRID.cols))
                pressure[number, frame, c] = raw * scale[COVERS.index(cover), frame]
        require_finite(pressure[number], home / "PMarray")
        if joints:
            places[number] = _joints(home)
    names = [(f"{setting}:{subject:05d}", frame) for subject in wanted for frame in range(1, FRAMES + 1)]
    groups = [Group(f"slp/{who.replace(':', '/')}/{f:06d}", f"slp:{who}", posture_of(f)) for who, f in names]
    return Maps(
        pressure.reshape(-1, GRID.rows, GRID.cols),
        GRID,
        groups,
        np.repeat(np.arange(len(groups)), len(covers)),
        places.reshape(-1, len(JOINTS), 3),
    )


def posture_of(frame: int) -> str:
    """Of frame 1-45: 15 poses in each of three categories (inferred from the README)."""
    return "supine" if frame <= 15 else "left" if frame <= 30 else "right"


def _joints(home: Path) -> NDArray[np.float32]:
    """(45, 14, 3) canonical cm: the colour picture's joints, counted from 1, through the homography to the mat."""
    path = home / "joints_gt_RGB.mat"
    annotated = _matlab(path, "joints_gt")
    if annotated.shape != (3, len(JOINTS), FRAMES):
        raise foreign(path, f"holds joints_gt of shape {annotated.shape}, not (3, {len(JOINTS)}, {FRAMES})")
    x_px, y_px, occluded = annotated.astype(np.float64)
    to_mat = load_array(home / "align_PTr_RGB.npy", (3, 3)).astype(np.float64)
    x, y, w = np.tensordot(to_mat, np.stack([x_px - 1, y_px - 1, np.ones_like(x_px)]), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre_taxel = np.stack([x / w, y / w], -1).transpose(1, 0, 2)
    xy_cm = (centre_taxel + 0.5) * [GRID.pitch_x_cm, GRID.pitch_y_cm]
    joints = on_mat(xy_cm, np.where(occluded.T > 0, 1, 2), GRID)
    require_canonical(joints, [posture_of(f) for f in range(1, FRAMES + 1)], path)
    return joints


def _matlab(path: Path, key: str) -> NDArray[Any]:
    try:
        with path.open("rb") as file:
            values = loadmat(file, variable_names=[key]).get(key)
    except FileNotFoundError:
        raise missing_file(path) from None
    except Exception as error:  # scipy raises whatever a damaged file leads it to
        raise foreign(path, f"is no MATLAB file ({error})") from None
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        raise foreign(path, f"has no numbers named {key}")
    return values
