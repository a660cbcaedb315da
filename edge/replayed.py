"""What edge-export and edge-diff take from a recording: its frames, and what edge-run says of each."""

import logging
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

import numpy as np
from numpy.typing import NDArray

from edge.calibration import store
from edge.calibration.values import Calibration
from edge.config.settings import MatSettings
from edge.messages import Pose
from edge.model import KeypointModel
from edge.outputs.sink import Item
from edge.replay import Player, run_replay
from edge.session import Session
from edge.smoothing import Smoothing
from firmware_bridge.decoder import Decoder, Frame, Received
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import ORIENTATIONS, Grid, Orientation
from firmware_bridge.messages import Info
from firmware_bridge.recording import Truncated, read_recording

log = logging.getLogger(__name__)

PROGRESS_EVERY_S: Final = 1.0
RECORDED: Final = MatSettings(port="recording")
"""A mat that says nothing wrong of itself."""


@dataclass(frozen=True, slots=True, eq=False)
class RecordedFrame:
    """One whole frame."""

    counts: NDArray[np.uint16]
    """(rows, cols), canonical."""
    grid: Grid
    """Canonical."""
    info: Info
    """Of the mat, as the latest INFO before the frame has it."""
    seq: int
    t_us: int
    """Start of the scan on the device's clock, which wraps at 71.6 min."""
    unix_us: int
    """When the host received it."""
    time_s: float
    """Since the recording began, as a replay counts: a host's clock that is set back stands still."""
    read_bytes: int
    """Of the recording, up to here or a little beyond."""


class CountingDecoder(Decoder):
    """Knows how much it has been fed."""

    def __init__(self, corrected: Callable[[Info], Info]) -> None:
        super().__init__(corrected)
        self.read_bytes = 0

    def feed(self, data: bytes) -> list[Received]:
        self.read_bytes += len(data)
        return super().feed(data)


def start_unix_us(path: Path) -> int:
    """When the recording began. Raises Failure as read_recording does."""
    return next(read_recording(path)).unix_us


def frames_of(
    path: Path,
    turn: Callable[[Info], Orientation],
    start_us: int,
    *,
    corrected: Callable[[Info], Info] = lambda info: info,
    warn: Callable[[str], None] = log.warning,
) -> Iterator[RecordedFrame]:
    """Every frame of which edge-run makes a pose.

    `corrected` puts right what the mat said of itself, and `turn` says how it then lies; times count from `start_us`.
    """
    info: Info | None = None
    steady_us = 0
    decoder = CountingDecoder(corrected)
    for recorded in read_recording(path, decoder):
        steady_us = max(steady_us, recorded.unix_us)
        match recorded.event:
            case Info() as info:
                pass
            case Frame() as frame if info and frame.counts.shape == (info.rows, info.cols):
                orientation = turn(info)
                counts = np.ascontiguousarray(orientation.to_canonical(frame.counts))
                grid = orientation.canonical_grid(info.grid)
                times = frame.t_us, recorded.unix_us, (steady_us - start_us) / 1e6
                yield RecordedFrame(counts, grid, info, frame.seq, *times, decoder.read_bytes)
            case Truncated(n_bytes):
                warn(f"recording {path} ends within a message ({n_bytes} bytes are left out)")


@dataclass(frozen=True, slots=True)
class How:
    """With what poses are made: what edge-run would be told."""

    model: KeypointModel
    mat: MatSettings = RECORDED
    smoothing: Smoothing | None = None
    calibration: Calibration | None = None

    def turn(self, info: Info) -> Orientation:
        """As asked for, else as people chose when the mat was in use, else as the mat, corrected, itself says."""
        if self.mat.orientation is not None:
            return self.mat.orientation
        if self.calibration and self.calibration.orientation and not self.calibration.misfit(info):
            return ORIENTATIONS[self.calibration.orientation]
        return info.orientation


class Replay:
    """edge-run on one recording after the other, as if they were one."""

    def __init__(self, how: How) -> None:
        self._decoder = CountingDecoder(how.mat.corrected)
        self._session = Session(
            how.model,
            how.mat.name,
            self._decoder.counts,
            how.mat.orientation,
            smoothing=how.smoothing,
            calibration=how.calibration,
        )

    @property
    def read_bytes(self) -> int:
        """Of all recordings so far."""
        return self._decoder.read_bytes

    def __call__(self, path: Path, output: Callable[[Pose], None], duration_s: float = math.inf) -> None:
        """Every pose of `path`, up to `duration_s` after its start. Raises Failure as read_recording does."""

        def take(item: Item) -> None:
            if isinstance(item.line, Pose):
                output(item.line)

        self._decoder.interrupted()  # where a file was cut off, its rest is no message of the next one
        run_replay(
            path,
            self._decoder,
            self._session,
            take,
            lambda: False,
            player=Player(duration_s=duration_s),
        )


def read_calibration(text: str) -> Calibration | None:
    """`none`, or a file. Raises Failure."""
    if text == "none":
        return None
    calibration = store.read(Path(text))
    if calibration is None:
        raise Failure(f"no calibration {text}: edge-run writes one when a mat is tared", Exit.MISSING_INPUT)
    return calibration


class Progress:
    """How far it is and how long still, on a line of stderr that is written over; nothing where stderr is a file."""

    def __init__(
        self,
        name: str,
        total_bytes: int,
        stream: TextIO | None = None,
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._total_bytes = name, max(1, total_bytes)
        self._stream = sys.stderr if stream is None else stream
        self._steady_s = steady_s
        self._start_s = self._said_s = steady_s()
        self._shows = self._stream.isatty()
        self._written = False

    def __call__(self, done_bytes: int) -> None:
        now_s = self._steady_s()
        if not self._shows or not done_bytes or now_s - self._said_s < PROGRESS_EVERY_S:
            return
        self._said_s = now_s
        share = min(1.0, done_bytes / self._total_bytes)
        left_s = round((now_s - self._start_s) * (1 / share - 1))
        self._written = True
        self._stream.write(f"\r{self._name}: {share:4.0%}, {left_s // 60}:{left_s % 60:02d} min to go \x1b[K")
        self._stream.flush()

    def close(self) -> None:
        """Takes the line away."""
        if self._written:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
