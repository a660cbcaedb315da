"""train-plot: pictures of runs and models as PNG: loss curves, and joints and keypoints beside annotated joints."""

import argparse
import csv
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from edge.keypoints import Keypoints
from edge.preprocess import Preprocessor
from edge.score import SMALLEST_VISIBILITY
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.numbers import positive
from firmware_bridge.skeleton import JOINTS
from train import pictures
from train.arguments import add_data_arguments, read_data, require_writable
from train.evaluated import Evaluated
from train.linear import features
from train.maps import Group, Maps

LOSSES: Final = "losses.csv"
TERMS: Final = {
    "l1": "L1 of the map",
    "l2": "L2 of the map",
    "dissimilarity": "1 - SSIM of the map",
    "cross_entropy": "cross-entropy of the contact",
    "f_score": "1 - F-score of the contact",
}
"""Drawn where a run has them; --terms names others."""
JOINTS_FROM: Final = {"joints": "joint output", "keypoints": "linear map\nof keypoints"}


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    require_writable(args.out)
    figure: Figure = args.draw(args)
    pictures.save(figure, args.out)
    print(f"wrote {args.out}")
    return Exit.OK


def losses(args: argparse.Namespace) -> Figure:
    runs: dict[str, list[dict[str, NDArray[np.float64]]]] = {}
    for name, folder in args.runs:
        runs.setdefault(name, []).append(read_losses(folder))
    if len(runs) > len(pictures.RUN_COLOURS):
        raise Failure(
            f"{len(runs)} names are more than the {len(pictures.RUN_COLOURS)} colours: "
            "give runs that differ in their seed alone one NAME",
            Exit.USAGE,
        )
    present = dict.fromkeys(term for several in runs.values() for run in several for term in run if term != "step")
    if unknown := [term for term in args.terms or [] if term not in present]:
        raise Failure(f"no run has the term {unknown[0]}: they have {', '.join(present)}", Exit.USAGE)
    terms = args.terms or [term for term in TERMS if term in present]
    if not terms:
        raise Failure(f"no run has a term to draw: they have {', '.join(present) or 'none'}", Exit.FOREIGN_DATA)
    return pictures.loss_curves(runs, {term: TERMS.get(term, term) for term in terms}, args.smooth)


def read_losses(folder: Path) -> dict[str, NDArray[np.float64]]:
    """`step` and the terms of a run, NaN where a stage does not have one. Raises Failure (66, 65)."""
    path = folder / LOSSES
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        names = rows[0] if rows else ()
        columns = {name: np.array([float("nan" if row[name] == "" else row[name]) for row in rows]) for name in names}
    except OSError:
        raise Failure(f"no {path}: train-run writes it when it is done", Exit.MISSING_INPUT) from None
    except (ValueError, TypeError, UnicodeDecodeError):
        raise Failure(
            f"{path} holds something other than numbers: give folders of train-run", Exit.FOREIGN_DATA
        ) from None
    if "step" not in columns or (np.diff(columns["step"]) <= 0).any():
        raise Failure(f"{path} has no rising column step: give folders of train-run", Exit.FOREIGN_DATA)
    return columns


def overlays(args: argparse.Namespace) -> Figure:
    model = Evaluated(args.model)
    medians = read_data(args).medians().labelled().around_people(model.grid)
    if not len(medians):
        raise Failure("none of these maps has annotated joints: give --joints FILE", Exit.MISSING_INPUT)
    preprocessor = Preprocessor(medians.grid, model.grid, model.preprocessing)
    known = set(model.training.people)
    if seen := sorted(known.intersection(medians.people)):
        print(f"warning: {', '.join(seen)} trained this model: these maps say nothing of others", file=sys.stderr)
    found = model.predict(preprocessor(medians.pressure))
    joints_cm = preprocessor.mat_cm(_joints_norm(model, found, args.joints_from))
    points_cm = preprocessor.mat_cm(np.stack([k.xy_norm for k in found["keypoints"]]))
    error_cm = mean_errors_cm(joints_cm, medians)
    chosen, kinds = median_and_worst(error_cm, args.count)
    inputs = medians.examples(medians.grid, model.preprocessing).inputs
    titles = [
        "\n".join([kind, *_named(medians.groups[g], known), f"{error_cm[g]:.1f} cm"])
        for g, kind in zip(chosen, kinds, strict=True)
    ]
    colours = pictures.point_colours(points_cm)
    figure, axes = pictures.panels(
        medians.grid, ["annotated", JOINTS_FROM[args.joints_from], "label-free\nkeypoints"], titles
    )
    for column, g in zip(axes.T, chosen, strict=True):
        for axis in column:
            pictures.pressure(axis, inputs[g], medians.grid)
        truth = medians.joints[g]
        pictures.skeleton(column[0], truth[:, :2], truth[:, 2] >= SMALLEST_VISIBILITY)
        pictures.skeleton(column[1], joints_cm[g])
        pictures.keypoints(column[2], points_cm[g], colours)
    return figure


def _named(group: Group, known: Collection[str]) -> list[str]:
    """Lines: the file, whose mat every map shares, and whether the model was trained on that person."""
    subject, *_, file = group.name.partition("/")[2].split("/")
    return [f"{subject}/{file}", *(["trained on"] if group.person in known else [])]


def _joints_norm(model: Evaluated, found: dict[str, list[Keypoints]], source: str) -> NDArray[np.floating]:
    """(G, 14, 2) from the output of that name."""
    if source == "keypoints":
        if model.joint_map is None:
            raise Failure(f"{model.name} has no linear map to joints: it was trained without annotations", Exit.USAGE)
        return model.joint_map(features(found["keypoints"])).reshape(-1, len(JOINTS), 2)
    if not found.get("joints"):
        raise Failure(f"{model.name} has no joint output: say --joints-from keypoints", Exit.USAGE)
    return np.stack([k.xy_norm for k in found["joints"]])


def mean_errors_cm(joints_cm: NDArray[np.float64], maps: Maps) -> NDArray[np.float64]:
    """Joints (G, 14, 2) -> (G,): over the joints that can be seen."""
    seen = maps.joints[..., 2] >= SMALLEST_VISIBILITY
    distance_cm = np.linalg.norm(joints_cm - maps.joints[..., :2], axis=-1)
    return np.asarray((distance_cm * seen).sum(1) / np.maximum(seen.sum(1), 1))


def median_and_worst(error: NDArray[np.float64], count: int) -> tuple[list[int], list[str]]:
    """Which `count` maps to show, half from the middle of the ranking and half from its end, and which they are."""
    order = np.argsort(error, kind="stable").tolist()
    worst = order[max(0, len(order) - count // 2) :]
    rest = order[: len(order) - len(worst)]
    usual_count = min(count - len(worst), len(rest))
    begin = min(max(0, len(order) // 2 - usual_count // 2), len(rest) - usual_count)
    usual = rest[begin : begin + usual_count]
    return usual + worst, ["median"] * len(usual) + ["worst"] * len(worst)


def _run(text: str) -> tuple[str, Path]:
    name, equals, folder = text.rpartition("=")
    path = Path(folder)
    return (name if equals else path.resolve().name), path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="train-plot", description=__doc__)
    kinds = parser.add_subparsers(required=True, metavar="KIND")
    curves = kinds.add_parser("losses", help="curves of losses.csv of several runs")
    curves.add_argument(
        "runs",
        type=_run,
        nargs="+",
        metavar="[NAME=]RUN_DIR",
        help="--out folder of train-run; runs of one NAME (such as seeds) share a colour and have their mean drawn",
    )
    curves.add_argument(
        "--terms",
        type=lambda text: text.split(","),
        metavar="LIST",
        help=f"columns of losses.csv (default: what there is of {','.join(TERMS)})",
    )
    curves.add_argument(
        "--smooth", type=positive, default=100, metavar="STEPS", help="width of the moving mean (%(default)s)"
    )
    curves.set_defaults(draw=losses)
    maps = kinds.add_parser("overlays", help="annotated joints, found joints and label-free keypoints on maps")
    maps.add_argument("--model", type=Path, required=True, metavar="FILE", help=".pt of train-run, or .tflite")
    add_data_arguments(maps)
    maps.add_argument(
        "--count", type=positive, default=8, metavar="N", help="of maps: half are median, half worst (%(default)s)"
    )
    maps.add_argument(
        "--joints-from",
        choices=list(JOINTS_FROM),
        default="joints",
        help="the joint output, or the linear map from the label-free keypoints (%(default)s)",
    )
    maps.set_defaults(draw=overlays)
    for kind in (curves, maps):
        kind.add_argument("--out", type=pictures.png_path, required=True, metavar="PNG", help="picture to write")
    return parser
