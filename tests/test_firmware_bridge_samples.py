"""Counts of taxels and their bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.header import SampleFormat
from firmware_bridge.samples import pack, unpack

FORMAT = st.sampled_from(SampleFormat)


def unpacked(payload: bytes, samples: int, sample_format: SampleFormat) -> list[int]:
    counts: list[int] = unpack(payload, sample_format, (1, samples))[0].tolist()
    return counts


@given(FORMAT, st.integers(1, 100), st.integers(0, 2**32))
def test_counts_come_back_as_they_were(sample_format: SampleFormat, samples: int, seed: int) -> None:
    counts = np.random.default_rng(seed).integers(0, 1 << sample_format.bits, samples).astype(np.uint16)
    payload = pack(counts, sample_format)
    assert len(payload) == sample_format.payload_bytes(samples)
    assert unpacked(payload, samples, sample_format) == counts.tolist()


@pytest.mark.parametrize(
    ("sample_format", "counts", "payload"),
    [
        (SampleFormat.U8, [0x12, 0xFF], "12ff"),
        (SampleFormat.U12, [0xABC, 0x123], "bc3a12"),
        (SampleFormat.U12, [0xABC], "bc0a"),
        (SampleFormat.U12, [0xABC, 0x123, 0xFED], "bc3a12ed0f"),
        (SampleFormat.U16, [0x1234, 0xFFFF], "3412ffff"),
    ],
)
def test_each_format_has_its_bytes(sample_format: SampleFormat, counts: list[int], payload: str) -> None:
    assert pack(np.array(counts, np.uint16), sample_format).hex() == payload
    assert unpacked(bytes.fromhex(payload), len(counts), sample_format) == counts


def test_the_spare_half_byte_of_an_odd_u12_is_ignored() -> None:
    assert unpacked(bytes.fromhex("bcfa"), 1, SampleFormat.U12) == [0xABC]


@pytest.mark.parametrize("sample_format", SampleFormat)
def test_counts_lie_row_by_row(sample_format: SampleFormat) -> None:
    counts = np.arange(6, dtype=np.uint16).reshape(2, 3)
    np.testing.assert_array_equal(unpack(pack(counts, sample_format), sample_format, (2, 3)), counts)


@pytest.mark.parametrize("sample_format", [SampleFormat.U8, SampleFormat.U12])
def test_a_count_that_does_not_fit_is_refused_and_not_cut(sample_format: SampleFormat) -> None:
    with pytest.raises(ValueError, match=f"does not fit {sample_format.name}"):
        pack(np.array([1 << sample_format.bits], np.uint16), sample_format)
