"""Recordings of the wire (.matlog) as training maps, with joints from train-annotate or a .truth.jsonl beside them."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.decoder import Frame
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid
from firmware_bridge.messages import Info
from firmware_bridge.recording import read_recording
from firmware_bridge.skeleton import JOINTS
from train.annotations import frame_names, read_joints
from train.maps import Group, Maps


def read_recordings(paths: Sequence[Path], joints: Path | None = None) -> list[Maps]:
    """One Maps for each .matlog in `paths`, which may be files or folders; every frame is a group of its own.

    `joints` is a file of train-annotate; where it says nothing of a frame, the sidecar does. Raises Failure (66)
    for missing files or folders without recordings, (65) for files that are none.
    """
    files = [file for path in paths for file in (sorted(path.glob("*.matlog")) if path.is_dir() else [path])]
    if not files:
        raise Failure(f"no .matlog in {', '.join(map(str, paths))}: edge-run --record writes them", Exit.MISSING_INPUT)
    return [read_one(file, joints) for file in files]


def read_one(path: Path, joints: Path | None = None) -> Maps:
    """All whole frames of one recording, canonical, each turned by the INFO before it."""
    info: Info | None = None
    frames: list[Frame] = []
    grids: set[Grid] = set()
    canonical: list[NDArray[np.float32]] = []
    for recorded in read_recording(path):
        match recorded.event:
            case Info() as info:
                pass
            case Frame() as frame if info is not None:
                frames.append(frame)
                grids.add(info.orientation.canonical_grid(info.grid))
                canonical.append(info.orientation.to_canonical(frame.counts).astype(np.float32))
    if not frames:
        raise Failure(f"recording {path} holds no whole frame", Exit.FOREIGN_DATA)
    if len(grids) > 1:
        raise Failure(f"recording {path} changes its grid: {len(grids)} different ones", Exit.FOREIGN_DATA)
    (grid,) = grids
    truth = _read_truth(path.with_suffix(".truth.jsonl"))
    empty = np.zeros((len(JOINTS), 3), np.float32)
    known = [truth.get(frame.seq, (empty, "")) for frame in frames]
    joints_cm = np.stack([points for points, _ in known])
    if joints is not None:
        annotated = read_joints(joints, frame_names(path, [frame.seq for frame in frames]), grid)
        joints_cm = np.where(annotated[..., 2:].any(1, keepdims=True), annotated, joints_cm)
    return Maps(
        np.stack(canonical),
        grid,
        [Group(f"{path.stem}/{i}", f"recording:{path.stem}", posture) for i, (_, posture) in enumerate(known)],
        np.arange(len(frames)),
        joints_cm.astype(np.float32),
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
