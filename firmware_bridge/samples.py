"""Taxel counts <-> FRAME payloads: u8, packed u12, u16, all little-endian.

u12 is a stream of bits, lowest first: counts a, b become the bytes a[7:0], b[3:0] a[11:8], b[11:4]; an odd
last count takes two bytes, the upper half of the second being zero.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.header import SampleFormat

Unpack = Callable[[bytes, SampleFormat, tuple[int, int]], NDArray[np.uint16]]
"""As `unpack` does it."""
_TWO_BYTES: Final = np.dtype("<u2")
_LOW_BITS: Final = np.uint16(0xFFF)
_HALF_BYTE: Final = np.uint16(4)


def pack(counts: NDArray[np.uint16], sample_format: SampleFormat) -> bytes:
    """Counts of any shape, row-major. Raises ValueError where a count does not fit."""
    flat = counts.ravel()
    if flat.size and int(flat.max()) >> sample_format.bits:
        raise ValueError(f"count {flat.max()} does not fit {sample_format.name}")
    if sample_format is SampleFormat.U8:
        return flat.astype(np.uint8).tobytes()
    if sample_format is SampleFormat.U16:
        return flat.astype("<u2").tobytes()
    pairs = np.zeros((len(flat) + 1) // 2 * 2, np.uint16)
    pairs[: len(flat)] = flat
    a, b = pairs[::2], pairs[1::2]
    packed = np.stack([a & 0xFF, a >> 8 | (b & 0x0F) << 4, b >> 4], 1).astype(np.uint8).tobytes()
    return packed[: sample_format.payload_bytes(len(flat))]


def unpack(payload: bytes, sample_format: SampleFormat, shape: tuple[int, int]) -> NDArray[np.uint16]:
    """Counts of that shape, row-major; `payload` has sample_format.payload_bytes(rows * cols) bytes."""
    if sample_format is not SampleFormat.U12:
        sent = np.frombuffer(payload, np.uint8 if sample_format is SampleFormat.U8 else _TWO_BYTES)
        return sent.astype(np.uint16).reshape(shape)
    counts = np.empty(shape, np.uint16)
    flat = counts.reshape(-1)
    first, second = flat[::2], flat[1::2]
    np.bitwise_and(np.ndarray(len(first), _TWO_BYTES, payload, 0, 3), _LOW_BITS, first)
    np.right_shift(np.ndarray(len(second), _TWO_BYTES, payload, 1, 3), _HALF_BYTE, second)
    return counts
