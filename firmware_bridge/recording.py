"""Recordings (*.matlog): a capture of the wire, messages as they came, a HOST_TIME before each, INFO first."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from firmware_bridge import slip
from firmware_bridge.decoder import Decoder, Event
from firmware_bridge.encoder import encode, encode_raw
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.header import CRC, HEADER, VERSION, Header
from firmware_bridge.messages import HostTime, Info, Message

READ_BYTES: Final = 1 << 16
SEARCH_BYTES: Final = 1 << 20
"""A file without an intact INFO in its first so many bytes is no recording."""


@dataclass(frozen=True, slots=True)
class Truncated:
    """The file ends within a message, which is not played: the writer was stopped hard."""

    bytes: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """One message of a recording, in the order they came; HOST_TIMEs are taken up in `unix_us`."""

    event: Event | Truncated
    unix_us: int
    """When the host received it; 0 where the recording does not say."""
    raw: bytes
    header: Header | None


class RecordingWriter:
    """Writes a new recording. What comes before the first intact INFO is left out, for nobody could read it.

    To record from the middle of a stream, write the latest INFO, `remembered`, first.
    Every message is handed to the operating system at once: a crash of the process loses none. A power cut may
    lose what was written after the last `sync`.
    Raises Failure where the file exists (nothing raw is ever overwritten) or cannot be made, OSError from
    `write` where the disk is full: the file then ends with its last whole message, and may be written on.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left_out = 0
        """Messages before the first INFO."""
        self.size_bytes = 0
        self._has_info = False
        self._seq = 0
        try:
            self._file = path.open("xb", buffering=0)
        except FileExistsError:
            message = f"recording {path} exists and is never overwritten: choose another name"
            raise Failure(message, Exit.USAGE) from None
        except FileNotFoundError:
            raise Failure(f"no folder {path.parent} for the recording: make it first", Exit.MISSING_INPUT) from None
        except OSError as error:
            message = f"cannot write recording {path}: {error.strerror}: choose another place"
            raise Failure(message, Exit.PERMISSION) from None

    def write(self, raw: bytes, unix_us: int) -> None:
        """One message as it came (Received.raw), corrupt or not; a device's own HOST_TIME would lie and is left out."""
        if not self._has_info and not holds(Info, raw):
            self.left_out += 1
            return
        if holds(HostTime, raw):
            return
        self._append(encode(HostTime(unix_us), seq=self._seq) + raw)
        self._has_info = True
        self._seq += 1

    def _append(self, message: bytes) -> None:
        """All of it or, where the file system lets us take back the start, nothing."""
        rest = memoryview(message)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            with suppress(OSError):
                self._file.truncate(self.size_bytes)
                self._file.seek(self.size_bytes)
            raise
        self.size_bytes += len(message)

    def sync(self) -> None:
        """Waits until what was written would survive a power cut. Raises OSError."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def holds(kind: type[Message], raw: bytes) -> bool:
    """Whether `raw` (Received.raw) is an intact message of that kind."""
    start = bytes([VERSION, kind.TYPE])
    return raw[1:3] == start and any(isinstance(received.event, kind) for received in Decoder().feed(raw))


def remembered(raw: bytes) -> bytes:
    """An INFO (Received.raw) for the start of a recording that begins later than it came.

    With sequence 0 it would say that the boot was seen, and frames from before the recording would count as lost.
    """
    body = slip.unescape(raw.strip(slip.END))
    header = Header._make(HEADER.unpack_from(body))
    return raw if header.seq else encode_raw(header._replace(seq=1), body[HEADER.size : -CRC.size])


def read_recording(path: Path, decoder: Decoder | None = None, start_byte: int = 0) -> Iterator[Recorded]:
    """Plays `path` through `decoder`, whose counts and INFO then tell of it, from a HOST_TIME at `start_byte` on.

    Raises Failure at once: 66 for a file that is not there or not readable, 65 for one that is empty or no
    recording. A file that ends within a message yields Truncated last.
    """
    try:
        if path.is_fifo():
            raise Failure(f"{path} is a pipe: save the recording and give the file's name", Exit.MISSING_INPUT)
        with path.open("rb") as file:
            start = file.read(SEARCH_BYTES)
    except FileNotFoundError:
        raise Failure(f"no recording {path}: check the name", Exit.MISSING_INPUT) from None
    except OSError as error:
        message = f"cannot read recording {path}: {error.strerror}: give a readable file"
        raise Failure(message, Exit.MISSING_INPUT) from None
    if not start:
        raise Failure(f"recording {path} is empty: give one that edge-run --record wrote", Exit.FOREIGN_DATA)
    if not _starts_with_info(start):
        message = f"{path} is no recording, or none of its messages is whole: give one that edge-run --record wrote"
        raise Failure(message, Exit.FOREIGN_DATA)
    return _play(path, decoder or Decoder(), start_byte)


def _starts_with_info(start: bytes) -> bool:
    for received in Decoder().feed(start):
        if isinstance(received.event, Info):
            return True
        if received.header and not isinstance(received.event, HostTime):
            return False
    return False


def _play(path: Path, decoder: Decoder, start_byte: int) -> Iterator[Recorded]:
    unix_us = 0
    time_waits = False
    with path.open("rb") as file:
        file.seek(start_byte)
        while data := file.read(READ_BYTES):
            for received in decoder.feed(data):
                if isinstance(received.event, HostTime):
                    unix_us, time_waits = received.event.unix_us, True
                else:
                    time_waits = False
                    yield Recorded(received.event, unix_us, received.raw, received.header)
    if decoder.pending_bytes or time_waits:
        yield Recorded(Truncated(decoder.pending_bytes), unix_us, b"", None)
