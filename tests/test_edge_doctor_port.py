"""Checks of a port before it is opened: real ptys and processes, and trees that stand for /sys and /dev."""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.doctor.finding import Finding, Level, findings
from edge.doctor.port import Roots, is_device, port_checks
from firmware_bridge.link import SerialLink

NOBODY = 65534


@pytest.fixture
def pty() -> Iterator[str]:
    """A pseudo-terminal whose slave this process holds, too: it is not its own second reader."""
    master, slave = os.openpty()
    yield os.ttyname(slave)
    os.close(slave)
    os.close(master)


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    """A machine with an FTDI adapter ttyUSB0 on USB; /proc is the real one."""
    usb = tmp_path / "sys" / "devices" / "usb1" / "1-1"
    entry = usb / "1-1:1.0" / "ttyUSB0"
    driver = tmp_path / "sys" / "bus" / "usb-serial" / "drivers" / "ftdi_sio"
    for folder in (entry, driver, tmp_path / "sys" / "class" / "tty" / "ttyUSB0", tmp_path / "dev/serial/by-id"):
        folder.mkdir(parents=True)
    (usb / "idVendor").write_text("0403\n")
    (usb / "idProduct").write_text("6001\n")
    (entry / "latency_timer").write_text("16\n")
    (entry / "driver").symlink_to(driver)
    (tmp_path / "sys" / "class" / "tty" / "ttyUSB0" / "device").symlink_to(entry)
    return Roots(sys=tmp_path / "sys", dev=tmp_path / "dev")


def look(port: object, roots: Roots = Roots()) -> dict[str, Finding]:  # noqa: B008 - frozen
    return {finding.check: finding for finding in findings(port_checks(str(port), roots))}


def ftdi(roots: Roots, pty: str) -> Path:
    """A device ttyUSB0, under which sysfs knows it; a hard link is impossible, so a node of the pty's number."""
    device = roots.dev / "ttyUSB0"
    if os.geteuid() != 0:
        pytest.skip("making a device needs root")
    os.mknod(device, os.stat(pty).st_mode, os.stat(pty).st_rdev)
    return device


def test_a_free_port_passes_every_check(pty: str) -> None:
    found = look(pty)
    assert [(finding.check, finding.level) for finding in found.values()] == [
        ("port", Level.OK),
        ("access", Level.OK),
        ("readers", Level.OK),
    ]
    assert found["port"].text == f"{pty}, a pseudo-terminal"


@pytest.mark.parametrize(("name", "said"), [("none", "no port .*: plug the mat in"), ("file", "is no serial port")])
def test_what_is_no_port_fails_and_nothing_else_is_tried(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "file").touch()
    (finding,) = look(tmp_path / name).values()
    assert finding.level == Level.FAILED
    assert re.search(said, finding.text)


def test_driver_and_usb_ids_are_named(roots: Roots, pty: str) -> None:
    found = look(ftdi(roots, pty), roots)
    assert found["port"].level == Level.OK
    assert found["port"].text.endswith("ttyUSB0, driver ftdi_sio, USB 0403:6001")


def test_a_name_that_may_change_is_warned_of_where_a_lasting_one_exists(roots: Roots, pty: str) -> None:
    device = ftdi(roots, pty)
    lasting = roots.dev / "serial/by-id/usb-FTDI_A50285BI-if00-port0"
    lasting.symlink_to("../../ttyUSB0")
    warned = look(device, roots)["port"]
    assert warned.level == Level.WARNING
    assert f"use {lasting}" in warned.text
    assert look(lasting, roots)["port"].level == Level.OK


def test_an_ftdi_chip_that_holds_bytes_back_is_a_warning_with_the_command(roots: Roots, pty: str) -> None:
    device = ftdi(roots, pty)
    timer = roots.sys / "class/tty/ttyUSB0/device/latency_timer"
    slow = look(device, roots)["latency"]
    assert slow.level == Level.WARNING
    assert f"for 16 ms: echo 1 | sudo tee {timer}" in slow.text
    timer.write_text("1\n")
    assert look(device, roots)["latency"].level == Level.OK


def child_as_nobody(port: str) -> list[str]:
    program = textwrap.dedent("""
        import os, sys
        from edge.doctor.finding import findings
        from edge.doctor.port import Roots, port_checks
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        for finding in findings(port_checks(sys.argv[1], Roots())):
            print(finding.level, finding.check, finding.text)
    """)
    command = [sys.executable, "-c", program, port]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_without_permission_it_says_the_command(pty: str) -> None:
    """As another user; the port belongs to root and the group dialout, as udev makes it."""
    if os.geteuid() != 0:
        pytest.skip("giving a port away needs root")
    os.chown(pty, 0, 20)
    os.chmod(pty, 0o660)
    *_, last = child_as_nobody(pty)
    remedy = "sudo usermod -aG dialout nobody, then log in again"
    assert last == f"FAILED access no permission for nobody to open {pty}: {remedy}"


def test_a_port_that_no_group_may_open_wants_the_udev_rules(pty: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("giving a port away needs root")
    os.chmod(pty, 0o600)
    *_, last = child_as_nobody(pty)
    assert last.startswith("FAILED access ")
    assert "sudo edge-install" in last


class Reader:
    """Another process that has a port open, under a name of its choice."""

    def __init__(self, port: str, name: str = "cat") -> None:
        program = "import sys, time; open('/proc/self/comm', 'w').write(sys.argv[2]); f = open(sys.argv[1], 'rb', 0)\n"
        program += "print(flush=True); time.sleep(600)"
        self.process = subprocess.Popen([sys.executable, "-c", program, port, name], stdout=subprocess.PIPE)
        assert self.process.stdout
        self.process.stdout.readline()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()


def test_a_second_reader_fails_by_name_and_number(pty: str) -> None:
    with Reader(pty, "minicom") as reader:
        found = look(pty)["readers"]
    assert found.level == Level.FAILED
    assert found.text.startswith(f"minicom (process {reader.process.pid}) has it open, two readers steal bytes")
    assert look(pty)["readers"].level == Level.OK


def test_a_daemon_that_reads_the_port_is_a_warning_and_two_of_them_fail(pty: str) -> None:
    with Reader(pty, "edge-run"):
        found = look(pty)["readers"]
        assert found.level == Level.WARNING
        assert "stop it to have the mat listened to" in found.text
        with Reader(pty, "edge-run"):
            assert look(pty)["readers"].level == Level.FAILED


def test_the_process_behind_a_virtual_port_is_its_mat_and_no_reader(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "firmware_bridge.bridge_sim", "--link", tmp_path / "mat"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as mat:
        assert mat.stderr
        mat.stderr.readline()
        assert look(tmp_path / "mat")["readers"].level == Level.OK
        mat.kill()


def test_urls_and_virtual_mats_are_no_devices() -> None:
    assert [is_device(port) for port in ("sim:", "sim:?seed=1", "socket://h:1", "/dev/ttyUSB0", "COM3")] == [
        False, False, False, True, True,
    ]  # fmt: skip


def test_looking_leaves_the_port_to_its_owner(pty: str) -> None:
    link = SerialLink(pty)
    look(pty)
    link.write(b"still mine")
    link.close()
