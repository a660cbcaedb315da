"""What the sequence numbers of one message type say about what was lost."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

OLDEST_REPEAT: Final = 16
"""A sequence number at most so far back, and no younger by its time, is one that came before."""


class Step(Enum):
    """Sequence numbers that do not continue what came before."""

    FIRST = "nothing is known of what came before"
    REPEATED = "it came before"
    RESTARTED = "it went back: the device restarted, and what was lost is unknown"


@dataclass(slots=True)
class Sequence:
    """Follows a u16 that counts up by one and wraps."""

    last: int | None = None
    last_t_us: int = 0
    before_gap: int | None = None
    """The last number before the link was interrupted, until INFO tells whether the device rebooted."""
    after_gap: int | None = None

    def step(self, seq: int, t_us: int) -> int | Step:
        """The number of messages lost just before this one, or why that is not known."""
        last, last_t_us = self.last, self.last_t_us
        ahead = 1 if last is None else (seq - last) & 0xFFFF
        behind = -ahead & 0xFFFF
        if last is not None and behind <= OLDEST_REPEAT and (last_t_us - t_us) & 0xFFFFFFFF < 1 << 31:
            return Step.REPEATED
        self.last, self.last_t_us = seq, t_us
        if last is None:
            self.after_gap = seq
            return Step.FIRST
        return ahead - 1 if 0 < ahead < 1 << 15 else Step.RESTARTED

    def boot(self, witnessed: bool) -> None:
        """The device rebooted; where its first message was seen, numbers start at 0, else anywhere."""
        self.last, self.before_gap, self.last_t_us = -1 if witnessed else None, None, 0

    def interrupted(self) -> bool:
        """The link was lost. True if an earlier gap is still open: it will never be known."""
        unsettled = self.before_gap is not None and self.last is not None
        if self.last is not None:
            self.before_gap, self.last = self.last, None
        return unsettled

    def settle(self) -> int:
        """It is the same boot as before the interruption: how many messages were lost in between."""
        before, self.before_gap = self.before_gap, None
        if before is None:
            return 0
        if self.last is None:
            self.last = before
            return 0
        assert self.after_gap is not None
        if (before - self.after_gap) & 0xFFFF <= OLDEST_REPEAT:
            return 0  # a frame from before the link was lost came again
        return (self.after_gap - before - 1) & 0xFFFF
