"""HLPPDat: A Human Lying Posture Pressure-Map Dataset, Husak et al., Brno 2025; CC BY-NC-SA 4.0.

https://github.com/jakubarm/HLPPDat: its README gives the files and the classes. The mattress is made in-house;
orientation and pitch are unpublished. Orientation: an ASSUMPTION, taken as canonical (give `orientation` where it
is not). Pitch: an ASSUMPTION, 30 x 11 spots over 200 x 80 cm; `pitch_cm` sets another. At that pitch no model of
this project takes the maps for keypoints (edge.preprocess.misfit); they serve posture classification.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid, Orientation
from train.formats.arrays import CANONICAL, chosen_subjects, foreign, missing_file
from train.maps import Group, Maps

ROWS: Final = 30
COLS: Final = 11
PITCH_CM: Final = (80 / COLS, 200 / ROWS)
POSTURES: Final = {"1": "supine", "2": "left", "3": "right", "4": "prone"}


def read_hlppdat(
    folder: Path,
    subjects: Sequence[int] | None = None,
    *,
    pitch_cm: tuple[float, float] = PITCH_CM,
    orientation: Orientation = CANONICAL,
) -> Maps:
    """Counts 0-255, no joints, one group a map.

    folder: the repository's copy or its Data/.

    Raises Failure (66) for missing files or subjects, (65) for files that are not HLPPDat's.
    """
    root = folder / "Data" if (folder / "Data").is_dir() else folder
    rows = _targets(root / "Targets.csv")
    wanted = chosen_subjects(sorted({subject for _, _, subject in rows}), subjects, root / "Targets.csv")
    rows = [row for row in rows if row[2] in wanted]
    frames = [_read_png(root / "pressure_maps" / f"{name}.png") for name, _, _ in rows]
    groups = [Group(f"hlppdat/{subject}/{name}", f"hlppdat:{subject}", posture) for name, posture, subject in rows]
    pressure = orientation.to_canonical(np.stack(frames)).astype(np.float32)
    grid = orientation.canonical_grid(Grid(ROWS, COLS, *pitch_cm))
    return Maps(pressure, grid, groups, np.arange(len(groups)))


def read_measurements(folder: Path) -> dict[int, dict[str, str]]:
    """subject -> {Sex, Age, Height, Weight, ...} as written, of the file that is really spelt Measuremetns.csv."""
    path = (folder / "Data" if (folder / "Data").is_dir() else folder) / "Measuremetns.csv"
    table = _table(path, {"SubjectId", "Height", "Weight"})
    try:
        return {int(row.pop("SubjectId")): row for row in table}
    except ValueError as error:
        raise foreign(path, f"has a SubjectId that is no number ({error})") from None


def _targets(path: Path) -> list[tuple[str, str, int]]:
    """(file name without its ending, posture, subject) of each map."""
    rows = []
    for line, row in enumerate(_table(path, {"FileName", "Class", "SubjectId"}), 2):
        name, number, subject = row["FileName"], row["Class"], row["SubjectId"]
        if not name.isdigit() or number not in POSTURES or not subject.isdigit():
            raise foreign(path, f"line {line} is no map of class 1-4: {name},{number},{subject}")
        rows.append((name, POSTURES[number], int(subject)))
    return rows


def _table(path: Path, columns: set[str]) -> list[dict[str, str]]:
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise Failure(
            f"no {path}: --data wants HLPPDat's folder (https://github.com/jakubarm/HLPPDat)", Exit.MISSING_INPUT
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise foreign(path, f"is no text ({error})") from None
    reader = csv.DictReader(text.splitlines(), restval="")
    if not columns <= set(reader.fieldnames or ()):
        raise foreign(path, f"has no columns {', '.join(sorted(columns))}")
    return list(reader)


def _read_png(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as picture:
            values = np.asarray(picture)
    except FileNotFoundError:
        raise missing_file(path) from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise foreign(path, f"is no PNG picture ({error})") from None
    if values.shape != (ROWS, COLS) or values.dtype != np.uint8:
        raise foreign(path, f"is a picture of {values.shape} {values.dtype}, not {ROWS} x {COLS} grey values of 8 bits")
    return values
