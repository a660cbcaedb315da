"""train-reconstruct: how well maps of people never seen come back from the keypoints, beside PCA of as many numbers."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from firmware_bridge.errors import Exit, Failure
from firmware_bridge.numbers import positive
from train.arguments import require_one_test_each, require_writable, tested_fold
from train.checkpoint import Checkpoint, load_checkpoint
from train.maps import Maps
from train.pictures import png_path, reconstructions, save
from train.pmd import read_pmd
from train.reconstruction import PCA, Study, study, summary

TITLES: Final = {"l1": "L1", "l2": "L2", "ssim": "SSIM"}
DIGITS: Final = {"l1": 4, "l2": 5, "ssim": 3}
HIGHER_IS_BETTER: Final = {"l1": False, "l2": False, "ssim": True}
PICTURED: Final = 8


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    require_one_test_each(args.fold)
    require_writable(args.json, args.markdown, args.png)
    torch.set_num_threads(args.threads)
    folds = [_opened(args, path, subjects) for path, subjects in args.fold]
    progress = Console(stderr=True)
    studies = [
        study(*fold, args.frames)
        for fold in track(folds, "rebuilding", console=progress, transient=True, disable=not progress.is_terminal)
    ]
    result = summary(studies) | {"files": [path.name for path, _ in args.fold], "frames_a_file": args.frames}
    _print(result, Console(soft_wrap=True))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    if args.markdown:
        args.markdown.write_text(markdown(result))
    if args.png:
        save(_picture(studies), args.png)
    return Exit.OK


def _opened(args: argparse.Namespace, path: Path, subjects: list[int]) -> tuple[Checkpoint, Maps, Maps]:
    """The model, its training people's maps and the maps to rebuild."""
    checkpoint = load_checkpoint(path)
    test = read_pmd(args.data, subjects)
    people = checkpoint.training.people
    known = sorted(set(test.people) & set(people))
    if known and not args.allow_seen:
        raise Failure(f"{', '.join(known)} trained {path}: choose other people, or say --allow-seen", Exit.USAGE)
    return checkpoint, _training_maps(args.data, path, people), test


def _training_maps(data: Path, path: Path, people: Sequence[str]) -> Maps:
    """PCA gets the people whom the net was trained on."""
    numbers = [person.removeprefix("pmd:") for person in people]
    if not numbers or not all(number.isdigit() for number in numbers):
        whom = ", ".join(people) or "nobody real"
        raise Failure(f"{path} was trained on {whom}: PCA wants training people of pmd Experiment I", Exit.USAGE)
    return read_pmd(data, sorted(map(int, numbers)))


def markdown(result: dict[str, Any]) -> str:
    """The table for docs/RESULTS.md."""
    lines = ["| | numbers | " + " | ".join(TITLES.values()) + " |", "|---|---|" + "---|" * len(TITLES)]
    for row in result["ways"]:
        cells = [_cell(row, name) for name in TITLES]
        lines.append(f"| {row['way']} | {row['numbers']} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *_verdicts(result)]) + "\n"


def _cell(row: dict[str, Any], name: str, sign: str = "") -> str:
    spec = f"{sign}.{DIGITS[name]}f"
    text = f"{row[name]:{spec}}"
    if row["interval_95"]:
        low, high = row["interval_95"][name]
        text += f" ({low:{spec}} to {high:{spec}})"
    return text


def _verdicts(result: dict[str, Any]) -> list[str]:
    """A line for each other way: keypoints against it, map by map."""
    lines = []
    for row in result["ways"][1:]:
        parts = []
        for name in ("l1", "ssim"):
            better = (row["difference"][name] > 0) == HIGHER_IS_BETTER[name]
            word = "better" if better else "worse"
            parts.append(f"{TITLES[name]} {word}, {_cell(row['difference'], name, sign='+')}")
        lines.append(f"- keypoints against {row['way']} ({row['numbers']} numbers): {'; '.join(parts)}")
    return lines


def _print(result: dict[str, Any], console: Console) -> None:
    data = result["data"]
    title = f"{', '.join(result['files'])} on {data['maps']} median maps of {', '.join(data['people'])}"
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for column in ("numbers", *TITLES.values()):
        table.add_column(column, justify="right")
    for row in result["ways"]:
        table.add_row(row["way"], str(row["numbers"]), *(_cell(row, name) for name in TITLES))
    console.print(table)
    if len(data["people"]) > 1:
        console.print("in brackets: 95 % bootstrap interval over people")
    console.print("difference, keypoints minus the other way, map by map:")
    for line in _verdicts(result):
        console.print(line)
    console.print(
        f"PCA: {result['frames_a_file']} frames a file of the training people; L1, L2 in model input units, 0..1"
    )
    if seen := data["seen_in_training"]:
        console.print(f"warning: {', '.join(seen)} trained this model: no figure here is about new people")


def _picture(studies: Sequence[Study]) -> Any:
    """From the best rebuilt map to the worst, by the net's L1, beside PCA of as many numbers."""
    first = studies[0].ways
    pca = max((i for i, way in enumerate(first) if way.name == PCA), key=lambda i: first[i].numbers)
    error = np.concatenate([fold.ways[0].quality[:, 0] for fold in studies])
    order = np.argsort(error, kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, PICTURED).round().astype(int))]
    names = [group.name for fold in studies for group in fold.maps.groups]
    rows = {
        "original": [fold.inputs for fold in studies],
        f"keypoints,\n{first[0].numbers} numbers": [fold.ways[0].rebuilt for fold in studies],
        f"PCA,\n{first[pca].numbers} numbers": [fold.ways[pca].rebuilt for fold in studies],
    }
    return reconstructions(
        {title: np.concatenate(parts)[chosen] for title, parts in rows.items()},
        [f"{names[i].removeprefix('pmd-i/')}\nL1 {error[i]:.3f}" for i in chosen],
        studies[0].maps.grid,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="train-reconstruct", description=__doc__)
    parser.add_argument(
        "--fold",
        type=tested_fold,
        action="append",
        required=True,
        metavar="CHECKPOINT=SUBJECTS",
        help="checkpoint.pt of train-run and people it never saw; once for each fold, all are scored together",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder that holds pmd's experiment-i/")
    parser.add_argument(
        "--frames", type=positive, default=20, metavar="N", help="of each file that PCA is fitted on (%(default)s)"
    )
    parser.add_argument("--allow-seen", action="store_true", help="score people who trained the model, with a warning")
    parser.add_argument("--threads", type=positive, default=torch.get_num_threads(), help="CPU threads (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here too")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table here too")
    parser.add_argument("--png", type=png_path, metavar="FILE", help="draw originals and rebuilt maps, best to worst")
    return parser
