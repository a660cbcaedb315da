"""How far joints are from the truth: `python -m edge.score POSES.jsonl TRUTH.jsonl`.

POSES are the lines of edge-run, TRUTH those of `bridge-sim --truth` or train-export; frames are matched by boot
id, sequence number and the device's clock, for sequence numbers come again after 65536 frames. Exit code 1 above
--max-mean-cm, or where no joint can be compared.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import Exit, Failure, run_command
from firmware_bridge.skeleton import JOINTS

SMALLEST_VISIBILITY: Final = 1
"""A joint with v = 0 is a guess of the annotator and left out."""
EMPTY: Final = "empty"
"""Posture of the truth where nobody is there; without joints and with another one somebody gets in or out."""


@dataclass(frozen=True, slots=True)
class Score:
    """Errors over the joints that can be seen."""

    mean_cm: float
    """Over the joints that were found; NaN where none was."""
    pck_5cm: float
    """Per cent of the joints that are within 5 cm; a joint that was not found is not."""
    pck_10cm: float
    per_joint_cm: dict[str, float]
    n: int
    """Joints compared."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """A run of edge-run against the truth."""

    joints: Score
    frames: int
    """With somebody lying there, and a pose."""
    missed: int
    """Of these, said to be empty."""
    empty_frames: int
    """With nobody there, and a pose."""
    empty_agreement: float
    """Share of these without joints, 0..1; NaN where there are none."""
    transitions: int
    """Frames in which somebody gets in or out: not scored."""
    unmatched: int
    """Poses of which the truth does not tell."""


def joint_errors_cm(
    predicted: NDArray[np.floating], truth: NDArray[np.floating], visible: NDArray[np.integer[Any]]
) -> Score:
    """predicted, truth (N, 14, 2) in cm, visible (N, 14) 0..2. A predicted NaN is a joint that was not found."""
    seen = visible >= SMALLEST_VISIBILITY
    distance_cm = np.linalg.norm(predicted - truth, axis=-1)
    found = seen & np.isfinite(distance_cm)
    n = int(seen.sum())

    def within(limit_cm: float) -> float:
        return 100 * float((found & (distance_cm <= limit_cm)).sum()) / n if n else math.nan

    def mean(mask: NDArray[np.bool_]) -> float:
        return float(distance_cm[mask].mean()) if mask.any() else math.nan

    per_joint_cm = {name: mean(found & (np.arange(len(JOINTS)) == j)) for j, name in enumerate(JOINTS)}
    return Score(mean(found), within(5), within(10), per_joint_cm, n)


def score_files(poses: Path, truth: Path) -> Agreement:
    """Raises Failure: 66 for a missing file, 65 for one that holds something else."""
    known = {_frame(line): line for line in _read_lines(truth, "boot_id", "seq", "t_us", "joints")}
    lying: list[tuple[dict[str, Any] | None, dict[str, Any]]] = []
    empty: list[bool] = []
    transitions = unmatched = 0
    for pose in _read_lines(poses, "type"):
        if pose["type"] != "pose":
            continue
        true = known.get(_frame(pose))
        if true is None:
            unmatched += 1
        elif true["joints"]:
            lying.append((pose["joints"], true["joints"]))
        elif true.get("posture", EMPTY) == EMPTY:
            empty.append(pose["joints"] is None)
        else:
            transitions += 1
    predicted = np.array([_xy_cm(found) for found, _ in lying]).reshape(-1, len(JOINTS), 2)
    expected = np.array([_xy_cm(joints) for _, joints in lying]).reshape(-1, len(JOINTS), 2)
    visible = np.array([[joints[name]["v"] for name in JOINTS] for _, joints in lying]).reshape(-1, len(JOINTS))
    return Agreement(
        joints=joint_errors_cm(predicted, expected, visible),
        frames=len(lying),
        missed=sum(found is None for found, _ in lying),
        empty_frames=len(empty),
        empty_agreement=sum(empty) / len(empty) if empty else math.nan,
        transitions=transitions,
        unmatched=unmatched,
    )


def _frame(line: dict[str, Any]) -> tuple[int, int, int]:
    return line["boot_id"], line["seq"], line["t_us"]


def _xy_cm(joints: dict[str, Any] | None) -> list[tuple[float, float]]:
    if joints is None:
        return [(math.nan, math.nan)] * len(JOINTS)
    return [(joints[name]["x_cm"], joints[name]["y_cm"]) for name in JOINTS]


def _read_lines(path: Path, *keys: str) -> Iterator[dict[str, Any]]:
    try:
        text = path.read_text()
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}: give an existing file", Exit.MISSING_INPUT) from None
    except UnicodeDecodeError:
        raise Failure(f"{path} is no text: give JSON lines", Exit.FOREIGN_DATA) from None
    for number, line in enumerate(text.splitlines(), 1):
        try:
            value = json.loads(line)
        except ValueError as error:
            raise Failure(f"{path}:{number}: {error}: give JSON lines", Exit.FOREIGN_DATA) from None
        if not isinstance(value, dict) or not set(keys) <= set(value):
            what = f"is no object with {', '.join(keys)}"
            raise Failure(f"{path}:{number} {what}: give lines of edge-run and their truth", Exit.FOREIGN_DATA)
        yield value


def table(score: Agreement) -> str:
    """For people."""
    joints = score.joints
    rows = [f"  {name:12s}{cm:8.2f}" for name, cm in joints.per_joint_cm.items()]
    return "\n".join(
        [
            f"{score.frames} frames with somebody lying there ({score.missed} of them taken for empty), "
            f"{score.transitions} getting in or out, {score.unmatched} unknown to the truth",
            f"{score.empty_frames} frames of an empty mat"
            + (f", {100 * score.empty_agreement:.1f} % of them without joints" if score.empty_frames else ""),
            "  joint        mean cm",
            *rows,
            f"  all {joints.n:8d}{joints.mean_cm:8.2f}   PCK@5cm {joints.pck_5cm:.1f} %   "
            f"PCK@10cm {joints.pck_10cm:.1f} %",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m edge.score", description=__doc__)
    parser.add_argument("poses", type=Path, help="lines of edge-run")
    parser.add_argument("truth", type=Path, help="lines of bridge-sim --truth or train-export")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the score as JSON, too")
    parser.add_argument("--max-mean-cm", type=float, metavar="CM", help="exit with 1 above this mean error")
    args = parser.parse_args(arguments)
    score = score_files(args.poses, args.truth)
    print(table(score))
    if args.json:
        args.json.write_text(json.dumps(_without_nan(asdict(score)), indent=2) + "\n")
    mean_cm = score.joints.mean_cm
    if math.isnan(mean_cm):
        print("no joint can be compared", file=sys.stderr)
        return Exit.CHECK_FAILED
    if args.max_mean_cm is not None and mean_cm > args.max_mean_cm:
        print(f"mean error {mean_cm:.2f} cm is above {args.max_mean_cm:g} cm", file=sys.stderr)
        return Exit.CHECK_FAILED
    return Exit.OK


def _without_nan(value: Any) -> Any:
    """NaN is no JSON: null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


if __name__ == "__main__":
    sys.exit(run_command("edge.score", main))
