"""Messages -> bytes of the wire."""

import zlib

import numpy as np
from numpy.typing import NDArray

from firmware_bridge import slip
from firmware_bridge.header import CRC, HEADER, MAX_SIDE, VERSION, Flag, Header, MessageType, SampleFormat, within
from firmware_bridge.messages import Info, Message
from firmware_bridge.samples import pack


def encode(message: Message, *, seq: int = 0, t_us: int = 0, device_id: int = 0) -> bytes:
    """One message that is no frame; `seq` and `t_us` wrap. An Info goes under its own device id."""
    if isinstance(message, Info):
        device_id = message.device_id
    within("device_id", device_id, 0, 0xFFFF)
    return encode_raw(Header.of(message.TYPE, seq, t_us, device_id), message.to_payload())


def encode_frame(
    counts: NDArray[np.uint16],
    *,
    seq: int,
    t_us: int,
    sample_format: SampleFormat = SampleFormat.U12,
    adc_bits: int = 12,
    flags: Flag = Flag.NONE,
    device_id: int = 0,
    chunk_rows: int | None = None,
) -> bytes:
    """counts (rows, cols) as the device holds them -> one message, or one for each `chunk_rows` rows.

    `adc_bits` are the significant bits of a sample, at most those of the format. LAST_CHUNK is set here.
    Raises ValueError for what the wire cannot carry.
    """
    rows, cols = counts.shape
    within("rows", rows, 1, MAX_SIDE)
    within("cols", cols, 1, MAX_SIDE)
    within("adc_bits", adc_bits, 1, sample_format.bits)
    within("device_id", device_id, 0, 0xFFFF)
    step = chunk_rows or rows
    within("chunk_rows", step, 1, MAX_SIDE)
    messages = []
    for row0 in range(0, rows, step):
        chunk = counts[row0 : row0 + step]
        last = row0 + len(chunk) == rows
        header = Header(
            VERSION,
            MessageType.FRAME,
            seq & 0xFFFF,
            t_us & 0xFFFFFFFF,
            rows,
            cols,
            row0,
            len(chunk),
            sample_format | (adc_bits & 0x0F) << 4,
            (flags & ~Flag.LAST_CHUNK) | (Flag.LAST_CHUNK if last else Flag.NONE),
            device_id,
        )
        messages.append(encode_raw(header, pack(chunk, sample_format)))
    return b"".join(messages)


def encode_raw(header: Header, payload: bytes) -> bytes:
    """Any header and payload, sensible or not, framed and with its CRC-32."""
    body = HEADER.pack(*header) + payload
    return slip.frame(body + CRC.pack(zlib.crc32(body)))
