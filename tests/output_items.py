"""Items without a mat, and sinks that fail in real ways, for the tests of queues and outputs."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge.messages import EventLine, Joint, Pose
from edge.outputs.sink import Item
from firmware_bridge.skeleton import JOINTS

LONG_S = 30.0
"""What a machine under load may take for what takes milliseconds."""


def pose(seq: int, mat: str = "bed", **changes: Any) -> Item:
    """One frame every 0.1 s of the recording's time."""
    values: dict[str, Any] = {
        "ts": 1_700_000_000 + seq / 10, "seq": seq, "mat": mat, "boot_id": 7, "t_us": seq * 100_000, "occupied": True,
        "joints": {name: Joint(x_cm=10.0 + i, y_cm=20.0 + i, confidence=0.5) for i, name in enumerate(JOINTS)},
        "keypoints": [(0.5, 0.25, 0.75)], "cop_cm": (40.13, 80.0), "contact_area_cm2": 4567.9,
        "peak_pressure": 900.0, "posture": "supine",
    }  # fmt: skip
    return Item(Pose(**(values | changes)))


def event(detail: str = "", mat: str = "bed") -> Item:
    return Item(EventLine(ts=1_700_000_000, seq=None, mat=mat, event="fresh", detail=detail))


def named(items: list[Item]) -> list[int | str]:
    """Sequence numbers of poses, details of events."""
    return [item.line.seq if isinstance(item.line, Pose) else item.line.model_dump()["detail"] for item in items]


def wait_until(condition: Callable[[], object]) -> None:
    end_s = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.002)


def stderr_of(program: str) -> list[str]:
    """What a Python program says whose stdout is a pipe that nobody reads; it must end cleanly all the same."""
    read, write = os.pipe()
    command = [sys.executable, "-W", "error", "-c", program]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen(command, stdout=write, stderr=subprocess.PIPE, text=True, env=environment)
    os.close(write)
    _, said = process.communicate(timeout=2 * LONG_S)
    os.close(read)
    assert process.returncode == 0, said
    return said.splitlines()


class Kept:
    """Keeps what it is handed."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.opened = self.closed = False

    def open(self) -> None:
        self.opened = True

    def write(self, item: Item) -> None:
        self.items.append(item)

    def close(self) -> None:
        self.closed = True


class Device(Kept):
    """Keeps what it could write to `path`: /dev/full has no room, ever; /dev/null always has."""

    def __init__(self, path: str = "/dev/full") -> None:
        super().__init__()
        self.path = path

    def write(self, item: Item) -> None:
        with open(self.path, "ab", buffering=0) as device:
            device.write(item.line.json_line().encode())
        super().write(item)


class Fifo:
    """Both ends of a pipe with a name; whoever writes to it waits while nobody reads."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self.writer = open(path, "w")  # noqa: SIM115 - closed in close
        self._rest = b""

    def read(self) -> list[str]:
        """The whole lines that came since the last call."""
        with suppress(BlockingIOError):
            while data := os.read(self._fd, 1 << 16):
                self._rest += data
        *lines, self._rest = self._rest.split(b"\n")
        return [line.decode() for line in lines]

    def read_until(self, condition: Callable[[], object]) -> list[str]:
        """What comes meanwhile."""
        lines: list[str] = []
        wait_until(lambda: lines.extend(self.read()) or condition())
        return lines + self.read()

    def close(self) -> None:
        self.read()
        with suppress(ValueError):
            self.writer.close()
        os.close(self._fd)
