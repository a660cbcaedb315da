"""The serial ports that are there, while nobody has said at which of them a mat is."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from edge.doctor.finding import Answer, Finding, Level, findings
from edge.doctor.port import Roots, lasting_name, port_checks


def examine_ports(devices: Sequence[str], roots: Roots = Roots()) -> Iterator[Finding]:  # noqa: B008 - frozen
    """What can be known of each without opening it, and what to do next. A port that may be no mat's fails nothing."""
    names = [lasting_name(device, roots) for device in devices]
    for name in names:
        for finding in findings(port_checks(name, roots)):
            yield replace(finding, level=Level.WARNING) if finding.level == Level.FAILED else finding
    level, text = _next(names)
    yield Finding("ports", level, text)


def _next(names: Sequence[str]) -> Answer:
    match names:
        case []:
            return Level.WARNING, "no serial port is there: plug the mat in"
        case [name]:
            return Level.OK, f"one is there, look at its mat by: edge-doctor --port {name}"
    return Level.OK, f"{len(names)} are there, look at the mat at one of them by: edge-doctor --port NAME"
