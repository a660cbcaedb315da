"""edge-diff: how far apart two models, two settings or two runs of edge-run are on the same frames.

One recording is replayed twice, with what is given twice: --model, --grid, --pitch, --orientation, --smoothing,
--calibration, or --config with any of these; first A, then B. Or two sources are compared, each a recording or the
JSON lines of a run. Frames are matched by boot id, sequence number and device time. Poses are made by the code that
edge-run runs.
"""

import argparse
import json
import logging
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from edge.arguments import CORRECTIONS, OPTIONS, add_corrections, as_replayed
from edge.calibration import store
from edge.diff_poses import Difference, Place, Said, compare, read_lines, said_of
from edge.messages import Pose
from edge.model import KeypointModel
from edge.replayed import How, Progress, Replay, read_calibration
from firmware_bridge.errors import Exit, Failure, run_command
from firmware_bridge.numbers import number
from firmware_bridge.skeleton import JOINTS

CORRECTING: Final = tuple(flag.removeprefix("--") for flag in CORRECTIONS)
SETTINGS: Final = ("config", "mat", "model", *CORRECTING, "smoothing", "calibration")
UNCORRECTED: Final = "mat"
"""As the mat says itself, for one side of a comparison."""

EPILOG: Final = """\
exit codes:
   0  compared (and, with --max-mean-cm, close enough)
   1  with --max-mean-cm: the joints are farther apart than that on average, or no frame has joints in both
   2  wrong usage
  65  a source is empty, or neither a recording nor JSON lines of edge-run; or no frame is in both
      (a recording that is cut off: compared to its last whole frame, with a warning)
  66  a source, a configuration, a model or a calibration is missing
  70  an unexpected error, please report it
  78  a configuration or a calibration is wrong, or a model is unreadable or disagrees with its manifest

examples:
  edge-diff night.matlog --model old.tflite --model new.tflite --max-mean-cm 1
  edge-diff night.matlog --smoothing on --smoothing off
  edge-diff night.matlog --config bed.toml --config calmer.toml
  edge-diff night.matlog --calibration none --calibration bed.calibration.json --json | jq .joints.head
  edge-diff live.jsonl night.matlog
"""


def cli() -> None:
    sys.exit(run_command("edge-diff", main))


def main(arguments: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="edge-diff: %(message)s", stream=sys.stderr)
    _check(args)
    a, b = (_Side(args, which) for which in (0, 1))
    difference = compare(a.poses(), b.poses())
    if not difference.frames:
        message = f"no frame is in both: {a.name} has {difference.frames_a}, {b.name} has {difference.frames_b}"
        raise Failure(message, Exit.FOREIGN_DATA)
    if args.json:
        print(json.dumps({"a": a.name, "b": b.name} | asdict(difference), indent=1))
    else:
        print("\n".join(table(difference, a.name, b.name)))
    if args.max_mean_cm is None:
        return Exit.OK
    mean_cm = difference.all_joints.mean_cm
    return Exit.OK if mean_cm is not None and mean_cm <= args.max_mean_cm else Exit.CHECK_FAILED


class _Side:
    """A or B."""

    def __init__(self, args: argparse.Namespace, which: int) -> None:
        self._path: Path = args.sources[min(which, len(args.sources) - 1)]
        self._which = which
        chosen = {name: given[min(which, len(given) - 1)] for name in SETTINGS if (given := getattr(args, name))}
        self._is_lines = _holds_lines(self._path)
        words = [f"--{name} {value}" for name, value in chosen.items()]
        self.name = " ".join([str(self._path), *([] if self._is_lines else words)])
        if not self._is_lines:
            self._how = _how(chosen)

    def poses(self) -> list[Said]:
        if self._is_lines:
            return read_lines(self._path)
        progress = Progress(f"edge-diff {'AB'[self._which]}", self._path.stat().st_size)
        replay = Replay(self._how)
        said: list[Said] = []

        def take(pose: Pose) -> None:
            said.append(said_of(pose))
            progress(replay.read_bytes)

        replay(self._path, take)
        progress.close()
        return said


def _how(chosen: Mapping[str, str]) -> How:
    """As edge-run --replay, whose calibrations are those of a configuration that says where they are."""
    as_recorded = {name for name in CORRECTING if chosen.get(name) == UNCORRECTED}
    names = [name for name in ("mat", "model", *CORRECTING) if name in chosen and name not in as_recorded]
    told: dict[str, str | bool] = {f"--{name}": chosen[name] for name in names}
    if "smoothing" in chosen:
        told["--no-smoothing"] = chosen["smoothing"] == "on"
    file = Path(chosen["config"]) if "config" in chosen else None
    config = as_replayed(told, file)
    mat = config.mat[0].model_copy(update={OPTIONS[f"--{name}"][-1]: None for name in as_recorded})
    if "calibration" in chosen:
        calibration = read_calibration(chosen["calibration"])
    elif file and "state_dir" in config.model_fields_set:
        calibration = store.read(store.path_of(config.state_dir, mat.name))
    else:
        calibration = None
    smoothing = config.smoothing if config.smoothing.enabled else None
    return How(KeypointModel.from_files(config.model, mirrored_too=config.mirrored_too), mat, smoothing, calibration)


def _holds_lines(path: Path) -> bool:
    """A recording begins with an END, a JSON line with a brace."""
    try:
        with path.open("rb") as file:
            return file.read(1) == b"{"
    except FileNotFoundError:
        raise Failure(f"no file {path}: give a recording, or the JSON lines of edge-run", Exit.MISSING_INPUT) from None
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}: give a readable file", Exit.MISSING_INPUT) from None


def _check(args: argparse.Namespace) -> None:
    if len(args.sources) > 2:
        raise Failure(f"{len(args.sources)} sources: compare one recording with itself, or two", Exit.USAGE)
    for name in SETTINGS:
        if len(getattr(args, name)) > 2:
            raise Failure(f"--{name} is given {len(getattr(args, name))} times: once for A and once for B", Exit.USAGE)
    lines = [path for path in args.sources if _holds_lines(path)]
    chosen = [name for name in SETTINGS if getattr(args, name)]
    if len(lines) == len(args.sources) and chosen:
        raise Failure(f"--{chosen[0]} is for recordings, {lines[0]} holds poses already: leave it out", Exit.USAGE)
    if len(args.sources) == 1 and not any(len(set(getattr(args, name))) == 2 for name in SETTINGS):
        raise Failure(
            f"nothing differs: give two sources, or twice one of {', '.join(f'--{name}' for name in SETTINGS)}",
            Exit.USAGE,
        )


def table(difference: Difference, a: str, b: str) -> Iterator[str]:
    """Lines for people."""
    yield f"A: {a}: {difference.frames_a} poses"
    yield f"B: {b}: {difference.frames_b} poses"
    yield f"in both: {difference.frames} frames, {difference.joints[JOINTS[0]].n} with joints in both"
    yield ""
    yield f"{'joint':<10}  mean cm   p95 cm  worst cm  worst in"
    for name, distances in [*difference.joints.items(), ("all", difference.all_joints)]:
        if distances.mean_cm is None or distances.worst is None:
            yield f"{name:<10}        -        -         -"
            continue
        yield (
            f"{name:<10} {distances.mean_cm:8.2f} {distances.p95_cm:8.2f} {distances.worst_cm:9.2f}"
            f"  {_where(distances.worst)}"
        )
    yield ""
    for what, differing in (
        ("occupied or empty", difference.occupied),
        ("joints or none", difference.presence),
        ("posture", difference.posture),
    ):
        yield f"{what}: {differing.n} frames differ"
        yield from (f"  {_where(place)}: A {place.a}, B {place.b}" for place in differing.first)
        if differing.n > len(differing.first):
            yield f"  and {differing.n - len(differing.first)} more"


def _where(place: Place) -> str:
    time = datetime.fromtimestamp(place.ts, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    return f"seq {place.seq} at {time} UTC"


def _parser() -> argparse.ArgumentParser:
    limit_cm = number("distance in cm", float, lambda cm: 0 <= cm < math.inf)
    parser = argparse.ArgumentParser(
        prog="edge-diff", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "sources", nargs="+", type=Path, metavar="SOURCE", help="one or two: recordings, or JSON lines of edge-run"
    )
    settings = parser.add_argument_group(
        "settings of recordings",
        f"once for A and B, or twice: for A, then for B; {UNCORRECTED} for a grid, pitch or orientation as recorded",
    )
    settings.add_argument(
        "-c", "--config", action="append", default=[], metavar="FILE", help="of edge-run; the options below count more"
    )
    settings.add_argument(
        "--mat", action="append", default=[], metavar="NAME", help="which of the configuration's, if it has several"
    )
    settings.add_argument(
        "--model", action="append", default=[], metavar="FILE", help=".tflite with its .json beside it"
    )
    add_corrections(settings, action="append", default=[])
    settings.add_argument(
        "--smoothing", action="append", default=[], choices=("on", "off"), help="of joints (default on)"
    )
    settings.add_argument(
        "--calibration", action="append", default=[], metavar="FILE", help="a .calibration.json, or none (the default)"
    )
    parser.add_argument(
        "--max-mean-cm", type=limit_cm, metavar="CM", help="exit code 1 where joints are farther apart on average"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    return parser


if __name__ == "__main__":
    cli()
