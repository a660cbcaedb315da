"""Calibrations, tares and mats that several test files of edge/calibration look at."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from edge_packages import GRID, info

from edge.calibration.collector import Refused
from edge.calibration.tare import Tare
from edge.calibration.values import Calibration
from edge.contact import contact
from firmware_bridge.messages import Info

ROWS, COLS = GRID.rows, GRID.cols


def calibration(rows: int = ROWS, cols: int = COLS, **changes: Any) -> Calibration:
    """Of a mat that rests at 10 counts with a noise of 1."""
    values: dict[str, Any] = {
        "device_id": 0,
        "rows": rows,
        "cols": cols,
        "made_unix_s": 1.7e9,
        "baseline_counts": np.full((rows, cols), 10.0).tolist(),
        "noise_counts": np.ones((rows, cols)).tolist(),
    }
    return Calibration(**(values | changes))


def tare(
    frames: Iterable[np.ndarray], mat: Info | None = None, before: Calibration | None = None, *, force: bool = False
) -> Calibration | Refused:
    """At 10 frames/s, occupied where edge.contact says so."""
    taring = Tare(mat or info(), before, force=force)
    for i, counts in enumerate(frames):
        if taring.feed(counts, contact(counts.astype(np.float32), GRID).occupied, i / 10):
            break
    return taring.result(1.7e9)


def made(result: Calibration | Refused) -> Calibration:
    assert isinstance(result, Calibration), result
    return result


def resting(seed: int = 0, level: np.ndarray | float = 20.0, noise: float = 1.0, n: int = 40) -> list[np.ndarray]:
    """(rows, cols) u16 frames of an empty mat that rests at `level`."""
    rng = np.random.default_rng(seed)
    frames = np.rint(level + rng.normal(0, noise, (n, ROWS, COLS)))
    return list(np.clip(frames, 0, 4095).astype(np.uint16))
