"""PROTOCOL.md is what the code does."""

import re
from pathlib import Path

import numpy as np
import pytest

import firmware_bridge
from firmware_bridge import slip
from firmware_bridge.decoder import Decoder, Frame, Part
from firmware_bridge.encoder import encode, encode_frame
from firmware_bridge.header import MAX_BODY_BYTES
from firmware_bridge.info import Tag
from firmware_bridge.messages import GetInfo, Info, MessageType

TEXT = (Path(firmware_bridge.__file__).parent / "PROTOCOL.md").read_text()
EXAMPLES = {name: bytes.fromhex(text) for name, text in re.findall(r"<!-- example: (\w+) -->\n```\n([^`]*)```", TEXT)}
COUNTS = np.array([[0, 192, 219], [4095, 1, 2]], np.uint16)
INFO = Info("demo", "1", 0x12345678, 2, 3, 10_000, 10_000, 4095, frame_rate_mhz=10_000, device_id=7)


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("info", encode(INFO)),
        ("frame", encode_frame(COUNTS, seq=1, t_us=100_000, device_id=7)),
        ("chunks", encode_frame(COUNTS, seq=1, t_us=100_000, device_id=7, chunk_rows=1)),
        ("get_info", encode(GetInfo(), device_id=7)),
    ],
)
def test_the_worked_example_is_what_the_encoder_sends(name: str, wire: bytes) -> None:
    assert EXAMPLES[name] == wire


def test_the_worked_example_is_understood() -> None:
    info, frame = [received.event for received in Decoder().feed(EXAMPLES["info"] + EXAMPLES["frame"])]
    assert info == INFO
    assert isinstance(frame, Frame)
    assert frame.counts.tolist() == COUNTS.tolist()
    part, frame = [received.event for received in Decoder().feed(EXAMPLES["chunks"])]
    assert part == Part(seq=1, row0=0, nrows=1)
    assert isinstance(frame, Frame)
    assert frame.counts.tolist() == COUNTS.tolist()


def test_every_type_and_tag_is_described() -> None:
    for type_ in MessageType:
        assert re.search(rf"^(### |\| ){type_:02X} {type_.name}\b", TEXT, re.MULTILINE), type_
    table = TEXT[TEXT.index("| tag | length |") :]
    for tag in Tag:
        assert f"\n| {tag.value} | " in table, tag


def test_the_bounds_are_those_of_the_code() -> None:
    assert f"**{MAX_BODY_BYTES:,} bytes**" in TEXT
    assert f"**{slip.MAX_ESCAPED_BYTES:,} bytes**" in TEXT
