"""convert-check: what int8 costs, in centimetres, on people whom the model never saw, and where it comes from."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from convert.calibration import refuse_seen, seen_by
from convert.document import markdown, page, print_sections
from convert.examine import INT8_STAGES, examine
from convert.float_side import float_side
from convert.report import Report
from convert.sections import pictures, sections, title
from edge.contact import contact
from edge.model import KeypointModel
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.numbers import not_negative, positive
from train.arguments import (
    add_data_arguments,
    add_recordings_arguments,
    read_data,
    read_folds,
    read_recorded,
    require_writable,
    tested_fold,
)
from train.maps import Maps
from train.progress import progress_bar


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    require_writable(args.json, args.markdown, args.html)
    console = Console(stderr=True, soft_wrap=True)
    console.print("reading maps ...")
    models = [(path, KeypointModel.from_files(path), maps) for path, maps in _parts(args)]
    seen = [_seen(path, model, maps, args.allow_seen) for path, model, maps in models]
    console.print("preparing the float model ...")
    sides = {path: float_side(path, model.manifest, args.checkpoint, args.float) for path, model, _ in models}
    with progress_bar(console, transient=True) as bar:
        total = sum(INT8_STAGES * len(m.groups) + args.every_frame * len(m) for _, _, m in models)
        task = bar.add_task("maps", total=total)
        parts = [
            examine(
                path, model, sides[path], maps, people, every_frame=args.every_frame, advance=lambda: bar.advance(task)
            )
            for (path, model, maps), people in zip(models, seen, strict=True)
        ]
    report = Report(parts, args.max_drop_cm, args.max_drop_pck)
    _write(report, args)
    return Exit.OK if report.passed else Exit.CHECK_FAILED


def _parts(args: argparse.Namespace) -> list[tuple[Path, Maps]]:
    """Each model with the maps that test it."""
    if (args.model is None) == (not args.fold):
        raise Failure("give either MODEL.tflite or --fold MODEL.tflite=SUBJECTS, one for each fold", Exit.USAGE)
    if (args.data is None) == (args.recordings is None):
        raise Failure("give either --data DIR or --recordings FILE ...: the maps to compare on", Exit.USAGE)
    if args.recordings and args.fold:
        raise Failure("--fold goes with --data, not with --recordings", Exit.USAGE)
    if recordings := read_recorded(args, args.joints):
        return [(args.model, chosen(recorded, args.frames)) for recorded in recordings]
    if not args.fold:
        return [(args.model, read_data(args))]
    return read_folds(args)


def chosen(maps: Maps, most: int) -> Maps:
    """At most so many of a recording's frames that show somebody: annotated ones, then others, both evenly chosen."""
    lying = np.array([contact(frame, maps.grid).occupied for frame in maps.pressure])
    if not lying.any():
        raise Failure(f"nobody lies on the mat in recording {maps.groups[0].name.partition('/')[0]}", Exit.FOREIGN_DATA)
    annotated = maps.joints[maps.group_index, :, 2].any(1)
    known = _evenly(np.flatnonzero(lying & annotated), most)
    others = _evenly(np.flatnonzero(lying & ~annotated), most - len(known))
    return maps.of_groups(maps.group_index[np.sort([*known, *others])].tolist())


def _evenly(frames: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most so many of `frames`."""
    if len(frames) <= most:
        return frames
    return frames[np.linspace(0, len(frames) - 1, most).round().astype(int)]


def _seen(path: Path, model: KeypointModel, maps: Maps, allowed: bool) -> list[str]:
    """People whom the model knows; Failure (2) unless that is allowed."""
    training, calibrated_on = model.manifest.training, model.manifest.calibration.people
    if not allowed:
        refuse_seen(maps.people, training, calibrated_on, str(path))
    return seen_by(maps.people, training, calibrated_on)


def _write(report: Report, args: argparse.Namespace) -> None:
    heading, found = title(report), sections(report)
    print_sections(heading, found, Console(soft_wrap=True))
    if args.json:
        args.json.write_text(json.dumps(report.to_json(), indent=1, allow_nan=False) + "\n")
    if args.markdown:
        args.markdown.write_text(markdown(heading, found))
    if args.html:
        verdict, *rest = found
        args.html.write_text(page(heading, [verdict, pictures(report), *rest]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="convert-check", description=__doc__)
    parser.add_argument("model", type=Path, nargs="?", metavar="MODEL.tflite", help="with its manifest beside it")
    parser.add_argument(
        "--fold",
        type=tested_fold,
        action="append",
        default=[],
        metavar="MODEL.tflite=SUBJECTS",
        help="instead of MODEL.tflite and --subjects, once for each fold: all folds' maps are looked at together",
    )
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="PyTorch's side (default: NAME.encoder.pt beside the model)"
    )
    parser.add_argument(
        "--float",
        type=Path,
        metavar="FILE.tflite",
        help="the float graph (default: NAME.float.tflite beside the model, else converted from the checkpoint; where "
        "the manifest names none, the model's own graph computed in float)",
    )
    add_data_arguments(parser, required=False, formats=True)
    add_recordings_arguments(parser, ".matlog files instead of --data")
    parser.add_argument(
        "--frames",
        type=positive,
        default=200,
        metavar="N",
        help="at most so many of a recording, annotated ones first (%(default)s)",
    )
    parser.add_argument(
        "--every-frame", action="store_true", help="shifts of int8 over every frame too, not only over median maps"
    )
    parser.add_argument(
        "--allow-seen", action="store_true", help="people whom the model has seen, with a warning in every report"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here too")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables here too")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one page here, its pictures inside")
    parser.add_argument(
        "--max-drop-cm",
        type=not_negative,
        default=0.1,
        metavar="CM",
        help="largest rise of the mean error against annotations, or largest mean shift without any (%(default)s)",
    )
    parser.add_argument(
        "--max-drop-pck",
        type=not_negative,
        default=2.0,
        metavar="POINTS",
        help="largest fall of PCK@5cm against annotations (%(default)s)",
    )
    return parser
