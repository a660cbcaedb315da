"""Command-line arguments that the commands of train and convert share."""

import argparse
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge.arguments import CORRECTIONS, add_corrections, as_replayed
from firmware_bridge.errors import Exit, Failure
from train.formats import FORMATS
from train.maps import Maps
from train.pmd import read_pmd
from train.recordings import Correction, read_recordings


def subject_list(text: str) -> list[int]:
    """`1-3,13` -> [1, 2, 3, 13]."""
    subjects: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        try:
            between = range(int(first), int(last if dash else first) + 1)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no list of subjects such as 1-3,13") from None
        if not between:
            raise argparse.ArgumentTypeError(f"{part!r} names no subject: write {last}-{first}")
        subjects += between
    if len(set(subjects)) != len(subjects):
        raise argparse.ArgumentTypeError(f"{text!r} names a subject twice")
    return subjects


def tested_fold(text: str) -> tuple[Path, list[int]]:
    """`fold1.pt=1-3` -> the model and the people it is tested on."""
    path, equals, subjects = text.rpartition("=")
    if not equals or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not FILE=SUBJECTS, such as fold1.pt=1-3")
    return Path(path), subject_list(subjects)


def require_one_test_each(folds: Sequence[tuple[Path, list[int]]]) -> None:
    """Raises Failure (2) for a subject in two folds: every figure would count it twice."""
    subjects = [subject for _, tested in folds for subject in tested]
    if twice := [subject for subject, times in Counter(subjects).items() if times > 1]:
        raise Failure(f"--fold names subject {twice[0]} twice: each is tested once", Exit.USAGE)


def require_writable(*paths: Path | None) -> None:
    """Before long work: whether each result can be written. Raises Failure (66) without its folder, else (2)."""
    for path in filter(None, paths):
        if not path.parent.is_dir():
            raise Failure(f"no folder {path.parent} for {path.name}: make it first", Exit.MISSING_INPUT)
        if path.is_dir():
            raise Failure(f"{path} is a folder: name a file in it", Exit.USAGE)
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise Failure(f"{path} may not be written: choose another place", Exit.USAGE)


def add_recordings_arguments(parser: argparse.ArgumentParser, help: str) -> None:
    """--recordings, and the options that put right what their mat says of itself."""
    group = parser.add_argument_group("recordings of edge-run, and what their mat says wrong of itself")
    group.add_argument("--recordings", type=Path, nargs="+", metavar="FILE", help=help)
    add_corrections(group)


def corrections(args: argparse.Namespace) -> Mapping[str, str]:
    """Those that were given, by flag. Raises Failure (2) where nothing that is read has them."""
    given = {flag: getattr(args, flag.removeprefix("--")) for flag in CORRECTIONS}
    told = {flag: value for flag, value in given.items() if value is not None}
    if told and not args.recordings:
        raise Failure(f"{next(iter(told))} is about recordings: give some, or leave it out", Exit.USAGE)
    return told


def corrected(args: argparse.Namespace) -> Correction:
    """What puts the recordings' INFO right. Raises Failure (2) in edge-run's words."""
    (mat,) = as_replayed(corrections(args)).mat
    return mat.corrected


def read_recorded(args: argparse.Namespace, joints: Path | None = None) -> list[Maps]:
    """The recordings that the arguments of `add_recordings_arguments` name, none where there are none."""
    correction = corrected(args)
    return read_recordings(args.recordings, joints, correction) if args.recordings else []


def make_folder(folder: Path) -> None:
    """What a long run is going to write into is there before it begins. Raises Failure (2) where it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"cannot make the folder {folder}: {error.strerror}: choose another --out", Exit.USAGE) from None


def add_data_arguments(parser: argparse.ArgumentParser, *, required: bool = True, formats: bool = False) -> None:
    """--data, --experiment, --mat, --subjects, --joints; with `formats` also --format."""
    group = parser.add_argument_group("real pressure maps")
    group.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        required=required,
        help="folder that holds experiment-i/ or experiment-ii/ of pmd (https://physionet.org/content/pmd/1.0.0/)"
        + (", or the data set that --format names" if formats else ""),
    )
    parser.set_defaults(format="pmd")
    if formats:
        group.add_argument("--format", choices=list(FORMATS), default="pmd", help="layout of --data (%(default)s)")
    group.add_argument(
        "--experiment", choices=["i", "ii"], default="i", help="which of pmd's experiments (%(default)s)"
    )
    group.add_argument("--mat", choices=["sponge", "air"], default="sponge", help="Experiment II's mat (%(default)s)")
    group.add_argument("--subjects", type=subject_list, metavar="LIST", help="such as 1-3,13 (default: all there are)")
    group.add_argument("--joints", type=Path, metavar="FILE", help="annotated joints, as in data/pmd-joints")


def add_unlabelled_argument(parser: argparse.ArgumentParser) -> None:
    """--unlabelled-ii, read by `read_unlabelled`."""
    parser.add_argument(
        "--unlabelled-ii",
        type=subject_list,
        metavar="LIST",
        help="besides, these subjects of pmd's Experiment II on --mat, without joints and without postures",
    )


def read_unlabelled(args: argparse.Namespace) -> list[Maps]:
    """The maps that --unlabelled-ii names, none where it is not given. Raises Failure (2) without pmd."""
    if not args.unlabelled_ii:
        return []
    if not args.data or args.format != "pmd":
        raise Failure("--unlabelled-ii is about pmd: give its folder with --data, and no --format", Exit.USAGE)
    if args.experiment == "ii":
        raise Failure("--unlabelled-ii goes beside Experiment I: leave --experiment ii out", Exit.USAGE)
    return [read_pmd(args.data, args.unlabelled_ii, experiment="ii", mat=args.mat).unlabelled()]


def read_data(args: argparse.Namespace) -> Maps:
    """The maps that the arguments of `add_data_arguments` name."""
    if args.format != "pmd":
        if args.joints or args.experiment != "i":
            raise Failure(f"--joints and --experiment go with --format pmd, not {args.format}", Exit.USAGE)
        return FORMATS[args.format](args.data, args.subjects)
    return read_pmd(args.data, args.subjects, experiment=args.experiment, mat=args.mat, joints=args.joints)


def read_folds(args: argparse.Namespace) -> list[tuple[Path, Maps]]:
    """Each --fold's model and its people's maps. Raises Failure (2) for --subjects beside them, or anybody twice."""
    if args.subjects:
        raise Failure("--subjects goes with one model: --fold names its own", Exit.USAGE)
    require_one_test_each(args.fold)
    return [(path, read_data(argparse.Namespace(**vars(args) | {"subjects": tested}))) for path, tested in args.fold]


def require_joints(joints: Path | None, maps: Sequence[Maps]) -> None:
    """Raises Failure (66) where the file is about other maps than these; without one there is nothing to require."""
    if joints and not any(len(each.labelled()) for each in maps):
        raise Failure(
            f"{joints} has joints of none of these maps: give the file that is about them, or leave --joints out",
            Exit.MISSING_INPUT,
        )


def command_line(program: str, argv: Sequence[str]) -> str:
    """The command as one line for provenance, without the folders above file names."""
    return " ".join([program, *(Path(a).name if "/" in a else a for a in argv)])
