"""How long a frame takes on its way to a line, split by stage."""

import time
from collections.abc import Callable
from typing import Final

STAGES: Final = ("wait", "pressure", "inference", "points", "line")
"""wait: from the last byte until the pipeline turns to the frame; pressure: calibration, contact, the model's input;
points: from heat maps to smooth joints; line: behaviour, load, the line itself."""


class Stopwatch:
    """Begins at `began_s`, a moment of `clock_s`; each call ends a stage."""

    def __init__(self, began_s: float, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.stages_ms: dict[str, float] = {}
        self._clock_s, self._lap_s = clock_s, began_s

    def __call__(self, stage: str) -> None:
        now_s = self._clock_s()
        self.stages_ms[stage] = (now_s - self._lap_s) * 1000
        self._lap_s = now_s

    @property
    def total_ms(self) -> float:
        return sum(self.stages_ms.values())
