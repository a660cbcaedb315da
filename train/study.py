"""train-study: the same training with one thing changed at a time, over several seeds, side by side."""

import argparse
import ctypes
import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Final

from pydantic import Field, ValidationError
from rich.console import Console
from rich.progress import track
from rich.table import Table

from edge.manifest import Strict
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.numbers import positive
from train import commands
from train.arguments import add_data_arguments, command_line, make_folder, read_data, require_writable, subject_list
from train.checkpoint import load_checkpoint
from train.config import TrainConfig, documented_toml, first_problem, laid_over
from train.evaluated import Evaluated
from train.label_budget import label_budget, pooled_budget
from train.maps import Maps
from train.reconstruction import Rebuilder, measure
from train.run import CHECKPOINT, LOSSES, provenance, require_same_training
from train.scoring import score, summary

COLUMNS: Final = {
    "l1": ("L1", 4),
    "ssim": ("SSIM", 3),
    "equivariance_cm": ("equivariance cm", 2),
    "keypoints_linear_cm": ("joints from keypoints cm", 2),
    "joints_cm": ("joint output cm", 2),
}
PR_SET_PDEATHSIG: Final = 1
"""Of Linux's prctl: the signal that a process gets when its parent ends."""


class Variant(Strict):
    """What one row changes."""

    labelled: bool | None = Field(None, description="train the joint output with --joints; the study's own if absent")
    settings: dict[str, Any] = Field(default_factory=dict, description="of train-run's configuration")


class Study(Strict):
    """A study file: TOML."""

    title: str
    seeds: list[int] = Field(min_length=1)
    labelled: bool = False
    settings: dict[str, Any] = Field(default_factory=dict, description="that every variant has")
    variants: dict[str, Variant] = Field(min_length=1)


@dataclass(frozen=True)
class Run:
    """One training of the study."""

    variant: str
    labelled: bool
    config: TrainConfig
    folder: Path


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    if set(args.subjects or []) & set(args.test_subjects):
        raise Failure("--subjects and --test-subjects share people: a study needs people never trained on", Exit.USAGE)
    if args.subjects is None or args.joints is None:
        raise Failure("give --subjects to train on and --joints to score by", Exit.USAGE)
    study = read_study(args.study)
    runs = planned(study, args.out)
    make_folder(args.out)  # --json and --markdown may lie in it
    require_writable(args.json, args.markdown)
    training, test = read_data(args), read_data(argparse.Namespace(**vars(args) | {"subjects": args.test_subjects}))
    for maps in (training, test):
        _require_labels(args.joints, maps)
    for run in runs:
        _require_own(run, args, training)
    console = Console(stderr=True)
    with ThreadPoolExecutor(args.jobs) as pool:
        ended = pool.map(lambda run: _train(run, args), runs)
        for _ in track(ended, "training", total=len(runs), console=console):
            pass
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in study.variants}
    for run in track(runs, "scoring", console=console, transient=True):
        rows[run.variant].append(_measured(run, training, test))
    result = {"title": study.title, "people": test.people, "seeds": study.seeds, "variants": rows}
    _print(result, Console(soft_wrap=True))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    if args.markdown:
        args.markdown.write_text(markdown(result))
    return Exit.OK


def read_study(path: Path) -> Study:
    """Raises Failure: 66 for a missing file, 78 for one that is no study."""
    try:
        return Study.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        raise Failure(f"cannot read study {path}: {error.strerror}", Exit.MISSING_INPUT) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Failure(f"study {path} is no TOML: {error}", Exit.BAD_CONFIG) from None
    except ValidationError as error:
        raise Failure(f"study {path}: {first_problem(error)}", Exit.BAD_CONFIG) from None


def planned(study: Study, out: Path) -> list[Run]:
    """Every variant with every seed, each in a folder of its own right in `out`.

    Raises Failure (78) for settings that train-run would not take and for names that give no such folder.
    """
    runs: list[Run] = []
    for seed in study.seeds:
        for name, variant in study.variants.items():
            settings = laid_over(laid_over(study.settings, variant.settings), {"seed": seed})
            try:
                config = TrainConfig.model_validate(settings)
            except ValidationError as error:
                raise Failure(f"study variant {name!r}: {first_problem(error)}", Exit.BAD_CONFIG) from None
            labelled = study.labelled if variant.labelled is None else variant.labelled
            folder = out / f"{name.replace(' ', '-')}-{seed}"
            if folder.parent != out:
                raise Failure(
                    f"study variant {name!r} would train in {folder}, not right in {out}: leave / out of its name",
                    Exit.BAD_CONFIG,
                )
            if twin := next((run for run in runs if run.folder == folder), None):
                raise Failure(
                    f"study variant {name!r} with seed {seed} would train in {folder} as {twin.variant!r} does: "
                    "let names differ in more than spaces and hyphens, and name no seed twice",
                    Exit.BAD_CONFIG,
                )
            runs.append(Run(name, labelled, config, folder))
    return runs


def _require_labels(joints: Path, maps: Maps) -> None:
    """Failure (66) where `joints` says nothing of these people: all that is scored goes by their labels."""
    if not len(maps.labelled()):
        raise Failure(
            f"{joints} has joints of no map of {', '.join(maps.people)}: give the file that is about them",
            Exit.MISSING_INPUT,
        )


def _require_own(run: Run, args: argparse.Namespace, training: Maps) -> None:
    """Failure (2) where the run's folder holds a model that learned from other maps or labels."""
    path = run.folder / CHECKPOINT
    if not path.is_file():
        return
    shown = training if run.labelled else training.unlabelled()
    own = provenance(args, run.config, [shown], command_line("train-run", _arguments(run, args)))
    require_same_training(path, load_checkpoint(path).training, own)


def _train(run: Run, args: argparse.Namespace) -> None:
    """A process of its own; one that was cut off goes on, one that has ended is left as it is.

    Raises Failure (1) where it fails or is stopped.
    """
    if _has_ended(run):
        return
    make_folder(run.folder)
    (run.folder / "config.toml").write_text(documented_toml(run.config))
    begin = f"from train.study import train_beside; train_beside({os.getpid()})"
    command = [sys.executable, "-c", begin, *_arguments(run, args)]
    with (run.folder / "log.txt").open("w") as log:
        if subprocess.run(command, stderr=log, check=False).returncode:
            last = (run.folder / "log.txt").read_text().strip().splitlines()[-1:]
            raise Failure(f"training {run.folder} failed: {''.join(last)}", Exit.CHECK_FAILED)
    if not _has_ended(run):  # for train-run it is no error to be told to stop
        path = run.folder / CHECKPOINT
        step = load_checkpoint(path).step if path.is_file() else 0
        raise Failure(
            f"training {run.folder} was stopped at step {step} of {run.config.steps}: the same command goes on",
            Exit.CHECK_FAILED,
        )


def _has_ended(run: Run) -> bool:
    path = run.folder / CHECKPOINT
    if not (path.is_file() and (run.folder / LOSSES).is_file()):
        return False
    checkpoint = load_checkpoint(path)
    return checkpoint.config == run.config and checkpoint.step == run.config.steps


def train_beside(study: int) -> None:
    """train-run as a child of the process `study`: it stops as by Ctrl-C when that ends, whatever ends it."""
    signal.signal(signal.SIGTERM, _interrupt)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == study:  # else it has ended already
        commands.run()


def _interrupt(number: int, _: object) -> None:
    """Once: Linux tells of the end of each of the parent's threads, and the last checkpoint wants to be written."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _arguments(run: Run, args: argparse.Namespace) -> list[str]:
    """Of train-run."""
    subjects = ",".join(map(str, args.subjects))
    arguments = ["--data", str(args.data), "--experiment", args.experiment, "--mat", args.mat, "--subjects", subjects]
    arguments += ["--config", str(run.folder / "config.toml"), "--out", str(run.folder), "--threads", "1"]
    return arguments + (["--joints", str(args.joints)] if run.labelled else [])


def _measured(run: Run, training: Maps, test: Maps) -> dict[str, float]:
    path = run.folder / CHECKPOINT
    checkpoint, scored = load_checkpoint(path), score(Evaluated(path), test)
    if known := scored.seen_in_training:
        raise Failure(f"{', '.join(known)} trained {path}: choose another --out or other people", Exit.USAGE)
    rebuild = Rebuilder(checkpoint)
    medians = test.medians()
    l1, _, ssim = measure(rebuild(medians).maps, rebuild.inputs(medians)).mean(0)
    result = summary([scored])
    labelled = medians.labelled()
    budget = len(training.labelled().people)
    linear = next(b for b in label_budget(checkpoint, training, labelled, [budget]) if b.source == "keypoints")
    measured = {
        "l1": float(l1),
        "ssim": float(ssim),
        "equivariance_cm": result["equivariance_keypoints_cm"],
        "keypoints_linear_cm": pooled_budget([linear])["mean_cm"],
    }
    if checkpoint.knows_joints:
        measured["joints_cm"] = result["joints"]["mean_cm"]
    return measured


def markdown(result: dict[str, Any]) -> str:
    """The table for docs/RESULTS.md: mean over seeds, least and largest in brackets."""
    lines = ["| | " + " | ".join(title for title, _ in COLUMNS.values()) + " |", "|---|" + "---|" * len(COLUMNS)]
    lines += [f"| {name} | " + " | ".join(_cells(seeds)) + " |" for name, seeds in result["variants"].items()]
    return "\n".join(lines) + "\n"


def _cells(seeds: list[dict[str, float]]) -> list[str]:
    cells = []
    for key, (_, digits) in COLUMNS.items():
        values = [seed[key] for seed in seeds if key in seed]
        text = f"{mean(values):.{digits}f}" if values else ""
        if len(values) > 1:
            text += f" ({min(values):.{digits}f} to {max(values):.{digits}f})"
        cells.append(text)
    return cells


def _print(result: dict[str, Any], console: Console) -> None:
    table = Table(title=f"{result['title']}, on {', '.join(result['people'])}", title_justify="left")
    table.add_column("")
    for title, _ in COLUMNS.values():
        table.add_column(title, justify="right")
    for name, seeds in result["variants"].items():
        table.add_row(name, *_cells(seeds))
    console.print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="train-study", description=__doc__)
    parser.add_argument("study", type=Path, metavar="STUDY", help="TOML: what varies, such as train/studies/paper.toml")
    add_data_arguments(parser)
    parser.add_argument("--test-subjects", type=subject_list, required=True, metavar="LIST", help="people to score on")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder a run; goes on there")
    parser.add_argument("--jobs", type=positive, default=1, metavar="N", help="trainings at a time (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here too")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table here too")
    return parser
