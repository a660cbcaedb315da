"""Values that are spelled as text."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from edge.config.kinds import (
    LONGEST_NAME,
    Distances,
    FilePath,
    GridSize,
    MatName,
    OutputText,
    Pitch,
    Size,
    Turn,
)
from firmware_bridge.geometry import Orientation


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (GridSize, "64x32", Size(64, 32)),
        (GridSize, "1x255", Size(1, 255)),
        (Pitch, "2.54", Distances(2.54, 2.54)),
        (Pitch, 2, Distances(2, 2)),
        (Pitch, "2.54x1.27", Distances(y_cm=2.54, x_cm=1.27)),
        (Turn, "90", Orientation(1)),
        (Turn, 270, Orientation(3)),
        (Turn, "mirrored-180", Orientation(2, mirrored=True)),
        (MatName, "Omas Bett 2", "Omas Bett 2"),
        (MatName, "x" * LONGEST_NAME, "x" * LONGEST_NAME),
        (FilePath, "a b/c", Path("a b/c")),
        (FilePath, "~/c", Path.home() / "c"),
        (OutputText, "json:-", "json:-"),
    ],
)
def test_texts_are_read_and_what_was_read_stays(kind: Any, text: object, value: object) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    assert adapter.validate_python(text, strict=True) == value
    assert adapter.validate_python(value, strict=True) == value
    assert adapter.validate_python(adapter.dump_python(value, mode="json"), strict=True) == value


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        (GridSize, ["64", "0x32", "64x256", "64 x 32", "axb", "-1x2", 64, True, None, ["64", "32"]]),
        (Pitch, ["", "0", "-1", "x", "1x2x3", "nan", "inf", "0.001", "101", True, None, [1, 2]]),
        (Turn, ["", "91", "mirrored", "-90", True, None, [90]]),
        (MatName, ["", " bed", "bed ", "a/b", "a:b", "a=b", ".bed", "a\nb", "x" * (LONGEST_NAME + 1), 5, None]),
        (FilePath, ["", 5, True, ["a"]]),
        (OutputText, ["", "json", "gopher:x", 5]),
    ],
)
def test_other_values_are_refused(kind: Any, texts: list[object]) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    for text in texts:
        with pytest.raises(ValidationError):
            adapter.validate_python(text, strict=True)
