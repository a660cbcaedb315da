"""Maps of recordings or of pmd on which somebody lies, from which the ones to annotate are chosen."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.contact import contact
from edge.manifest import Manifest
from edge.preprocess import Preprocessor
from firmware_bridge.decoder import Decoder, Frame
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid
from firmware_bridge.messages import Info
from firmware_bridge.recording import read_recording
from train.annotate.guess import on_mat
from train.annotations import Points, frame_name
from train.maps import Maps
from train.recordings import Correction, as_said, recording_files, require_own_names

APART_US: Final = 1_000_000
"""Frames nearer in time than this are near copies: one of them is looked at."""
MOST: Final = 1500
"""Of one recording: a night has no more different postures than one frame in 20 s shows."""
STILL: Final = 0.08
"""Root mean square difference of model inputs a second apart. Lying simulated people 0.03, real ones (pmd) 0.05 at
most; turning, getting in and getting out at least 0.17."""


@dataclass(frozen=True)
class Candidate:
    """One map that could be annotated."""

    name: str
    pressure: NDArray[np.float32]
    """(rows, cols), canonical, in the source's own unit."""
    grid: Grid
    model_input: NDArray[np.float32]
    points: Points | None = None
    """Joints known from elsewhere."""
    still: bool = True
    """Whether it looks the same a second before and after."""


def distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Root mean square difference of model inputs (..., rows, cols)."""
    return np.asarray(np.sqrt(np.square(a - b).mean((-2, -1))))


def of_recordings(
    paths: Sequence[Path], model: Manifest, keep: Collection[str] = (), corrected: Correction = as_said
) -> list[Candidate]:
    """Candidates of each .matlog in `paths`, which may be files or folders; those named in `keep` always among them.

    Raises Failure: 66 for missing files, 65 for files that are no recordings, 2 for two of the same name.
    """
    files = recording_files(paths)
    require_own_names(files)
    return [candidate for file in files for candidate in of_recording(file, model, keep, corrected=corrected)]


def of_recording(
    path: Path, model: Manifest, keep: Collection[str] = (), most: int = MOST, corrected: Correction = as_said
) -> list[Candidate]:
    """At most `most` besides those of `keep`, evenly over the recording before the empty maps are left out."""
    thinned: list[tuple[int, Candidate]] = []
    step = 1
    for i, candidate in enumerate(_told_still(_seconds(path, model, keep, corrected))):
        if i % step == 0 or candidate.name in keep:
            thinned.append((i, candidate))
        if len(thinned) > most + len(keep):
            step *= 2
            thinned = [(n, c) for n, c in thinned if n % step == 0 or c.name in keep]
    return [c for _, c in thinned if c.name in keep or contact(c.pressure, c.grid).occupied]


def of_pmd(maps: Maps, experiment: str, model: Manifest) -> list[Candidate]:
    """One median map a file, named as in data/pmd-joints, with its joints where `maps` has them."""
    medians = maps.medians()
    see = Preprocessor(maps.grid, model.grid, model.preprocessing)
    candidates = []
    for pressure, g in zip(medians.pressure, medians.group_index, strict=True):
        joints = medians.joints[g]
        points = on_mat(joints[:, :2], joints[:, 2].astype(int), maps.grid) if joints[:, 2].any() else None
        name = medians.groups[g].name.removeprefix(f"pmd-{experiment}/")
        candidates.append(Candidate(name, pressure, maps.grid, see(pressure), points))
    return [c for c in candidates if contact(c.pressure, c.grid).occupied]


def _seconds(path: Path, model: Manifest, keep: Collection[str], corrected: Correction) -> Iterator[Candidate]:
    """One whole frame a second, and those named in `keep`."""
    info: Info | None = None
    seen: Counter[int] = Counter()
    see: Preprocessor | None = None
    last_us = -APART_US
    for recorded in read_recording(path, Decoder(corrected)):
        if isinstance(recorded.event, Info):
            info = recorded.event
        if not isinstance(recorded.event, Frame) or info is None:
            continue
        frame, orientation = recorded.event, info.orientation
        grid = orientation.canonical_grid(info.grid)
        see = see or Preprocessor(grid, model.grid, model.preprocessing)
        if see.mat != grid:
            raise Failure(f"recording {path} changes its grid: annotate recordings of one mat each", Exit.FOREIGN_DATA)
        seen[frame.seq] += 1
        name = frame_name(path, frame.seq, seen[frame.seq])
        if abs(recorded.unix_us - last_us) >= APART_US or name in keep:  # a host's clock may be set back
            last_us = recorded.unix_us
            pressure = np.ascontiguousarray(orientation.to_canonical(frame.counts), np.float32)
            yield Candidate(name, pressure, grid, see(pressure))
    if see is None:
        raise Failure(f"recording {path} holds no whole frame", Exit.FOREIGN_DATA)


def _told_still(candidates: Iterator[Candidate]) -> Iterator[Candidate]:
    """The same, `still` by their neighbours in time."""
    this: Candidate | None = None
    for after in candidates:
        rests = this is None or bool(distance(this.model_input, after.model_input) < STILL)
        if this is not None:
            yield replace(this, still=this.still and rests)
        this = replace(after, still=rests)
    if this is not None:
        yield this
