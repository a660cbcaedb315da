"""train-run: self-supervised training, optionally with a few annotated maps for the joint output."""

import argparse
import csv
import hashlib
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from rich.console import Console

from edge.manifest import Training
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid
from firmware_bridge.numbers import positive
from train.adapt import read_init
from train.arguments import (
    add_data_arguments,
    add_recordings_arguments,
    add_unlabelled_argument,
    command_line,
    make_folder,
    read_data,
    read_recorded,
    read_unlabelled,
    require_joints,
)
from train.checkpoint import load_checkpoint
from train.compute import PRECISIONS, Compute
from train.config import TrainConfig, documented_toml, read_config
from train.cost import multiply_accumulates, parameters
from train.crwt import Crwt
from train.formats import ATTRIBUTIONS
from train.heads import fit_heads
from train.maps import Examples, Maps
from train.parallel import Processes
from train.progress import progress_bar
from train.sampling import TrainingSet
from train.simulated import FIRST_TRAINING_SEED, read_simulated

CHECKPOINT = "checkpoint.pt"
LOSSES = "losses.csv"


def main(argv: Sequence[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args(argv)
    torch.set_num_threads(args.threads)
    given = {name: value for name in TrainConfig.model_fields if (value := getattr(args, name, None)) is not None}
    init = read_init(args.init) if args.init else None
    config = read_config(args.config, init.settings if init else None, **given)
    processes = Processes.of_torchrun()
    processes.require_equal_shares(config.micro_batches)
    compute = Compute.chosen(args.device, args.precision, processes.local_rank)
    if args.label_free:
        config = config.model_copy(update={"weights": config.weights.model_copy(update={"joints": 0.0})})
    if init:
        init.require_same_model(config)
    console = Console(stderr=True, soft_wrap=True, quiet=not processes.leads)
    path = args.out / CHECKPOINT
    earlier = load_checkpoint(path) if path.exists() else None
    if earlier and earlier.config != config:
        raise Failure(
            f"{path} was trained with other settings: choose another --out, or delete it to start again", Exit.USAGE
        )
    grid = Grid(config.rows, config.cols, config.pitch_cm, config.pitch_cm)
    real = _real_maps(args)
    seeds = _simulated_seeds(config, real)
    if not real and not seeds:
        raise Failure("nothing to train on: give --data, --recordings or --simulated-people", Exit.USAGE)
    training = provenance(args, config, real, command_line("train-run", argv))
    if init:
        training = init.passed_on(training)
    if earlier:
        require_same_training(path, earlier.training, training)
        labels = earlier.training.labels_sha256  # where nobody knows what the first steps saw, nothing is claimed
        training = training.model_copy(update={"labels_sha256": labels})
    make_folder(args.out)
    console.print("reading maps ...")
    simulated = [read_simulated(seeds, grid)] if seeds else []
    run = Crwt(config, grid, init.checkpoint if init else None, compute=compute, processes=processes)
    history: list[dict[str, float]] = []
    if earlier:
        run.restore(earlier)
        history = earlier.history
        console.print(f"resuming {path} at step {run.step} of {config.steps}")
    like_it = config.encoder.build()  # on the CPU, wherever the run is
    cost = multiply_accumulates(like_it, config.rows, config.cols)
    console.print(f"encoder: {parameters(like_it):,} parameters, {cost / 1e6:.1f} M MAC")
    with processes.connected(compute.device):
        _train(run, _training_set(config, grid, real, simulated), path, training, history, args.every, console)
    if not processes.leads:
        return Exit.OK
    checkpoint = run.checkpoint(training, history)
    if init:
        init.hand_down_heads(checkpoint)
    if not init or any(len(m.labelled()) for m in real):
        fit_heads(checkpoint, real, simulated)
    checkpoint.save(path)
    _write_history(args.out / LOSSES, history)
    console.print(f"wrote {path} ({config.steps} steps)")
    return Exit.OK


def _training_set(config: TrainConfig, grid: Grid, *sources: list[Maps]) -> TrainingSet:
    shown = config.training_preprocessing
    pools = [Examples.joined([m.examples(grid, shown) for m in maps]) if maps else None for maps in sources]
    return TrainingSet(*pools, simulated_evenly=config.simulated_evenly, annotated_share=config.annotated_share)


def _train(
    run: Crwt,
    data: TrainingSet,
    path: Path,
    training: Training,
    history: list[dict[str, float]],
    every: int,
    console: Console,
) -> None:
    with progress_bar(console) as bar:
        task = bar.add_task("contact", total=run.config.steps, completed=run.step)
        try:
            for losses in run.run(data):
                history.append({"step": run.step, **losses})
                stage = run.stage.name
                bar.update(task, completed=run.step, description=f"{stage}, loss {losses['loss']:.3f}")
                if run.processes.leads and run.step % every == 0:
                    run.checkpoint(training, history).save(path)
                    if not console.is_terminal:
                        console.print(f"step {run.step} of {run.config.steps}: {stage}, loss {losses['loss']:.3f}")
        except KeyboardInterrupt:
            if run.processes.leads:
                run.checkpoint(training, history).save(path)
            raise Failure(f"stopped at step {run.step}; the same command goes on from {path}", Exit.OK) from None


def _real_maps(args: argparse.Namespace) -> list[Maps]:
    """--joints is about pmd where --data is given, else about the recordings."""
    unlabelled = read_unlabelled(args)
    data = [read_data(args)] if args.data else []
    recordings = read_recorded(args, None if args.data else args.joints)
    require_joints(args.joints, data or recordings)
    return data + unlabelled + recordings


def _simulated_seeds(config: TrainConfig, real: list[Maps]) -> range:
    """None where no batch would show any beside the real maps: see train.sampling."""
    are_shown = not real or round(config.batch // config.micro_batches * config.simulated_share) > 0
    return range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + (config.simulated_people if are_shown else 0))


def provenance(args: argparse.Namespace, config: TrainConfig, real: list[Maps], command: str) -> Training:
    """What a checkpoint says of a run on `real` and on the simulated people that `config` wants."""
    labelled = [m.labelled() for m in real] if config.weights.joints else []
    seeds = _simulated_seeds(config, real)
    return Training(
        data=[ATTRIBUTIONS[args.format]] if args.data else [],
        people=sorted({p for m in real for p in m.people}),
        labelled_people=sorted({p for m in labelled for p in m.people}),
        simulated_seeds=f"{seeds[0]}-{seeds[-1]}" if seeds else "",
        steps=config.steps,
        command=command,
        software=version("spmkd"),
        labels_sha256=_labels_sha256(labelled),
    )


def _labels_sha256(labelled: list[Maps]) -> str:
    """Of the joints and the groups they belong to, in whatever order those were read; empty without any."""
    named = [pair for m in labelled for pair in zip(m.groups, m.joints, strict=True)]
    labels = sorted((group.name, joints.tobytes()) for group, joints in named)
    return hashlib.sha256(b"".join(name.encode() + joints for name, joints in labels)).hexdigest() if labels else ""


def require_same_training(path: Path, earlier: Training, now: Training) -> None:
    """Failure (2) where the model at `path` learned from anything else: what it claims to know would be wrong.

    What one of the two does not record is not compared.
    """
    wanted = _learned_from(now)
    for difference, known in _learned_from(earlier).items():
        if known != wanted[difference] and None not in (known, wanted[difference]):
            values = f"{known or 'none'}, not {wanted[difference] or 'none'}"
            raise Failure(f"{path} {difference} ({values}): choose another --out", Exit.USAGE)


def _learned_from(training: Training) -> dict[str, str | None]:
    """Keyed by what is wrong with a model where that is not the same; None: not recorded."""
    return {
        "was trained on other people": ", ".join(training.people),
        "was trained on other data": "; ".join(training.data),
        "was trained on other maps of these people": _experiment(training.command),
        "was trained on other people's labels": ", ".join(training.labelled_people),
        "was trained on other labels of these people": training.labels_sha256,
        "began from another model": training.init_sha256 or "",
    }


def _experiment(command: str) -> str:
    """Which of pmd's experiments and mats a recorded command is about: the same people lie on all of them."""
    parser = argparse.ArgumentParser(add_help=False)
    add_data_arguments(parser, required=False)
    add_unlabelled_argument(parser)
    args, _ = parser.parse_known_args(command.split()[1:])
    of_ii = f"Experiment II, {args.mat} mat"
    if args.experiment == "ii":
        return of_ii
    return f"Experiment I and subjects {args.unlabelled_ii} of {of_ii}" if args.unlabelled_ii else "Experiment I"


def _write_history(path: Path, history: list[dict[str, float]]) -> None:
    names = list(dict.fromkeys(name for row in history for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(history)


class _PrintConfig(argparse.Action):
    """Like --version: needs no other argument."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(documented_toml(TrainConfig()), end="")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="train-run", description=__doc__)
    add_data_arguments(parser, required=False, formats=True)
    add_unlabelled_argument(parser)
    add_recordings_arguments(parser, ".matlog files or folders of them")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="checkpoint and losses.csv; resumes there"
    )
    parser.add_argument(
        "--init", type=Path, metavar="MODEL", help="begin from this .pt or .encoder.pt, such as to adapt it to a mat"
    )
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="TOML; options given here come before it")
    parser.add_argument("--print-config", action=_PrintConfig, help="print all settings, documented, as TOML and exit")
    parser.add_argument("--label-free", action="store_true", help="let no joint label reach the model")
    parser.add_argument(
        "--device", choices=["auto", "cpu", "cuda"], default="auto", help="%(default)s takes a GPU if there is one"
    )
    parser.add_argument(
        "--precision", choices=list(PRECISIONS), help="of convolutions (default: bfloat16 on a GPU that has it)"
    )
    parser.add_argument("--threads", type=positive, default=torch.get_num_threads(), help="CPU threads (%(default)s)")
    parser.add_argument(
        "--every", type=positive, default=200, metavar="STEPS", help="between checkpoints (%(default)s)"
    )
    defaults = TrainConfig()
    for name, meaning in {
        "steps_mask": "steps of stage 1, contact or not",
        "steps_map": "steps of stage 2, the map itself",
        "steps_quant": "steps of stage 3, as int8 will compute; 0 for none",
        "batch": "maps in a step",
        "micro_batches": "equal parts of a batch, which the processes of torchrun share",
        "simulated_people": "simulated people to train on; 0 for none",
        "seed": "of weights, batches and augmentation",
    }.items():
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=int, metavar="N", help=f"{meaning} ({getattr(defaults, name)})")
    return parser
