"""What a check answers, and how checks follow one another."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from firmware_bridge.errors import Failure


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "FAILED"


Answer = tuple[Level, str]
Check = Callable[[], Answer | None]
"""None where there is nothing to check. Raises Failure for Level.FAILED."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer of one check."""

    check: str
    level: Level
    text: str


def findings(checks: Mapping[str, Check]) -> Iterator[Finding]:
    """Each as soon as there is one; what cannot work after a failure is not tried."""
    for name, check in checks.items():
        try:
            answer = check()
        except Failure as failure:
            answer = Level.FAILED, str(failure)
        if answer:
            level, text = answer
            yield Finding(name, level, text)
            if level == Level.FAILED:
                return
