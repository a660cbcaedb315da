"""Frames of some seconds, from which a calibration is made."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LASTS_S: Final = 3.0
LEAST_FRAMES, MOST_FRAMES = 10, 128
"""Frames are collected for LASTS_S and until there are LEAST_FRAMES, but not more than MOST_FRAMES."""
LONGEST_S: Final = 30.0
"""After so long there are as many as there are."""


@dataclass(frozen=True, slots=True)
class Refused:
    """`reason` says in a line for people why there is no calibration, and what to do."""

    reason: str


class Collector:
    """Is fed the frames of one mat until `feed` says that it has enough, or LONGEST_S have passed."""

    def __init__(self) -> None:
        self._frames: list[NDArray[Any]] = []
        self._occupied = 0
        """Of them."""
        self._began_s: float | None = None

    def feed(self, counts: NDArray[Any], occupied: bool, t_s: float) -> bool:
        """counts (rows, cols) as the mat sent them at `t_s`; whether that is enough."""
        self._began_s = t_s if self._began_s is None else self._began_s
        if len(self._frames) < MOST_FRAMES:
            self._frames.append(counts.copy())
            self._occupied += occupied
        lasted_s = t_s - self._began_s
        return len(self._frames) >= (LEAST_FRAMES if lasted_s >= LASTS_S else MOST_FRAMES) or lasted_s >= LONGEST_S

    def _too_few(self, calibration: str) -> Refused | None:
        """Why `calibration` cannot be had from the frames that came, or None."""
        if len(self._frames) >= LEAST_FRAMES:
            return None
        return Refused(f"{len(self._frames)} frames came, a {calibration} needs {LEAST_FRAMES}: does the mat send?")

    def _stack(self) -> NDArray[np.float32]:
        """(frames, rows, cols)."""
        return np.stack(self._frames).astype(np.float32)
