"""Recordings of the wire (.matlog) as training maps, with joints from train-annotate or a .truth.jsonl beside them."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from firmware_bridge.decoder import Decoder, Frame
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid
from firmware_bridge.messages import Info
from firmware_bridge.recording import read_recording
from firmware_bridge.skeleton import JOINTS
from train.annotations import frame_names, read_joints
from train.maps import Group, Maps
from train.simulated import coarse_posture

Correction = Callable[[Info], Info]
"""Puts right what a mat says of itself."""
FrameKey = tuple[int, int, int]
"""Boot id, sequence number and device clock: sequence numbers come again after 65536 frames."""


class _TrueJoint(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)

    x_cm: float
    y_cm: float
    v: int


class _Truth(BaseModel):
    """One line of firmware_bridge.scans.truth_line."""

    boot_id: int
    seq: int
    t_us: int
    joints: dict[str, _TrueJoint] | None
    posture: str


def as_said(info: Info) -> Info:
    """Nothing is wrong with it."""
    return info


def read_recordings(paths: Sequence[Path], joints: Path | None = None, corrected: Correction = as_said) -> list[Maps]:
    """One Maps for each .matlog in `paths`, which may be files or folders; every frame is a group of its own.

    `joints` is a file of train-annotate; where it says nothing of a frame, the sidecar does. Raises Failure (66)
    for missing files or folders without recordings, (65) for files that are none, (2) for two of the same name
    with `joints`.
    """
    files = recording_files(paths)
    if joints is not None:
        require_own_names(files)
    return [read_one(file, joints, corrected) for file in files]


def recording_files(paths: Sequence[Path]) -> list[Path]:
    """The .matlog in `paths`, which may be files or folders. Raises Failure (66) where there is none."""
    files = [file for path in paths for file in (sorted(path.glob("*.matlog")) if path.is_dir() else [path])]
    if not files:
        raise Failure(f"no .matlog in {', '.join(map(str, paths))}: edge-run --record writes them", Exit.MISSING_INPUT)
    return files


def require_own_names(files: Sequence[Path]) -> None:
    """Raises Failure (2) for two recordings of the same name."""
    twice = [name for name, count in Counter(file.name for file in files).items() if count > 1]
    if twice:
        raise Failure(f"two recordings are named {twice[0]}: rename one, labels go by file name", Exit.USAGE)


def read_one(path: Path, joints: Path | None = None, corrected: Correction = as_said) -> Maps:
    """All whole frames of one recording, canonical, each turned by the INFO before it."""
    info: Info | None = None
    sent: list[FrameKey] = []
    grids: set[Grid] = set()
    canonical: list[NDArray[np.float32]] = []
    for recorded in read_recording(path, Decoder(corrected)):
        match recorded.event:
            case Info() as info:
                pass
            case Frame() as frame if info is not None:
                sent.append((info.boot_id, frame.seq, frame.t_us))
                grids.add(info.orientation.canonical_grid(info.grid))
                canonical.append(info.orientation.to_canonical(frame.counts).astype(np.float32))
    if not sent:
        raise Failure(f"recording {path} holds no whole frame", Exit.FOREIGN_DATA)
    if len(grids) > 1:
        raise Failure(f"recording {path} changes its grid: {len(grids)} different ones", Exit.FOREIGN_DATA)
    (grid,) = grids
    truth = _read_truth(path.with_suffix(".truth.jsonl"))
    empty = np.zeros((len(JOINTS), 3), np.float32)
    known = [truth.get(key, (empty, "")) for key in sent]
    joints_cm = np.stack([points for points, _ in known])
    if joints is not None:
        annotated = read_joints(joints, frame_names(path, [seq for _, seq, _ in sent]), grid)
        joints_cm = np.where(annotated[..., 2:].any(1, keepdims=True), annotated, joints_cm)
    return Maps(
        np.stack(canonical),
        grid,
        [Group(f"{path.stem}/{i}", f"recording:{path.stem}", posture) for i, (_, posture) in enumerate(known)],
        np.arange(len(sent)),
        joints_cm.astype(np.float32),
    )


def _read_truth(path: Path) -> dict[FrameKey, tuple[NDArray[np.float32], str]]:
    """Joints (14, 3) and posture by frame; frames without joints are left out. Raises Failure (65)."""
    if not path.is_file():
        return {}
    truth: dict[FrameKey, tuple[NDArray[np.float32], str]] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            entry = _Truth.model_validate_json(line)
            joints = [entry.joints[name] for name in JOINTS] if entry.joints else []
        except (ValidationError, KeyError):
            message = f"{path}:{number} is no line of a recording's truth: mend it, or take the file away"
            raise Failure(message, Exit.FOREIGN_DATA) from None
        if joints:
            points = np.array([[joint.x_cm, joint.y_cm, joint.v] for joint in joints], np.float32)
            truth[entry.boot_id, entry.seq, entry.t_us] = points, coarse_posture(entry.posture)
    return truth
