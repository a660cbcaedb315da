"""A virtual mat whose plug is pulled on command: the truth of what it sent goes to stdout, as JSON lines.

Commands on stdin: `replug S` (away for S seconds, scanning on) and `reboot S` (without power for so long). It ends with
stdin. Truth: {"boot", "frame", "hash"} for each frame handed to the pty, `hash` of the message as it goes over the
wire; {"flows", "at_s"} when the mat begins or ceases to be plugged in and to scan, on the steady clock;
{"heard", "at_s"} when its frames begin to reach somebody who has the port open; {"boot", "numbered"} how many scans a
boot counted, those dropped for want of room included.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy

import argparse
import json
import select
import sys
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

from soak_report import fingerprint

from firmware_bridge.bridge_sim import serve
from firmware_bridge.header import MessageType
from firmware_bridge.scans import DEFAULT_GRID, Scan, simulated_info, simulated_scans
from firmware_bridge.slip import END
from firmware_bridge.virtual_mat import VirtualMat

NIGHT_HZ: Final = 2.0
"""The person lives faster than the mat scans: in 40 frames pass 20 s of the night, so that there is much to tell."""
SCANS: Final = 240
"""Simulated ahead and sent over and over: at 40 frames/s simulating would cost more than what is tested."""


def tell(**truth: Any) -> None:
    print(json.dumps(truth), flush=True)


class ToldMat(VirtualMat):
    """Tells every frame that it sends. `waits`: it scans once the host has spoken, as boards do that wait for DTR."""

    def __init__(self, seed: int, scans: Iterator[Scan], rate_hz: float, *, waits: bool = False) -> None:
        info = simulated_info(seed, DEFAULT_GRID, round(rate_hz * 1000))
        super().__init__(info, scans, on_frame=self._count_on)
        self.streaming = not waits
        self._number = -1
        self._asked = self._flows = self._heard = False

    def receive(self, data: bytes) -> None:
        self._asked = self.streaming = True
        super().receive(data)

    def poll(self, now_us: int, room: bool = True) -> bytes:
        data = super().poll(now_us, room)
        for escaped in data.split(END):
            if escaped[1:2] == bytes([MessageType.FRAME]):
                tell(boot=self.info.boot_id, frame=self._number, hash=fingerprint(END + escaped + END))
                if not self._flows:
                    self._flows = True
                    tell(flows=True, at_s=time.monotonic())
                if self._asked and not self._heard:
                    self._heard = True
                    tell(heard=True, at_s=time.monotonic())
        return data

    def unplugged(self) -> None:
        tell(flows=False, at_s=time.monotonic())
        tell(boot=self.info.boot_id, numbered=self._frame_seq)
        self._asked = self._flows = self._heard = False

    def _count_on(self, seq: int, t_us: int, scan: Scan) -> None:
        self._number += (seq - self._number) & 0xFFFF


@contextmanager
def plugged(link: Path) -> Iterator[int]:
    """The master of a new pty; `link` leads to its other side while it lasts."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    new = link.with_name(f"{link.name}.new")
    new.symlink_to(os.ttyname(slave))
    new.replace(link)
    try:
        yield master
    finally:
        link.unlink()
        os.close(slave)
        os.close(master)


def marked(scans: Iterator[Scan], boot: int) -> Iterator[Scan]:
    """The first taxel counts boots: a scan that comes round again at the same number and time of another boot is
    another message."""
    for scan in scans:
        counts = scan.counts.copy()
        counts[0, 0] = boot
        yield Scan(counts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--link", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=40.0)
    args = parser.parse_args()
    scans = cycle(list(islice(simulated_scans(args.seed, DEFAULT_GRID, NIGHT_HZ), SCANS)))
    boots = 0
    mat = ToldMat(args.seed, marked(scans, boots), args.rate, waits=True)
    tell(ready=True)
    while True:
        with plugged(args.link) as master:
            serve(mat, master, lambda: bool(select.select([sys.stdin], [], [], 0)[0]))
            mat.unplugged()
        command, _, away_s = sys.stdin.readline().partition(" ")
        if not command:
            return
        back_s = time.monotonic() + float(away_s)
        if command == "reboot":
            boots += 1
            mat = ToldMat(args.seed, marked(scans, boots), args.rate)
        while (left_s := back_s - time.monotonic()) > 0:
            if command == "replug":
                mat.poll(time.monotonic_ns() // 1000, room=False)
            time.sleep(min(left_s, 0.25 / args.rate))


if __name__ == "__main__":
    main()
