"""INFO: what a mat says of itself, as tag, length, value; PROTOCOL.md is the specification."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar, Final, Self

from firmware_bridge.geometry import Grid, Orientation
from firmware_bridge.header import MAX_SIDE, VERSION, Header, MessageType, within


class Tag(IntEnum):
    """Tags of INFO's payload."""

    PROTOCOL = 1
    FIRMWARE_NAME = 2
    FIRMWARE_VERSION = 3
    BOOT_ID = 4
    GRID = 5
    PITCH_X_UM = 6
    PITCH_Y_UM = 7
    ADC_FULL_SCALE = 8
    ORIENTATION = 9
    FRAME_RATE_MHZ = 10
    COMPUTES_KEYPOINTS = 11


MAX_TEXT_BYTES: Final = 32
_TAGS: Final = frozenset(Tag)
_TAG_BYTES: Final = {
    Tag.PROTOCOL: 2, Tag.BOOT_ID: 4, Tag.GRID: 2, Tag.PITCH_X_UM: 4, Tag.PITCH_Y_UM: 4,
    Tag.ADC_FULL_SCALE: 2, Tag.ORIENTATION: 1, Tag.FRAME_RATE_MHZ: 4, Tag.COMPUTES_KEYPOINTS: 1,
}  # fmt: skip
_REQUIRED: Final = (Tag.BOOT_ID, Tag.GRID, Tag.PITCH_X_UM, Tag.PITCH_Y_UM, Tag.ADC_FULL_SCALE)


@dataclass(frozen=True, slots=True)
class Info:
    """What a mat says of itself: nothing needs to be configured on the host."""

    TYPE: ClassVar = MessageType.INFO
    firmware_name: str
    firmware_version: str
    boot_id: int
    rows: int
    cols: int
    pitch_x_um: int
    pitch_y_um: int
    adc_full_scale: int
    orientation: Orientation = field(default_factory=Orientation)
    frame_rate_mhz: int | None = None
    """Millihertz; None where the device does not say."""
    computes_keypoints: bool = False
    protocol_min: int = VERSION
    protocol_max: int = VERSION
    device_id: int = 0

    def __post_init__(self) -> None:
        for name in ("firmware_name", "firmware_version"):
            text = getattr(self, name)
            if len(text.encode()) > MAX_TEXT_BYTES or not text.isprintable():
                raise ValueError(f"{name} {text!r} is not printable text of up to {MAX_TEXT_BYTES} bytes")
        within("boot_id", self.boot_id, 0, 0xFFFFFFFF)
        within("rows", self.rows, 1, MAX_SIDE)
        within("cols", self.cols, 1, MAX_SIDE)
        within("pitch_x_um", self.pitch_x_um, 1, 0xFFFFFFFF)
        within("pitch_y_um", self.pitch_y_um, 1, 0xFFFFFFFF)
        within("adc_full_scale", self.adc_full_scale, 1, 0xFFFF)
        within("protocol_min", self.protocol_min, 1, 255)
        within("protocol_max", self.protocol_max, self.protocol_min, 255)
        within("device_id", self.device_id, 0, 0xFFFF)
        if self.frame_rate_mhz is not None:
            within("frame_rate_mhz", self.frame_rate_mhz, 1, 0xFFFFFFFF)

    @property
    def grid(self) -> Grid:
        """As the device sends it, not canonical."""
        return Grid(self.rows, self.cols, self.pitch_x_um / 10_000, self.pitch_y_um / 10_000)

    def to_payload(self) -> bytes:
        values = {
            Tag.PROTOCOL: bytes([self.protocol_min, self.protocol_max]),
            Tag.FIRMWARE_NAME: self.firmware_name.encode(),
            Tag.FIRMWARE_VERSION: self.firmware_version.encode(),
            Tag.BOOT_ID: self.boot_id.to_bytes(4, "little"),
            Tag.GRID: bytes([self.rows, self.cols]),
            Tag.PITCH_X_UM: self.pitch_x_um.to_bytes(4, "little"),
            Tag.PITCH_Y_UM: self.pitch_y_um.to_bytes(4, "little"),
            Tag.ADC_FULL_SCALE: self.adc_full_scale.to_bytes(2, "little"),
            Tag.ORIENTATION: bytes([self.orientation.to_byte()]),
            Tag.COMPUTES_KEYPOINTS: bytes([self.computes_keypoints]),
        }
        if self.frame_rate_mhz is not None:
            values[Tag.FRAME_RATE_MHZ] = self.frame_rate_mhz.to_bytes(4, "little")
        return b"".join(bytes([tag, len(values[tag])]) + values[tag] for tag in sorted(values))

    @classmethod
    def from_payload(cls, header: Header, payload: bytes) -> Self:
        values: dict[Tag, bytes] = {}
        for number, value in _tlv(payload):
            if number not in _TAGS:
                continue
            tag = Tag(number)
            if tag in values:
                raise ValueError(f"INFO has tag {tag.name} twice")
            if tag in _TAG_BYTES and len(value) != _TAG_BYTES[tag]:
                raise ValueError(f"INFO tag {tag.name} has {len(value)} bytes, not {_TAG_BYTES[tag]}")
            values[tag] = value
        missing = [tag.name for tag in _REQUIRED if tag not in values]
        if missing:
            raise ValueError(f"INFO lacks {', '.join(missing)}")
        number_of = {tag: int.from_bytes(value, "little") for tag, value in values.items()}
        computes_keypoints = number_of.get(Tag.COMPUTES_KEYPOINTS, 0)
        within("computes_keypoints", computes_keypoints, 0, 1)
        protocol = values.get(Tag.PROTOCOL, bytes([VERSION, VERSION]))
        return cls(
            firmware_name=values.get(Tag.FIRMWARE_NAME, b"").decode(),
            firmware_version=values.get(Tag.FIRMWARE_VERSION, b"").decode(),
            boot_id=number_of[Tag.BOOT_ID],
            rows=values[Tag.GRID][0],
            cols=values[Tag.GRID][1],
            pitch_x_um=number_of[Tag.PITCH_X_UM],
            pitch_y_um=number_of[Tag.PITCH_Y_UM],
            adc_full_scale=number_of[Tag.ADC_FULL_SCALE],
            orientation=Orientation.from_byte(number_of.get(Tag.ORIENTATION, 0)),
            frame_rate_mhz=number_of.get(Tag.FRAME_RATE_MHZ),
            computes_keypoints=bool(computes_keypoints),
            protocol_min=protocol[0],
            protocol_max=protocol[1],
            device_id=header.device_id,
        )


def _tlv(payload: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(payload):
        end = at + 2 + payload[at + 1] if at + 1 < len(payload) else len(payload) + 1
        if end > len(payload):
            raise ValueError(f"INFO ends within tag {payload[at]}")
        yield payload[at], payload[at + 2 : end]
        at = end
