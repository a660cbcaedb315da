"""Some seconds of what a mat sends."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from firmware_bridge.decoder import NOT_INTACT, Corrupt, Decoder, Frame, Part
from firmware_bridge.encoder import encode
from firmware_bridge.events import StreamCounts
from firmware_bridge.link import Link
from firmware_bridge.messages import GetInfo, Info

MOST_FRAMES: Final = 128
"""Kept to be looked at; all are counted."""
READ_S: Final = 0.2
ASK_INFO_EVERY_S: Final = 1.0


@dataclass(slots=True)
class Heard:
    """What came, and how much of it."""

    listened_s: float
    n_bytes: int = 0
    n_frames: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    """When the first and the last frame had come."""
    info: Info | None = None
    frames: list[tuple[float, Frame]] = field(default_factory=list)
    """The first MOST_FRAMES, each with the time when it had come."""
    counts: StreamCounts = field(default_factory=StreamCounts)
    n_parts: int = 0
    """Chunks that completed no frame."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Why messages were corrupt, and how many for each reason."""

    @property
    def rate_hz(self) -> float | None:
        """Frames a second; None of less than two frames."""
        lasted_s = self.last_s - self.first_s
        return (self.n_frames - 1) / lasted_s if self.n_frames > 1 and lasted_s > 0 else None

    @property
    def corrupt(self) -> str:
        """How many messages were, and the commonest reason."""
        text = f"{self.counts.corrupt} messages corrupt"
        if not self.reasons:
            return text
        return f"{text} ({'mostly: ' if len(self.reasons) > 1 else ''}{self._commonest})"

    @property
    def breaks_protocol(self) -> bool:
        """Whether the commonest reason is of messages whose CRC is right: no cable does that, only a firmware."""
        return bool(self.reasons) and self._commonest not in NOT_INTACT

    @property
    def _commonest(self) -> str:
        return self.reasons.most_common(1)[0][0]


def listen(
    link: Link,
    listen_s: float,
    corrected: Callable[[Info], Info] = lambda info: info,
    clock_s: Callable[[], float] = time.monotonic,
) -> Heard:
    """Asks for INFO until it comes; `corrected` puts it right. Raises LinkLost; leaves `link` open."""
    decoder = Decoder(corrected)
    heard = Heard(listen_s, counts=decoder.counts)
    end_s = clock_s() + listen_s
    ask_s, questions = clock_s(), 0
    while (now_s := clock_s()) < end_s:
        if heard.info is None and now_s >= ask_s:
            link.write(encode(GetInfo(), seq=questions))
            ask_s, questions = now_s + ASK_INFO_EVERY_S, questions + 1
        data = link.read(min(READ_S, end_s - now_s))
        heard.n_bytes += len(data)
        came_s = clock_s()
        for received in decoder.feed(data):
            match received.event:
                case Info() as info:
                    heard.info = info
                case Frame() as frame:
                    _keep(heard, frame, came_s)
                case Part():
                    heard.n_parts += 1
                case Corrupt(reason=reason):
                    heard.reasons[reason] += 1
    return heard


def _keep(heard: Heard, frame: Frame, came_s: float) -> None:
    heard.n_frames += 1
    heard.last_s = came_s
    if heard.n_frames == 1:
        heard.first_s = came_s
    if len(heard.frames) < MOST_FRAMES:
        heard.frames.append((came_s, frame))
