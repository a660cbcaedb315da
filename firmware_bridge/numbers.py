"""Numbers on a command line, refused by the name of what they are to be."""

import math
from collections.abc import Callable
from typing import Final, TypeVar

from firmware_bridge.virtual_mat import HIGHEST_RATE_MHZ, LOWEST_RATE_MHZ

N = TypeVar("N", int, float)

LONGEST_S: Final = 1e9
"""31 years."""


def number(name: str, kind: Callable[[str], N], fits: Callable[[N], bool]) -> Callable[[str], N]:
    """For argparse's `type`: `kind` reads it; what does not fit ends in "invalid `name` value"."""

    def read(text: str) -> N:
        value = kind(text)
        if not fits(value):
            raise ValueError
        return value

    read.__name__ = name
    return read


seed = number("seed (a whole number from 0)", int, lambda seed: seed >= 0)
positive = number("whole number from 1", int, lambda count: count >= 1)
not_negative = number("number from 0", float, lambda value: 0 <= value < math.inf)
time_s = number("number of seconds", float, lambda t_s: 0 <= t_s < LONGEST_S)
duration_s = number("number of seconds (above 0)", float, lambda t_s: 0 < t_s < LONGEST_S)
rate_hz = number("rate (0.1 to 200)", float, lambda hz: LOWEST_RATE_MHZ <= hz * 1000 <= HIGHEST_RATE_MHZ)
