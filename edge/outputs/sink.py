"""What an output is handed, and what it must be able to do."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edge.messages import Line, Pose
from edge.pose_text import PoseText
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


class Item:
    """One line."""

    picture: Picture | None = None
    """A pose's."""

    def __init__(self, line: Line, picture: Picture | None = None) -> None:
        self._line = line
        self.picture = picture

    @property
    def line(self) -> Line:
        return self._line

    @property
    def mat(self) -> str:
        return self._line.mat

    @property
    def is_pose(self) -> bool:
        return isinstance(self._line, Pose)

    def json_line(self) -> str:
        return self._line.json_line()


class PoseItem(Item):
    """A live pose. Its line becomes an object once somebody looks into it."""

    is_pose = True

    def __init__(self, text: PoseText, picture: Picture) -> None:
        self._text, self.picture = text, picture

    @property
    def mat(self) -> str:
        return self._text.mat

    @cached_property
    def line(self) -> Line:
        return Pose.model_validate_json(self._json_line)

    @cached_property
    def _json_line(self) -> str:
        return self._text.json_line()

    def json_line(self) -> str:
        return self._json_line


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
