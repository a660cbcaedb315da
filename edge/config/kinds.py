"""Values that a configuration spells as text: paths, sizes of a grid, orientations, names."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

from edge.outputs.uri import parse
from firmware_bridge.errors import Failure
from firmware_bridge.geometry import ORIENTATIONS, Orientation, spelled
from firmware_bridge.header import MAX_SIDE

LONGEST_NAME: Final = 64
NOT_IN_NAMES: Final = "/:="
"""Names are also those of files, and stand before = in `--port`."""
SMALLEST_PITCH_CM: Final = 0.01
LARGEST_PITCH_CM: Final = 100.0


class Expected(ValueError):
    """What should have stood in the place of a wrong value."""


@dataclass(frozen=True, slots=True)
class Size:
    """Of a grid as the mat sends it."""

    rows: int
    cols: int

    def __str__(self) -> str:
        return f"{self.rows}x{self.cols}"


@dataclass(frozen=True, slots=True)
class Distances:
    """Between taxels as the mat sends them: from row to row, from column to column."""

    y_cm: float
    x_cm: float

    def __str__(self) -> str:
        return f"{self.y_cm:g}x{self.x_cm:g}"


def _path(value: Any) -> Any:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value:
        raise Expected("a path in quotes")
    return Path(os.path.expanduser(value))


def is_mat_name(text: str) -> bool:
    printable = text.isprintable() and text == text.strip() and 0 < len(text) <= LONGEST_NAME
    return printable and text[0] != "." and not set(text) & set(NOT_IN_NAMES)


def _name(value: Any) -> Any:
    if not isinstance(value, str) or not is_mat_name(value):
        raise Expected(f"up to {LONGEST_NAME} printable characters, none of {' '.join(NOT_IN_NAMES)}")
    return value


def _size(value: Any) -> Any:
    if isinstance(value, Size):
        return value
    found = re.fullmatch(r"(\d{1,3})x(\d{1,3})", value) if isinstance(value, str) else None
    sides = [int(side) for side in found.groups()] if found else []
    if not found or not all(1 <= side <= MAX_SIDE for side in sides):
        raise Expected(f'rows x columns such as "64x32" (1 to {MAX_SIDE})')
    return Size(*sides)


def _distances(value: Any) -> Any:
    if isinstance(value, Distances):
        return value
    texts = str(value).split("x") if not isinstance(value, bool) else []
    try:
        y_cm, x_cm = (float(text) for text in (texts * 2 if len(texts) == 1 else texts))
        if not (min(y_cm, x_cm) >= SMALLEST_PITCH_CM and max(y_cm, x_cm) <= LARGEST_PITCH_CM):
            raise ValueError
    except ValueError:
        raise Expected(
            f'one or two distances such as "2.54x1.27" ({SMALLEST_PITCH_CM:g} to {LARGEST_PITCH_CM:g} cm)'
        ) from None
    return Distances(y_cm, x_cm)


def _orientation(value: Any) -> Any:
    if isinstance(value, Orientation):
        return value
    text = str(value) if not isinstance(value, bool) else ""
    if text not in ORIENTATIONS:
        raise Expected(f"one of {', '.join(ORIENTATIONS)}")
    return ORIENTATIONS[text]


def _output(text: str) -> str:
    try:
        parse(text)
    except Failure as failure:
        raise ValueError(str(failure)) from None
    return text


FilePath = Annotated[Path, BeforeValidator(_path)]
OutputText = Annotated[str, AfterValidator(_output)]
MatName = Annotated[str, BeforeValidator(_name)]
GridSize = Annotated[Size, BeforeValidator(_size), PlainSerializer(str)]
Pitch = Annotated[Distances, BeforeValidator(_distances), PlainSerializer(str)]
Turn = Annotated[Orientation, BeforeValidator(_orientation), PlainSerializer(spelled)]
