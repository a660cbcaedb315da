"""Recordings of the wire (.matlog) as training maps, with joints where a .truth.jsonl stands beside them."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.decoder import Decoder, Frame
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.recording import read_recording
from firmware_bridge.skeleton import JOINTS
from train.maps import Group, Maps


def read_recordings(paths: Sequence[Path]) -> list[Maps]:
    """One Maps for each .matlog in `paths`, which may be files or folders; every frame is a group of its own.

    Raises Failure (66) for missing files or folders without recordings, (65) for files that are none.
    """
    files = [file for path in paths for file in (sorted(path.glob("*.matlog")) if path.is_dir() else [path])]
    if not files:
        raise Failure(f"no .matlog in {', '.join(map(str, paths))}: edge-run --record writes them", Exit.MISSING_INPUT)
    return [read_one(file) for file in files]


def read_one(path: Path) -> Maps:
    """All whole frames of one recording, canonical."""
    decoder = Decoder()
    frames = [recorded.event for recorded in read_recording(path, decoder) if isinstance(recorded.event, Frame)]
    info = decoder.info
    if not frames or info is None:
        raise Failure(f"recording {path} holds no whole frame", Exit.FOREIGN_DATA)
    shapes = {frame.counts.shape for frame in frames}
    if shapes != {(info.rows, info.cols)}:
        raise Failure(f"recording {path} changes its grid: {sorted(shapes)}", Exit.FOREIGN_DATA)
    truth = _read_truth(path.with_suffix(".truth.jsonl"))
    person = f"recording:{path.stem}"
    empty = np.zeros((len(JOINTS), 3), np.float32)
    known = [truth.get(frame.seq, (empty, "")) for frame in frames]
    return Maps(
        info.orientation.to_canonical(np.stack([frame.counts for frame in frames])).astype(np.float32),
        info.orientation.canonical_grid(info.grid),
        [Group(f"{path.stem}/{i}", person, posture) for i, (_, posture) in enumerate(known)],
        np.arange(len(frames)),
        np.stack([joints for joints, _ in known]),
    )


def _read_truth(path: Path) -> dict[int, tuple[NDArray[np.float32], str]]:
    """seq -> joints (14, 3) and posture; frames without joints are left out."""
    if not path.is_file():
        return {}
    truth = {}
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        if entry["joints"] is not None:
            joints = [[entry["joints"][name][key] for key in ("x_cm", "y_cm", "v")] for name in JOINTS]
            truth[int(entry["seq"])] = (np.array(joints, np.float32), entry["posture"])
    return truth
