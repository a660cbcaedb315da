"""What an output is handed, and what it must be able to do."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edge.messages import Line
from edge.units import PressureUnit


class OutputClosed(Exception):
    """Nobody will ever read again: the clean end of an output, and of a run that has no other."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What a pose's line is too short for."""

    pressure: NDArray[np.float32]
    """(rows, cols), canonical: head at row 0, seen from above; calibrated where the mat is."""
    unit: PressureUnit
    raw_joints: NDArray[np.float64] | None
    """(14, 3): x_cm, y_cm, confidence before smoothing; None wherever joints are."""
    stages_ms: dict[str, float]
    """Stage -> how long this frame was in it, in order, from its last byte on; empty in a replay."""


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One line; a pose brings its picture."""

    line: Line
    picture: Picture | None = None


class Sink(Protocol):
    """One output. All three are called from one thread, which is the sink's own."""

    def open(self) -> None:
        """Once, before the first item. Raises Failure for what no waiting mends, OSError for what may."""

    def write(self, item: Item) -> None:
        """Raises OutputClosed when nobody will ever read again, OSError when this item is lost and the next may not."""

    def close(self) -> None:
        """Once, after the last item; hands over what is still held. Never raises."""


@runtime_checkable
class PromptSink(Sink, Protocol):
    """Whose lines mostly need not wait for its thread."""

    def write_at_once(self, item: Item) -> bool:
        """From any thread, while the sink is open and `write` is not being called. Never waits.

        Where it returns False or raises, nothing was written: `write` follows, which raises what there is to tell.
        """
