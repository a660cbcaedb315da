"""Pressure maps in memory: what every reader delivers and every trainer, fitter and scorer takes."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from edge.manifest import Preprocessing
from edge.preprocess import Preprocessor
from edge.window import Window
from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import JOINTS

NOWHERE: Final = -10.0
"""Of the model's grid: where joints are that nobody annotated, too far off for any random move to bring them back."""


@dataclass(frozen=True, slots=True)
class Group:
    """Frames that show the same person in the same posture: near copies of one another, one label for all."""

    name: str
    """Unique, e.g. `pmd-i/S13/4`."""
    person: str
    """Unique over all data sets, e.g. `pmd:13`: what splits are made by."""
    posture: str = ""
    """supine, right, left or empty where unknown."""


@dataclass(frozen=True)
class Maps:
    """N canonical frames of one grid in G groups."""

    pressure: NDArray[np.float32]
    """(N, rows, cols) in the source's own unit."""
    grid: Grid
    groups: Sequence[Group]
    group_index: NDArray[np.int64]
    """(N,) which group a frame belongs to."""
    joints: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, len(JOINTS), 3), np.float32))
    """(G, 14, 3): x_cm, y_cm from the mat's top left corner and visibility 0-2; all zero where not annotated."""

    def __post_init__(self) -> None:
        if not len(self.joints):
            object.__setattr__(self, "joints", np.zeros((len(self.groups), len(JOINTS), 3), np.float32))

    def __len__(self) -> int:
        return len(self.pressure)

    @property
    def people(self) -> list[str]:
        return sorted({g.person for g in self.groups})

    def medians(self) -> Self:
        """One frame a group: the median over its frames."""
        maps = [np.median(self.pressure[self.group_index == g], 0) for g in range(len(self.groups))]
        return type(self)(np.stack(maps), self.grid, self.groups, np.arange(len(self.groups)), self.joints)

    def of_groups(self, keep: Sequence[int]) -> Self:
        """The frames of the groups `keep`, in that order of groups."""
        new_index = {old: new for new, old in enumerate(keep)}
        chosen = np.flatnonzero(np.isin(self.group_index, list(keep)))
        return type(self)(
            self.pressure[chosen],
            self.grid,
            [self.groups[g] for g in keep],
            np.array([new_index[int(g)] for g in self.group_index[chosen]], np.int64),
            self.joints[list(keep)],
        )

    def labelled(self) -> Self:
        """Only the groups with at least one annotated joint."""
        return self.of_groups([g for g in range(len(self.groups)) if self.joints[g, :, 2].any()])

    def unlabelled(self) -> Self:
        """Without what people have said of them: no joints, no postures."""
        nameless = [replace(group, posture="") for group in self.groups]
        return replace(self, groups=nameless, joints=np.zeros_like(self.joints))

    def around_people(self, model: Grid) -> Self:
        """What a model of that grid is shown of a larger mat, as edge-run shows it: the part around a group's median.

        The mat then ends with that part, and joints are counted from its corner.
        """
        window = Window(self.grid, model)
        if window.grid == self.grid:
            return self
        pressure = np.empty((len(self), window.grid.rows, window.grid.cols), np.float32)
        joints = self.joints.copy()
        for g in range(len(self.groups)):
            frames = np.flatnonzero(self.group_index == g)
            corner = window.corner(np.median(self.pressure[frames], 0))
            pressure[frames], corner_cm = window.cut(self.pressure[frames], *corner)
            annotated = joints[g].any(-1)
            joints[g, annotated, :2] -= corner_cm
        return replace(self, pressure=pressure, grid=window.grid, joints=joints)

    def examples(self, model: Grid, constants: Preprocessing) -> "Examples":
        """The same as the model sees it."""
        shown = self.around_people(model)
        preprocessor = Preprocessor(shown.grid, model, constants)
        blocks = [preprocessor(shown.pressure[i : i + 256]) for i in range(0, len(shown), 256)]
        inputs = np.concatenate(blocks) if blocks else np.zeros((0, model.rows, model.cols), np.float32)
        annotated = shown.joints.any(-1, keepdims=True)
        xy_norm = np.where(annotated, preprocessor.model_norm(shown.joints[..., :2]), NOWHERE)
        joints_norm = np.concatenate([xy_norm, shown.joints[..., 2:]], -1).astype(np.float32)
        return Examples(inputs, self.groups, self.group_index, joints_norm)


@dataclass(frozen=True)
class Examples:
    """Maps of any grids, all on the model's grid."""

    inputs: NDArray[np.float32]
    """(N, model rows, model cols) in 0..1."""
    groups: Sequence[Group]
    group_index: NDArray[np.int64]
    """(N,) which group a map belongs to."""
    joints_norm: NDArray[np.float32]
    """(G, 14, 3): x, y in 0..1 of the model's grid and visibility; NOWHERE and 0 where not annotated."""

    @classmethod
    def joined(cls, parts: Sequence["Examples"]) -> "Examples":
        offsets = np.cumsum([0, *(len(part.groups) for part in parts)])
        return cls(
            np.concatenate([part.inputs for part in parts]),
            [group for part in parts for group in part.groups],
            np.concatenate([part.group_index + o for part, o in zip(parts, offsets, strict=False)]),
            np.concatenate([part.joints_norm for part in parts]),
        )
