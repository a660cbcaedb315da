"""The same int8 file on other TFLite runtimes: do they answer what ours answers?

    python -m convert.crosscheck edge/models/default.tflite --data DIR --subjects 13

tensorflow's interpreter and tflite-runtime 2.14 (with NumPy 1) each get a virtual environment of their own, which is
kept: the first run downloads about 600 MB. Exit code 1 when the points lie further apart than --max-shift-cm.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from convert.environments import environment, environments_folder
from edge.manifest import Manifest
from edge.model import KeypointModel
from edge.preprocess import Preprocessor
from edge.runtime import Interpreter
from firmware_bridge.errors import Exit, Failure, run_command
from train.arguments import add_data_arguments, read_data, require_writable
from train.maps import Maps

EXTRAS: Final = ("crosscheck", "legacy")
"""Of pyproject.toml: each names a runtime."""
MAX_SHIFT_CM: Final = 0.5
"""Kernels may round otherwise: tflite-runtime's move the default model's joints by 0.2 cm. Wrong ones do by more."""


@dataclass(frozen=True)
class Agreement:
    """One runtime against ours on the same inputs."""

    runtime: str
    python: str
    numpy: str
    xnnpack_partitions: int
    xnnpack_whole_graph: bool
    differing_percent: float
    """Of the output bytes."""
    largest_step: int
    """Largest difference of an output byte, in int8 steps."""
    joints_mean_cm: float
    joints_worst_cm: float
    keypoints_mean_cm: float | None
    """None where the model has no label-free keypoints."""
    keypoints_worst_cm: float | None


@dataclass(frozen=True)
class Report:
    """All runtimes on one file."""

    file: str
    sha256: str
    ours: str
    people: list[str]
    maps: int
    output_bytes: int
    """Of one runtime over all maps."""
    max_shift_cm: float
    runtimes: list[Agreement]

    @property
    def passed(self) -> bool:
        shifts = [shift for one in self.runtimes for shift in (one.joints_mean_cm, one.keypoints_mean_cm)]
        return all(shift is None or shift <= self.max_shift_cm for shift in shifts)


class Tape(Interpreter):
    """Our own runtime, which notes what it is asked and answers; or another one's answers to the same, played back."""

    def __init__(self, model: bytes, answers: Sequence[NDArray[np.int8]] | None = None) -> None:
        super().__init__(model)
        self.asked: list[NDArray[np.int8]] = []
        self.answered: list[list[NDArray[np.int8]]] = []
        self._played = answers

    def invoke(self, values: NDArray[np.int8]) -> list[NDArray[np.int8]]:
        position = len(self.asked)
        self.asked.append(values)
        self.answered.append([o[position] for o in self._played] if self._played else super().invoke(values))
        return self.answered[-1]


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    require_writable(args.json, args.markdown)
    manifest = KeypointModel.from_files(args.model).manifest
    maps = read_data(args)
    pythons = args.python or [environment(extra, args.environments) for extra in EXTRAS]
    report = crosscheck(args.model, manifest, maps, pythons, args.max_shift_cm)
    Console(soft_wrap=True).print(_table(report))
    print(_verdict(report))
    if args.json:
        args.json.write_text(json.dumps(asdict(report) | {"passed": report.passed}, indent=1) + "\n")
    if args.markdown:
        args.markdown.write_text(_markdown(report))
    return Exit.OK if report.passed else Exit.CHECK_FAILED


def crosscheck(
    path: Path, manifest: Manifest, maps: Maps, pythons: Sequence[Path], max_shift_cm: float = MAX_SHIFT_CM
) -> Report:
    """Every frame of `maps` through this process's runtime, and through each of `pythons`, interpreters that have ours.

    Raises Failure (70) with the last line of one that fails.
    """
    content = path.read_bytes()
    maps = maps.around_people(manifest.grid)
    preprocessor = Preprocessor(maps.grid, manifest.grid, manifest.preprocessing)
    inputs = preprocessor(maps.pressure)
    ours = Tape(content)
    found = _points_cm(ours, manifest, inputs, preprocessor)
    agreements = []
    for python in pythons:
        answers = answers_of(python, path, np.stack(ours.asked))
        outputs = [answers[f"output_{i}"] for i in range(len(ours.outputs))]
        others = _points_cm(Tape(content, outputs), manifest, inputs, preprocessor)
        agreements.append(_agreement(answers, outputs, ours.answered, found, others))
    return Report(
        file=path.name,
        sha256=manifest.model_sha256,
        ours=ours.runtime,
        people=maps.people,
        maps=len(maps),
        output_bytes=sum(o.size for answer in ours.answered for o in answer),
        max_shift_cm=max_shift_cm,
        runtimes=agreements,
    )


def answers_of(python: Path, model: Path, inputs: NDArray[np.int8]) -> Mapping[str, NDArray[Any]]:
    """What convert.invoke writes when that Python runs it."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, "inputs.npy"), Path(folder, "answers.npz")]
        np.save(files[0], inputs)
        command = [python.absolute(), "-m", "convert.invoke", model.resolve(), *files]
        try:
            done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True)
        except OSError as error:
            raise Failure(
                f"cannot run {python}: {error.strerror}: give --python a program", Exit.MISSING_INPUT
            ) from None
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no word"])[-1]
            raise Failure(f"{python} cannot run {model}: {reason}", Exit.UNEXPECTED)
        with np.load(files[1]) as answers:
            return dict(answers)


def _points_cm(
    interpreter: Interpreter, manifest: Manifest, inputs: NDArray[np.float32], preprocessor: Preprocessor
) -> dict[str, NDArray[np.float64]]:
    """`joints` (N, 14, 2) and `keypoints` (N, K, 2), decoded by edge's own code."""
    model = KeypointModel(interpreter, manifest)
    found = [model.predict(x) for x in inputs]
    return {name: preprocessor.mat_cm(np.stack([f[name].xy_norm for f in found])) for name in ("joints", "keypoints")}


def _agreement(
    answers: Mapping[str, NDArray[Any]],
    outputs: Sequence[NDArray[np.int8]],
    ours: Sequence[Sequence[NDArray[np.int8]]],
    found: Mapping[str, NDArray[np.float64]],
    others: Mapping[str, NDArray[np.float64]],
) -> Agreement:
    own = [np.stack(tensors) for tensors in zip(*ours, strict=True)]
    steps = np.concatenate([np.abs(a.astype(int) - b).ravel() for a, b in zip(own, outputs, strict=True)])
    shift_cm = {name: np.linalg.norm(found[name] - others[name], axis=-1) for name in found}
    keypoints = shift_cm["keypoints"]
    return Agreement(
        runtime=str(answers["runtime"]),
        python=str(answers["python"]),
        numpy=str(answers["numpy"]),
        xnnpack_partitions=int(answers["partitions"]),
        xnnpack_whole_graph=bool(answers["whole_graph"]),
        differing_percent=float((steps > 0).mean() * 100),
        largest_step=int(steps.max()),
        joints_mean_cm=float(shift_cm["joints"].mean()),
        joints_worst_cm=float(shift_cm["joints"].max()),
        keypoints_mean_cm=float(keypoints.mean()) if keypoints.size else None,
        keypoints_worst_cm=float(keypoints.max()) if keypoints.size else None,
    )


COLUMNS: Final = ("runtime", "XNNPACK", "differ", "step", "joints, cm", "keypoints, cm")
LEGEND: Final = "differ: share of the output bytes, step: their largest difference; shifts of the points: mean / worst"


def _cells(one: Agreement) -> tuple[str, ...]:
    keypoints = "-"
    if one.keypoints_mean_cm is not None:
        keypoints = f"{one.keypoints_mean_cm:.3f} / {one.keypoints_worst_cm:.3f}"
    parts = f"{one.xnnpack_partitions} parts" if one.xnnpack_partitions else "none"
    return (
        *(one.runtime, "whole" if one.xnnpack_whole_graph else parts),
        *(f"{one.differing_percent:.2f} %", str(one.largest_step)),
        *(f"{one.joints_mean_cm:.3f} / {one.joints_worst_cm:.3f}", keypoints),
    )


def _title(report: Report) -> str:
    people = ", ".join(report.people)
    return f"{report.file} against {report.ours} on {report.maps:,} maps of {people}: {report.output_bytes:,} bytes"


def _verdict(report: Report) -> str:
    verdict = "passed" if report.passed else "FAILED"
    return f"mean shift of joints and of keypoints on each runtime, limit {report.max_shift_cm:g} cm: {verdict}"


def _table(report: Report) -> Table:
    table = Table(*COLUMNS, box=box.SIMPLE_HEAD, title=_title(report), title_justify="left", caption=LEGEND)
    for one in report.runtimes:
        table.add_row(*_cells(one))
    return table


def _markdown(report: Report) -> str:
    header = (*COLUMNS, "NumPy")
    rows = [header, ("---",) * len(header), *((*_cells(one), one.numpy) for one in report.runtimes)]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([_title(report), "", *lines, "", LEGEND, "", _verdict(report)]) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m convert.crosscheck", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, metavar="MODEL.tflite", help="with its manifest beside it")
    add_data_arguments(parser, formats=True)
    parser.add_argument(
        "--environments",
        type=Path,
        default=environments_folder(),
        metavar="DIR",
        help="where the virtual environments are kept (%(default)s)",
    )
    parser.add_argument(
        "--python",
        type=Path,
        action="append",
        metavar="FILE",
        help="of an environment of your own that holds this project and its runtime, instead of the two (repeatable)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here too")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="and as a table for a document here")
    parser.add_argument(
        "--max-shift-cm",
        type=float,
        default=MAX_SHIFT_CM,
        metavar="CM",
        help="largest mean shift of the joints, and of the keypoints, on any runtime (%(default)s)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(run_command("convert.crosscheck", main))
