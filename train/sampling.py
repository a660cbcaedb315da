"""Batches: real groups and simulated people in a fixed share."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.maps import Examples, Group


class Batch(NamedTuple):
    inputs: Tensor
    """(B, 1, H, W) model inputs."""
    joints: Tensor
    """(B, 14, 3): x_norm, y_norm, visibility, as Examples has them."""
    others: Tensor | None = None
    """(B, 1, H, W): the same people in the same posture, in another frame or the very same; None: the very same."""

    def to(self, device: torch.device) -> "Batch":
        others = None if self.others is None else self.others.to(device)
        return Batch(self.inputs.to(device), self.joints.to(device), others)


class TrainingSet:
    """All training maps; every group is drawn equally often, whatever its number of frames.

    `simulated_evenly`: of simulated people every way of lying, be it as rare as prone is. Real people are drawn without
    a look at how they lie, which nobody needs to know of them. `annotated_share`: how often a real map is an annotated
    one where there are others too; 0 does not tell them apart.
    """

    def __init__(
        self,
        real: Examples | None,
        simulated: Examples | None,
        *,
        simulated_evenly: bool = False,
        annotated_share: float = 0.0,
    ) -> None:
        self._pools = []
        if real is not None:
            self._pools.append(_Pool(real, _annotated_chances(real, annotated_share) if annotated_share else None))
        if simulated is not None:
            self._pools.append(_Pool(simulated, _even_chances(simulated.groups) if simulated_evenly else None))
        self._has_both = len(self._pools) == 2

    def batch(self, size: int, simulated_share: float, random: np.random.Generator, other_frame: float = 0.0) -> Batch:
        """`other_frame` is the probability that `others` holds a frame drawn anew from the map's group."""
        count_simulated = round(size * simulated_share) if self._has_both else 0
        counts = [size - count_simulated, count_simulated]
        parts = [pool.draw(n, random, other_frame) for pool, n in zip(self._pools, counts, strict=False)]
        inputs, joints, others = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return Batch(
            torch.from_numpy(inputs)[:, None],
            torch.from_numpy(joints),
            torch.from_numpy(others)[:, None] if other_frame else None,
        )


class _Pool:
    def __init__(self, examples: Examples, chances: list[float] | None) -> None:
        """`chances` of each group; None: all the same."""
        self._inputs, self._joints = examples.inputs, examples.joints_norm
        self._frames = [np.flatnonzero(examples.group_index == g) for g in range(len(examples.groups))]
        self._chances = chances

    def draw(
        self, count: int, random: np.random.Generator, other_frame: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Inputs, joints and inputs of other frames."""
        groups = random.choice(len(self._frames), size=count, p=self._chances)
        frames = np.array([int(random.choice(self._frames[g])) for g in groups], np.int64)
        others = frames
        if other_frame:
            drawn = np.array([int(random.choice(self._frames[g])) for g in groups], np.int64)
            others = np.where(random.random(count) < other_frame, drawn, frames)
        return self._inputs[frames], self._joints[groups], self._inputs[others]


def _even_chances(groups: Sequence[Group]) -> list[float]:
    """Of each group, so that every posture has the same chance."""
    count = Counter(group.posture for group in groups)
    return [1 / (len(count) * count[group.posture]) for group in groups]


def _annotated_chances(examples: Examples, share: float) -> list[float] | None:
    """Of each group, so that `share` of what is drawn is annotated; None where all of them are, or none."""
    annotated = np.asarray(examples.joints_norm[..., 2].any(1))
    count = int(annotated.sum())
    if count in (0, len(annotated)):
        return None
    return np.where(annotated, share / count, (1 - share) / (len(annotated) - count)).tolist()
