"""Whether the computer is fit for months: 64 bit, the right time, room on the disk, enough power."""

import ctypes
import os
import platform
import re
import shutil
import struct
import subprocess
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from edge.doctor.finding import Answer, Check, Level

STATE: Final = Path("/var/lib/edge-run")
EARLIEST_YEAR: Final = 2024
"""A Pi without a battery for its clock wakes up in the past."""
FULL_BYTES, LOW_BYTES = 100_000_000, 1_000_000_000
CLOCK_UNSYNCHRONISED: Final = 5
"""adjtimex(2): TIME_ERROR."""
TIMEX_BYTES: Final = 208
VCGENCMD_S: Final = 5.0
POWER: Final = {
    0: "too little voltage now", 1: "the processor is slowed down now", 2: "throttled now", 3: "too hot now",
    16: "there was too little voltage", 17: "the processor was slowed down", 18: "it was throttled",
    19: "it was too hot",
}  # fmt: skip
"""Bits of `vcgencmd get_throttled` (Raspberry Pi documentation, vcgencmd)."""


def machine_checks(state: Path) -> dict[str, Check]:
    """`state`: the folder that recordings and calibrations go to. These checks do not depend on one another."""
    return {"system": _system, "clock": _clock, "disk": partial(disk, state), "power": power}


def _system() -> Answer:
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        name = platform.system()
    return system(f"{name}, {platform.machine()}, Python {platform.python_version()}", struct.calcsize("P") * 8)


def system(name: str, bits: int) -> Answer:
    if bits == 64:
        return Level.OK, f"{name}, 64 bit"
    return Level.FAILED, f"{name}, {bits} bit: no interpreter for the model exists here: install the 64-bit system"


def _clock() -> Answer:
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    return clock(datetime.now(UTC), None if state < 0 else state != CLOCK_UNSYNCHRONISED)


def clock(now: datetime, synchronised: bool | None) -> Answer:
    """`synchronised`: by a time server, as the kernel knows; None where it does not say."""
    text = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    remedy = "connect the network and run: sudo timedatectl set-ntp true"
    if now.year < EARLIEST_YEAR:
        return Level.FAILED, f"{text} is wrong: {remedy}"
    if synchronised is None:
        return Level.WARNING, f"{text}, the kernel does not say whether by a time server: see timedatectl"
    if not synchronised:
        return Level.WARNING, f"{text}, not synchronised with a time server: {remedy}"
    return Level.OK, f"{text}, synchronised"


def disk(folder: Path) -> Answer:
    """Room where `folder` is, or would be."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    text = f"{free / 1e9:.1f} GB are free at {folder}"
    if free < FULL_BYTES:
        return Level.FAILED, f"{text}: delete old recordings"
    if free < LOW_BYTES:
        return Level.WARNING, f"{text}: recordings will stop soon, delete old ones"
    return Level.OK, text


def state(folder: Path) -> Answer:
    """Whether calibrations can be kept in `folder`, which need not be there yet."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return Level.OK, f"calibrations are kept in {folder}"
    remedy = "give another folder as state_dir, or edge-run --state-dir"
    return Level.WARNING, f"this user may not write into {there}, calibrations end with edge-run: {remedy}"


def power() -> Answer | None:
    """What a Raspberry Pi says of its supply and temperature since it started; None on other machines."""
    program = shutil.which("vcgencmd")
    if program is None:
        return None
    try:
        done = subprocess.run([program, "get_throttled"], capture_output=True, text=True, timeout=VCGENCMD_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Level.WARNING, f"{program} does not answer ({error}): add the user to the group video"
    found = re.fullmatch(r"throttled=0x([0-9a-fA-F]+)\s*", done.stdout)
    if not found:
        said = " ".join((done.stdout + done.stderr).split())
        return Level.WARNING, f"{program} says {said!r}: add the user to the group video"
    bits = int(found[1], 16)
    said = ", ".join(text for bit, text in POWER.items() if bits >> bit & 1)
    if not bits:
        return Level.OK, "enough voltage, never too hot since the start"
    level = Level.FAILED if bits & 0b111 else Level.WARNING
    return level, f"{said}: use the official power supply, a short cable and a cooler"
