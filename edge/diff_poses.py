"""Two runs' poses of the same frames, and how far they are apart."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from edge.messages import Pose
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.skeleton import JOINTS

MOST_NAMED: Final = 5
"""Of the frames in which something differs."""
Key = tuple[int, int, int]
"""boot id, sequence number, device time in us."""


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What one run says of one frame."""

    key: Key
    ts: float
    """Unix s."""
    occupied: bool
    posture: str | None
    joints_cm: NDArray[np.float32] | None
    """(14, 2): x, y."""


Pair = tuple[Said, Said]


@dataclass(frozen=True, slots=True)
class Place:
    """One frame, and what A and B say of it; `ts` is A's, Unix s."""

    seq: int
    boot_id: int
    ts: float
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class Distances:
    """Of one joint, or of all, over the frames that have joints in both; None where none has."""

    n: int
    mean_cm: float | None
    p95_cm: float | None
    worst_cm: float | None
    worst: Place | None


@dataclass(frozen=True, slots=True)
class Differing:
    """Frames in which A and B disagree: how many, and the first few."""

    n: int
    first: list[Place]


@dataclass(frozen=True, slots=True)
class Difference:
    """A against B."""

    frames_a: int
    frames_b: int
    frames: int
    """In both; the rest has been left out."""
    all_joints: Distances
    joints: dict[str, Distances]
    occupied: Differing
    presence: Differing
    """Of joints: there in one, and null in the other."""
    posture: Differing
    """Of the frames with joints in both."""


def said_of(pose: Pose) -> Said:
    """Joints as the JSON line has them, so that a run and its lines are equal."""
    joints_cm = None
    if pose.joints is not None:
        points = (pose.joints[name] for name in JOINTS)
        joints_cm = np.array([(round(point.x_cm, 2), round(point.y_cm, 2)) for point in points], np.float32)
    return Said((pose.boot_id, pose.seq or 0, pose.t_us), pose.ts, pose.occupied, pose.posture, joints_cm)


def read_lines(path: Path) -> list[Said]:
    """Poses among the JSON lines of edge-run. Raises Failure (65) that names the first wrong line."""
    said = []
    mats: set[str] = set()
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, text in enumerate(file, 1):
            try:
                values = json.loads(text)
                if values["type"] != "pose":
                    continue
                pose = Pose.model_validate(values)
            except (ValueError, KeyError, TypeError) as error:
                raise Failure(
                    f"{path}:{number} is no JSON line of edge-run: {_reason(error)}", Exit.FOREIGN_DATA
                ) from None
            mats.add(pose.mat)
            said.append(said_of(pose))
    if len(mats) > 1:
        one = min(mats)
        message = f"{path} holds poses of {', '.join(sorted(mats))}: choose one: jq -c 'select(.mat == \"{one}\")'"
        raise Failure(message, Exit.FOREIGN_DATA)
    if not said:
        raise Failure(f"{path} holds no pose: give the JSON lines of edge-run", Exit.FOREIGN_DATA)
    return said


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"{type(error).__name__}: {error}"


def compare(a: Sequence[Said], b: Sequence[Said]) -> Difference:
    """In A's order."""
    in_b = {said.key: said for said in b}
    pairs = [(said, in_b[said.key]) for said in a if said.key in in_b]
    both = [pair for pair in pairs if all(said.joints_cm is not None for said in pair)]
    gaps_cm = np.array([_gaps_cm(x, y) for x, y in both]).reshape(-1, len(JOINTS))
    return Difference(
        frames_a=len(a),
        frames_b=len(b),
        frames=len(pairs),
        all_joints=_distances(gaps_cm, both, JOINTS),
        joints={name: _distances(gaps_cm[:, [i]], both, (name,)) for i, name in enumerate(JOINTS)},
        occupied=_differing(pairs, lambda said: "occupied" if said.occupied else "empty"),
        presence=_differing(pairs, lambda said: "none" if said.joints_cm is None else "joints"),
        posture=_differing(both, lambda said: said.posture or "none"),
    )


def _gaps_cm(x: Said, y: Said) -> NDArray[np.float64]:
    """(14,)."""
    assert x.joints_cm is not None
    assert y.joints_cm is not None
    return np.asarray(np.hypot(*(x.joints_cm - y.joints_cm).T), np.float64)


def _distances(gaps_cm: NDArray[np.float64], pairs: Sequence[Pair], names: Sequence[str]) -> Distances:
    """gaps_cm (pairs, names)."""
    if not gaps_cm.size:
        return Distances(0, None, None, None, None)
    row, joint = divmod(int(gaps_cm.argmax()), len(names))

    def at(said: Said) -> str:
        assert said.joints_cm is not None
        x_cm, y_cm = said.joints_cm[JOINTS.index(names[joint])]
        return f"{names[joint]} at {x_cm:.2f}, {y_cm:.2f} cm"

    return Distances(
        gaps_cm.size,
        float(gaps_cm.mean()),
        float(np.percentile(gaps_cm, 95)),
        float(gaps_cm.max()),
        _place(pairs[row], at),
    )


def _differing(pairs: Sequence[Pair], say: Callable[[Said], str]) -> Differing:
    found = [pair for pair in pairs if say(pair[0]) != say(pair[1])]
    return Differing(len(found), [_place(pair, say) for pair in found[:MOST_NAMED]])


def _place(pair: Pair, say: Callable[[Said], str]) -> Place:
    a, b = pair
    boot_id, seq, _ = a.key
    return Place(seq, boot_id, a.ts, say(a), say(b))
