"""Which maps are worth a person's time: those that differ most from one another."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from train.annotate.candidates import Candidate, distance

SAME: Final = 0.05
"""Root mean square difference of model inputs below which a map is a near copy that teaches nothing more."""


def choose(candidates: Sequence[Candidate], count: int, begun: Sequence[int] = ()) -> list[int]:
    """Indices of up to `count` candidates, each as far as can be from all before it; no near copies.

    `begun` come first and stay. Without them the first is the map nearest to the mean, the most ordinary one. Maps
    of somebody who lies still come before others. So the first n of a longer choice are the choice of n.
    """
    still = np.array([c.still for c in candidates], bool)
    pools = [still, np.ones(len(candidates), bool)]
    inputs = np.stack([c.model_input for c in candidates])
    chosen = list(begun)
    if not chosen:
        first = next(pool for pool in pools if pool.any())
        chosen.append(int(np.where(first, distance(inputs, inputs[first].mean(0)), np.inf).argmin()))
    nearest = np.min([distance(inputs, inputs[i]) for i in chosen], 0)
    for pool in pools:
        while len(chosen) < count:
            farthest = int(np.where(pool, nearest, 0).argmax())
            if nearest[farthest] < SAME or not pool[farthest]:
                break
            chosen.append(farthest)
            nearest = np.minimum(nearest, distance(inputs, inputs[farthest]))
    return chosen
