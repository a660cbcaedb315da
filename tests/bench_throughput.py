"""How many frames a second `edge-run` poses on one core, and how that falls with the number of mats.

Each mat sends its next frame as soon as the line of the one before has been written: no frame waits, none is
dropped. Reading, decoding, the pipeline and the JSON lines are the daemon's own; frames are encoded beforehand.
"""

import os
import threading
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.control import Control
from edge.daemon import run_live
from edge.mat import LiveMat, Places
from edge.model import DEFAULT_MODEL, KeypointModel
from edge.outputs.fanout import Fanout
from edge.outputs.json_lines import JsonLines
from edge.outputs.queue import QueuedOutput
from edge.outputs.sink import Item
from edge.recorder import Recorder
from edge.session import Session
from edge.smoothing import Smoothing
from edge.source import Mailbox, PortReader
from firmware_bridge.encoder import encode, encode_frame
from firmware_bridge.link import ReopeningLink
from firmware_bridge.messages import Info

MATS: Final = (1, 2, 4, 8)
RATE_HZ: Final = 40
"""What the frames say of their time, for what is smoothed over it."""
FRAMES: Final = 20_000
"""Encoded beforehand, for all mats; a run ends when one has sent them all."""
WARM_UP_S: Final = 1.0


class PromptMat:
    """A link whose next frame comes when it is let go."""

    def __init__(self, info: Info, frames: list[bytes]) -> None:
        self.sent = 0
        self._info, self._frames = encode(info), frames
        self._free = threading.Semaphore(1)

    def let_go(self) -> None:
        self._free.release()

    def read(self, timeout_s: float) -> bytes:
        if self.sent == len(self._frames) or not self._free.acquire(timeout=timeout_s):
            return b""
        raw = self._frames[self.sent]
        self.sent += 1
        return self._info + raw if self.sent == 1 else raw

    def idle(self) -> bool:
        return True

    def write(self, data: bytes) -> None:
        """INFO has come already."""

    def close(self) -> None:
        pass


class Written(JsonLines):
    """Writes each line to `stream` and lets its mat send the next."""

    def __init__(self, stream: Any, mats: dict[str, PromptMat]) -> None:
        super().__init__(stream)
        self.poses = 0
        self._mats = mats

    def write(self, item: Item) -> None:
        super().write(item)
        if item.is_pose:
            self.poses += 1
            self._mats[item.line.mat].let_go()


def measure(maps: NDArray[np.uint16], info: Info, seconds: float) -> dict[str, Any]:
    """For each number of mats: poses/s by the clock and by the processor's own time. Pins this process to one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    model = KeypointModel.from_files(DEFAULT_MODEL)
    frames = [
        encode_frame(maps[seq // 20 % len(maps)], seq=seq, t_us=seq * 1_000_000 // RATE_HZ) for seq in range(FRAMES)
    ]
    return {str(n): _run(n, model, info, frames, seconds) for n in MATS}


def _run(n: int, model: KeypointModel, info: Info, frames: list[bytes], seconds: float) -> dict[str, float]:
    changed = threading.Condition()
    names = [f"mat{i}" for i in range(n)]
    prompt = {name: PromptMat(info, frames) for name in names}
    with open(os.devnull, "w") as nowhere:
        sink = Written(nowhere, prompt)
        mats = [_mat(name, prompt[name], model, changed) for name in names]
        counted: list[tuple[int, float, float]] = []

        def stopping() -> bool:
            """Counts from the end of the warm-up on."""
            now = (sink.poses, time.perf_counter(), time.process_time())
            if not counted and now[1] - began_s >= WARM_UP_S:
                counted.append(now)
            if now[1] - began_s >= WARM_UP_S + seconds or any(mat.sent == FRAMES for mat in prompt.values()):
                counted.append(now)
                return True
            return False

        output = QueuedOutput(sink, "json:-")
        began_s = time.perf_counter()
        with Fanout([output]) as outputs:
            outputs.start()
            run_live(mats, outputs.put, stopping, changed=changed, control=Control(names), check=outputs.check)
    assert output.counts().dropped == 0
    (poses, wall_s, cpu_s), (all_poses, end_s, end_cpu_s) = counted[0], counted[-1]
    done = all_poses - poses
    return {
        "poses_per_s": done / (end_s - wall_s),
        "poses_per_cpu_s": done / (end_cpu_s - cpu_s),
        "each_mat_per_s": done / (end_s - wall_s) / n,
        "dropped": sum(mat.reader.mailbox.dropped for mat in mats),
    }


def _mat(name: str, link: PromptMat, model: KeypointModel, changed: threading.Condition) -> LiveMat:
    mailbox = Mailbox(changed)
    recorder = Recorder(name)
    reader = PortReader(ReopeningLink(lambda: link), recorder, mailbox)
    session = Session(model, name, reader.counts, smoothing=Smoothing())
    return LiveMat(reader, session, recorder, Places(Path("/nowhere"), Path("/nowhere")))


def table(found: dict[str, Any]) -> str:
    one = found["1"]["poses_per_cpu_s"]
    lines = [f"{'mats':>4s} {'poses/s':>9s} {'each mat':>9s} {'poses/CPU s':>12s} {'of one mat':>11s}"]
    lines += [
        f"{n:>4s} {of['poses_per_s']:9.0f} {of['each_mat_per_s']:9.0f} {of['poses_per_cpu_s']:12.0f} "
        f"{100 * of['poses_per_cpu_s'] / one:10.0f} %"
        for n, of in found.items()
    ]
    return "\n".join(lines)
