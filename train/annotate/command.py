"""train-annotate: a page on which a person marks 14 joints on a few maps of his own mat, from a model's guess on."""

import argparse
import asyncio
import shlex
import sys
import threading
import webbrowser
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from edge.arguments import add_corrections
from edge.model import DEFAULT_MODEL, KeypointModel
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.numbers import positive
from train.annotate import candidates
from train.annotate.server import ADDRESS, listen, serve
from train.annotate.session import Session, open_session
from train.annotations import CANONICAL, PMD
from train.arguments import add_data_arguments, corrected, corrections, read_data


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    if bool(args.recordings) == (args.data is not None):
        raise Failure("give either recordings (.matlog, or folders of them) or --data DIR", Exit.USAGE)
    if args.data is None and args.joints:
        raise Failure("--joints goes with --data: recordings begin at the model's guess", Exit.USAGE)
    session = _open(args)
    listener = listen(args.port)
    url = f"http://{ADDRESS}:{listener.getsockname()[1]}/"
    _say(f"{len(session.maps)} maps, {session.accepted} of them done: {url} (Ctrl+C ends, nothing gets lost)")
    if not args.no_browser:
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
    asyncio.run(serve(session, listener))
    _say(f"{session.accepted} of {len(session.maps)} maps are done in {args.out}")
    return Exit.OK


def _open(args: argparse.Namespace) -> Session:
    model = KeypointModel.from_files(args.model)

    told, correction = corrections(args), corrected(args)

    def read(keep: Sequence[str]) -> list[candidates.Candidate]:
        if args.data is None:
            return candidates.of_recordings(args.recordings, model.manifest, keep, correction)
        return candidates.of_pmd(read_data(args), args.experiment, model.manifest)

    if args.data is None:
        layout, what = CANONICAL, ["--recordings", *args.recordings, *chain.from_iterable(told.items())]
    else:
        layout, what = PMD[args.experiment], ["--data", args.data, "--experiment", args.experiment]
        if args.experiment == "ii":
            what += ["--mat", args.mat]
        if args.subjects:
            what += ["--subjects", ",".join(map(str, args.subjects))]
    use = shlex.join(map(str, ["train-run", *what, "--joints", args.out, "--out", "runs/mine"]))
    return open_session(args.out, layout, read, model, args.count, use)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="train-annotate", description=__doc__)
    parser.add_argument(
        "recordings",
        type=Path,
        nargs="*",
        metavar="RECORDING",
        help=".matlog of edge-run, or a folder of them",
    )
    add_corrections(parser.add_argument_group("what the mat of the recordings says wrong of itself"))
    add_data_arguments(parser, required=False)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL, metavar="FILE", help="whose guess to begin at")
    parser.add_argument("--count", type=positive, default=20, metavar="N", help="maps to annotate (%(default)s)")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="joints.json: written after every change, and resumed"
    )
    parser.add_argument("--port", type=int, default=8766, help="of the page on this machine (%(default)s)")
    parser.add_argument("--no-browser", action="store_true", help="only print the page's address")
    return parser


def _say(line: str) -> None:
    print(f"train-annotate: {line}", file=sys.stderr, flush=True)
