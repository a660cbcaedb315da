"""What every posture head is fitted on, and how its settings are chosen: on people left out, never on test people.

A head takes points (N, K, F), whose first two features are x_cm and y_cm, and gives scores (N, classes).
"""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

INNER_PARTS: Final = 3


class Head(Protocol):
    """(N, K, F) -> scores (N, classes), logarithms of how likely each is; the largest wins."""

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]: ...


@dataclass(frozen=True)
class Labelled:
    """N maps whose class is known."""

    x: NDArray[np.float64]
    """(N, K, F)."""
    y: NDArray[np.int64]
    """(N,) below `classes`."""
    people: NDArray[np.str_]
    """(N,)."""
    moved: NDArray[np.bool_]
    """(N,) a changed copy of a map: fitted on, but nothing is chosen by it."""
    classes: int

    def where(self, chosen: NDArray[np.bool_]) -> "Labelled":
        return Labelled(self.x[chosen], self.y[chosen], self.people[chosen], self.moved[chosen], self.classes)


def inner_splits(known: Labelled) -> list[tuple[Labelled, Labelled]]:
    """A third of the people left out in turn: what is fitted on, and the unchanged maps to choose by.

    Empty for a single person: then a head takes the setting in the middle.
    """
    names = sorted(set(known.people.tolist()))
    if len(names) == 1:
        return []
    left_out = [np.isin(known.people, names[i::INNER_PARTS]) for i in range(min(INNER_PARTS, len(names)))]
    return [(known.where(~out), known.where(out & ~known.moved)) for out in left_out]
