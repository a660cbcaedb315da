"""edge-install: the systemd unit, the udev rules and a first configuration, written to where the system looks for them.

What it wrote before and nobody changed is brought up to date; what somebody changed is left alone without --force.
A configuration that exists is never touched.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from firmware_bridge.errors import Exit, Failure, run_command

SERVICE: Final = Path(__file__).parent / "service"
UNIT: Final = "etc/systemd/system/edge-run@.service"
RULES: Final = "etc/udev/rules.d/70-pressure-mat.rules"
CONFIG: Final = "etc/edge-run/bed.toml"
PROGRAM: Final = "/usr/local/bin/edge-run"
"""What the unit starts, until edge-install puts in where edge-run is."""
HIDDEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")
"""Where the service does not look: ProtectHome= and PrivateTmp=."""
STAMP: Final = "# edge-install wrote this; sha256 of the lines below: "

NEXT: Final = """\
next:
  sudo systemctl daemon-reload
  sudo udevadm control --reload && sudo udevadm trigger --subsystem-match=tty --subsystem-match=usb-serial
  edge-run --list-ports          # the name of the port, for /etc/edge-run/bed.toml
  sudo systemctl enable --now edge-run@bed"""


@dataclass(frozen=True, slots=True)
class Installed:
    """One file, under the root."""

    path: str
    text: str
    config: bool = False
    """The user's from the first day on."""


def cli() -> None:
    sys.exit(run_command("edge-install", main))


def main(arguments: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    files = list(service_files(_program(args.edge_run)))
    if args.print:
        print("\n".join(f"# /{file.path}\n{file.text}" for file in files), end="")
        return Exit.OK
    changed = []
    for file in files:
        path = args.root / file.path
        try:
            done = install(file, path, force=args.force)
        except OSError as error:
            raise Failure(f"cannot write {path}: {error.strerror}: run it with sudo", Exit.PERMISSION) from None
        print(f"{done:10s} {path}")
        changed += [str(path)] if done == "changed" else []
    if changed:
        remedy = "move what you changed to a file of your own (systemctl edit), or write over it by --force"
        raise Failure(f"{', '.join(changed)}: changed by somebody, left alone: {remedy}", Exit.CHECK_FAILED)
    if args.root == Path("/"):
        print(NEXT)
    return Exit.OK


def service_files(program: str) -> Iterator[Installed]:
    """All files, for an edge-run at the absolute path `program`."""
    unit = (SERVICE / "edge-run@.service").read_text().replace(PROGRAM, program)
    yield Installed(UNIT, _stamped(unit))
    yield Installed(RULES, _stamped((SERVICE / "70-pressure-mat.rules").read_text()))
    yield Installed(CONFIG, (SERVICE / "bed.toml").read_text(), config=True)


def install(file: Installed, path: Path, *, force: bool = False) -> str:
    """`wrote`, `unchanged`, `kept` (a configuration that was there), or `changed`: by somebody, and left alone.

    Raises OSError.
    """
    if path.is_symlink() or path.exists():
        if file.config:
            return "kept"
        found = path.read_text(errors="replace")
        if found == file.text:
            return "unchanged"
        if not force and not _is_ours(found):
            return "changed"
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(file.text)
    new.chmod(0o644)
    new.replace(path)
    return "wrote"


def _stamped(text: str) -> str:
    return f"{STAMP}{_digest(text)}\n{text}"


def _is_ours(found: str) -> bool:
    stamp, _, text = found.partition("\n")
    return stamp == STAMP + _digest(text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _program(given: Path | None) -> str:
    program = Path(sys.executable).with_name("edge-run") if given is None else given
    if not program.is_absolute() or not program.is_file() or any(c.isspace() or c in "%$\"'\\;" for c in str(program)):
        raise Failure(f"no edge-run at {program}: give its absolute path by --edge-run", Exit.MISSING_INPUT)
    if given is None and any(program.is_relative_to(folder) for folder in HIDDEN):
        remedy = "install to /opt/pipx as docs/install.md says, or give the path by --edge-run"
        raise Failure(f"{program} is where a system service cannot look: {remedy}", Exit.USAGE)
    return str(program)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-install", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--print", action="store_true", help="print the files instead of writing them")
    parser.add_argument("--force", action="store_true", help="write over files that somebody changed")
    parser.add_argument("--root", type=Path, default=Path("/"), metavar="DIR", help="write below DIR (default /)")
    parser.add_argument(
        "--edge-run", type=Path, metavar="FILE", help="what the service starts (default: edge-run beside this command)"
    )
    return parser


if __name__ == "__main__":
    cli()
