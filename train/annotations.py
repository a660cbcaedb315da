"""Files of joints that a person annotated with train-annotate: the format of data/pmd-joints and a little more.

`joints` (their names), `unit` (in words) and `frames` {map: [[x, y, v] * 14]} are as there; v is 2 where the joint
shows clearly, 1 where its neighbours tell, 0 where it is a guess. Beside them: `grids` of the recordings, `drafts`
of maps that were begun and not yet accepted (nothing reads them but train-annotate), the `selection` of maps, and
the time spent, `active_s`.
"""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge import __version__
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import JOINTS

PROGRAM: Final = "train-annotate"
DECIMALS: Final = 2
"""Of coordinates in the file: a hundredth of a taxel is far below what anybody can see."""

Taxels = Annotated[float, Field(ge=0, le=255, allow_inf_nan=False)]
Point = tuple[Taxels, Taxels, Literal[0, 1, 2]]
Points = Annotated[list[Point], Field(min_length=len(JOINTS), max_length=len(JOINTS))]
"""x, y in taxels and visibility of the 14 joints."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which way the columns of a file's coordinates run."""

    unit: str
    mirrored: bool


CANONICAL: Final = Layout(
    "taxel; x = column edge 0..cols, y = row edge 0..rows, taxel centres at +0.5; canonical: seen from above, head at "
    "row 0, on the back the person's left at the high columns",
    mirrored=False,
)
PMD: Final = {
    "i": Layout(
        "taxel (2.54 cm); x = column edge 0..32, y = row edge 0..64, taxel centres at +0.5; "
        "raw, mirrored column order of the files",
        mirrored=True,
    ),
    "ii": Layout(
        "taxel (pitch_x 2.87 cm, pitch_y 2.54 cm); x = column edge 0..27, y = row edge 0..64, after rotating the "
        "file's map by 180 degrees (head at row 0), still mirrored",
        mirrored=True,
    ),
}
"""Files about pmd keep to pmd's own columns, as those of data/pmd-joints do, so that --data --joints reads them."""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    joints: list[str]
    unit: str
    made_by: str
    grids: dict[str, tuple[int, int, float, float]]
    active_s: float
    selection: list[str]
    frames: dict[str, Points]
    drafts: dict[str, Points]


@dataclass
class Annotations:
    """All that one file says. Points are canonical here, whatever the file's layout."""

    layout: Layout = CANONICAL
    frames: dict[str, Points] = field(default_factory=dict)
    """Map -> accepted joints."""
    drafts: dict[str, Points] = field(default_factory=dict)
    """Map -> joints begun and not accepted."""
    grids: dict[str, Grid] = field(default_factory=dict)
    """Source (see `source_of`) -> canonical grid."""
    selection: list[str] = field(default_factory=list)
    """Maps to annotate, in their order."""
    active_s: float = 0.0

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises Failure: 66 for a file that is not there, 65 for one that train-annotate did not write."""
        try:
            content = _File.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise Failure(f"no joints file {path}: {PROGRAM} writes one", Exit.MISSING_INPUT) from None
        except OSError as error:
            raise Failure(f"cannot read joints file {path}: {error.strerror}", Exit.MISSING_INPUT) from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise _foreign(path, f"{where}: {first['msg']}" if where else first["msg"]) from None
        if not content.made_by.startswith(PROGRAM):
            raise _foreign(path, f"made_by is {content.made_by!r}")
        if content.joints != list(JOINTS):
            raise _foreign(path, "its joints are others")
        layout = next((known for known in (CANONICAL, *PMD.values()) if known.unit == content.unit), None)
        if layout is None:
            raise _foreign(path, f"its unit is unknown: {content.unit!r}")
        grids = {source: Grid(*numbers) for source, numbers in content.grids.items()}
        homeless = next((n for n in (*content.frames, *content.drafts) if source_of(n) not in grids), None)
        if homeless is not None:
            raise _foreign(path, f"it has no grid for {homeless}")
        frames, drafts = (
            {name: _turned(points, layout, grids[source_of(name)]) for name, points in part.items()}
            for part in (content.frames, content.drafts)
        )
        return cls(layout, frames, drafts, grids, content.selection, content.active_s)

    def save(self, path: Path) -> None:
        """Whole or not at all, and on the disk when this returns. Raises OSError."""
        partial = path.with_name(path.name + ".partial")
        with partial.open("w") as file:
            file.write(self._text())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _text(self) -> str:
        grids = {s: (g.rows, g.cols, g.pitch_x_cm, g.pitch_y_cm) for s, g in self.grids.items()}
        head = {
            "joints": JOINTS,
            "unit": self.layout.unit,
            "made_by": f"{PROGRAM} {__version__}",
            "grids": grids,
            "active_s": round(self.active_s, 1),
            "selection": self.selection,
        }
        parts = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
        for key, maps in (("frames", self.frames), ("drafts", self.drafts)):
            lines = [f"{json.dumps(name)}: {json.dumps(self._out(name, points))}" for name, points in maps.items()]
            parts.append(f"{json.dumps(key)}: {{" + ",".join(f"\n{line}" for line in lines) + "\n}")
        return "{\n" + ",\n".join(parts) + "\n}\n"

    def _out(self, name: str, points: Points) -> Points:
        return _turned(points, self.layout, self.grids[source_of(name)])


def source_of(name: str) -> str:
    """`night.matlog/123` -> `night.matlog`: what has one grid."""
    return name.rpartition("/")[0]


def frame_name(path: Path, seq: int, occurrence: int = 1) -> str:
    """`night.matlog/123`: the recording's file name and the frame's sequence number.

    Sequence numbers wrap at 65536 and restart with the device: the second whole frame of that number in the file
    (`occurrence` 2) is `night.matlog/123.2`.
    """
    return f"{path.name}/{seq}" + (f".{occurrence}" if occurrence > 1 else "")


def frame_names(path: Path, sequences: Sequence[int]) -> list[str]:
    """Names of all whole frames of the recording `path`, whose sequence numbers these are, in their order."""
    seen: Counter[int] = Counter()
    names = []
    for seq in sequences:
        seen[seq] += 1
        names.append(frame_name(path, seq, seen[seq]))
    return names


def read_joints(path: Path, names: Sequence[str], grid: Grid) -> NDArray[np.float32]:
    """Accepted joints of the maps `names` (see `frame_names`), whose canonical grid is `grid`.

    (len(names), 14, 3): x_cm, y_cm from the canonical map's top left corner and visibility 0-2, all zero for maps
    without annotation: as Maps.joints has them. Raises Failure: 66 where there is no file, 65 where it is none of
    train-annotate or was made on a mat of another grid.
    """
    annotations = Annotations.load(path)
    joints = np.zeros((len(names), len(JOINTS), 3), np.float32)
    for i, name in enumerate(names):
        points = annotations.frames.get(name)
        if points is not None:
            check_grid(path, name, annotations.grids[source_of(name)], grid)
            joints[i] = np.array(points) * [grid.pitch_x_cm, grid.pitch_y_cm, 1]
    return joints


def check_grid(path: Path, name: str, annotated: Grid, present: Grid) -> None:
    """Raises Failure (65) unless `name` was annotated on the grid that it has."""
    if annotated != present:
        said, is_now = (f"{g.rows} x {g.cols} of {g.pitch_y_cm} x {g.pitch_x_cm} cm" for g in (annotated, present))
        raise Failure(
            f"{path} has {name} with {said}, the recording has {is_now}: give the recording that was annotated",
            Exit.FOREIGN_DATA,
        )


def _turned(points: Points, layout: Layout, grid: Grid) -> Points:
    """Canonical to the file's columns and back: its own inverse."""
    return [(round(grid.cols - x if layout.mirrored else x, DECIMALS), round(y, DECIMALS), v) for x, y, v in points]


def _foreign(path: Path, reason: str) -> Failure:
    reason = reason.splitlines()[0]
    return Failure(f"{path} is no joints file of {PROGRAM} ({reason}): choose another file", Exit.FOREIGN_DATA)
