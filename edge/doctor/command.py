"""edge-doctor: whether this machine is ready for edge-run, one line a check. Exit code 1 when something is wrong.

Alone it looks at the interpreter and the model; with --port or --config at the machine, the port and the mat, too.
A warning names what works, but worse than it could; it leaves the exit code 0.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from edge.config.file import ConfigFile, read_file
from edge.config.read import Given, Keys, read
from edge.config.settings import DaemonConfig, MatSettings
from edge.doctor.finding import Answer, Finding, Level, findings
from edge.doctor.listening import Heard, listen
from edge.doctor.machine import STATE, machine_checks
from edge.doctor.mat import Mat
from edge.doctor.port import Roots, is_device, port_checks
from edge.doctor.software import software_checks
from edge.model import DEFAULT_MODEL, KeypointModel
from firmware_bridge.errors import Exit, Failure, run_command
from firmware_bridge.link import DEFAULT_BAUD, LinkLost
from firmware_bridge.virtual_mat import open_port

LISTEN_S: Final = 5.0


def cli() -> None:
    sys.exit(run_command("edge-doctor", main))


def main(arguments: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    found = []
    for finding in _all(args):
        found.append(finding)
        if not args.json:
            print(f"{finding.level:8s} {finding.check:8s} {finding.text}", flush=True)
    healthy = all(finding.level != Level.FAILED for finding in found)
    if args.json:
        print(json.dumps({"healthy": healthy, "checks": [asdict(finding) for finding in found]}, indent=1))
    return Exit.OK if healthy else Exit.CHECK_FAILED


def _all(args: argparse.Namespace) -> Iterator[Finding]:
    if args.port is None and args.config is None:
        yield from findings(software_checks(args.model or DEFAULT_MODEL))
        return
    configuration = _Configuration(args)
    if args.config:
        yield from findings({"config": configuration.check})
    else:
        configuration.check()
    config = configuration.config
    model = args.model or (config.model if config else DEFAULT_MODEL)
    loads = False
    for finding in findings(software_checks(model)):
        loads |= finding.check == "model" and finding.level == Level.OK
        yield finding
    for name, check in machine_checks(_stored_at(config)).items():
        yield from findings({name: check})
    package = KeypointModel.from_files(model) if loads else None
    for mat in config.mat if config else ():
        yield from examine_mat(mat, args.listen, package)


def _stored_at(config: DaemonConfig | None) -> Path:
    """The service's folder, unless the configuration says another."""
    if config and config.recording.path:
        return config.recording.path
    return config.state_dir if config and "state_dir" in config.model_fields_set else STATE


class _Configuration:
    """What edge-run would take from the file and these options."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.config: DaemonConfig | None = None
        self._args = args

    def check(self) -> Answer:
        args = self._args
        options: dict[Keys, Given] = {}
        if args.port:
            options["mat", "port"] = Given([args.port], "--port", Exit.USAGE)
        if args.baud:
            options["mat", "baud"] = Given(args.baud, "--baud", Exit.USAGE)
        self.config = read(read_file(args.config) if args.config else ConfigFile(), os.environ, options)
        mats = ", ".join(f"{mat.name} at {mat.port}" for mat in self.config.mat)
        return Level.OK, f"{args.config}: {mats}; output to {', '.join(self.config.output)}"


def examine_mat(
    mat: MatSettings,
    listen_s: float,
    model: KeypointModel | None,
    roots: Roots = Roots(),  # noqa: B008 - frozen
) -> Iterator[Finding]:
    """Its port, then what it sends. Without `model` nothing is said of the head."""
    if is_device(mat.port):
        for finding in findings(port_checks(mat.port, roots)):
            yield finding
        if finding.level == Level.FAILED or (finding.check == "readers" and finding.level != Level.OK):
            return
    heard: list[Heard] = []

    def answer() -> Answer:
        heard.append(_listen(mat, listen_s))
        return _answer(heard[0], mat.baud)

    yield from findings({"answer": answer})
    if heard and heard[0].info:
        for name, check in Mat(heard[0], mat.corrected(heard[0].info), mat.baud).checks(model).items():
            yield from findings({name: check})


def _listen(mat: MatSettings, listen_s: float) -> Heard:
    link = open_port(mat.port, mat.baud, mat.dtr)
    try:
        return listen(link, listen_s)
    except LinkLost as lost:
        raise Failure(str(lost), Exit.DEVICE_LOST) from None
    finally:
        link.close()


def _answer(heard: Heard, baud: int) -> Answer:
    """Who it is that sends."""
    said = f"in {heard.listened_s:g} s"
    if heard.info:
        info = heard.info
        grid = f"{info.rows} x {info.cols} taxels of {info.pitch_y_um / 1e4:g} x {info.pitch_x_um / 1e4:g} cm"
        return Level.OK, f"{info.firmware_name} {info.firmware_version}, {grid}, boot id {info.boot_id:08x}"
    if heard.n_frames:
        return Level.FAILED, f"{heard.n_frames} frames {said}, but no INFO: the firmware does not answer GET_INFO"
    if heard.n_bytes:
        remedy = f"is it {baud} baud (--baud)? is it this protocol?"
        return Level.FAILED, f"{heard.n_bytes} bytes {said}, none of them a frame or INFO: {remedy}"
    return Level.FAILED, f"not a byte {said}: is the mat powered, does its firmware run, are RX and TX the right way?"


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise ValueError
    return seconds


def _parser() -> argparse.ArgumentParser:
    _seconds.__name__ = "number of seconds"  # argparse says "invalid <name> value"
    parser = argparse.ArgumentParser(
        prog="edge-doctor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="configuration of edge-run: all of its mats")
    parser.add_argument("--port", metavar="PORT", help="the mat's port, as for edge-run")
    parser.add_argument("--baud", help=f"speed of a serial port (default {DEFAULT_BAUD})")
    parser.add_argument(
        "--listen", type=_seconds, default=LISTEN_S, metavar="S", help="for so many seconds (default %(default)g)"
    )
    parser.add_argument(
        "--model", type=Path, metavar="FILE", help=".tflite with its .json beside it (default: the configuration's)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    return parser
