"""Frames on the wire: formats, chunks and bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.decoder import Decoder, Frame, Part
from firmware_bridge.encoder import encode, encode_frame
from firmware_bridge.header import MAX_BODY_BYTES, Flag, SampleFormat
from firmware_bridge.messages import GetInfo
from firmware_bridge.slip import unescape


@given(
    st.integers(1, 40), st.integers(1, 40), st.sampled_from(SampleFormat), st.none() | st.integers(1, 255),
    st.integers(0, 63), st.integers(0, 2**32),
)  # fmt: skip
def test_every_frame_comes_back_as_it_was_sent(
    rows: int, cols: int, sample_format: SampleFormat, chunk_rows: int | None, flags: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    adc_bits = int(rng.integers(1, sample_format.bits + 1))
    counts = rng.integers(0, 1 << adc_bits, (rows, cols)).astype(np.uint16)
    wire = encode_frame(
        counts, seq=seed, t_us=seed * 3, sample_format=sample_format, adc_bits=adc_bits, flags=Flag(flags),
        device_id=9, chunk_rows=chunk_rows,
    )  # fmt: skip
    *parts, frame = [received.event for received in Decoder().feed(wire)]
    assert len(parts) == -(-rows // (chunk_rows or rows)) - 1
    assert all(isinstance(part, Part) for part in parts)
    assert isinstance(frame, Frame)
    np.testing.assert_array_equal(frame.counts, counts)
    assert (frame.seq, frame.t_us) == (seed & 0xFFFF, seed * 3 & 0xFFFFFFFF)
    assert (frame.flags, frame.adc_bits, frame.device_id) == (Flag(flags) & ~Flag.LAST_CHUNK, adc_bits, 9)


def test_a_received_frame_cannot_be_written_to() -> None:
    (received,) = Decoder().feed(encode_frame(np.zeros((2, 2), np.uint16), seq=0, t_us=0))
    assert isinstance(received.event, Frame)
    with pytest.raises(ValueError, match="read-only"):
        received.event.counts[0, 0] = 1


@pytest.mark.parametrize("sample_format", SampleFormat)
def test_a_64_x_32_frame_has_the_size_that_the_baud_rate_was_chosen_for(sample_format: SampleFormat) -> None:
    counts = np.zeros((64, 32), np.uint16)
    wire = encode_frame(counts, seq=0, t_us=0, sample_format=sample_format, adc_bits=8)
    assert len(wire) == {SampleFormat.U8: 2070, SampleFormat.U12: 3094, SampleFormat.U16: 4118}[sample_format]


def test_the_largest_frame_has_the_named_bound() -> None:
    counts = np.full((255, 255), 0xC0C0, np.uint16)
    wire = encode_frame(counts, seq=0, t_us=0, sample_format=SampleFormat.U16, adc_bits=16)
    assert len(unescape(wire[1:-1])) == MAX_BODY_BYTES
    (received,) = Decoder().feed(wire)
    assert isinstance(received.event, Frame)
    assert received.event.adc_bits == 16


@pytest.mark.parametrize(
    ("shape", "options", "named"),
    [
        ((256, 1), {}, "rows 256"),
        ((1, 256), {}, "cols 256"),
        ((0, 1), {}, "rows 0"),
        ((2, 2), {"adc_bits": 13}, "adc_bits 13"),
        ((2, 2), {"adc_bits": 0}, "adc_bits 0"),
        ((2, 2), {"device_id": 65536}, "device_id 65536"),
        ((2, 2), {"chunk_rows": -1}, "chunk_rows -1"),
    ],
)
def test_what_the_wire_cannot_carry_is_refused(shape: tuple[int, int], options: dict[str, int], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        encode_frame(np.zeros(shape, np.uint16), seq=0, t_us=0, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="device_id"):
        encode(GetInfo(), device_id=-1)
