"""What is being annotated and where it is kept: every change is on the disk before it is confirmed."""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge.model import KeypointModel
from edge.preprocess import misfit
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.skeleton import BONES, JOINTS, MIRRORED
from train.annotate.candidates import Candidate
from train.annotate.guess import guess
from train.annotate.selection import choose
from train.annotations import Annotations, Layout, Points, check_grid, source_of

FULL_COLOUR_PERCENTILE: Final = 99.7
"""Of all taxels of all chosen maps: where the one colour scale of the session ends."""


@dataclass(frozen=True)
class Map:
    """One map to annotate."""

    candidate: Candidate
    guess: Points
    guess_is: str
    """What the guess is, in words for the page."""


class Changed(Exception):
    """The file, or the map in it, is no longer as whoever wants to write it knows it."""


class Store:
    """The file `path`, which belongs to this program alone while it runs."""

    def __init__(self, path: Path, layout: Layout) -> None:
        """Raises Failure where `path` is something else than a file of train-annotate about such maps."""
        self.path = path
        if not path.parent.is_dir():
            raise Failure(f"no folder {path.parent} for {path.name}: make it first", Exit.MISSING_INPUT)
        self.annotations = Annotations.load(path) if path.exists() else Annotations(layout)
        self._seen = self._stamp()
        if self.annotations.layout != layout:
            raise Failure(f"{path} is about other maps than these: choose another --out", Exit.FOREIGN_DATA)

    def save(self) -> None:
        """Raises Changed where somebody else wrote the file, OSError where it cannot be written."""
        if self._stamp() != self._seen:
            raise Changed(f"{self.path} was changed by another program: start train-annotate again")
        self.annotations.save(self.path)
        self._seen = self._stamp()

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size


class Session:
    """The maps, their labels and the file."""

    def __init__(self, maps: Sequence[Map], store: Store, use: str) -> None:
        self.maps = {m.candidate.name: m for m in maps}
        self.store = store
        self.use = use
        """What to do with the file once it is complete, in words for the page."""

    @property
    def accepted(self) -> int:
        return sum(name in self.store.annotations.frames for name in self.maps)

    @property
    def file_id(self) -> str:
        return hashlib.sha256(str(self.store.path.resolve()).encode()).hexdigest()[:16]

    def kept(self, name: str) -> tuple[Points | None, bool]:
        """The joints of a map, and whether they are accepted."""
        annotations = self.store.annotations
        return annotations.frames.get(name) or annotations.drafts.get(name), name in annotations.frames

    def put(
        self,
        name: str,
        points: Points,
        accepted: bool,
        active_s: float,
        known: Sequence[tuple[Points | None, bool]] | None = None,
    ) -> None:
        """Keep one map's joints. Raises KeyError, ValueError for what cannot be, and what Store.save raises.

        `known`: what may be kept so far. Raises Changed where it is something else, which another page put there.
        """
        grid = self.maps[name].candidate.grid
        if any(x > grid.cols or y > grid.rows for x, y, _ in points):
            raise ValueError(f"a joint is beside the mat of {grid.rows} x {grid.cols} taxels")
        if known is not None and self.kept(name) not in [*known, (points, accepted)]:
            raise Changed("this map was changed on another page meanwhile: load this page again")
        annotations = self.store.annotations
        target, other = annotations.frames, annotations.drafts
        if not accepted:
            target, other = other, target
        target[name] = points
        other.pop(name, None)
        annotations.grids[source_of(name)] = grid
        annotations.active_s = max(annotations.active_s, active_s)
        annotations.selection = list(dict.fromkeys([*annotations.selection, *self.maps]))
        self.store.save()

    def as_json(self) -> dict[str, Any]:
        """All that the page needs. Pressure as it is, points in taxels of the canonical map."""
        annotations = self.store.annotations
        names = "\n".join([str(self.store.path.resolve()), *self.maps])
        return {
            "id": hashlib.sha256(names.encode()).hexdigest()[:16],
            "joints": JOINTS,
            "mirrored": MIRRORED,
            "bones": [[JOINTS.index(a), JOINTS.index(b)] for a, b in BONES],
            "file": self.store.path.name,
            "file_id": self.file_id,
            "use": self.use,
            "active_s": annotations.active_s,
            "full_colour": self._full_colour(),
            "maps": [self._map_json(m) for m in self.maps.values()],
        }

    def _map_json(self, one: Map) -> dict[str, Any]:
        candidate = one.candidate
        name, grid = candidate.name, candidate.grid
        points, accepted = self.kept(name)
        return {
            "name": name,
            "rows": grid.rows,
            "cols": grid.cols,
            "pitch_x_cm": grid.pitch_x_cm,
            "pitch_y_cm": grid.pitch_y_cm,
            "pressure": np.round(candidate.pressure.ravel(), 2).tolist(),
            "guess": one.guess,
            "guess_is": one.guess_is,
            "points": points,
            "accepted": accepted,
        }

    def _full_colour(self) -> float:
        values = np.concatenate([m.candidate.pressure.ravel() for m in self.maps.values()])
        return max(float(np.percentile(values, FULL_COLOUR_PERCENTILE)), 1e-6)


def open_session(
    path: Path,
    layout: Layout,
    read: Callable[[Sequence[str]], Sequence[Candidate]],
    model: KeypointModel,
    count: int,
    use: str,
) -> Session:
    """Choose `count` maps from what `read(names to keep)` gives, those that `path` already speaks of first.

    Raises Failure (65) where nobody lies on any map.
    """
    store = Store(path, layout)
    annotations = store.annotations
    candidates = read(annotations.selection)
    if not candidates:
        raise Failure("nobody lies on any of these maps: give a recording of a night", Exit.FOREIGN_DATA)
    for candidate in candidates:
        if annotated := annotations.grids.get(source_of(candidate.name)):
            check_grid(path, candidate.name, annotated, candidate.grid)
    index = {candidate.name: i for i, candidate in enumerate(candidates)}
    begun = [name for name in annotations.selection if name in index]
    begun = [name for i, name in enumerate(begun) if i < count or _is_touched(annotations, name)]
    chosen = choose(candidates, count, [index[name] for name in begun])
    return Session([_map(model, candidates[i]) for i in chosen], store, use)


def _is_touched(annotations: Annotations, name: str) -> bool:
    return name in annotations.frames or name in annotations.drafts


def _map(model: KeypointModel, candidate: Candidate) -> Map:
    if candidate.points:
        return Map(candidate, candidate.points, "the joints of --joints")
    problem = misfit(candidate.grid, model.manifest.grid)
    return Map(
        candidate,
        guess(model, candidate.grid, candidate.pressure),
        f"a plain figure: {problem}" if problem else "model",
    )
