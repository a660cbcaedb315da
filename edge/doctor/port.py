"""Whether a serial port is there, may be opened, is nobody else's and does not wait."""

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from serial.tools.list_ports import comports

from edge.doctor.finding import Answer, Check, Level
from firmware_bridge.errors import Exit, Failure


@dataclass(frozen=True, slots=True)
class Roots:
    """Where the kernel tells of devices and processes, and where configurations are."""

    sys: Path = Path("/sys")
    proc: Path = Path("/proc")
    dev: Path = Path("/dev")
    etc: Path = Path("/etc")


def is_device(port: str) -> bool:
    """Whether `port` is a file of this machine: no URL and no virtual mat."""
    return "://" not in port and not port.startswith("sim:")


def lasting_name(device: str, roots: Roots) -> str:
    """That of udev, where it has given one: it stays when the device is plugged in again."""
    return str(_stable_name(Path(device).resolve(), roots) or device)


def port_checks(port: str, roots: Roots) -> dict[str, Check]:
    """For devices; the last one tells whether it may be opened now."""
    return {
        "port": partial(_port, port, roots),
        "access": partial(_access, port),
        "latency": partial(_latency, port, roots),
        "readers": partial(_readers, port, roots),
    }


def _port(port: str, roots: Roots) -> Answer:
    try:
        mode = os.stat(port).st_mode
    except OSError:
        there = ", ".join(sorted(known.device for known in comports())) or "none"
        raise Failure(
            f"no port {port}: plug the mat in or check the name (there: {there})", Exit.MISSING_INPUT
        ) from None
    if not stat.S_ISCHR(mode):
        raise Failure(f"{port} is no serial port: give a device such as /dev/ttyUSB0", Exit.MISSING_INPUT)
    device = Path(port).resolve()
    text = f"{port}, {_kind(device, roots)}"
    name = _stable_name(device, roots)
    if name and Path(port) == device:
        return Level.WARNING, f"{text}: its name may change when it is plugged in again, use {name}"
    return Level.OK, text


def _kind(device: Path, roots: Roots) -> str:
    """Driver and USB ids, as sysfs has them."""
    if device.parent.name == "pts":
        return "a pseudo-terminal"
    entry = roots.sys / "class" / "tty" / device.name / "device"
    if not (entry / "driver").exists():
        return "driver unknown"
    driver = (entry / "driver").resolve().name
    for folder in (entry.resolve(), *entry.resolve().parents):
        if (folder / "idVendor").is_file():
            vendor, product = ((folder / name).read_text().strip() for name in ("idVendor", "idProduct"))
            return f"driver {driver}, USB {vendor}:{product}"
    return f"driver {driver}"


def _stable_name(device: Path, roots: Roots) -> Path | None:
    names = [*roots.dev.glob("serial/by-id/*"), *roots.dev.glob("pressure-mat-*")]
    return next((name for name in sorted(names, reverse=True) if name.resolve() == device), None)


def _access(port: str) -> Answer:
    if os.access(port, os.R_OK | os.W_OK):
        return Level.OK, f"{_user()} may open it"
    found = os.stat(port)
    group = _group(found.st_gid)
    if found.st_mode & 0o060 != 0o060:
        remedy = "its group may not either: sudo edge-install writes udev rules for that, then plug it in again"
    elif _user() in _members(found.st_gid):
        remedy = f"the group {group} counts from the next login on: log in again"
    else:
        remedy = f"sudo usermod -aG {group} {_user()}, then log in again"
    return Level.FAILED, f"no permission for {_user()} to open {port}: {remedy}"


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user {os.geteuid()}"


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _members(gid: int) -> list[str]:
    try:
        return grp.getgrgid(gid).gr_mem
    except KeyError:
        return []


def _latency(port: str, roots: Roots) -> Answer | None:
    """FTDI chips only: how long they wait for more bytes before they hand over what they have."""
    timer = roots.sys / "class" / "tty" / Path(port).resolve().name / "device" / "latency_timer"
    try:
        latency_ms = int(timer.read_text())
    except (OSError, ValueError):
        return None
    if latency_ms <= 1:
        return Level.OK, f"the FTDI chip waits {latency_ms} ms"
    remedy = f"echo 1 | sudo tee {timer} (edge-install's udev rules do it at every plugging in)"
    return Level.WARNING, f"the FTDI chip holds the end of each frame back for {latency_ms} ms: {remedy}"


def _readers(port: str, roots: Roots) -> Answer:
    readers = list(_open_in(Path(port).resolve(), roots.proc))
    if not readers:
        return Level.OK, "nobody else has it open" + (
            "" if os.geteuid() == 0 else ", of the processes seen without sudo"
        )
    names = " and ".join(f"{name} (process {pid})" for pid, name in readers)
    if [name for _, name in readers] == ["edge-run"]:
        return Level.WARNING, f"{names} has it open: stop it to have the mat listened to"
    verb = "have" if len(readers) > 1 else "has"
    return Level.FAILED, f"{names} {verb} it open, two readers steal bytes from one another: stop all but edge-run"


def _open_in(device: Path, proc: Path) -> Iterator[tuple[int, str]]:
    """Process id and name of every other process that has `device` open, as far as this user can see.

    A process that holds the other side of a pseudo-terminal is the mat, not its reader.
    """
    for process in sorted((p for p in proc.iterdir() if p.name.isdecimal()), key=lambda p: int(p.name)):
        if int(process.name) == os.getpid():
            continue
        try:
            files = {os.readlink(file) for file in (process / "fd").iterdir()}
            name = (process / "comm").read_text().strip()
        except OSError:  # another user's, or it has just ended
            continue
        mat = device.parent.name == "pts" and not files.isdisjoint({"/dev/ptmx", "/dev/pts/ptmx"})
        if str(device) in files and not mat:
            yield int(process.name), name
