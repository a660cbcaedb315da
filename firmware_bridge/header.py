"""The 16 bytes before every payload, and the numbers they are made of; PROTOCOL.md is the specification."""

import struct
from enum import IntEnum, IntFlag
from typing import Final, NamedTuple, Self

VERSION: Final = 1
HEADER: Final = struct.Struct("<BBHIBBBBBBH")
CRC: Final = struct.Struct("<I")
MAX_SIDE: Final = 255
MAX_BODY_BYTES: Final = HEADER.size + 2 * MAX_SIDE * MAX_SIDE + CRC.size
"""The longest message without framing: a frame of 255 x 255 u16 in one chunk."""


class MessageType(IntEnum):
    INFO = 0x01
    FRAME = 0x02
    KEYPOINTS = 0x03
    STATUS = 0x04
    ACK = 0x05
    HOST_TIME = 0x06
    GET_INFO = 0x81
    START = 0x82
    STOP = 0x83
    SET_RATE = 0x84


class Flag(IntFlag):
    """Byte 13 of the header."""

    NONE = 0
    LAST_CHUNK = 1
    OVERRUN = 2
    SATURATED = 4
    TARED = 8
    SIMULATED = 16
    NO_CHECKSUM = 32


class SampleFormat(IntEnum):
    """Low nibble of byte 12 of the header."""

    U8 = 1
    U12 = 2
    U16 = 3

    @property
    def bits(self) -> int:
        return (0, 8, 12, 16)[self]

    def payload_bytes(self, samples: int) -> int:
        return (samples * self.bits + 7) // 8


class Header(NamedTuple):
    """The 16 bytes before every payload, in wire order. Bytes 8 to 13 are used by FRAME alone, else zero."""

    version: int
    type: int
    seq: int
    t_us: int
    rows: int
    cols: int
    row0: int
    nrows: int
    samples: int
    flags: int
    device_id: int

    @classmethod
    def of(cls, type: MessageType, seq: int = 0, t_us: int = 0, device_id: int = 0) -> Self:
        """The header of a message that is no frame; sequence and time wrap."""
        return cls(VERSION, type, seq & 0xFFFF, t_us & 0xFFFFFFFF, 0, 0, 0, 0, 0, 0, device_id)

    @property
    def sample_format(self) -> SampleFormat:
        """Raises ValueError."""
        return SampleFormat(self.samples & 0x0F)

    @property
    def adc_bits(self) -> int:
        return self.samples >> 4 or 16


def within(name: str, value: int, lowest: int, highest: int) -> None:
    """Raises ValueError that names the value."""
    if not lowest <= value <= highest:
        raise ValueError(f"{name} {value} is not in {lowest}..{highest}")
