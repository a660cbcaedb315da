"""SLIP (RFC 1055) with an END before and after each message: bytes <-> bodies."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from firmware_bridge.header import MAX_BODY_BYTES

END: Final = b"\xc0"
_ESC, _ESC_END, _ESC_ESC = b"\xdb", b"\xdb\xdc", b"\xdb\xdd"

MAX_ESCAPED_BYTES: Final = 2 * MAX_BODY_BYTES
"""Between two ENDs: the longest body, if every byte of it needed an escape."""
NOTHING_ESCAPED: Final = "an ESC is followed by neither ESC_END nor ESC_ESC"


def frame(body: bytes) -> bytes:
    """A body as it goes over the wire, both ENDs included."""
    return END + body.replace(_ESC, _ESC_ESC).replace(END, _ESC_END) + END


def unescape(escaped: bytes) -> bytes:
    """What stood between two ENDs -> the body. Raises ValueError for an ESC that escapes nothing."""
    if _ESC not in escaped:
        return escaped
    body = escaped.replace(_ESC_END, END).replace(_ESC_ESC, _ESC)
    if len(escaped) - len(body) != escaped.count(_ESC):
        raise ValueError(NOTHING_ESCAPED)
    return body


class Piece(NamedTuple):
    """What stood between two ENDs."""

    escaped: bytes
    body: bytes | None
    """None where an ESC escapes nothing."""


class Unframer:
    """Cuts a byte stream at its ENDs, and unescapes it as it comes: little is left to do once an END is there.

    Whatever comes before the first END is ignored: a board's boot text, or the rest of the message in which
    the port was opened. Holds at most MAX_ESCAPED_BYTES and their body; of a longer piece the first so many bytes and
    one more are given out, as soon as they are there, and the rest is ignored up to the next END.
    """

    def __init__(self) -> None:
        self._escaped = bytearray()
        self._unescaper = Unescaper()
        self._waits_for_end = True
        self.ignored_bytes = 0

    @property
    def pending_bytes(self) -> int:
        """Of a message whose END has not come."""
        return len(self._escaped)

    def interrupted(self) -> None:
        """Forget the message that was under way and ignore what comes before the next END."""
        self._end()
        self._waits_for_end = True

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Non-empty pieces between ENDs. Exhaust the iterator before feeding again."""
        first, *others = data.split(END)
        if first:
            yield from self._take(first)
        for piece in others:
            if self._escaped:
                yield self._end()
            self._waits_for_end = False
            if piece:
                yield from self._take(piece)

    def _take(self, piece: bytes) -> Iterator[Piece]:
        if self._waits_for_end:
            self.ignored_bytes += len(piece)
            return
        room = MAX_ESCAPED_BYTES + 1 - len(self._escaped)
        self._escaped += piece[:room]
        self._unescaper.feed(piece[:room])
        if len(self._escaped) > MAX_ESCAPED_BYTES:
            yield self._end()
            self._waits_for_end = True
            self.ignored_bytes += len(piece) - room

    def _end(self) -> Piece:
        piece = Piece(bytes(self._escaped), self._unescaper.end())
        self._escaped.clear()
        return piece


class Unescaper:
    """`unescape` for what comes bit by bit."""

    def __init__(self) -> None:
        self._body = bytearray()
        self._esc = b""
        """The last byte, if it is an ESC."""
        self._fails = False

    def feed(self, escaped: bytes) -> None:
        escaped = self._esc + escaped
        self._esc = _ESC if escaped.endswith(_ESC) else b""
        try:
            self._body += unescape(escaped.removesuffix(self._esc))
        except ValueError:
            self._fails = True

    def end(self) -> bytes | None:
        """The body, None where an ESC escapes nothing; what is fed from now on is another one."""
        body = None if self._fails or self._esc else bytes(self._body)
        self._body.clear()
        self._esc, self._fails = b"", False
        return body
