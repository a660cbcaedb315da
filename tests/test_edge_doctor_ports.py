"""Serial ports that are there while nobody has named one: real ptys, and trees that stand for /sys and /dev."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.doctor.finding import Finding, Level
from edge.doctor.port import Roots
from edge.doctor.ports import examine_ports


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    (tmp_path / "dev/serial/by-id").mkdir(parents=True)
    return Roots(sys=tmp_path / "sys", dev=tmp_path / "dev")


@pytest.fixture
def ptys() -> Iterator[list[str]]:
    pairs = [os.openpty() for _ in range(2)]
    yield [os.ttyname(slave) for _, slave in pairs]
    for end in (end for pair in pairs for end in pair):
        os.close(end)


def look(devices: list[str], roots: Roots) -> list[Finding]:
    return list(examine_ports(devices, roots))


def test_the_only_port_is_looked_at_and_the_next_step_named(roots: Roots, ptys: list[str]) -> None:
    found = look(ptys[:1], roots)
    assert [(finding.check, finding.level) for finding in found] == [
        ("port", Level.OK),
        ("access", Level.OK),
        ("readers", Level.OK),
        ("ports", Level.OK),
    ]
    assert found[-1].text.endswith(f"edge-doctor --port {ptys[0]}")


def test_a_port_goes_by_the_name_that_lasts(roots: Roots, ptys: list[str]) -> None:
    lasting = roots.dev / "serial/by-id/usb-FTDI_A50285BI-if00-port0"
    lasting.symlink_to(ptys[0])
    found = look(ptys[:1], roots)
    assert (found[0].level, found[0].text) == (Level.OK, f"{lasting}, a pseudo-terminal")
    assert found[-1].text.endswith(f"edge-doctor --port {lasting}")


def test_what_an_ftdi_chip_holds_back_is_read_without_opening_it(roots: Roots, ptys: list[str]) -> None:
    entry = roots.sys / "class" / "tty" / Path(ptys[0]).name / "device"
    entry.mkdir(parents=True)
    (entry / "latency_timer").write_text("16\n")
    latency = next(finding for finding in look(ptys[:1], roots) if finding.check == "latency")
    assert latency.level == Level.WARNING
    assert "for 16 ms" in latency.text


def test_each_of_several_ports_is_looked_at(roots: Roots, ptys: list[str]) -> None:
    found = look(ptys, roots)
    assert [finding.check for finding in found] == ["port", "access", "readers"] * 2 + ["ports"]
    assert found[-1].text.startswith("2 are there")


def test_a_port_that_may_be_no_mats_fails_nothing(roots: Roots) -> None:
    warned, step = look([str(roots.dev / "gone")], roots)
    assert (warned.check, warned.level) == ("port", Level.WARNING)
    assert step.level == Level.OK
