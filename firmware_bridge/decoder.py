"""Bytes of the wire -> events. Sans-IO; whatever the bytes are, nothing is raised.

decoder = Decoder()
for received in decoder.feed(data):
    match received.event:
        case Info(): ...
        case Frame(): ...
        case Corrupt(): ...
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from firmware_bridge import slip
from firmware_bridge.events import Corrupt, Event, Frame, Part, Received, Repeated, Skipped, StreamCounts
from firmware_bridge.header import CRC, HEADER, VERSION, Flag, Header, MessageType, SampleFormat
from firmware_bridge.messages import (
    Ack,
    GetInfo,
    HostTime,
    Info,
    Keypoints,
    Message,
    SetRate,
    Start,
    Status,
    Stop,
)
from firmware_bridge.samples import Unpack, unpack
from firmware_bridge.sequence import Sequence, Step

__all__ = [
    "NOT_INTACT", "Corrupt", "Decoder", "Event", "Frame", "Part", "Received", "Repeated", "Skipped", "StreamCounts",
]  # fmt: skip

_TOO_LONG: Final = f"longer than {slip.MAX_ESCAPED_BYTES} bytes"
_TOO_SHORT: Final = f"shorter than the {HEADER.size + CRC.size} bytes of header and CRC"
_WRONG_CRC: Final = "CRC does not match"
NOT_INTACT: Final = frozenset({slip.NOTHING_ESCAPED, _TOO_LONG, _TOO_SHORT, _WRONG_CRC})
"""Reasons of Corrupt for bytes that may have changed on the way. Any other one is of a message as it was sent."""

_CLASSES: Final[dict[int, type[Message]]] = {
    cls.TYPE: cls for cls in (Info, Keypoints, Status, Ack, HostTime, GetInfo, Start, Stop, SetRate)
}


@dataclass(slots=True)
class _Assembly:
    """A frame whose chunks are coming in, in the order of their rows."""

    header: Header
    chunks: list[NDArray[np.uint16]] = field(default_factory=list)
    """(nrows, cols) each."""
    rows_done: int = 0
    flags: int = 0

    def belongs(self, header: Header) -> bool:
        mine = self.header
        return (mine.t_us, mine.rows, mine.cols, mine.samples, mine.device_id) == (
            header.t_us, header.rows, header.cols, header.samples, header.device_id,
        )  # fmt: skip


class Decoder:
    """Decodes one link, which carries one device. How the bytes are split makes no difference.

    Holds at most slip.MAX_ESCAPED_BYTES of an unfinished message and one frame of MAX_SIDE x MAX_SIDE. `corrected`
    puts right what the device says of itself, before anything is made of it; `unpacked` is who unpacks its counts.
    """

    def __init__(self, corrected: Callable[[Info], Info] = lambda info: info, unpacked: Unpack = unpack) -> None:
        self.counts = StreamCounts()
        self.info: Info | None = None
        """The latest INFO of all that was fed; where the order matters, take it from the events."""
        self.corrected = corrected
        self._unpacked = unpacked
        self._unframer = slip.Unframer()
        self._frames = Sequence()
        self._others: dict[int, Sequence] = {}
        self._assembly: _Assembly | None = None
        self._given_up_seq: int | None = None

    @property
    def pending_bytes(self) -> int:
        """Of a message whose END has not come; at most slip.MAX_ESCAPED_BYTES."""
        return self._unframer.pending_bytes

    def feed(self, data: bytes) -> list[Received]:
        """One Received for each message that `data` completes, in the order they came."""
        received = [self._receive(piece) for piece in self._unframer.feed(data)]
        self.counts.ignored_bytes = self._unframer.ignored_bytes
        return received

    def interrupted(self) -> None:
        """The link was lost and found again: what is under way is torn.

        How many frames were lost is known when the next INFO comes, so ask for it: a device with the same
        boot id went on counting, for another one the loss is unknown.
        """
        self._unframer.interrupted()
        self._give_up()
        if self.info:
            self.counts.unknown += self._frames.interrupted()
        elif self._frames.last is not None:
            self.counts.unknown += 1
            self._frames = Sequence()
        self._others.clear()

    def _receive(self, piece: slip.Piece) -> Received:
        raw = slip.END + piece.escaped + slip.END
        try:
            header, payload = _open(piece)
            event = self._event(header, payload)
        except (ValueError, struct.error) as error:
            self.counts.corrupt += 1
            return Received(Corrupt(raw, str(error)), raw, None)
        return Received(event, raw, header)

    def _event(self, header: Header, payload: bytes) -> Event:
        if header.version == VERSION and header.type == _FRAME:
            shape = (self.info.rows, self.info.cols) if self.info else None
            return self._frame(header, payload, _form(header[4:10], len(payload), shape))
        if header.version != VERSION or header.type not in _CLASSES:
            self.counts.skipped += 1
            return Skipped(header.version, header.type)
        message = _CLASSES[header.type].from_payload(header, payload)
        if isinstance(message, Info):
            message = self.corrected(message)
            self._boot_or_settle(message, header)
        gap = self._others.setdefault(header.type, Sequence()).step(header.seq, header.t_us)
        self.counts.other_received += 1
        self.counts.other_lost += gap if isinstance(gap, int) else 0
        return message

    def _boot_or_settle(self, info: Info, header: Header) -> None:
        announced = header.seq == 0
        known = self.info
        rebooted = info.boot_id != known.boot_id if known else announced and self._frames.last is not None
        if rebooted:
            self.counts.reboots += 1
            self.counts.unknown += 1
            self._assembly = None
            self._others.clear()
        if rebooted or (announced and not known):
            self._frames.boot(announced)
        else:
            self.counts.lost += self._frames.settle()
        self.info = info

    def _frame(self, header: Header, payload: bytes, form: "_Form") -> Event:
        if self._assembly and self._assembly.header.seq == header.seq and header.row0:
            return self._continue(self._assembly, header, payload, form)
        if self._frames.last is None and header.row0:  # the rest of a frame may be an old one, from a buffer
            return Part(header.seq, header.row0, header.nrows)
        gap = self._frames.step(header.seq, header.t_us)
        if gap is Step.REPEATED:
            if header.seq == self._given_up_seq:
                return Part(header.seq, header.row0, header.nrows)
            self.counts.repeated += 1
            return Repeated(header.seq)
        self._give_up()
        if gap is Step.RESTARTED:
            self.counts.unknown += 1
        elif isinstance(gap, int):
            self.counts.lost += gap
        if header.nrows == header.rows:
            counts = self._unpacked(payload, form.sample_format, (header.rows, header.cols))
            return self._whole(header, counts, form.flags, form.adc_bits)
        if header.row0 == 0:
            self._assembly = _Assembly(header)
            return self._continue(self._assembly, header, payload, form)
        self._given_up_seq = header.seq
        if isinstance(gap, int):
            self.counts.lost += 1
            self.counts.incomplete += 1
        return Part(header.seq, header.row0, header.nrows)

    def _continue(self, assembly: _Assembly, header: Header, payload: bytes, form: "_Form") -> Event:
        if not assembly.belongs(header):
            self._give_up()
            raise ValueError("a chunk disagrees with the one before it of the same frame")
        if header.row0 < assembly.rows_done:
            self.counts.repeated += 1
            return Repeated(header.seq)
        if header.row0 > assembly.rows_done:
            self._give_up()
            return Part(header.seq, header.row0, header.nrows)
        assembly.chunks.append(self._unpacked(payload, form.sample_format, (header.nrows, header.cols)))
        assembly.rows_done = header.row0 + header.nrows
        assembly.flags |= form.flags
        if assembly.rows_done < header.rows:
            return Part(header.seq, header.row0, header.nrows)
        self._assembly = None
        return self._whole(header, np.concatenate(assembly.chunks), assembly.flags, form.adc_bits)

    def _whole(self, header: Header, counts: NDArray[np.uint16], flags: int, adc_bits: int) -> Frame:
        self.counts.received += 1
        counts.setflags(write=False)
        return Frame(counts, header.seq, header.t_us, _flag(flags), adc_bits, header.device_id)

    def _give_up(self) -> None:
        """The frame under way will not be whole."""
        if self._assembly:
            self.counts.lost += 1
            self.counts.incomplete += 1
            self._given_up_seq = self._assembly.header.seq
            self._assembly = None


_FRAME: Final = int(MessageType.FRAME)
_LAST_CHUNK: Final = int(Flag.LAST_CHUNK)
_FRAME_FLAGS: Final = sum(Flag) - _LAST_CHUNK
_CRC_OF_INTACT: Final = 0x2144DF1C
"""CRC-32 of anything that its own CRC-32 follows, the lowest byte first."""
_flag = cache(Flag)


class _Form(NamedTuple):
    """What the frames of a mat have in common."""

    sample_format: SampleFormat
    adc_bits: int
    flags: int
    """But for those of a chunk."""


def _open(piece: slip.Piece) -> tuple[Header, bytes]:
    """Raises ValueError with one of NOT_INTACT for what is no intact message."""
    if len(piece.escaped) > slip.MAX_ESCAPED_BYTES:
        raise ValueError(_TOO_LONG)
    body = piece.body
    if body is None:
        raise ValueError(slip.NOTHING_ESCAPED)
    if len(body) < HEADER.size + CRC.size:
        raise ValueError(_TOO_SHORT)
    if zlib.crc32(body) != _CRC_OF_INTACT:
        raise ValueError(_WRONG_CRC)
    return Header._make(HEADER.unpack_from(body)), body[HEADER.size : -CRC.size]


@lru_cache
def _form(
    described: tuple[int, int, int, int, int, int], payload_bytes: int, info_shape: tuple[int, int] | None
) -> _Form:
    """`described`: the header from `rows` to `flags`. Raises ValueError where header, payload and INFO disagree."""
    rows, cols, row0, nrows, _, flags = described
    header = Header(VERSION, _FRAME, 0, 0, *described, 0)
    last_row = row0 + nrows
    if not (rows and cols and nrows and last_row <= rows):
        raise ValueError(f"rows {row0} to {last_row - 1} are no part of a frame of {rows} x {cols}")
    if (last_row == rows) != bool(flags & _LAST_CHUNK):
        raise ValueError(f"row {last_row - 1} of {rows} and the flag for the last chunk disagree")
    sample_format = header.sample_format
    if header.adc_bits > sample_format.bits:
        raise ValueError(f"{header.adc_bits} ADC bits do not fit {sample_format.name}")
    expected = sample_format.payload_bytes(nrows * cols)
    if payload_bytes != expected:
        raise ValueError(f"the payload has {payload_bytes} bytes, not {expected}")
    if info_shape and (rows, cols) != info_shape:
        raise ValueError(f"the frame is {rows} x {cols}, INFO says {info_shape[0]} x {info_shape[1]}")
    return _Form(sample_format, header.adc_bits, flags & _FRAME_FLAGS)
