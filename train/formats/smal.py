"""SMaL: a multimodal lying-pose set of a mannequin, in the repacking that SPMKD's published code reads (data/SMaL.py).

Only that repacking is known. Orientation: an ASSUMPTION, taken as canonical (give `orientation` where it is not).
Pitch: an ASSUMPTION, the maps cover a mat as large as that of SLP, the same laboratory's; `size_cm` sets another.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid, Orientation
from train.formats.arrays import CANONICAL, foreign, load_array, require_finite
from train.formats.slp import GRID as SLP_GRID
from train.maps import Group, Maps

SIZE_CM: Final = (SLP_GRID.width_cm, SLP_GRID.height_cm)
PARTS: Final = ("train", "test")


def read_smal(
    folder: Path,
    subjects: Sequence[int] | None = None,
    *,
    parts: Sequence[str] = PARTS,
    postures: Mapping[int, str] | None = None,
    size_cm: tuple[float, float] = SIZE_CM,
    orientation: Orientation = CANONICAL,
) -> Maps:
    """Values as stored (counts), no joints, one group a map.

    The label's number stands in the group's name (`smal/train/000012/label-3`); what it means is not published,
    so `postures` says it where somebody knows. People are not told apart: all of a part is one person.

    Raises Failure (66) for missing files, (65) for files that do not fit one another, (2) for subjects.
    """
    if subjects is not None:
        raise Failure("SMaL does not tell its people apart: leave --subjects out", Exit.USAGE)
    frames: list[NDArray[np.float32]] = []
    groups: list[Group] = []
    for part in parts:
        path = folder / f"PM_{part}.npy"
        stored = load_array(path, (None, None, None), mapped=True)
        label_path = folder / f"label_{part}.npy"
        labels = load_array(label_path, (len(stored), 1))[:, 0]
        if not (labels == labels.astype(np.int64)).all():
            raise foreign(label_path, "holds labels that are no whole numbers")
        require_finite(stored, path)
        if frames and orientation.to_canonical(stored).shape[1:] != frames[0].shape[1:]:
            raise foreign(path, f"holds maps of {stored.shape[1:]}, other than those of {parts[0]}")
        frames.append(orientation.to_canonical(stored).astype(np.float32))
        groups += list(_groups(part, [int(n) for n in labels], postures or {}))
    pressure = np.concatenate(frames)
    rows, cols = pressure.shape[1:]
    grid = Grid(rows, cols, size_cm[0] / cols, size_cm[1] / rows)
    return Maps(pressure, grid, groups, np.arange(len(groups)))


def _groups(part: str, labels: Sequence[int], postures: Mapping[int, str]) -> Iterator[Group]:
    for index, label in enumerate(labels):
        yield Group(f"smal/{part}/{index:06d}/label-{label}", f"smal:{part}", postures.get(label, ""))
