"""What a Decoder gives out, and what it counts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.header import Flag, Header
from firmware_bridge.messages import Message


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A whole frame, its chunks put together."""

    counts: NDArray[np.uint16]
    """(rows, cols) as sent, read-only."""
    seq: int
    t_us: int
    """Start of the scan on the device's clock, which wraps after 71.6 minutes."""
    flags: Flag
    """Of all chunks, without LAST_CHUNK."""
    adc_bits: int
    device_id: int


@dataclass(frozen=True, slots=True)
class Part:
    """A chunk that did not complete a frame."""

    seq: int
    row0: int
    nrows: int


@dataclass(frozen=True, slots=True)
class Repeated:
    """A frame, or a chunk, that came before: ignored."""

    seq: int


@dataclass(frozen=True, slots=True)
class Corrupt:
    """A message that cannot be trusted."""

    raw: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """An intact message of a protocol version or type that is not known here."""

    version: int
    type: int


Event = Message | Frame | Part | Repeated | Corrupt | Skipped


@dataclass(frozen=True, slots=True)
class Received:
    """One message of the wire."""

    event: Event
    raw: bytes
    """As it came, both ENDs included: what a recording keeps."""
    header: Header | None
    """None where the event is Corrupt."""


@dataclass(slots=True)
class StreamCounts:
    """What came and what did not. For each boot id, received + lost = sent, once a later frame has come."""

    received: int = 0
    """Whole frames."""
    lost: int = 0
    """Frames missing by their sequence number, incomplete ones included."""
    incomplete: int = 0
    """Of the lost frames, those of which some chunk came."""
    repeated: int = 0
    """Frames or chunks that came before."""
    corrupt: int = 0
    """Messages; one lost frame may leave none, one or several of them."""
    skipped: int = 0
    """Messages of unknown version or type."""
    reboots: int = 0
    unknown: int = 0
    """Gaps in which the number of lost frames cannot be known: across reboots, announced or not."""
    other_received: int = 0
    """Messages that are no frames."""
    other_lost: int = 0
    ignored_bytes: int = 0
    """Before the first END: boot text, and the rest of the message in which the port was opened."""
