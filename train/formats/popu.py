"""PoPu: Pressure Over and Pressure Under, Fonseca et al., Data 2023, 8(7), 120; CC0.

https://github.com/rdionisio1403/PoPu: only the sheet over the mattress (tactilus) is read. Orientation as published:
row-major, head at row 0, seen from above. Pitch: an ASSUMPTION, unpublished; 2.86 cm is that of the 64 x 27 mat of
Bodies at Rest (INTER_SENSOR_DISTANCE in Healthcare-Robotics/bodies-at-rest); `pitch_cm` sets another.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid
from train.formats.arrays import chosen_subjects, foreign, require_finite
from train.maps import Group, Maps

ROWS: Final = 64
COLS: Final = 27
PITCH_CM: Final = (2.86, 2.86)
POSTURES: Final = ("supine", "right", "left", "prone")


def read_popu(folder: Path, subjects: Sequence[int] | None = None, *, pitch_cm: tuple[float, float] = PITCH_CM) -> Maps:
    """Counts, no joints, one group a file (a volunteer in one variation of a position).

    folder: PoPu_data/, the one that holds it, or tactilus_data/ itself. Column 0 has stray values and is set to 0.

    Raises Failure (66) for missing folders or volunteers, (65) for a file that is not PoPu's.
    """
    roots = [p for p in (folder / "PoPu_data" / "tactilus_data", folder / "tactilus_data") if p.is_dir()]
    root = roots[0] if roots else folder
    present = [int(p.name) for p in root.iterdir() if p.name.isdigit() and p.is_dir()] if root.is_dir() else []
    if not present:
        raise Failure(f"no {folder}/tactilus_data/<volunteer>/: --data wants PoPu's folder", Exit.MISSING_INPUT)
    frames: list[NDArray[np.float32]] = []
    groups: list[Group] = []
    for subject in chosen_subjects(present, subjects, root):
        files = sorted((root / str(subject)).glob("*.json"))
        if not files:
            raise Failure(f"no .json file in {root / str(subject)}: the copy is incomplete", Exit.MISSING_INPUT)
        for path in files:
            maps, position = _read_file(path)
            frames.append(maps)
            groups.append(Group(f"popu/{subject}/{path.stem}", f"popu:{subject}", _posture(position)))
    index = np.repeat(np.arange(len(groups)), [len(f) for f in frames])
    return Maps(np.concatenate(frames), Grid(ROWS, COLS, *pitch_cm), groups, index)


def _read_file(path: Path) -> tuple[NDArray[np.float32], str]:
    """(snapshots, 64, 27) in the order of their numbers, and the position's name."""
    try:
        record: Any = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise foreign(path, f"is no JSON file ({error})") from None
    if not isinstance(record, dict) or (record.get("tactilus_rows"), record.get("tactilus_columns")) != (ROWS, COLS):
        raise foreign(path, f"is no record of {ROWS} tactilus_rows and {COLS} tactilus_columns")
    snapshots = record.get("snapshots")
    if not isinstance(snapshots, dict) or not snapshots or not all(key.isdigit() for key in snapshots):
        raise foreign(path, "has no numbered snapshots")
    frames = [_snapshot(path, key, snapshots[key]) for key in sorted(snapshots, key=int)]
    return np.stack(frames), str(record.get("position", ""))


def _snapshot(path: Path, key: str, snapshot: Any) -> NDArray[np.float32]:
    try:
        readings = np.array(snapshot["tactilus_readings"], np.float32)
    except (KeyError, TypeError, ValueError):
        raise foreign(path, f"has no numbers as tactilus_readings of snapshot {key}") from None
    if readings.shape != (ROWS * COLS,):
        raise foreign(path, f"has readings of shape {readings.shape} in snapshot {key}, not {ROWS * COLS} numbers")
    require_finite(readings, path)
    frame = readings.reshape(ROWS, COLS)
    frame[:, 0] = 0
    return frame


def _posture(position: str) -> str:
    """`Left3` -> left: the side that the person lies on (an assumption)."""
    name = position.strip().lower().rstrip("0123456789_ ")
    return name if name in POSTURES else ""
