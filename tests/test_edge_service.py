"""The systemd unit and the udev rules, judged by the real systemd-analyze and the real udev."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.config.file import read_file
from edge.config.read import read
from edge.install import CONFIG, RULES, UNIT, main
from firmware_bridge.errors import Exit

PRETEND = 'KERNEL=="ttyS0", ENV{{ID_VENDOR_ID}}="{vendor}", ENV{{ID_SERIAL_SHORT}}="{serial}", {more}\n'
IN_A_DEV_OF_ITS_OWN = """
mount -t tmpfs none /run && mount -t tmpfs none /dev && mkdir -p /run/udev/rules.d || exit 42
mknod -m 666 /dev/null c 1 3 && mknod -m 600 /dev/ttyS0 c 4 64 || exit 42
cp "$@" /run/udev/rules.d/
udevadm test --action=add /sys/class/tty/ttyS0
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An installed system, whose edge-run is a real file."""
    program = tmp_path / "edge-run"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert main(["--root", str(tmp_path / "root"), "--edge-run", str(program)]) == Exit.OK
    return tmp_path / "root"


@pytest.fixture
def service(root: Path) -> dict[str, str]:
    """Settings of [Service]; of a repeated one the last."""
    section = (root / UNIT).read_text().partition("[Service]")[2].partition("[Install]")[0]
    lines = [line for line in section.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze on this machine")
    return subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True, text=True)


def test_systemd_analyze_verify_prints_nothing(root: Path) -> None:
    done = analyze("verify", "--man=no", root / UNIT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_analyze_verify_would_see_a_mistake(root: Path) -> None:
    """So that printing nothing says something."""
    (root / UNIT).write_text((root / UNIT).read_text().replace("DynamicUser=", "DynamicUsr="))
    assert "DynamicUsr" in analyze("verify", "--man=no", root / UNIT).stderr


def test_the_unit_says_what_the_design_says(service: dict[str, str], root: Path) -> None:
    expected = {
        "Type": "notify",
        "Restart": "always",
        "RestartSec": "5",
        "RestartPreventExitStatus": "2 66 77 78",
        "DynamicUser": "yes",
        "StateDirectory": "edge-run/%i",
        "SupplementaryGroups": "dialout",
        "EnvironmentFile": "-/etc/edge-run/%i.env",
    }
    assert {key: service[key] for key in expected} == expected
    assert int(service["WatchdogSec"]) > 0
    assert "\nStartLimitIntervalSec=0\n" in (root / UNIT).read_text().partition("[Service]")[0]


def test_exit_codes_that_no_restart_mends_are_those_of_the_project(service: dict[str, str]) -> None:
    codes = {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert codes == {Exit.USAGE, Exit.MISSING_INPUT, Exit.PERMISSION, Exit.BAD_CONFIG}


def test_hardening_leaves_the_serial_port_and_the_network(service: dict[str, str]) -> None:
    """Each of these hides the port, also ProtectClock= by its DeviceAllow=; ProcSubset= hides what XNNPACK reads."""
    hiding = {"PrivateDevices", "DevicePolicy", "DeviceAllow", "ProtectClock", "PrivateNetwork", "ProcSubset"}
    assert hiding.isdisjoint(service)
    assert {"AF_UNIX", "AF_INET", "AF_INET6"} <= set(service["RestrictAddressFamilies"].split())


def test_its_exposure_is_what_systemd_calls_ok(root: Path) -> None:
    done = analyze("security", "--offline=yes", "--threshold=30", "--no-pager", root / UNIT)
    assert done.returncode == 0, done.stdout
    found = re.search(r"Overall exposure level for edge-run@\S*: ([\d.]+) OK", done.stdout)
    assert found
    assert float(found[1]) < 3


def test_it_runs_without_any_privilege(root: Path) -> None:
    done = analyze("security", "--offline=yes", "--json=short", root / UNIT)
    open_doors = [str(line["name"]) for line in json.loads(done.stdout) if line["exposure"] and not line["set"]]
    assert not [name for name in open_doors if name.startswith("CapabilityBoundingSet=")]


def test_the_first_configuration_is_valid_and_names_its_port_only(root: Path) -> None:
    config = read(read_file(root / CONFIG), {"STATE_DIRECTORY": "/var/lib/edge-run/bed"}, {})
    assert [mat.name for mat in config.mat] == ["bed"]
    assert "json:-" not in config.output, "the service throws stdout away"


@pytest.fixture
def udev(root: Path, tmp_path: Path) -> "Udev":
    reason = None
    if os.geteuid() != 0 or not shutil.which("udevadm") or not shutil.which("unshare"):
        reason = "udevadm test needs root, udevadm and unshare"
    elif not Path("/sys/class/tty/ttyS0").exists():
        reason = "no ttyS0 on this machine"
    if reason:
        pytest.skip(reason)
    return Udev(root / RULES, tmp_path)


class Udev:
    """The machine's own udev, shown ttyS0 as if it were a USB adapter, in a /dev and a /run of its own."""

    def __init__(self, rules: Path, folder: Path) -> None:
        self._rules, self._folder = rules, folder

    def links(self, vendor: str, serial: str, more: str = 'ENV{ID_USB_INTERFACE_NUM}="00"') -> tuple[set[str], str]:
        """Names that ttyS0 gets, and all that was printed."""
        pretended = self._folder / "65-pretend.rules"
        pretended.write_text(PRETEND.format(vendor=vendor, serial=serial, more=more))
        command = ["unshare", "-m", "sh", "-c", IN_A_DEV_OF_ITS_OWN, "sh", str(pretended), str(self._rules)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 42:
            pytest.skip(f"no mount namespace: {done.stderr}")
        found = re.search(r"^DEVLINKS=(.*)$", done.stdout, re.MULTILINE)
        return set(found[1].split() if found else ()), done.stdout + done.stderr


@pytest.mark.parametrize("vendor", ["0403", "10c4", "1a86", "2e8a", "303a", "16c0", "2341"])
def test_the_chips_of_mats_get_a_stable_name(udev: Udev, vendor: str) -> None:
    links, printed = udev.links(vendor, "A50285BI")
    assert links == {"/dev/pressure-mat-A50285BI"}
    assert "70-pressure-mat.rules:" not in "".join(
        line for line in printed.splitlines(True) if re.search("invalid|unknown|failed", line, re.IGNORECASE)
    )
    assert re.search(r"CURRENT_TAGS=.*:systemd:", printed)


def test_a_second_interface_and_a_chip_without_serial_number_have_names_of_their_own(udev: Udev) -> None:
    assert udev.links("0403", "A50285BI", 'ENV{ID_USB_INTERFACE_NUM}="01"')[0] == {"/dev/pressure-mat-A50285BI-if01"}
    more = 'ENV{ID_USB_INTERFACE_NUM}="00", ENV{ID_PATH_TAG}="platform-xhci-hcd_0-usb-0_1_1_0"'
    assert udev.links("1a86", "", more)[0] == {"/dev/pressure-mat-platform-xhci-hcd_0-usb-0_1_1_0"}


def test_other_serial_ports_keep_their_names(udev: Udev) -> None:
    assert udev.links("046d", "A50285BI")[0] == set()


def test_a_mistake_in_the_rules_would_be_seen(udev: Udev, root: Path) -> None:
    (root / RULES).write_text((root / RULES).read_text().replace('SUBSYSTEM!="tty"', 'SUBSISTEM!="tty"'))
    assert re.search(r"70-pressure-mat.rules:\d+ Invalid key", udev.links("0403", "A50285BI")[1])


def test_ftdi_hands_bytes_over_after_1_ms(root: Path) -> None:
    rules = [line for line in (root / RULES).read_text().splitlines() if "latency_timer" in line]
    assert rules == ['SUBSYSTEM=="usb-serial", DRIVER=="ftdi_sio", ATTR{latency_timer}="1"']


def test_udevadm_verify_finds_nothing(root: Path) -> None:
    """From systemd 254 on (Raspberry Pi OS trixie has 257, bookworm 252)."""
    program = shutil.which("udevadm")
    version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout if program else "0"
    if int(re.match(r"\d+", version)[0]) < 254:  # type: ignore[index]
        pytest.skip(f"udevadm {version.strip()} has no verify")
    done = subprocess.run(["udevadm", "verify", str(root / RULES)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
