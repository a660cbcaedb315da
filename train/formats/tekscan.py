"""Recordings that Tekscan's software saved as ASCII (.asf or .csv).

Layout from files and from public readers (tassos/tekscan-analysis, jiwooba/HSS-TAP): header lines `KEY value`,
`Frame n`, rows of comma-separated values, `B` where a sensor has no sensel, `@@` at the end. Pitch and unit stand in
the header. Orientation: an export does not say where the head lay; taken as canonical unless `orientation` says
otherwise (MIRROR_ROW and MIRROR_COL concern the screen and are not applied).
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid, Orientation
from train.formats.arrays import CANONICAL, chosen_subjects, foreign, missing_file, require_finite
from train.maps import Group, Maps

ENDINGS: Final = (".asf", ".csv")
KPA_OF: Final = {
    "kpa": 1.0, "pa": 0.001, "mpa": 1000.0, "mmhg": 0.133322, "psi": 6.894757, "bar": 100.0, "mbar": 0.1,
    "n/cm2": 10.0, "g/cm2": 0.0980665, "kg/cm2": 98.0665, "raw": 1.0,
}  # fmt: skip
"""Factor to kPa; raw values stay counts."""
CM_OF: Final = {"mm": 0.1, "millimeters": 0.1, "cm": 1.0, "centimeters": 1.0, "m": 100.0, "meters": 100.0,
                "in": 2.54, "inches": 2.54}  # fmt: skip


def read_tekscan(
    folder: Path,
    subjects: Sequence[int] | None = None,
    *,
    orientation: Orientation = CANONICAL,
) -> Maps:
    """kPa, or counts where UNITS is raw; no joints, one group a file, posture unknown.

    folder/<person>/recording.asf, or recordings beside one another, each of a person of its own; `subjects` chooses
    people by the number that their name ends in. All files must have the same grid and unit.

    Raises Failure (66) for missing folders or subjects, (65) for a file that is no such export.
    """
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file())
    if not files:
        raise Failure(f"no {', '.join(ENDINGS)} file in {folder}: --data wants a folder of exports", Exit.MISSING_INPUT)
    people = {p: p.relative_to(folder).parts[0] if p.parent != folder else p.stem for p in files}
    if subjects is not None:
        numbers = {p: _number(person) for p, person in people.items()}
        wanted = chosen_subjects(sorted({n for n in numbers.values() if n is not None}), subjects, folder)
        files = [p for p in files if numbers[p] in wanted]
    parts = [_read_file(path) for path in files]
    for path, (_, grid, counts) in zip(files, parts, strict=True):
        if (grid, counts) != parts[0][1:]:
            raise foreign(path, f"has another grid or unit than {files[0]}: read them apart")
    groups = [Group(f"tekscan/{p.relative_to(folder).with_suffix('')}", f"tekscan:{people[p]}") for p in files]
    pressure = orientation.to_canonical(np.concatenate([frames for frames, _, _ in parts]))
    index = np.repeat(np.arange(len(files)), [len(frames) for frames, _, _ in parts])
    return Maps(pressure, orientation.canonical_grid(parts[0][1]), groups, index)


def _number(person: str) -> int | None:
    digits = re.search(r"\d+$", person)
    return int(digits[0]) if digits else None


def _read_file(path: Path) -> tuple[NDArray[np.float32], Grid, bool]:
    """(frames, rows, cols), the grid as sent, and whether the values are counts."""
    try:
        lines = path.read_text("latin-1").splitlines()
    except FileNotFoundError:
        raise missing_file(path) from None
    starts = [i for i, line in enumerate(lines) if line.startswith("Frame ")]
    if not starts:
        raise foreign(path, "has no line `Frame n`: no ASCII export of Tekscan")
    header = _header(lines[: starts[0]])
    rows, cols = (int(_value(path, header, key)) for key in ("ROWS", "COLS"))
    if rows < 1 or cols < 1:
        raise foreign(path, f"has a grid of {rows} x {cols}")
    grid = Grid(rows, cols, _length_cm(path, header, "COL_SPACING"), _length_cm(path, header, "ROW_SPACING"))
    unit = re.sub(r"[-^\s]", "", header.get("UNITS", "")).replace("\xb2", "2").lower()
    if unit not in KPA_OF:
        raise foreign(path, f"has UNITS {header.get('UNITS', 'missing')}, not one of {', '.join(KPA_OF)}")
    ends = [*starts[1:], len(lines)]
    frames = [_frame(path, lines[a + 1 : b], lines[a], grid) for a, b in zip(starts, ends, strict=True)]
    return np.stack(frames) * np.float32(KPA_OF[unit]), grid, unit == "raw"


def _header(lines: Sequence[str]) -> dict[str, str]:
    pairs = [line.rstrip(", \t").split(None, 1) for line in lines]
    return {pair[0].upper(): pair[1] for pair in pairs if len(pair) == 2}


def _value(path: Path, header: dict[str, str], key: str) -> float:
    try:
        return float(header[key].split()[0])
    except KeyError:
        raise foreign(path, f"has no {key} in its header") from None
    except ValueError:
        raise foreign(path, f"has {key} {header[key]}, which is no number") from None


def _length_cm(path: Path, header: dict[str, str], key: str) -> float:
    value, unit = _value(path, header, key), (*header[key].split(), "mm")[1].lower()
    if unit not in CM_OF or value <= 0:
        raise foreign(path, f"has {key} {header[key]}, which is no length")
    return value * CM_OF[unit]


def _frame(path: Path, lines: Sequence[str], title: str, grid: Grid) -> NDArray[np.float32]:
    rows = [line.rstrip(", \t").split(",") for line in lines if line.strip(", \t") and not line.startswith("@@")]
    shape = len(rows), {len(row) for row in rows}
    if shape != (grid.rows, {grid.cols}):
        widths = " or ".join(map(str, sorted(shape[1]))) or "0"
        raise foreign(path, f"has {shape[0]} rows of {widths} in {title.strip(', ')}, not {grid.rows} x {grid.cols}")
    try:
        frame = np.array([[0 if v.strip() in ("B", "b") else float(v) for v in row] for row in rows], np.float32)
    except ValueError as error:
        raise foreign(path, f"has {title.strip(', ')} with a value that is no number ({error})") from None
    require_finite(frame, path)
    return frame
