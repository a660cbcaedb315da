"""The messages of wire version 1 and their payloads; PROTOCOL.md is the specification.

Every message class has `TYPE`, `to_payload()` and `from_payload(header, payload)`. Values out of range raise
ValueError, whether they come from a caller or from the wire.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, Final, Self

from firmware_bridge.header import Flag, Header, MessageType, SampleFormat, within
from firmware_bridge.info import Info
from firmware_bridge.skeleton import JOINTS

__all__ = [
    "Ack", "AckResult", "Flag", "GetInfo", "Header", "HostTime", "Info", "KeypointKind", "Keypoints", "Message",
    "MessageType", "SampleFormat", "SetRate", "Start", "Status", "Stop",
]  # fmt: skip


class KeypointKind(IntEnum):
    """What the points of a KEYPOINTS message are."""

    KEYPOINTS = 0
    JOINTS = 1
    """The 14 named joints of firmware_bridge.skeleton, in that order."""


@dataclass(frozen=True, slots=True)
class Keypoints:
    """Points that the device itself computed from the frame with the same t_us."""

    TYPE: ClassVar = MessageType.KEYPOINTS
    kind: KeypointKind
    points: tuple[tuple[int, int, int], ...]
    """(x, y, confidence): 1/100 taxel of the canonical frame from its top left corner, and 0..255."""

    def __post_init__(self) -> None:
        if self.kind is KeypointKind.JOINTS and len(self.points) != len(JOINTS):
            raise ValueError(f"KEYPOINTS has {len(self.points)} joints, not {len(JOINTS)}")

    def to_payload(self) -> bytes:
        within("points", len(self.points), 0, 255)
        try:
            return bytes([self.kind, len(self.points)]) + b"".join(_POINT.pack(*point) for point in self.points)
        except struct.error as error:
            raise ValueError(f"a point is out of range: {error}") from None

    @classmethod
    def from_payload(cls, header: Header, payload: bytes) -> Self:
        if len(payload) < 2 or len(payload) != 2 + payload[1] * _POINT.size:
            raise ValueError(f"KEYPOINTS has {len(payload)} bytes, which fits no number of points")
        return cls(KeypointKind(payload[0]), tuple(_POINT.iter_unpack(payload[2:])))


_POINT: Final = struct.Struct("<hhB")


@dataclass(frozen=True, slots=True)
class Status:
    """What the device counted since it booted."""

    TYPE: ClassVar = MessageType.STATUS
    streaming: bool
    uptime_s: int
    scans: int
    """Frames made, sent or not."""
    dropped: int
    """Of these, not sent because the link was busy."""
    refused: int
    """Messages from the host that were corrupt, unknown or out of range."""

    def to_payload(self) -> bytes:
        return _pack(_STATUS, self.streaming, self.uptime_s, self.scans, self.dropped, self.refused)

    @classmethod
    def from_payload(cls, header: Header, payload: bytes) -> Self:
        streaming, uptime_s, scans, dropped, refused = _unpack(_STATUS, "STATUS", payload)
        within("streaming", streaming, 0, 1)
        return cls(bool(streaming), uptime_s, scans, dropped, refused)


_STATUS: Final = struct.Struct("<BIIII")


class AckResult(IntEnum):
    DONE = 0
    UNKNOWN_TYPE = 1
    BAD_VALUE = 2


@dataclass(frozen=True, slots=True)
class Ack:
    """The device's answer to START, STOP, SET_RATE and to types it does not know."""

    TYPE: ClassVar = MessageType.ACK
    type: int
    seq: int
    result: AckResult = AckResult.DONE

    def to_payload(self) -> bytes:
        return _pack(_ACK, self.type, self.seq, self.result)

    @classmethod
    def from_payload(cls, header: Header, payload: bytes) -> Self:
        type_, seq, result = _unpack(_ACK, "ACK", payload)
        return cls(type_, seq, AckResult(result))


_ACK: Final = struct.Struct("<BHB")


@dataclass(frozen=True, slots=True)
class HostTime:
    """When the host received the message that follows. In recordings only."""

    TYPE: ClassVar = MessageType.HOST_TIME
    unix_us: int

    def to_payload(self) -> bytes:
        return _pack(_HOST_TIME, self.unix_us)

    @classmethod
    def from_payload(cls, header: Header, payload: bytes) -> Self:
        return cls(*_unpack(_HOST_TIME, "HOST_TIME", payload))


_HOST_TIME: Final = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class _Empty:
    """A command without payload."""

    def to_payload(self) -> bytes:
        return b""

    @classmethod
    def from_payload(cls, header: Header, payload: bytes) -> Self:
        if payload:
            raise ValueError(f"{cls.__name__} has a payload of {len(payload)} bytes, not 0")
        return cls()


@dataclass(frozen=True, slots=True)
class GetInfo(_Empty):
    """Host: say who you are. Answered by INFO."""

    TYPE: ClassVar = MessageType.GET_INFO


@dataclass(frozen=True, slots=True)
class Start(_Empty):
    """Host: stream frames (a device does so from boot)."""

    TYPE: ClassVar = MessageType.START


@dataclass(frozen=True, slots=True)
class Stop(_Empty):
    """Host: stream no frames."""

    TYPE: ClassVar = MessageType.STOP


@dataclass(frozen=True, slots=True)
class SetRate:
    """Host: stream at this rate. Answered by ACK, then INFO with the rate as it is."""

    TYPE: ClassVar = MessageType.SET_RATE
    rate_mhz: int

    def to_payload(self) -> bytes:
        return _pack(_SET_RATE, self.rate_mhz)

    @classmethod
    def from_payload(cls, header: Header, payload: bytes) -> Self:
        return cls(*_unpack(_SET_RATE, "SET_RATE", payload))


_SET_RATE: Final = struct.Struct("<I")

Message = Info | Keypoints | Status | Ack | HostTime | GetInfo | Start | Stop | SetRate
"""Every message but FRAME, which may come in several chunks: see firmware_bridge.decoder."""


def _pack(layout: struct.Struct, *values: int) -> bytes:
    try:
        return layout.pack(*values)
    except struct.error as error:
        raise ValueError(f"a value of {values} is out of range: {error}") from None


def _unpack(layout: struct.Struct, name: str, payload: bytes) -> tuple[Any, ...]:
    if len(payload) != layout.size:
        raise ValueError(f"{name} has a payload of {len(payload)} bytes, not {layout.size}")
    return layout.unpack(payload)
