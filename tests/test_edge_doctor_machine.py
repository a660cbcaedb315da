"""Checks of the computer: its bits, clock, disk and power supply."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.doctor.finding import Level
from edge.doctor.machine import clock, disk, machine_checks, power, state, system

NOBODY = 65534
NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


def test_every_check_answers_on_this_machine(tmp_path: Path) -> None:
    answers = {name: check() for name, check in machine_checks(tmp_path).items()}
    assert list(answers) == ["system", "clock", "disk", "power"]
    assert answers["system"]
    assert answers["system"][0] == Level.OK
    assert f"Python {sys.version_info.major}.{sys.version_info.minor}." in answers["system"][1]
    assert answers["clock"]
    assert answers["clock"][0] != Level.FAILED
    assert f"{datetime.now(UTC).year}-" in answers["clock"][1]


def test_32_bits_fail() -> None:
    level, text = system("Raspbian GNU/Linux 12 (bookworm), armv7l, Python 3.11.2", 32)
    assert level == Level.FAILED
    assert "install the 64-bit system" in text


@pytest.mark.parametrize(
    ("now", "synchronised", "level", "said"),
    [
        (NOW, True, Level.OK, "2026-05-04 03:02:01 UTC, synchronised"),
        (
            NOW,
            False,
            Level.WARNING,
            "not synchronised with a time server: connect the network and run: sudo timedatect",
        ),
        (NOW, None, Level.WARNING, "the kernel does not say"),
        (NOW.replace(year=2023), False, Level.FAILED, "2023-05-04 03:02:01 UTC is wrong: connect the network"),
        (datetime(1970, 1, 1, tzinfo=UTC), True, Level.FAILED, "1970-01-01 00:00:00 UTC is wrong"),
    ],
)
def test_a_clock_is_right_set_by_nobody_or_of_the_past(
    now: datetime, synchronised: bool | None, level: Level, said: str
) -> None:
    found, text = clock(now, synchronised)
    assert found == level
    assert said in text


def test_a_folder_that_is_yet_to_be_made_has_the_room_of_the_one_above_it(tmp_path: Path) -> None:
    level, text = disk(tmp_path / "not" / "yet")
    assert level in (Level.OK, Level.WARNING)
    assert text.partition(" GB")[0] == disk(tmp_path)[1].partition(" GB")[0]


def test_a_state_directory_is_one_that_can_be_made(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    assert state(folder) == (Level.OK, f"calibrations are kept in {folder}")
    assert not folder.exists()
    (tmp_path / "file").touch()
    level, text = state(tmp_path / "file" / "edge-run")
    assert level == Level.WARNING
    assert f"may not write into {tmp_path / 'file'}" in text


def test_a_state_directory_of_somebody_else_is_a_warning(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("becoming nobody needs root")
    program = (
        "import os, sys; from pathlib import Path; from edge.doctor.machine import state;"
        " os.setgroups([]); os.setuid(int(sys.argv[1])); print(*state(Path('/etc/edge-run-state')))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(NOBODY)], capture_output=True, text=True)
    assert done.stdout.startswith("warning this user may not write into /etc, "), done.stderr


@pytest.mark.parametrize(("size", "level"), [("1m", Level.FAILED), ("500m", Level.WARNING), ("2000m", Level.OK)])
def test_a_disk_that_is_nearly_full_is_named(tmp_path: Path, size: str, level: Level) -> None:
    """A tmpfs of that size, seen by this test alone."""
    program = (
        "import sys; from pathlib import Path; from edge.doctor.machine import disk; print(*disk(Path(sys.argv[1])))"
    )
    shell = f'mount -t tmpfs -o size={size} none "$1" || exit 42; exec "$2" -c "$3" "$1"'
    command = ["unshare", "-m", "sh", "-c", shell, "sh", tmp_path, sys.executable, program]
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 42:
        pytest.skip(f"no mount namespace: {done.stderr}")
    assert done.stdout.startswith(f"{level} "), done.stderr
    assert ("delete" in done.stdout) == (level != Level.OK)


@pytest.mark.parametrize(
    ("script", "level", "said"),
    [
        ("echo throttled=0x0", Level.OK, "enough voltage"),
        ("echo throttled=0x50000", Level.WARNING, "there was too little voltage, it was throttled: use the official"),
        ("echo throttled=0x50005", Level.FAILED, "too little voltage now, throttled now, there was"),
        ("echo throttled=0x80008", Level.WARNING, "too hot now, it was too hot"),
        ("echo VCHI initialization failed >&2; exit 255", Level.WARNING, "'VCHI initialization failed': add the user"),
    ],
)
def test_a_pi_that_starves_or_overheats_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, level: Level, said: str
) -> None:
    program = tmp_path / "vcgencmd"
    program.write_text(f'#!/bin/sh\n[ "$*" = get_throttled ] || exit 1\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    answer = power()
    assert answer is not None
    assert answer[0] == level
    assert said in answer[1]


def test_a_machine_that_is_no_pi_says_nothing_of_its_power(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert power() is None
