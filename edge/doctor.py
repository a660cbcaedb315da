"""edge-doctor: whether this machine is ready for edge-run, one line a check. Exit code 1 when something is wrong.

A warning names what works, but worse than it could; it leaves the exit code 0.
"""

import argparse
import json
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from edge.model import DEFAULT_MODEL, KeypointModel
from edge.runtime import RUNTIMES, Interpreter, installed_runtime
from firmware_bridge.errors import Exit, Failure, run_command


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "FAILED"


Answer = tuple[Level, str]


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer of one check."""

    check: str
    level: Level
    text: str


def cli() -> None:
    sys.exit(run_command("edge-doctor", main))


def main(arguments: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    findings = []
    for finding in examine(args.model):
        findings.append(finding)
        if not args.json:
            print(f"{finding.level:8s} {finding.check:8s} {finding.text}", flush=True)
    healthy = all(finding.level != Level.FAILED for finding in findings)
    if args.json:
        print(json.dumps({"healthy": healthy, "checks": [asdict(finding) for finding in findings]}, indent=1))
    return Exit.OK if healthy else Exit.CHECK_FAILED


def examine(model: Path) -> Iterator[Finding]:
    """Each finding as soon as there is one; what cannot work after a failure is not tried."""
    checks: dict[str, Callable[[], Answer]] = {
        "runtime": _runtime,
        "model": partial(_package, model),
        "xnnpack": partial(_delegation, model),
    }
    for name, check in checks.items():
        try:
            level, text = check()
        except Failure as failure:
            level, text = Level.FAILED, str(failure)
        yield Finding(name, level, text)
        if level == Level.FAILED:
            return


def _runtime() -> Answer:
    """Which TFLite interpreter edge-run takes here."""
    name = installed_runtime()
    text = f"{name}, Python {platform.python_version()} on {platform.machine()}"
    if _is_best(name):
        return Level.OK, text
    return Level.WARNING, f"{text}: a fallback, install {RUNTIMES[0][0]} where it has a wheel"


def _package(model: Path) -> Answer:
    """Whether the model loads and is what its manifest says."""
    manifest = KeypointModel.from_files(model).manifest
    outputs = ", ".join(f"{output.k} {output.name}" for output in manifest.outputs)
    grid = f"{manifest.rows} x {manifest.cols} taxels of {manifest.pitch_y_cm:g} x {manifest.pitch_x_cm:g} cm"
    return Level.OK, f"{manifest.name} agrees with its manifest: {grid}, {outputs}"


def _delegation(model: Path) -> Answer:
    """Whether XNNPACK, the fast kernels, runs the whole graph."""
    interpreter = Interpreter(model.read_bytes())
    interpreter.allocate()
    found = interpreter.delegation()
    if found.whole_graph:
        return Level.OK, "takes the whole graph in 1 partition"
    share = f"takes the graph in {found.partitions} part(s)" if found.partitions else "takes nothing of the graph"
    if not _is_best(interpreter.runtime):
        return Level.WARNING, f"{share}: {interpreter.runtime} does not hand it over"
    reason = "it does not have all of its operators" if found.partitions else "it does not run on this processor"
    return Level.FAILED, f"{share}, so that inference is slow: {reason}; edge-run works nevertheless"


def _is_best(runtime: str) -> bool:
    return runtime.startswith(RUNTIMES[0][0])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="edge-doctor", description=__doc__)
    parser.add_argument(
        "--model", type=Path, default=DEFAULT_MODEL, metavar="FILE", help=".tflite with its .json beside it"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    return parser


if __name__ == "__main__":
    cli()
