"""The command line of edge-run, and how it becomes, with environment and file, one configuration."""

import argparse
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge import __version__
from edge.config.check import missing
from edge.config.describe import documented_toml
from edge.config.file import ConfigFile, read_file
from edge.config.read import CONFIG_VARIABLE, Given, Keys, examine, read
from edge.config.settings import DaemonConfig
from edge.config.wording import field_at
from edge.manual import DESCRIPTION, WIDTH, epilog
from firmware_bridge.errors import Exit, Failure

OPTIONS: Final[Mapping[str, Keys]] = {
    "--port": ("mat", "port"),
    "--mat": ("mat", "name"),
    "--format": ("mat", "format"),
    "--baud": ("mat", "baud"),
    "--dtr": ("mat", "dtr"),
    "--grid": ("mat", "grid"),
    "--pitch": ("mat", "pitch_cm"),
    "--orientation": ("mat", "orientation"),
    "--on-disconnect": ("on_disconnect",),
    "--model": ("model",),
    "--mirrored-too": ("mirrored_too",),
    "--no-smoothing": ("smoothing", "enabled"),
    "--duration": ("duration_s",),
    "--output": ("output",),
    "--record": ("recording", "path"),
    "--token-file": ("token_file",),
    "--state-dir": ("state_dir",),
}
"""The options that are settings, each with its key in the file."""
CORRECTIONS: Final = {"--grid": "ROWSxCOLS", "--pitch": "CM[xCM]", "--orientation": "TURN"}
"""Of what a mat says of itself."""


@dataclass(frozen=True, slots=True)
class Options:
    """What only a command line says."""

    replay: Path | None
    speed: float
    """Of a replay: inf as fast as possible."""
    list_ports: bool
    """Then the configuration has no mats."""


def parse(
    arguments: Sequence[str] | None = None, environ: Mapping[str, str] | None = None
) -> tuple[Options, DaemonConfig]:
    """The command line, over `environ` (os.environ), over the file that either names.

    A run that is not asked to list ports has at least one mat. Raises Failure: 2 for wrong usage, 66 for a missing
    file, 78 for a wrong one; SystemExit where the answer has been printed (--help, --version, --check-config,
    --print-config) or argparse refused.
    """
    environ = os.environ if environ is None else environ
    args = _parser().parse_args(arguments)
    options = Options(args.replay, math.inf if args.speed is None else args.speed, args.list_ports)
    if args.list_ports:
        return options, DaemonConfig(state_dir=Path())
    given = _given(args)
    _check(args)
    named = args.config or environ.get(CONFIG_VARIABLE)
    if args.check_config:
        raise SystemExit(_checked(Path(named) if named else None, environ, given, args.replay))
    config = read(read_file(Path(named)) if named else ConfigFile(), environ, given, args.replay)
    if args.print_config:
        print(documented_toml(config), end="")
        raise SystemExit(Exit.OK)
    if not config.mat:
        raise Failure("give either --port or --replay (--list-ports shows the ports of this machine)", Exit.USAGE)
    return options, config


def add_corrections(group: Any, **kwargs: Any) -> None:
    """The options CORRECTIONS for another command, explained as edge-run explains them; each a text."""
    for flag, metavar in CORRECTIONS.items():
        group.add_argument(flag, metavar=metavar, help=_escaped(_described(OPTIONS[flag])), **kwargs)


def as_replayed(told: Mapping[str, str | bool], path: Path | None = None) -> DaemonConfig:
    """What edge-run --replay takes from options, by flag, over the file `path`. Raises Failure in its words.

    It has one mat.
    """
    given = {OPTIONS[flag]: Given(value, flag, Exit.USAGE) for flag, value in told.items()}
    file = read_file(path) if path else ConfigFile(settings={"state_dir": os.devnull})  # else users need a home
    return read(file, {}, given, replay=Path("recording"))


def _given(args: argparse.Namespace) -> dict[Keys, Given]:
    values = {flag: getattr(args, ".".join(keys)) for flag, keys in OPTIONS.items()}
    return {OPTIONS[flag]: Given(value, flag, Exit.USAGE) for flag, value in values.items() if value is not None}


def _check(args: argparse.Namespace) -> None:
    if args.replay and getattr(args, "mat.port"):
        raise Failure("give either --port or --replay (--list-ports shows the ports of this machine)", Exit.USAGE)
    if args.replay and getattr(args, "recording.path"):
        raise Failure("--record goes with --port, a recording exists already: leave one out", Exit.USAGE)
    if not args.replay and args.speed is not None:
        raise Failure("--speed goes with --replay, a port has its own: leave it out", Exit.USAGE)


def _checked(path: Path | None, environ: Mapping[str, str], given: Mapping[Keys, Given], replay: Path | None) -> Exit:
    """Prints every problem, one a line, or that there is none."""
    try:
        file = read_file(path) if path else ConfigFile()
    except Failure as failure:
        print(failure)
        return failure.code
    config, problems = examine(file, environ, given, replay)
    lines = [problem.text for problem in problems] if config is None else list(missing(config, file))
    if lines:
        print(*lines, sep="\n")
        return Exit.BAD_CONFIG
    assert config
    mats, outputs = _count(len(config.mat), "mat"), _count(len(config.output), "output")
    print(f"{path or 'the configuration'} is fine: {mats}, {outputs}")
    return Exit.OK


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _speed(text: str) -> float:
    speed = math.inf if text == "max" else float(text)
    if not speed > 0:
        raise ValueError
    return speed


_speed.__name__ = "speed (max, or a number above 0)"  # argparse says "invalid <name> value"


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=24, width=WIDTH)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-run", description=DESCRIPTION, epilog=epilog(), formatter_class=_formatter, allow_abbrev=False
    )
    source = parser.add_argument_group("where frames come from")
    _setting(
        source, "--port", action="append", metavar="[NAME=]DEVICE",
        help="device, /dev/serial/by-id/ path, pyserial URL, or a virtual mat: sim: or"
        " sim:?seed=7&rate=10&scene=empty. Given again for each further mat; mats without a name are called mat, mat2,"
        " mat3. These mats replace the configuration's; NAME=DEVICE keeps the other settings of the mat NAME there, one"
        " DEVICE those of the only one",
    )  # fmt: skip
    _setting(
        source, "--mat", metavar="NAME",
        help="what the only mat is called in every line, topic and file name (default mat), or which of the"
        " configuration's to run or replay",
    )  # fmt: skip
    _setting(source, "--format", metavar="wire")
    _setting(source, "--baud", metavar="N")
    _setting(source, "--dtr", action=argparse.BooleanOptionalAction)
    for flag, metavar in CORRECTIONS.items():
        _setting(source, flag, metavar=metavar)
    _setting(source, "--on-disconnect", metavar="restart|quit")
    source.add_argument("-r", "--replay", type=Path, metavar="FILE", help="play a recording, without losing a frame")
    source.add_argument(
        "--speed",
        type=_speed,
        metavar="1|N|max",
        help="of a replay: as it was made, N times as fast, or as fast as possible (the default)",
    )
    run = parser.add_argument_group("what happens to them")
    _setting(run, "--model", metavar="FILE")
    _setting(run, "--mirrored-too", action="store_true")
    _setting(run, "--no-smoothing", action="store_false", help="joints as the model finds them, frame by frame")
    _setting(run, "-T", "--duration", metavar="S")
    sinks = parser.add_argument_group("where lines and recordings go")
    _setting(
        sinks, "-F", "--output", action="append", metavar="URI",
        help=f"{_described(('output',))} (default json:-). Given again for each further output",
    )  # fmt: skip
    _setting(sinks, "-w", "--record", metavar="PATH")
    _setting(sinks, "--token-file", metavar="FILE")
    _setting(sinks, "--state-dir", metavar="DIR")
    asked = parser.add_argument_group("configuration and questions")
    asked.add_argument("-c", "--config", metavar="FILE", help="TOML with any of these settings, and more")
    asked.add_argument(
        "--check-config", action="store_true", help="say line by line what is wrong with the configuration, and exit"
    )
    asked.add_argument("--print-config", action="store_true", help="print it with every key explained, and exit")
    asked.add_argument("--list-ports", action="store_true", help="print the serial ports of this machine, and exit")
    asked.add_argument("--version", action="version", version=f"%(prog)s {__version__}", help="print it, and exit")
    return parser


def _setting(group: Any, *flags: str, **kwargs: Any) -> None:
    """An option that gives a setting, and is explained as the setting is."""
    keys = OPTIONS[flags[-1]]
    told = kwargs.pop("help", None) or _described(keys)
    group.add_argument(*flags, dest=".".join(keys), default=None, help=_escaped(told), **kwargs)


def _escaped(told: str) -> str:
    """For argparse, which formats helps."""
    return told.replace("%", "%%")


def _described(keys: Keys) -> str:
    field = field_at(keys)
    assert field
    told = field.description or ""
    shown = isinstance(field.default, int | str) and not isinstance(field.default, bool)
    return f"{told} (default {field.default})" if shown else told
