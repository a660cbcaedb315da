"""Recordings that the tests of edge-export and edge-diff look at."""

from pathlib import Path
from typing import Any

import numpy as np
from edge_packages import GRID, info
from numpy.typing import NDArray

from firmware_bridge.encoder import encode, encode_frame
from firmware_bridge.geometry import Grid, Orientation
from firmware_bridge.messages import Info
from firmware_bridge.recording import RecordingWriter
from train.pmd import read_pmd

START_US = 1_700_000_000_000_000
UPRIGHT = Orientation()


def scans(n: int, grid: Grid = GRID, seed: int = 0) -> NDArray[np.uint16]:
    """(n, rows, cols), canonical; every row, column and frame is another."""
    return np.random.default_rng(seed).integers(0, 4096, (n, grid.rows, grid.cols)).astype(np.uint16)


class Night:
    """A recording that is being made, a frame every 0.1 s of the host's clock and of the mat's."""

    def __init__(self, path: Path, start_us: int = START_US) -> None:
        self._writer = RecordingWriter(path)
        self.unix_us = start_us
        self._mat: Info | None = None

    def mat(self, **changes: Any) -> "Night":
        self._mat = info(**changes)
        self._writer.write(encode(self._mat), self.unix_us)
        return self

    def frames(self, maps: NDArray[np.uint16], first_seq: int = 0) -> "Night":
        """maps (n, rows, cols), canonical."""
        assert self._mat
        for seq, counts in enumerate(maps, first_seq):
            sent = self._mat.orientation.from_canonical(counts)
            self._writer.write(encode_frame(sent, seq=seq, t_us=seq * 100_000), self.unix_us)
            self.unix_us += 100_000
        return self

    def damaged(self) -> "Night":
        self._writer.write(b"\xc0damaged\xc0", self.unix_us)
        return self

    def done(self) -> Path:
        self._writer.close()
        return self._writer.path


def people(pmd: Path, subject: int = 5) -> NDArray[np.uint16]:
    """(17, 64, 32): one real person in 17 postures."""
    return read_pmd(pmd, [subject]).medians().pressure.round().clip(0, 4095).astype(np.uint16)
