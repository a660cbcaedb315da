"""Grids of taxels: their size in centimetres and how a device holds them.

The canonical frame is row-major, seen from above the mat, head at row 0; on the back, the person's left is
at the high columns.
"""

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows x cols taxels and the distances between their centres."""

    rows: int
    cols: int
    pitch_x_cm: float
    pitch_y_cm: float

    @property
    def width_cm(self) -> float:
        return self.cols * self.pitch_x_cm

    @property
    def height_cm(self) -> float:
        return self.rows * self.pitch_y_cm

    def turned(self) -> "Grid":
        """The grid after a quarter turn."""
        return Grid(self.cols, self.rows, self.pitch_y_cm, self.pitch_x_cm)


@dataclass(frozen=True, slots=True)
class Orientation:
    """How to turn a device's frame into the canonical one: mirror the columns first, then quarter turns.

    `quarter_turns` (0-3) are counter-clockwise as seen on the page, as in `numpy.rot90`.
    One byte on the wire: bits 0-1 quarter turns, bit 2 mirrored.
    """

    quarter_turns: int = 0
    mirrored: bool = False

    def to_canonical(self, frames: NDArray[Any]) -> NDArray[Any]:
        """(..., rows, cols) as sent -> (..., rows, cols) canonical."""
        if self.mirrored:
            frames = frames[..., ::-1]
        return np.rot90(frames, self.quarter_turns, axes=(-2, -1)) if self.quarter_turns else frames

    def from_canonical(self, frames: NDArray[Any]) -> NDArray[Any]:
        """The inverse of `to_canonical`."""
        frames = np.rot90(frames, -self.quarter_turns, axes=(-2, -1))
        return frames[..., ::-1] if self.mirrored else frames

    def canonical_grid(self, grid: Grid) -> Grid:
        """The grid of the canonical frame for a device's `grid`."""
        return grid.turned() if self.quarter_turns % 2 else grid

    def to_byte(self) -> int:
        return self.quarter_turns | (4 if self.mirrored else 0)

    @classmethod
    def from_byte(cls, byte: int) -> Self:
        """Raises ValueError for bytes above 7."""
        if not 0 <= byte <= 7:
            raise ValueError(f"orientation {byte} is not in 0..7")
        return cls(byte & 3, bool(byte & 4))


ORIENTATIONS: Final = {
    f"mirrored-{90 * turns}" if mirrored else str(90 * turns): Orientation(turns, mirrored)
    for mirrored in (False, True)
    for turns in range(4)
}
"""How people spell them: degrees counter-clockwise, after mirroring the columns."""


def spelled(orientation: Orientation) -> str:
    """As ORIENTATIONS has it."""
    return next(text for text, known in ORIENTATIONS.items() if known == orientation)
