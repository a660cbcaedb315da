"""convert-run: a checkpoint of train-run -> int8 model and manifest, ready for edge-run, and the float model.

It writes NAME.tflite (int8, with heat-map logits as its outputs), NAME.json (the manifest), NAME.float.tflite (the same
graph in float32) and NAME.encoder.pt (the same in PyTorch, for convert-check); with --head float also
NAME.float-head.tflite, which answers with keypoints (see convert.float_head).
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from convert.calibration import refuse_seen, simulated, trained_on
from convert.float_head import FLOAT_HEAD_SUFFIX, with_float_head
from convert.package import Package, convert, with_accuracy, write_together
from firmware_bridge.errors import Exit, Failure
from train.arguments import (
    add_data_arguments,
    add_recordings_arguments,
    make_folder,
    read_data,
    read_recorded,
    subject_list,
)
from train.checkpoint import Checkpoint, load_checkpoint
from train.maps import Maps


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    console = Console(file=sys.stderr, soft_wrap=True)
    checkpoint = load_checkpoint(args.checkpoint)
    test = _test_maps(args, checkpoint)
    console.print("reading maps to calibrate on ...")
    maps, people = _calibration_maps(args, checkpoint)
    folder = args.out or args.checkpoint.parent
    make_folder(folder)
    inputs = np.concatenate([m.examples(checkpoint.grid, checkpoint.config.preprocessing).inputs for m in maps])
    console.print(f"converting, calibrating on {len(inputs):,} maps of {', '.join(people)} ...")
    progress = partial(track, description="calibrating", total=len(inputs), console=console, transient=True)
    package = convert(checkpoint, inputs, people, args.name, progress)
    if test is not None:
        package = with_accuracy(package, checkpoint, test)
    files = package.files()
    if args.head == "float":
        files[f"{args.name}{FLOAT_HEAD_SUFFIX}"] = with_float_head(package.model, package.manifest)
    _print(package, write_together(files, folder), console)
    return Exit.OK


def _test_maps(args: argparse.Namespace, checkpoint: Checkpoint) -> Maps | None:
    """Annotated maps of the test people, or None without --test-subjects."""
    if args.test_subjects is None:
        return None
    if args.data is None or (args.joints is None and args.format == "pmd"):
        raise Failure("--test-subjects needs --data DIR and --joints FILE", Exit.USAGE)
    test = read_data(argparse.Namespace(**vars(args) | {"subjects": args.test_subjects}))
    refuse_seen(test.people, checkpoint.training, [], str(args.checkpoint))
    if not len(test.labelled()):
        source = args.joints or args.data
        raise Failure(f"{source} has no joints of {', '.join(test.people)}", Exit.MISSING_INPUT)
    return test


def _calibration_maps(args: argparse.Namespace, checkpoint: Checkpoint) -> tuple[list[Maps], list[str]]:
    """Maps and people's names."""
    recordings = read_recorded(args)
    if args.data is None and not recordings:
        maps, name = simulated(checkpoint.training, checkpoint.grid)
        return [maps], [name]
    kept = []
    if args.data is not None:
        kept += trained_on([read_data(args)], checkpoint.training, chosen=args.subjects is not None)
    if recordings:
        kept += trained_on(recordings, checkpoint.training, chosen=True)
    return kept, sorted({person for m in kept for person in m.people})


def _print(package: Package, paths: Sequence[Path], console: Console) -> None:
    manifest = package.manifest
    for path in paths:
        console.print(f"wrote {path} ({path.stat().st_size:,} bytes)")
    console.print(
        f"{manifest.parameters:,} parameters, {manifest.mac / 1e6:.1f} M MAC, "
        f"arena on a microcontroller {manifest.arena_bytes:,} bytes"
    )
    for row in manifest.accuracy:
        console.print(
            f"{row.what}, {row.maps} maps of {', '.join(row.people)}: mean {row.mean_cm:.2f} cm, "
            f"PCK@5cm {row.pck_5cm:.1f} %, PCK@10cm {row.pck_10cm:.1f} %"
        )


def _file_name(text: str) -> str:
    if not text or Path(text).name != text or text.startswith("."):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a file: say the folder with --out")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="convert-run", description=__doc__)
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="checkpoint.pt or .encoder.pt")
    add_data_arguments(parser, required=False, formats=True)
    add_recordings_arguments(parser, ".matlog files to calibrate on")
    parser.add_argument("--test-subjects", type=subject_list, metavar="LIST", help="people for the accuracy table")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the files go (default: beside the checkpoint)")
    parser.add_argument("--name", type=_file_name, default="model", help="of the files (%(default)s)")
    parser.add_argument(
        "--head",
        choices=["logits", "float"],
        default="logits",
        help="float: write NAME.float-head.tflite too, whose outputs are keypoints in float (default: logits alone)",
    )
    return parser
