"""PhysioNet's pmd 1.0.0 ("A Pressure Map Dataset for In-bed Posture Classification") in its original layout.

https://physionet.org/content/pmd/1.0.0/ - M. Baran Pouyan et al., IEEE BHI 2017, ODC-By 1.0.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid, Orientation
from train.annotations import Points
from train.maps import Group, Maps

Experiment = Literal["i", "ii"]
Mat = Literal["sponge", "air"]

ATTRIBUTION: Final = (
    "PhysioNet pmd 1.0.0, M. Baran Pouyan, J. Birjandtalab, M. Heydarzadeh, M. Nourani, S. Ostadabbas, "
    "'A pressure map dataset for posture and subject analytics', IEEE BHI 2017 (ODC-By 1.0)"
)
GRID_I: Final = Grid(rows=64, cols=32, pitch_x_cm=2.54, pitch_y_cm=2.54)
GRID_II: Final = Grid(rows=64, cols=27, pitch_x_cm=2.87, pitch_y_cm=2.54)
"""Experiment II's pitch is unpublished: from the same people's widths and lengths on both mats."""
ORIENTATION_I: Final = Orientation(mirrored=True)
ORIENTATION_II: Final = Orientation(quarter_turns=2, mirrored=True)
FIRST_FRAME: Final = 3
"""Frame 0 is nearly empty, frame 1 garbage, frame 2 still settling."""
LEAST_CORRELATION: Final = 0.8
"""With the file's median frame; a frame below is corrupt."""
PERSON_OF_II: Final = {1: 1, 2: 2, 3: 3, 4: 5}
"""By age, height and weight the people of Experiment II are people of Experiment I."""

POSES_I: Final = 17
"""Each file of a person of Experiment I is one of 17 postures, numbered from 1."""
MIRRORED_POSE_I: Final = {2: 3, 3: 2, 4: 6, 5: 7, 6: 4, 7: 5, 11: 12, 12: 11, 13: 14, 14: 13}
"""Which posture a mirrored body shows; those left out are symmetric. By the annotated joints 11 is the left arm up and
the right foot across, 12 its mirror image (in person 5's two files the arms are the other way round)."""

_SUPINE_I: Final = {1, *range(8, 13), 15, 16, 17}
_RIGHT_I: Final = {2, 4, 5, 13}


class _Joints(BaseModel):
    """What is read of a file of joints; train.annotations tells what else it may hold."""

    frames: dict[str, Points]


def read_pmd(
    folder: Path,
    subjects: Sequence[int] | None = None,
    *,
    experiment: Experiment = "i",
    mat: Mat = "sponge",
    joints: Path | None = None,
) -> Maps:
    """Canonical frames of `folder`/experiment-i or -ii, corrupt frames left out.

    Raises Failure (66) for missing folders or subjects, (65) for a file that is not what pmd holds.
    """
    root = folder / f"experiment-{experiment}"
    if not root.is_dir():
        raise Failure(
            f"no {root}: --data wants the folder that holds experiment-i/ (https://physionet.org/content/pmd/1.0.0/)",
            Exit.MISSING_INPUT,
        )
    present = sorted(int(p.name[1:]) for p in root.glob("S*") if p.name[1:].isdigit())
    wanted = present if subjects is None else list(subjects)
    missing = [s for s in wanted if s not in present]
    if missing:
        raise Failure(f"no subject {missing[0]} in {root}: it has {', '.join(map(str, present))}", Exit.MISSING_INPUT)
    files = list(_files_i(root, wanted) if experiment == "i" else _files_ii(root, wanted, mat))
    grid, orientation = (GRID_I, ORIENTATION_I) if experiment == "i" else (GRID_II, ORIENTATION_II)
    frames = [orientation.to_canonical(_usable(_read_frames(path, grid))) for path, _ in files]
    maps = Maps(
        np.concatenate(frames).astype(np.float32),
        grid,
        [group for _, group in files],
        np.repeat(np.arange(len(files)), [len(f) for f in frames]),
        _read_joints(joints, [g.name for _, g in files], grid, experiment),
    )
    return maps


def person_of(experiment: Experiment, subject: int) -> str:
    """The person's name over both experiments."""
    return f"pmd:{subject if experiment == 'i' else PERSON_OF_II.get(subject, f'ii-{subject}')}"


def subjects_of(people: Sequence[str]) -> list[int]:
    """Experiment I's numbers of those among `people` who have one: the inverse of `person_of`."""
    return [int(found[1]) for person in people if (found := re.fullmatch(r"pmd:(\d+)", person))]


def pose_i(group: Group) -> int | None:
    """Which of Experiment I's 17 postures a group shows; None for a group of anything else."""
    return int(group.name.rpartition("/")[2]) if group.name.startswith("pmd-i/") else None


def _files_i(root: Path, subjects: Sequence[int]) -> Iterator[tuple[Path, Group]]:
    for subject in subjects:
        for number in range(1, 18):
            posture = "supine" if number in _SUPINE_I else "right" if number in _RIGHT_I else "left"
            name = f"pmd-i/S{subject}/{number}"
            yield root / f"S{subject}" / f"{number}.txt", Group(name, person_of("i", subject), posture)


def _files_ii(root: Path, subjects: Sequence[int], mat: Mat) -> Iterator[tuple[Path, Group]]:
    kind = mat.capitalize()
    for subject in subjects:
        folder = root / f"S{subject}" / f"{kind}_Mat"
        for path in sorted(folder.glob(f"Matrix_{kind}_*.txt"), key=lambda p: (p.stem[:-1], len(p.stem), p.stem)):
            code = path.stem.rsplit("_", 1)[1]
            name = f"pmd-ii/S{subject}/{kind}_Mat/{code}"
            yield path, Group(name, person_of("ii", subject), _posture_ii(code))


def _posture_ii(code: str) -> str:
    """G1-G3 are undocumented."""
    if code[0] == "E":
        return "right" if code in {"E1", "E2", "E5"} else "left"
    return {"B": "supine", "C": "right", "D": "left", "F": "supine"}.get(code[0], "")


def _read_frames(path: Path, grid: Grid) -> NDArray[np.float32]:
    """All frames of one file as the mat sent them: (frames, rows, cols)."""
    try:
        values = np.array(path.read_text().split(), np.float32)
    except FileNotFoundError:
        raise Failure(f"no {path}: the data set's copy is incomplete", Exit.MISSING_INPUT) from None
    except (ValueError, UnicodeDecodeError):
        raise Failure(f"{path} holds something other than numbers: not a file of pmd", Exit.FOREIGN_DATA) from None
    if len(values) == 0 or len(values) % (grid.rows * grid.cols):
        raise Failure(
            f"{path} holds {len(values)} numbers, not whole frames of {grid.rows} x {grid.cols}", Exit.FOREIGN_DATA
        )
    return values.reshape(-1, grid.rows, grid.cols)


def _usable(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """A file of one map as it is; of a recording the settled frames that agree with their median."""
    if len(frames) == 1:
        return frames
    frames = frames[FIRST_FRAME:]
    median = np.median(frames, 0).ravel()
    with np.errstate(invalid="ignore"):  # a constant frame correlates with nothing: NaN, so it is left out
        correlation = np.array([np.corrcoef(f.ravel(), median)[0, 1] for f in frames])
    return frames[correlation >= LEAST_CORRELATION]


def _read_joints(path: Path | None, groups: Sequence[str], grid: Grid, experiment: Experiment) -> NDArray[np.float32]:
    """(G, 14, 3) canonical cm; the file's columns are mirrored, and so is its x."""
    joints = np.zeros((len(groups), 14, 3), np.float32)
    if path is None:
        return joints
    if not path.is_file():
        raise Failure(f"no joints file {path}: see data/pmd-joints in the repository", Exit.MISSING_INPUT)
    try:
        frames = _Joints.model_validate_json(path.read_bytes()).frames
    except ValidationError as error:
        first = error.errors()[0]
        reason = ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
        message = f"{path} is no file of joints ({reason}): see data/pmd-joints in the repository"
        raise Failure(message, Exit.FOREIGN_DATA) from None
    for g, name in enumerate(groups):
        entry = frames.get(name.removeprefix(f"pmd-{experiment}/"))
        if entry is not None:
            x, y, v = np.array(entry, np.float32).T
            joints[g] = np.stack([(grid.cols - x) * grid.pitch_x_cm, y * grid.pitch_y_cm, v], 1)
    return joints


def read_subject_info(path: Path) -> dict[int, dict[str, float]]:
    """subject -> {age, height_cm, weight_kg} of subject-info-*.csv (UTF-16 with BOM)."""
    rows = [line.split(",") for line in path.read_text("utf-16").split()[1:] if line.strip(", ")]
    return {int(r[0]): {"age": float(r[1]), "height_cm": float(r[2]), "weight_kg": float(r[3])} for r in rows}
