"""Where in a recording which moment is, so that playing can go on from there."""

import mmap
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from firmware_bridge import slip
from firmware_bridge.decoder import Decoder, Frame, Part
from firmware_bridge.header import VERSION
from firmware_bridge.messages import HostTime, Info, Message
from firmware_bridge.recording import READ_BYTES, read_recording

MARKS_MOST: Final = 2048
"""Places of a recording whose time is known beforehand, however long it is."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame of a recording."""

    byte: int
    """Of the HOST_TIME before it: read_recording's `start_byte`."""
    unix_us: int
    """When the host received it; after its clock was set back, the latest time until then."""


class Timeline:
    """The frames of a recording by their time. Raises Failure as read_recording does.

    Looks at MARKS_MOST places of the file, not at all of it. Where no frame has a time it is 0 s long.
    """

    def __init__(self, path: Path) -> None:
        self._start_us = next(read_recording(path)).unix_us
        with path.open("rb") as file:
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.marks = [Moment(0, self._start_us)]
        step = max(READ_BYTES, -(-len(self._data) // (MARKS_MOST - 1)))
        for byte in range(0, len(self._data), step):
            if mark := next(self._frames(byte, byte + step, self.marks[-1].unix_us), None):
                self.marks.append(mark)
        latest = self.marks[-1]
        *_, self._last = latest, *self._frames(latest.byte, latest_us=latest.unix_us)

    @property
    def start_unix_s(self) -> float:
        """When the first message was received."""
        return self._start_us / 1e6

    @property
    def length_s(self) -> float:
        """From the first message to the last frame."""
        return (self._last.unix_us - self._start_us) / 1e6

    def at(self, time_s: float) -> Moment:
        """The frame that came last, `time_s` after the first message; before the first frame, that one."""
        due_us = self._start_us + round(time_s * 1e6)
        mark = self.marks[max(0, bisect_right(self.marks, due_us, key=lambda mark: mark.unix_us) - 1)]
        found = None
        for moment in self._frames(mark.byte, latest_us=mark.unix_us):
            if found and moment.unix_us > due_us:
                break
            found = moment
        return found or mark

    def info(self, moment: Moment) -> Info | None:
        """The latest INFO before it."""
        byte = moment.byte
        while (byte := self._data.rfind(_start_of(Info), 0, byte)) >= 0:
            for received in Decoder().feed(self._data[byte : self._end(byte)]):
                if isinstance(received.event, Info):
                    return received.event
        return None

    def _frames(self, byte: int, stop: int | None = None, latest_us: int = 0) -> Iterator[Moment]:
        """Those that begin, with a HOST_TIME, between `byte` and `stop`."""
        stop = len(self._data) if stop is None else stop
        while (byte := self._data.find(_start_of(HostTime), byte, stop)) >= 0:
            end = self._end(self._end(byte))
            match [received.event for received in Decoder().feed(self._data[byte:end])]:
                case [HostTime(unix_us), Frame() | Part(row0=0)]:
                    latest_us = max(latest_us, unix_us)
                    yield Moment(byte, latest_us)
            byte += 1

    def _end(self, byte: int) -> int:
        """Of the message that begins there."""
        end = self._data.find(slip.END, byte + 1)
        return end + 1 if end >= 0 else len(self._data)


def _start_of(kind: type[Message]) -> bytes:
    """An END and the first bytes of such a message, which nothing else holds: within messages an END is escaped."""
    return slip.END + bytes([VERSION, kind.TYPE])
