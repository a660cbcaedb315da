"""A mat in software that speaks the real protocol, and the port names that lead to one."""

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qsl

import numpy as np

from firmware_bridge.decoder import Corrupt, Decoder, Received, Skipped
from firmware_bridge.encoder import encode, encode_frame
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.header import VERSION, Flag, SampleFormat
from firmware_bridge.link import DEFAULT_BAUD, Link, SerialLink
from firmware_bridge.messages import Ack, AckResult, GetInfo, Info, Message, SetRate, Start, Status, Stop
from firmware_bridge.scans import DEFAULT_GRID, SCENES, Scan, simulated_info, simulated_scans

INFO_EVERY_US: Final = 10_000_000
LOWEST_RATE_MHZ: Final = 100
HIGHEST_RATE_MHZ: Final = 200_000
DEFAULT_RATE_MHZ: Final = 10_000
MAX_ANSWERS: Final = 16
"""Answers that wait for room on the link; more commands than that go unanswered."""


class VirtualMat:
    """Sans-IO device: the host's bytes go into `receive`, the mat's come from `poll`.

    `scans` yields what the sensor sees at each scan; when it ends, `finished` is set. Every VirtualMat is a
    boot of its own, with a new boot id, unless one is given. `on_frame` hears of each frame sent: seq and t_us as
    in its header, and the scan.
    """

    def __init__(
        self,
        info: Info,
        scans: Iterator[Scan],
        *,
        rate_mhz: int | None = None,
        sample_format: SampleFormat = SampleFormat.U12,
        chunk_rows: int | None = None,
        flags: Flag = Flag.SIMULATED,
        boot_id: int | None = None,
        on_frame: Callable[[int, int, Scan], None] = lambda seq, t_us, scan: None,
    ) -> None:
        self._shift = max(0, info.adc_full_scale.bit_length() - sample_format.bits)
        self.info = replace(
            info,
            boot_id=secrets.randbits(32) if boot_id is None else boot_id,
            adc_full_scale=info.adc_full_scale >> self._shift,
            frame_rate_mhz=rate_mhz or info.frame_rate_mhz or DEFAULT_RATE_MHZ,
        )
        self.finished = False
        self.streaming = True
        self._scans, self._on_frame = scans, on_frame
        self._sample_format, self._chunk_rows, self._flags = sample_format, chunk_rows, flags
        self._decoder = Decoder()
        self._answers: deque[Message] = deque(maxlen=MAX_ANSWERS)
        self._seqs: dict[int, int] = {}
        self._boot_us: int | None = None
        self._frame_due_us = self._info_due_us = 0
        self._frame_seq = self._dropped = self._refused = 0
        self._overrun = Flag.NONE

    def due_us(self, room: bool = True) -> int | None:
        """When `poll` with or without `room` has something to do, if the host says nothing; None for never."""
        if self._boot_us is None or (room and self._answers):
            return 0
        due_us = ([self._info_due_us] if room else []) + ([self._frame_due_us] if self.streaming else [])
        return min(due_us, default=None)

    def receive(self, data: bytes) -> None:
        """Bytes from the host."""
        for received in self._decoder.feed(data):
            self._answer(received)

    def poll(self, now_us: int, room: bool = True) -> bytes:
        """Whole messages that are due. Without `room` on the link a due scan is dropped, the rest waits."""
        if self._boot_us is None:
            self._boot_us = self._frame_due_us = self._info_due_us = now_us
        t_us = now_us - self._boot_us
        messages = []
        if room and now_us >= self._info_due_us:
            messages.append(self._encode(self.info, t_us))
            if t_us:
                messages.append(self._encode(self._status(t_us), t_us))
            self._info_due_us = now_us + INFO_EVERY_US
        while room and self._answers:
            messages.append(self._encode(self._answers.popleft(), t_us))
        if self.streaming and now_us >= self._frame_due_us:
            messages.append(self._scan(t_us, room))
            period_us = 1_000_000_000 // self.rate_mhz
            on_time = now_us < self._frame_due_us + period_us
            self._frame_due_us = (self._frame_due_us if on_time else now_us) + period_us
        return b"".join(messages)

    @property
    def rate_mhz(self) -> int:
        return self.info.frame_rate_mhz or DEFAULT_RATE_MHZ

    def _scan(self, t_us: int, room: bool) -> bytes:
        scan = next(self._scans, None)
        if scan is None:
            self.finished, self.streaming = True, False
            return b""
        seq = self._frame_seq
        self._frame_seq += 1
        if not room:
            self._dropped += 1
            self._overrun = Flag.OVERRUN
            return b""
        counts = np.minimum(scan.counts >> self._shift, self.info.adc_full_scale)
        saturated = Flag.SATURATED if (counts == self.info.adc_full_scale).any() else Flag.NONE
        message = encode_frame(
            counts,
            seq=seq,
            t_us=t_us,
            sample_format=self._sample_format,
            adc_bits=self.info.adc_full_scale.bit_length(),
            flags=self._flags | self._overrun | saturated,
            device_id=self.info.device_id,
            chunk_rows=self._chunk_rows,
        )
        self._overrun = Flag.NONE
        self._on_frame(seq & 0xFFFF, t_us & 0xFFFFFFFF, scan)
        return message

    def _encode(self, message: Message, t_us: int) -> bytes:
        seq = self._seqs.get(message.TYPE, 0)
        self._seqs[message.TYPE] = seq + 1
        return encode(message, seq=seq, t_us=t_us, device_id=self.info.device_id)

    def _status(self, t_us: int) -> Status:
        return Status(self.streaming, t_us // 1_000_000, self._frame_seq, self._dropped, self._refused)

    def _answer(self, received: Received) -> None:
        header = received.header
        match received.event:
            case GetInfo():
                self._answers.append(self.info)
            case Start() | Stop() as command:
                self.streaming = isinstance(command, Start) and not self.finished
                self._acknowledge(received, AckResult.DONE)
            case SetRate(rate_mhz):
                if LOWEST_RATE_MHZ <= rate_mhz <= HIGHEST_RATE_MHZ:
                    self.info = replace(self.info, frame_rate_mhz=rate_mhz)
                    self._acknowledge(received, AckResult.DONE)
                    self._answers.append(self.info)
                else:
                    self._acknowledge(received, AckResult.BAD_VALUE)
            case Skipped() if header and header.version == VERSION and header.type & 0x80:
                self._acknowledge(received, AckResult.UNKNOWN_TYPE)
            case Corrupt() | Skipped():
                self._refused += 1

    def _acknowledge(self, received: Received, result: AckResult) -> None:
        assert received.header
        self._refused += result is not AckResult.DONE
        self._answers.append(Ack(received.header.type, received.header.seq, result))


class VirtualLink:
    """A VirtualMat in this process, paced by the clock."""

    def __init__(
        self,
        mat: VirtualMat,
        clock_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.mat, self._clock_s, self._sleep = mat, clock_s, sleep

    def read(self, timeout_s: float) -> bytes:
        wait_s = self._wait_s()
        if wait_s > 0:
            self._sleep(min(wait_s, timeout_s))
        return self.mat.poll(round(self._clock_s() * 1e6))

    def idle(self) -> bool:
        return self._wait_s() > 0

    def _wait_s(self) -> float:
        return (self.mat.due_us() or 0) / 1e6 - self._clock_s()

    def write(self, data: bytes) -> None:
        self.mat.receive(data)

    def close(self) -> None:
        pass


def open_port(port: str, baud: int = DEFAULT_BAUD, dtr: bool | None = None) -> Link:
    """`sim:` or `sim:?seed=7&rate=10&scene=empty&format=u8&chunk=8` -> a virtual mat in this process; else SerialLink.

    Raises Failure, as SerialLink does.
    """
    if not port.startswith("sim:"):
        return SerialLink(port, baud, dtr)
    settings = dict(parse_qsl(port.removeprefix("sim:").removeprefix("?"), keep_blank_values=True))
    try:
        seed, rate_hz = int(settings.pop("seed", "0")), float(settings.pop("rate", "10"))
        scene, chunk = settings.pop("scene", "night"), int(settings.pop("chunk", "0"))
        sample_format = SampleFormat[settings.pop("format", "u12").upper()]
    except (ValueError, KeyError) as error:
        raise Failure(f"port {port}: bad value {error}: {_SIM_HELP}", Exit.USAGE) from None
    if settings or scene not in SCENES or seed < 0 or not 0 <= chunk <= DEFAULT_GRID.rows:
        raise Failure(f"port {port} is not understood: {_SIM_HELP}", Exit.USAGE)
    if not LOWEST_RATE_MHZ <= rate_hz * 1000 <= HIGHEST_RATE_MHZ:
        raise Failure(f"port {port}: rate {rate_hz:g} is not in 0.1..200 frames/s", Exit.USAGE)
    info = simulated_info(seed, DEFAULT_GRID, round(rate_hz * 1000))
    scans = simulated_scans(seed, DEFAULT_GRID, rate_hz, scene)
    return VirtualLink(VirtualMat(info, scans, sample_format=sample_format, chunk_rows=chunk or None))


_SIM_HELP: Final = "write sim:?seed=7&rate=10&scene=night|empty&format=u8|u12|u16&chunk=8"
