"""The part of a large mat that a model reads: as large as the model's own grid, around whoever lies there."""

import math
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.contact import BASELINE_PERCENT, CONTACT_SHARE, SCALE_PERCENT
from edge.preprocess import rank_values
from firmware_bridge.geometry import Grid

OUTSIDE_SHARE: Final = 0.02
"""Of the load, beyond either end of a body: a stray taxel moves no window."""


class Window:
    """Of frames of `mat`; `grid` is what it shows, the whole mat where that is no larger than `model`.

    One body is looked for: between two people it would lie in the middle.
    """

    def __init__(self, mat: Grid, model: Grid) -> None:
        rows = min(mat.rows, math.ceil(model.height_cm / mat.pitch_y_cm))
        cols = min(mat.cols, math.ceil(model.width_cm / mat.pitch_x_cm))
        self.grid = replace(mat, rows=rows, cols=cols)
        self._is_part = self.grid != mat
        self._whole = np.zeros(2)

    def __call__(self, frame: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """frame (rows, cols) of the mat -> the window's, and where its top left corner is: x_cm, y_cm."""
        if not self._is_part:
            return frame, self._whole
        return self.cut(frame, *self.corner(frame))

    def corner(self, frame: NDArray[np.float32]) -> tuple[int, int]:
        """Row and column of the mat where the window of that frame begins."""
        baseline, full = rank_values(frame.ravel(), BASELINE_PERCENT, SCALE_PERCENT)
        load = np.maximum(frame - baseline - CONTACT_SHARE * (full - baseline), 0)
        return _begin(load.sum(1), self.grid.rows), _begin(load.sum(0), self.grid.cols)

    def cut(self, frames: NDArray[np.float32], row: int, col: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """frames (..., rows, cols) of the mat -> what a window that begins there shows, and its x_cm, y_cm."""
        part = np.ascontiguousarray(frames[..., row : row + self.grid.rows, col : col + self.grid.cols])
        return part, np.array([col * self.grid.pitch_x_cm, row * self.grid.pitch_y_cm])


def _begin(load: NDArray[np.float32], n: int) -> int:
    """The first of `n` lines around the middle of a body with that load on each line."""
    share = load.cumsum() / max(float(load.sum()), np.finfo(np.float32).tiny)
    first, last = np.searchsorted(share, (OUTSIDE_SHARE, 1 - OUTSIDE_SHARE))
    return int(np.clip(round((first + last + 1 - n) / 2), 0, len(load) - n))
