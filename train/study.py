"""train-study: the same training with one thing changed at a time, over several seeds, side by side."""

import argparse
import json
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
from train.arguments import add_data_arguments, command_line, make_folder, read_data, subject_list
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
    training, test = read_data(args), read_data(argparse.Namespace(**vars(args) | {"subjects": args.test_subjects}))
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
    """Every variant with every seed. Raises Failure (78) for settings that train-run would not take."""
    runs = []
    for seed in study.seeds:
        for name, variant in study.variants.items():
            settings = laid_over(laid_over(study.settings, variant.settings), {"seed": seed})
            try:
                config = TrainConfig.model_validate(settings)
            except ValidationError as error:
                raise Failure(f"study variant {name!r}: {first_problem(error)}", Exit.BAD_CONFIG) from None
            labelled = study.labelled if variant.labelled is None else variant.labelled
            runs.append(Run(name, labelled, config, out / f"{name.replace(' ', '-')}-{seed}"))
    return runs


def _require_own(run: Run, args: argparse.Namespace, training: Maps) -> None:
    """Failure (2) where the run's folder holds a model that learned from other maps or labels."""
    path = run.folder / CHECKPOINT
    if not path.is_file():
        return
    own = provenance(args, run.config, [training], command_line("train-run", _arguments(run, args)))
    if not run.labelled:
        own = own.model_copy(update={"labelled_people": []})
    require_same_training(path, load_checkpoint(path).training, own)


def _train(run: Run, args: argparse.Namespace) -> None:
    """A process of its own; one that was cut off goes on, one that has ended is left as it is."""
    has_ended = (run.folder / LOSSES).is_file()
    if has_ended and load_checkpoint(run.folder / CHECKPOINT).config == run.config:
        return
    make_folder(run.folder)
    (run.folder / "config.toml").write_text(documented_toml(run.config))
    command = [sys.executable, "-c", "from train.commands import run; run()", *_arguments(run, args)]
    with (run.folder / "log.txt").open("w") as log:
        if subprocess.run(command, stderr=log, check=False).returncode:
            last = (run.folder / "log.txt").read_text().strip().splitlines()[-1:]
            raise Failure(f"training {run.folder} failed: {''.join(last)}", Exit.CHECK_FAILED)


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
