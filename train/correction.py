"""What a mat's own maps have beyond the decoder's: a decoder that learned on moved maps cannot know where seams lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

PENALTIES: Final = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""On the squared weights of standardised numbers, per map; the one with the least error on people left out is taken."""
SMALLEST_SPREAD: Final = 1e-6

Values = NDArray[np.floating]


@dataclass(frozen=True)
class Correction:
    """Ridge regression of what is missed, taxel by taxel, on the numbers of the points."""

    centre: Values
    """(F,)."""
    scale: Values
    """(F,)."""
    weights: Values
    """(F, rows * cols)."""
    bias: Values
    """(rows, cols)."""
    penalty: float

    @classmethod
    def fit(cls, numbers: Values, missed: Values, people: Sequence[str]) -> Self:
        """numbers (N, F) of the points, missed (N, rows, cols) = map - decoded map, people (N,) whom they show."""
        names = np.array(people)

        def error(penalty: float) -> float:
            total = 0.0
            for person in np.unique(names):
                inner, outer = names != person, names == person
                fitted = cls._with(numbers[inner], missed[inner], penalty)
                total += float(np.abs(missed[outer] - fitted(numbers[outer])).sum())
            return total

        several = len(np.unique(names)) > 1
        return cls._with(numbers, missed, min(PENALTIES, key=error) if several else PENALTIES[-1])

    @classmethod
    def _with(cls, numbers: Values, missed: Values, penalty: float) -> Self:
        centre, scale = numbers.mean(0), numbers.std(0) + SMALLEST_SPREAD
        x, bias = (numbers - centre) / scale, missed.mean(0)
        y = (missed - bias).reshape(len(x), -1)
        gram = x.T @ x + penalty * len(x) * np.eye(x.shape[1], dtype=x.dtype)
        return cls(centre, scale, np.linalg.solve(gram, x.T @ y), bias, penalty)

    def __call__(self, numbers: Values) -> Values:
        """(N, F) -> (N, rows, cols), to be added to the decoded maps."""
        x = (numbers - self.centre) / self.scale
        return np.asarray((x @ self.weights).reshape(-1, *self.bias.shape) + self.bias)
