"""A body on the back whose joints can be found again in a map, for the readers of foreign data sets."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import JOINTS
from train.maps import Maps

ACROSS = (0.40, 0.38, 0.35, 0.65, 0.62, 0.60, 0.15, 0.20, 0.30, 0.70, 0.80, 0.85, 0.52, 0.48)
ALONG = (0.90, 0.70, 0.52, 0.53, 0.71, 0.91, 0.55, 0.38, 0.23, 0.24, 0.39, 0.56, 0.17, 0.05)
"""Of the mat's width and height, in the order of JOINTS: canonical, the left side at the high columns."""


def body_taxels(grid: Grid) -> NDArray[np.int64]:
    """(14, 2) column and row of each joint: every one another taxel."""
    taxels = np.stack([np.array(ACROSS) * grid.cols, np.array(ALONG) * grid.rows], 1).astype(int)
    assert len({tuple(t) for t in taxels}) == len(JOINTS)
    return taxels


def marked_map(grid: Grid, dtype: Any = np.uint8) -> NDArray[Any]:
    """(rows, cols): 10, 20, ... 140 at the joints' taxels, 0 elsewhere."""
    frame = np.zeros((grid.rows, grid.cols), dtype)
    for number, (col, row) in enumerate(body_taxels(grid), 1):
        frame[row, col] = 10 * number
    return frame


def marks_under_joints(maps: Maps, group: int, frame: int) -> NDArray[np.float32]:
    """(14,) the map's value where each joint of the group lies."""
    cols, rows = (maps.joints[group, :, :2] / [maps.grid.pitch_x_cm, maps.grid.pitch_y_cm]).T.astype(int)
    return maps.pressure[frame, rows, cols]


def centres_cm(grid: Grid) -> NDArray[np.float64]:
    """(14, 2) of the joints' taxels."""
    return (body_taxels(grid) + 0.5) * [grid.pitch_x_cm, grid.pitch_y_cm]


MARKS = 10.0 * np.arange(1, len(JOINTS) + 1)
