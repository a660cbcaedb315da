"""edge-doctor: whether this machine is ready for edge-run, one line a check. Exit code 1 when something is wrong.

Alone it looks at the machine: configurations in /etc/edge-run, interpreter and model, clock, disk, power supply, the
serial ports that are there. With --port or --config it listens to the mats, too, each for some seconds.
A warning names what works, but worse than it could; it leaves the exit code 0.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Final

from serial.tools.list_ports import comports

from edge.config.check import NO_MAT
from edge.config.file import ConfigFile, read_file
from edge.config.read import CONFIG_VARIABLE, Given, Keys, read
from edge.config.settings import DaemonConfig, MatSettings, default_state_dir
from edge.doctor.finding import Answer, Finding, Level, findings
from edge.doctor.listening import Heard, listen
from edge.doctor.machine import STATE, machine_checks, state
from edge.doctor.mat import MEND_FIRMWARE, Mat
from edge.doctor.port import Roots, is_device, port_checks
from edge.doctor.ports import examine_ports
from edge.doctor.software import software_checks
from edge.model import DEFAULT_MODEL, KeypointModel
from firmware_bridge.errors import Exit, Failure, run_command
from firmware_bridge.link import DEFAULT_BAUD, LinkLost
from firmware_bridge.numbers import duration_s
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
        yield from examine_machine(args.model, [port.device for port in sorted(comports())])
        return
    configuration = _Configuration(args.config, args.port, args.baud)
    if args.config:
        yield from findings({"config": configuration.check})
    else:
        configuration.check()
    config = configuration.config
    model = args.model or (config.model if config else DEFAULT_MODEL)
    loads = False
    for finding in _computer(model, config, args.config):
        loads |= finding.check == "model" and finding.level == Level.OK
        yield finding
    package = KeypointModel.from_files(model) if loads else None
    for mat in config.mat if config else ():
        yield from examine_mat(mat, args.listen, package)


def examine_machine(
    model: Path | None,
    devices: Sequence[str],
    roots: Roots = Roots(),  # noqa: B008 - frozen
    environ: Mapping[str, str] = os.environ,
) -> Iterator[Finding]:
    """All that can be known without a mat. Of several configurations the first that is right counts."""
    named = environ.get(CONFIG_VARIABLE)
    files = [Path(named)] if named else sorted((roots.etc / "edge-run").glob("*.toml"))
    configurations = [_Configuration(file, environ=environ) for file in files]
    for configuration in configurations:
        for finding in findings({"config": configuration.check}):
            hint = f"; listen to its mats by: edge-doctor --config {configuration.file}"
            yield replace(finding, text=finding.text + hint) if finding.level == Level.OK else finding
    config = next((configuration.config for configuration in configurations if configuration.config), None)
    yield from _computer(model or (config.model if config else DEFAULT_MODEL), config, next(iter(files), None))
    yield from examine_ports(devices, roots)


def _computer(model: Path, config: DaemonConfig | None, file: Path | None) -> Iterator[Finding]:
    """Each check that does not depend on another is made whatever the others find."""
    yield from findings(software_checks(model))
    for name, check in (machine_checks(_stored_at(config)) | {"state": partial(_state, config, file)}).items():
        yield from findings({name: check})


def _stored_at(config: DaemonConfig | None) -> Path:
    """The service's folder, unless the configuration says another."""
    if config and config.recording.path:
        return config.recording.path
    return config.state_dir if config and "state_dir" in config.model_fields_set else STATE


def _state(config: DaemonConfig | None, file: Path | None) -> Answer | None:
    """The folder that somebody named, or this user's; systemd makes those of services."""
    if config and "state_dir" in config.model_fields_set:
        return state(config.state_dir)
    return None if file else state(default_state_dir())


class _Configuration:
    """What edge-run would take from the file and these options."""

    def __init__(
        self,
        file: Path | None,
        port: str | None = None,
        baud: str | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.config: DaemonConfig | None = None
        self.file, self._port, self._baud, self._environ = file, port, baud, environ

    def check(self) -> Answer:
        options: dict[Keys, Given] = {}
        if self._port is not None:
            options["mat", "port"] = Given([self._port], "--port", Exit.USAGE)
        if self._baud is not None:
            options["mat", "baud"] = Given(self._baud, "--baud", Exit.USAGE)
        self.config = read(read_file(self.file) if self.file else ConfigFile(), self._environ, options)
        if not self.config.mat:
            return Level.FAILED, f"{self.file}: {NO_MAT}"
        mats = ", ".join(f"{mat.name} at {mat.port}" for mat in self.config.mat)
        return Level.OK, f"{self.file}: {mats}; output to {', '.join(self.config.output)}"


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
        for name, check in Mat(heard[0], heard[0].info, mat.baud).checks(model).items():
            yield from findings({name: check})


def _listen(mat: MatSettings, listen_s: float) -> Heard:
    link = open_port(mat.port, mat.baud, mat.dtr)
    try:
        return listen(link, listen_s, mat.corrected)
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
    why = f", {heard.corrupt}" if heard.reasons else ""
    if heard.n_frames:
        remedy = MEND_FIRMWARE if heard.breaks_protocol else "the firmware does not answer GET_INFO"
        return Level.FAILED, f"{heard.n_frames} frames {said}, but no INFO{why}: {remedy}"
    if heard.n_bytes:
        remedy = MEND_FIRMWARE if heard.breaks_protocol else f"is it {baud} baud (--baud)? is it this protocol?"
        return Level.FAILED, f"{heard.n_bytes} bytes {said}, none of them a frame or INFO{why}: {remedy}"
    return Level.FAILED, f"not a byte {said}: is the mat powered, does its firmware run, are RX and TX the right way?"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-doctor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="configuration of edge-run: all of its mats")
    parser.add_argument("--port", metavar="PORT", help="the mat's port, as for edge-run")
    parser.add_argument("--baud", help=f"speed of a serial port (default {DEFAULT_BAUD})")
    parser.add_argument(
        "--listen",
        type=duration_s,
        default=LISTEN_S,
        metavar="S",
        help="for so many seconds (default %(default)g)",
    )
    parser.add_argument(
        "--model", type=Path, metavar="FILE", help=".tflite with its .json beside it (default: the configuration's)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    return parser
