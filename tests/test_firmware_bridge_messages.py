"""Every message of the wire survives the way there and back; payloads that break PROTOCOL.md are refused."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.decoder import Corrupt, Decoder, Received
from firmware_bridge.encoder import encode, encode_raw
from firmware_bridge.geometry import Grid, Orientation
from firmware_bridge.info import Tag
from firmware_bridge.messages import (
    Ack,
    AckResult,
    GetInfo,
    Header,
    HostTime,
    Info,
    KeypointKind,
    Keypoints,
    Message,
    MessageType,
    SetRate,
    Start,
    Status,
    Stop,
)

POINTS_OF_A_BODY = 14
U8, U16, U32 = st.integers(0, 0xFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
I16 = st.integers(-0x8000, 0x7FFF)
POINT = st.tuples(I16, I16, U8)
TEXT = st.text(string.ascii_letters + "äµ -.", max_size=16)
INFO = st.builds(
    Info,
    firmware_name=TEXT,
    firmware_version=TEXT,
    boot_id=U32,
    rows=st.integers(1, 255),
    cols=st.integers(1, 255),
    pitch_x_um=st.integers(1, 0xFFFFFFFF),
    pitch_y_um=st.integers(1, 0xFFFFFFFF),
    adc_full_scale=st.integers(1, 0xFFFF),
    orientation=st.integers(0, 7).map(Orientation.from_byte),
    frame_rate_mhz=st.none() | st.integers(1, 0xFFFFFFFF),
    computes_keypoints=st.booleans(),
    protocol_min=st.just(1),
    protocol_max=st.integers(1, 255),
    device_id=U16,
)
MESSAGES = st.one_of(
    INFO,
    st.builds(Keypoints, st.just(KeypointKind.KEYPOINTS), st.lists(POINT, max_size=255).map(tuple)),
    st.builds(Keypoints, st.just(KeypointKind.JOINTS), st.tuples(*[POINT] * POINTS_OF_A_BODY)),
    st.builds(Status, st.booleans(), U32, U32, U32, U32),
    st.builds(Ack, U8, U16, st.sampled_from(AckResult)),
    st.builds(HostTime, st.integers(0, 2**64 - 1)),
    st.sampled_from([GetInfo(), Start(), Stop()]),
    st.builds(SetRate, U32),
)
DEMO = Info("demo", "1", 7, 64, 32, 25_400, 12_700, 4095)


def received(wire: bytes) -> Received:
    (one,) = Decoder().feed(wire)
    return one


@given(MESSAGES, U16, U32, U16)
def test_every_message_comes_back_as_it_was_sent(message: Message, seq: int, t_us: int, device_id: int) -> None:
    got = received(encode(message, seq=seq, t_us=t_us, device_id=device_id))
    assert got.event == message
    assert got.header is not None
    assert (got.header.type, got.header.seq, got.header.t_us) == (message.TYPE, seq, t_us)


def test_sequence_and_time_wrap_when_sent() -> None:
    header = received(encode(GetInfo(), seq=0x1_0002, t_us=0x1_0000_0003)).header
    assert header is not None
    assert (header.seq, header.t_us) == (2, 3)


def test_info_gives_the_grid_as_the_device_sends_it() -> None:
    assert DEMO.grid == Grid(64, 32, 2.54, 1.27)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("boot_id", -1), ("boot_id", 1 << 32), ("rows", 0), ("rows", 256), ("cols", 0), ("cols", 256),
        ("pitch_x_um", 0), ("pitch_y_um", 1 << 32), ("adc_full_scale", 0), ("adc_full_scale", 1 << 16),
        ("frame_rate_mhz", 0), ("protocol_max", 0), ("device_id", 1 << 16),
        ("firmware_name", "x" * 33), ("firmware_version", "clear\x1b[2Jscreen"),
    ],
)  # fmt: skip
def test_info_refuses_values_that_no_mat_has(name: str, value: int | str) -> None:
    """Terminal escapes in a name are refused too: names are printed."""
    fields = {field: getattr(DEMO, field) for field in Info.__slots__}
    with pytest.raises(ValueError, match=name):
        Info(**fields | {name: value})


@pytest.mark.parametrize(
    "message",
    [
        Keypoints(KeypointKind.KEYPOINTS, ((40_000, 0, 0),)),
        Keypoints(KeypointKind.KEYPOINTS, ((0, 0, 0),) * 256),
        Status(True, -1, 0, 0, 0),
        Ack(256, 0),
        HostTime(-1),
        SetRate(1 << 32),
    ],
)
def test_a_value_that_does_not_fit_the_wire_is_a_value_error(message: Message) -> None:
    with pytest.raises(ValueError, match=r"range|not in"):
        message.to_payload()


@pytest.mark.parametrize("k", [0, 3, 13, 15])
def test_joints_are_those_of_a_whole_body(k: int) -> None:
    with pytest.raises(ValueError, match=f"KEYPOINTS has {k} joints, not 14"):
        Keypoints(KeypointKind.JOINTS, ((0, 0, 0),) * k)


def info_payload(**changes: bytes | None) -> bytes:
    """DEMO's payload with tags replaced, added or (None) left out."""
    payload, at, parts = DEMO.to_payload(), 0, {}
    while at < len(payload):
        parts[payload[at]] = payload[at + 2 : at + 2 + payload[at + 1]]
        at += 2 + payload[at + 1]
    for name, value in changes.items():
        number = Tag[name] if name in Tag.__members__ else int(name.removeprefix("tag"))
        if value is None:
            del parts[number]
        else:
            parts[number] = value
    return b"".join(bytes([number, len(value)]) + value for number, value in parts.items())


def test_an_unknown_tag_of_info_is_skipped_by_its_length() -> None:
    wire = encode_raw(Header.of(MessageType.INFO), info_payload(tag200=b"future"))
    assert received(wire).event == DEMO


def test_optional_tags_of_info_have_defaults() -> None:
    changes = dict.fromkeys(["PROTOCOL", "FIRMWARE_NAME", "FIRMWARE_VERSION", "ORIENTATION", "COMPUTES_KEYPOINTS"])
    event = received(encode_raw(Header.of(MessageType.INFO), info_payload(**changes))).event
    assert event == Info("", "", 7, 64, 32, 25_400, 12_700, 4095)


@pytest.mark.parametrize(
    ("type_", "payload", "reason"),
    [
        (MessageType.INFO, b"", "lacks BOOT_ID"),
        (MessageType.INFO, info_payload(GRID=None), "lacks GRID"),
        (MessageType.INFO, info_payload(GRID=b"\x01"), "GRID has 1 bytes"),
        (MessageType.INFO, info_payload(GRID=b"\x00\x20"), "rows 0"),
        (MessageType.INFO, info_payload(ORIENTATION=b"\x08"), "orientation 8"),
        (MessageType.INFO, info_payload(COMPUTES_KEYPOINTS=b"\x02"), "computes_keypoints 2"),
        (MessageType.INFO, info_payload(FIRMWARE_NAME=b"\xff"), "utf-8"),
        (MessageType.INFO, info_payload(PROTOCOL=b"\x02\x01"), "protocol_max"),
        (MessageType.INFO, DEMO.to_payload() + b"\x05\x02\x40\x20", "GRID twice"),
        (MessageType.INFO, DEMO.to_payload() + b"\xc8", "within tag 200"),
        (MessageType.INFO, DEMO.to_payload() + b"\xc8\x05abcd", "within tag 200"),
        (MessageType.KEYPOINTS, b"\x00", "no number of points"),
        (MessageType.KEYPOINTS, b"\x00\x02" + bytes(5), "no number of points"),
        (MessageType.KEYPOINTS, b"\x02\x00", "KeypointKind"),
        (MessageType.KEYPOINTS, b"\x01\x03" + bytes(15), "3 joints, not 14"),
        (MessageType.STATUS, bytes(16), "16 bytes, not 17"),
        (MessageType.STATUS, b"\x07" + bytes(16), "streaming 7"),
        (MessageType.ACK, bytes(5), "5 bytes, not 4"),
        (MessageType.ACK, b"\x82\x00\x00\x09", "AckResult"),
        (MessageType.HOST_TIME, bytes(4), "4 bytes, not 8"),
        (MessageType.GET_INFO, b"\x00", "1 bytes, not 0"),
        (MessageType.SET_RATE, b"", "0 bytes, not 4"),
    ],
)
def test_a_payload_that_breaks_the_protocol_makes_the_message_corrupt(
    type_: MessageType, payload: bytes, reason: str
) -> None:
    event = received(encode_raw(Header.of(type_), payload)).event
    assert isinstance(event, Corrupt)
    assert reason in event.reason
