"""train-eval: how far a model's joints are from annotated ones, on people it never saw."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import track
from rich.table import Table

from firmware_bridge.errors import Exit, Failure
from train.arguments import (
    add_data_arguments,
    read_data,
    read_folds,
    require_writable,
    subject_list,
    tested_fold,
)
from train.checkpoint import load_checkpoint
from train.evaluated import Evaluated
from train.label_budget import label_budget, pooled_budget
from train.maps import Maps
from train.pmd import read_pmd, subjects_of
from train.scoring import score, summary

LABELS: Final = {"joints": "joints", "keypoints_linear": "joints from the keypoints, linear map"}
FIGURES: Final = (("mean_cm", "mean cm", 2), ("pck_5cm", "PCK@5cm", 1), ("pck_10cm", "PCK@10cm", 1))


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    if args.joints is None and args.format == "pmd":
        raise Failure("--joints FILE is needed to score joints: see data/pmd-joints in the repository", Exit.USAGE)
    if (args.model is None) == (not args.fold):
        raise Failure("give either --model FILE or --fold FILE=SUBJECTS, one for each fold", Exit.USAGE)
    require_writable(args.json, args.markdown)
    how = {"mirrored_too": args.mirrored_too, "body": not args.without_body}
    if args.model:
        folds = [(Evaluated(args.model, **how), read_data(args))]
    else:
        folds = [(Evaluated(path, **how), maps) for path, maps in read_folds(args)]
    model = folds[0][0]
    scored = []
    for fold, maps in track(folds, "scoring", console=Console(stderr=True), transient=True):
        scored.append(score(fold, maps))
    result = summary(scored) | {
        "model": {
            "file": ", ".join(fold.name for fold, _ in folds),
            "parameters": model.parameters,
            "mac": model.mac,
            "arena_bytes": model.arena_bytes,
        }
    }
    if args.label_budget:
        result["label_budget"] = _label_budget(args, [maps for _, maps in folds])
    _print(result, Console(soft_wrap=True))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    if args.markdown:
        args.markdown.write_text(markdown(result))
    return Exit.OK


def people_counts(text: str) -> list[int]:
    """`1,3,6`, each from 1."""
    counts = subject_list(text)
    if min(counts) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} has the labels of nobody in it: begin with 1")
    return counts


def _label_budget(args: argparse.Namespace, tests: Sequence[Maps]) -> list[dict[str, Any]]:
    paths = [args.model] if args.model else [path for path, _ in args.fold]
    if args.format != "pmd" or any(path.suffix != ".pt" for path in paths):
        raise Failure("--label-budget needs .pt models trained on pmd: their people's labels are used", Exit.USAGE)
    folds = []
    for path, test in track(
        list(zip(paths, tests, strict=True)), "label budget", console=Console(stderr=True), transient=True
    ):
        checkpoint = load_checkpoint(path)
        if args.without_body:
            checkpoint.body = None
        people = subjects_of(checkpoint.training.people)
        if not people:
            raise Failure(f"{path} was trained on nobody of pmd: --label-budget needs their labels", Exit.USAGE)
        training = read_pmd(args.data, people, joints=args.joints)
        annotated = test.medians().labelled()
        budget = label_budget(checkpoint, training, annotated, args.label_budget, mirrored_too=args.mirrored_too)
        folds.append(list(budget))
    return [pooled_budget(parts) for parts in zip(*folds, strict=True)]


def markdown(result: dict[str, Any]) -> str:
    """The table for docs/RESULTS.md."""
    lines = ["| | " + " | ".join(title for _, title, _ in FIGURES) + " |", "|---|" + "---|" * len(FIGURES)]
    for key, label in LABELS.items():
        if key in result:
            cells = [_cell(result[key], name, digits) for name, _, digits in FIGURES]
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
    for row in result.get("label_budget", []):
        cells = [_cell(row, name, digits) for name, _, digits in FIGURES]
        lines.append(f"| {_budget_label(row)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _budget_label(row: dict[str, Any]) -> str:
    people = "one person" if row["people"] == 1 else f"{row['people']} people"
    choices = f", mean over {row['choices']} choices" if row["choices"] > 1 else ""
    return f"linear map from the points of `{row['source']}`, labels of {people}{choices}"


def _cell(scores: dict[str, Any], name: str, digits: int) -> str:
    text = f"{scores[name]:.{digits}f}"
    if scores["interval_95"]:
        low, high = scores["interval_95"][name]
        text += f" ({low:.{digits}f} to {high:.{digits}f})"
    return text


def _print(result: dict[str, Any], console: Console) -> None:
    model, data = result["model"], result["data"]
    title = f"{model['file']} on {data['maps']} maps of {', '.join(data['people'])}"
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for _, figure, _ in FIGURES:
        table.add_column(figure, justify="right")
    for key, label in LABELS.items():
        if key in result:
            table.add_row(label, *(_cell(result[key], name, digits) for name, _, digits in FIGURES))
    for row in result.get("label_budget", []):
        table.add_row(_budget_label(row), *(_cell(row, name, digits) for name, _, digits in FIGURES))
    console.print(table)
    if len(data["people"]) > 1:
        console.print("in brackets: 95 % bootstrap interval over people")
    if "joints" in result:
        _print_joints(result, console)
    for output in ("keypoints", "joints"):
        if (cm := result.get(f"equivariance_{output}_cm")) is not None:
            console.print(f"equivariance of {output}: {cm:.2f} cm under moves not trained on")
    if "posture" in result:
        console.print(f"posture: {result['posture']['right']} of {result['posture']['maps']} maps")
    arena = f"{model['arena_bytes']:,} bytes" if model["arena_bytes"] else "measured by convert-run"
    console.print(f"{model['parameters']:,} parameters, {model['mac'] / 1e6:.1f} M MAC, arena {arena}")
    if seen := data["seen_in_training"]:
        console.print(f"warning: {', '.join(seen)} trained this model: no figure here is about new people")


def _print_joints(result: dict[str, Any], console: Console) -> None:
    worst = sorted(result["joints"]["per_joint_cm"].items(), key=lambda item: -(item[1] or 0))
    console.print("per joint, cm: " + ", ".join(f"{joint} {cm:.1f}" for joint, cm in worst if cm is not None))
    each = result["joints"]["per_person_cm"].items()
    console.print("per person, cm: " + ", ".join(f"{person} {cm:.2f}" for person, cm in each))
    confidence = result["confidence"]
    shares = ", ".join(f"{percent} %: {cm:.2f}" for percent, cm in confidence["mean_cm_of_surest_percent"].items())
    console.print(
        f"doubt against error: rank correlation {confidence['rank_correlation']:.2f}; cm of the surest {shares}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="train-eval", description=__doc__)
    parser.add_argument("--model", type=Path, metavar="FILE", help=".pt of train-run, or .tflite")
    parser.add_argument(
        "--fold",
        type=tested_fold,
        action="append",
        default=[],
        metavar="FILE=SUBJECTS",
        help="instead of --model and --subjects, once for each fold: all folds' people are scored together",
    )
    add_data_arguments(parser, formats=True)
    parser.add_argument(
        "--mirrored-too",
        action="store_true",
        help="read each map mirrored as well; joints are the mean (edge-run --mirrored-too)",
    )
    parser.add_argument(
        "--without-body", action="store_true", help="leave joints where their heat maps are, whatever bodies look like"
    )
    parser.add_argument(
        "--label-budget",
        type=people_counts,
        metavar="LIST",
        help="such as 1,3,6: joints by linear maps from the points, labels of each choice of so many people",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here too")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table here too")
    return parser
