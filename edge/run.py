"""edge-run: keypoints of whoever lies on a pressure mat, as JSON lines on stdout; logs go to stderr."""

import argparse
import logging
import math
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from serial.tools.list_ports import comports

from edge.daemon import run_live, run_replay
from edge.model import DEFAULT_MODEL, KeypointModel
from edge.output import JsonLines, OutputClosed
from edge.session import Session
from edge.source import PortReader
from firmware_bridge.decoder import Decoder
from firmware_bridge.errors import Exit, Failure, run_command
from firmware_bridge.geometry import Orientation
from firmware_bridge.link import DEFAULT_BAUD, ReopeningLink
from firmware_bridge.recording import RecordingWriter
from firmware_bridge.virtual_mat import open_port

ORIENTATIONS: Final = {
    f"mirrored-{90 * turns}" if mirrored else str(90 * turns): Orientation(turns, mirrored)
    for mirrored in (False, True)
    for turns in range(4)
}
"""How `--orientation` spells them: degrees counter-clockwise, after mirroring the columns."""

EPILOG: Final = """\
exit codes:
   0  end of the recording or of --duration, SIGTERM, SIGINT, or nobody reads stdout any more
   2  wrong usage
  65  the recording is empty or no recording (one that is cut off: 0, with a warning)
  66  the recording, the model or (with --on-disconnect quit) the port is missing
  69  the port is busy (with --on-disconnect quit)
  70  an unexpected error, please report it
  74  the device was lost (with --on-disconnect quit)
  77  no permission for the port for 10 s: the user is not in the group dialout
  78  the model is unreadable or disagrees with its manifest, or (with --on-disconnect quit) does not fit the mat

examples:
  edge-run --port sim: --duration 6
  edge-run --port /dev/serial/by-id/usb-Mat_0001 --record night.matlog
  edge-run --replay night.matlog | jq -c 'select(.type == "pose") | .joints.head'
"""


def cli() -> None:
    sys.exit(run_command("edge-run", main))


def main(arguments: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="edge-run: %(message)s", stream=sys.stderr)
    if args.list_ports:
        return _list_ports()
    _check(args)
    stopping = _stop_on_signals()
    model = KeypointModel.from_files(args.model)
    output = JsonLines()
    try:
        if args.replay:
            _replay(args, model, output, stopping)
        else:
            _live(args, model, output, stopping)
    except OutputClosed:
        pass
    return Exit.OK


def _live(args: argparse.Namespace, model: KeypointModel, output: JsonLines, stopping: Callable[[], bool]) -> None:
    with ExitStack() as stack:
        recorder = stack.enter_context(RecordingWriter(args.record)) if args.record else None
        reader = PortReader(ReopeningLink(partial(open_port, args.port, args.baud)), recorder)
        session = Session(model, args.mat, reader.counts, args.orientation)
        run_live(
            reader,
            session,
            output,
            stopping,
            quit_on_loss=args.on_disconnect == "quit",
            duration_s=args.duration,
        )


def _replay(args: argparse.Namespace, model: KeypointModel, output: JsonLines, stopping: Callable[[], bool]) -> None:
    decoder = Decoder()
    session = Session(model, args.mat, decoder.counts, args.orientation)
    run_replay(
        args.replay,
        decoder,
        session,
        output,
        stopping,
        quit_on_loss=args.on_disconnect == "quit",
        speed=args.speed,
        duration_s=args.duration,
    )


def _check(args: argparse.Namespace) -> None:
    if (args.port is None) == (args.replay is None):
        raise Failure("give either --port or --replay (--list-ports shows the ports of this machine)", Exit.USAGE)
    if args.replay and args.record:
        raise Failure("--record goes with --port, a recording exists already: leave one out", Exit.USAGE)
    if args.port and args.speed != math.inf:
        raise Failure("--speed goes with --replay, a port has its own: leave it out", Exit.USAGE)
    if args.output != "json:-":
        raise Failure(f"--output {args.output} is not known: write json:- (JSON lines on stdout)", Exit.USAGE)


def _list_ports() -> int:
    ports = sorted(comports())
    by_id = {path.resolve(): path for path in Path("/dev/serial/by-id").glob("*")}
    for port in ports:
        print(f"{by_id.get(Path(port.device).resolve(), port.device)}\t{port.device}\t{port.description}")
    if not ports:
        print("edge-run: this machine has no serial port: plug the mat in", file=sys.stderr)
    return Exit.OK


def _stop_on_signals() -> Callable[[], bool]:
    """The first SIGTERM or SIGINT is noted, so that no line is cut in two; the next one ends the process."""
    seen: list[int] = []

    def note(number: int, frame: object) -> None:
        seen.append(number)
        signal.signal(number, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, note)
    signal.signal(signal.SIGINT, note)
    return lambda: bool(seen)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < math.inf:
        raise ValueError
    return seconds


def _speed(text: str) -> float:
    speed = math.inf if text == "max" else float(text)
    if not speed > 0:
        raise ValueError
    return speed


def _orientation(text: str) -> Orientation:
    if text not in ORIENTATIONS:
        raise ValueError
    return ORIENTATIONS[text]


def _parser() -> argparse.ArgumentParser:
    for kind, name in (
        (_seconds, "number of seconds"),
        (_speed, "speed (max, or a number above 0)"),
        (_orientation, f"orientation ({', '.join(ORIENTATIONS)})"),
    ):
        kind.__name__ = name  # argparse says "invalid <name> value"
    parser = argparse.ArgumentParser(
        prog="edge-run", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_argument_group("where frames come from")
    source.add_argument(
        "--port",
        metavar="PORT",
        help="device, /dev/serial/by-id/ path, pyserial URL, or a virtual mat: sim: or sim:?seed=7&rate=10&scene=empty",
    )
    source.add_argument("--baud", type=int, default=DEFAULT_BAUD, help="speed of a serial port (default %(default)s)")
    source.add_argument(
        "--on-disconnect",
        choices=("restart", "quit"),
        default="restart",
        help="wait for a port that is missing, busy or lost (the default), or end with an exit code",
    )
    source.add_argument("--list-ports", action="store_true", help="print the serial ports of this machine and exit")
    source.add_argument("-r", "--replay", type=Path, metavar="FILE", help="play a recording, without losing a frame")
    source.add_argument(
        "--speed",
        type=_speed,
        default=math.inf,
        metavar="1|N|max",
        help="of a replay: as it was made, N times as fast, or as fast as possible (the default)",
    )
    source.add_argument(
        "--orientation",
        type=_orientation,
        metavar="TURN",
        help="degrees counter-clockwise from the mat's frames to head up, seen from above, where the mat itself says"
        f" wrong: {', '.join(ORIENTATIONS)} (columns mirrored first)",
    )
    parser.add_argument(
        "--model", type=Path, default=DEFAULT_MODEL, metavar="FILE", help=".tflite with its .json beside it"
    )
    parser.add_argument("--mat", default="mat", metavar="NAME", help="name in every line (default %(default)s)")
    parser.add_argument("-w", "--record", type=Path, metavar="FILE", help="record all that the mat sends")
    parser.add_argument(
        "-T",
        "--duration",
        type=_seconds,
        default=math.inf,
        metavar="S",
        help="end after so many seconds (in a replay: of the recording)",
    )
    parser.add_argument(
        "-F", "--output", default="json:-", metavar="URI", help="json:- (the default): JSON lines on stdout"
    )
    return parser
