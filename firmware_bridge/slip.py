"""SLIP (RFC 1055) with an END before and after each message: bytes <-> bodies."""

from collections.abc import Iterator
from typing import Final

from firmware_bridge.header import MAX_BODY_BYTES

END: Final = b"\xc0"
_ESC, _ESC_END, _ESC_ESC = b"\xdb", b"\xdb\xdc", b"\xdb\xdd"

MAX_ESCAPED_BYTES: Final = 2 * MAX_BODY_BYTES
"""Between two ENDs: the longest body, if every byte of it needed an escape."""


def frame(body: bytes) -> bytes:
    """A body as it goes over the wire, both ENDs included."""
    return END + body.replace(_ESC, _ESC_ESC).replace(END, _ESC_END) + END


def unescape(escaped: bytes) -> bytes:
    """What stood between two ENDs -> the body. Raises ValueError for an ESC that escapes nothing."""
    if _ESC not in escaped:
        return escaped
    body = escaped.replace(_ESC_END, END).replace(_ESC_ESC, _ESC)
    if len(escaped) - len(body) != escaped.count(_ESC):
        raise ValueError("an ESC is followed by neither ESC_END nor ESC_ESC")
    return body


class Unframer:
    """Cuts a byte stream at its ENDs.

    Whatever comes before the first END is ignored: a board's boot text, or the rest of the message in which
    the port was opened. Holds at most MAX_ESCAPED_BYTES; of a longer piece the first so many bytes and one
    more are given out, as soon as they are there, and the rest is ignored up to the next END.
    """

    def __init__(self) -> None:
        self._pending = bytearray()
        self._waits_for_end = True
        self.ignored_bytes = 0

    @property
    def pending_bytes(self) -> int:
        """Of a message whose END has not come."""
        return len(self._pending)

    def interrupted(self) -> None:
        """Forget the message that was under way and ignore what comes before the next END."""
        self._pending.clear()
        self._waits_for_end = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Non-empty pieces between ENDs, still escaped. Exhaust the iterator before feeding again."""
        first, *others = data.split(END)
        yield from self._take(first)
        if not others:
            return
        *whole, last = others
        if self._pending:
            yield bytes(self._pending)
            self._pending.clear()
        self._waits_for_end = False
        for piece in whole:
            if len(piece) > MAX_ESCAPED_BYTES:
                self.ignored_bytes += len(piece) - MAX_ESCAPED_BYTES - 1
                yield piece[: MAX_ESCAPED_BYTES + 1]
            elif piece:
                yield piece
        yield from self._take(last)

    def _take(self, piece: bytes) -> Iterator[bytes]:
        if self._waits_for_end:
            self.ignored_bytes += len(piece)
            return
        room = MAX_ESCAPED_BYTES + 1 - len(self._pending)
        self._pending += piece[:room]
        if len(self._pending) > MAX_ESCAPED_BYTES:
            yield bytes(self._pending)
            self._pending.clear()
            self._waits_for_end = True
            self.ignored_bytes += len(piece) - room
