"""train-posture: posture from points alone, read by linear and graph heads, on people new to the checkpoint."""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from firmware_bridge.errors import Exit
from firmware_bridge.numbers import positive
from train.arguments import require_one_test_each, require_writable, tested_fold
from train.posture.folds import INPUTS, Fold, read_fold
from train.posture.study import HEADS, TASKS, Votes, pooled, study
from train.progress import progress_bar


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    torch.set_num_threads(args.threads)
    require_one_test_each(args.fold)
    require_writable(args.json, args.markdown)
    result = _study(args, Console(stderr=True, soft_wrap=True))
    _print(result, Console(soft_wrap=True))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    if args.markdown:
        args.markdown.write_text(markdown(result))
    return Exit.OK


def markdown(result: dict[str, Any]) -> str:
    """A table for each task, for docs/RESULTS.md."""
    lines = []
    for task in TASKS:
        lines += [f"| {_title(result, task)} | " + " | ".join(INPUTS) + " |", "|---|" + "---|" * len(INPUTS)]
        lines += [f"| {head} | " + " | ".join(cells) + " |" for head, cells in _rows(result, task)]
        lines.append("")
    return "\n".join(lines)


def _study(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    heads = args.heads or list(HEADS)
    console.print("reading maps ...")
    folds = [read_fold(path, tested, args.data, args.joints) for path, tested in args.fold]
    votes: dict[tuple[str, str, str], list[Votes]] = defaultdict(list)
    with progress_bar(console) as bar:
        task = bar.add_task("heads", total=len(folds) * len(INPUTS) * len(heads) * len(TASKS))
        for fold in folds:
            for one in study(fold, heads):
                votes[one.task, one.input, one.head].append(one)
                bar.update(task, advance=1, description=f"{one.input}, {one.head}")
    return {
        "folds": [_described(fold) for fold in folds],
        "results": [
            {"task": task, "input": name, "head": head} | pooled(each) for (task, name, head), each in votes.items()
        ],
    }


def _described(fold: Fold) -> dict[str, Any]:
    return {
        "file": fold.name,
        "fitted_on": sorted({group.person for group in fold.known.groups}),
        "tested_on": sorted({file.person for file in fold.unseen.files}),
        "labelled_people": sorted(fold.labelled_people),
    }


def _rows(result: dict[str, Any], task: str) -> list[tuple[str, list[str]]]:
    """Head -> a cell for each input."""
    cells: dict[str, dict[str, str]] = defaultdict(dict)
    for one in result["results"]:
        if one["task"] == task:
            cells[one["head"]][one["input"]] = _cell(one)
    return [(head, [row[name] for name in INPUTS]) for head, row in cells.items()]


def _cell(one: dict[str, Any]) -> str:
    if not one["interval_95"]:
        return str(one["right"])
    low, high = one["interval_95"]
    return f"{one['right']} ({low:.0f} to {high:.0f})"


def _title(result: dict[str, Any], task: str) -> str:
    return f"{task}: right of {result['results'][0]['files']} files"


def _print(result: dict[str, Any], console: Console) -> None:
    for task in TASKS:
        table = Table(title=_title(result, task), title_justify="left")
        table.add_column("")
        for name in INPUTS:
            table.add_column(name, justify="right")
        for head, cells in _rows(result, task):
            table.add_row(head, *cells)
        console.print(table)
    if result["results"][0]["interval_95"]:
        console.print("in brackets: 95 % bootstrap interval over people")
    for fold in result["folds"]:
        labels = f"labels of {', '.join(fold['labelled_people'])}" if fold["labelled_people"] else "nobody's labels"
        console.print(
            f"{fold['file']}, encoder trained with {labels}: "
            f"heads fitted on {', '.join(fold['fitted_on'])}, tested on {', '.join(fold['tested_on'])}"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="train-posture", description=__doc__)
    parser.add_argument(
        "--fold",
        type=tested_fold,
        action="append",
        required=True,
        metavar="FILE=SUBJECTS",
        help="once for each fold: .pt of train-run and the people of Experiment I to test on",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder that holds pmd's experiment-i/")
    parser.add_argument("--joints", type=Path, required=True, metavar="FILE", help="annotated joints: data/pmd-joints")
    parser.add_argument("--heads", nargs="+", choices=list(HEADS), metavar="HEAD", help=f"of {', '.join(HEADS)}")
    parser.add_argument("--threads", type=positive, default=torch.get_num_threads(), help="CPU threads (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here too, with each wrong file")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables here too")
    return parser
