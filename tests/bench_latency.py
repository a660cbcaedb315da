"""How long a frame takes from its last byte to its line on stdout, stage by stage, in a real `edge-run`.

The bench holds the other end of the daemon's port (a pty) and reads its stdout (a pipe); frames go one by one, so
that none waits for another. All times are of the machine's Unix clock, which processes share. Inside the daemon a
probe notes what each stage takes, and each frame's own invoke: same process, same state of the caches.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.encoder import encode, encode_frame
from firmware_bridge.messages import Info

WARM_UP: Final = 50
STAGES: Final = {
    "read": "from the last byte in the pty until edge-run has read it",
    "wait": "decoding, and the hand-over to the processing loop",
    "pressure": "calibration, contact, the model's input",
    "inference": "invoke, fetch",
    "points": "heat maps to smooth joints, posture",
    "line": "behaviour, load, the line's object",
    "hand over": "the hand-over to the output",
    "write": "JSON and the write",
    "arrive": "until the reader of the pipe has it",
}
OUTSIDE: Final = ("read", "arrive")
"""What the kernel takes to wake one process for another."""
Rows = list[dict[str, Any]]


def measure(maps: NDArray[np.uint16], info: Info, rate_hz: float, frames: int) -> dict[str, Any]:
    """p50 and p95 in ms of each stage, of their sums and of the invoke; maps (N, rows, cols)."""
    master, slave = os.openpty()
    tty.setraw(slave)
    with tempfile.TemporaryDirectory() as folder:
        noted = Path(folder, "noted.json")
        command = [sys.executable, __file__, str(noted), "--port", os.ttyname(slave), "--state-dir", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as daemon:
            assert daemon.stdout
            assert daemon.stderr
            for log in daemon.stderr:
                if "the port is open" in log:
                    break
            os.write(master, encode(info))
            sent, arrived = {}, {}
            for seq in range(WARM_UP + frames):
                raw = encode_frame(maps[seq // 20 % len(maps)], seq=seq, t_us=round(seq * 1e6 / rate_hz))
                sent[seq] = _send(master, raw)
                line = {"type": ""}
                while line["type"] != "pose":
                    text = daemon.stdout.readline()
                    arrived[seq] = time.time()
                    line = json.loads(text)
                assert line["seq"] == seq
                time.sleep(1 / rate_hz)
            daemon.terminate()
            daemon.communicate()
        notes = json.loads(noted.read_text())[WARM_UP:]
    os.close(slave)
    os.close(master)
    rows = [_row(note, sent[note["seq"]], arrived[note["seq"]]) for note in notes]
    return {"wall": _summary(rows), "cpu": _summary(_cpu_rows(notes))}


def _cpu_rows(notes: Rows) -> Rows:
    """ms of the processor's time in each stage; `process` counts all threads, from one frame to the next."""
    rows = []
    for before, note in pairwise(notes):
        cpu_ms = note["cpu_ms"]
        process_ms = cpu_ms["process"] - before["cpu_ms"]["process"]
        rows.append(
            {"decode": cpu_ms["decode"]}
            | {stage: cpu_ms[stage] for stage in ("pressure", "inference", "points", "line", "write")}
            | {"process": process_ms, "process but inference": process_ms - cpu_ms["inference"]}
            | {"invoke (in inference)": cpu_ms["invoke"]}
        )
    return rows


def _send(master: int, raw: bytes) -> float:
    """When the last byte was in the pty: the reader has had all before it for some time."""
    while len(raw) > 1:
        raw = raw[os.write(master, raw[:-1]) :]
    time.sleep(0.005)
    sent_s = time.time()
    os.write(master, raw)
    return sent_s


def _row(note: dict[str, Any], sent_s: float, arrived_s: float) -> dict[str, float]:
    """ms of one frame."""
    stages: dict[str, float] = {"read": (note["read_s"] - sent_s) * 1000, **note["stages_ms"]}
    posed_s = note["read_s"] + sum(note["stages_ms"].values()) / 1000
    stages["hand over"] = (note["write_begins_s"] - posed_s) * 1000
    written_s = min(note["write_ends_s"], arrived_s)  # the kernel may wake the reader before the write returns
    stages["write"] = (written_s - note["write_begins_s"]) * 1000
    stages["arrive"] = (arrived_s - written_s) * 1000
    inside = sum(ms for stage, ms in stages.items() if stage not in OUTSIDE)
    whole = (arrived_s - sent_s) * 1000
    return stages | {
        "edge-run, last byte read to line written": inside,
        "whole, last byte sent to line read": whole,
        "edge-run but inference": inside - stages["inference"],
        "whole but inference": whole - stages["inference"],
        "decode (in wait)": note["decode"],
        "invoke (in inference)": note["invoke"],
    }


def _summary(rows: Rows) -> dict[str, Any]:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    invoke_ms = statistics.median(columns["invoke (in inference)"])
    return {
        name: {"p50_ms": (p50 := statistics.median(ms)), "p95_ms": _p95(ms), "invokes": p50 / invoke_ms}
        for name, ms in columns.items()
    }


def _p95(values: list[float]) -> float:
    return sorted(values)[len(values) * 95 // 100]


def table(found: dict[str, Any]) -> str:
    lines = []
    for kind, summary in found.items():
        lines.append(f"{kind:42s} {'p50 ms':>8s} {'p95 ms':>8s} {'invokes':>8s}")
        for name, of in summary.items():
            figures = f"{of['p50_ms']:8.3f} {of['p95_ms']:8.3f} {of['invokes']:8.2f}"
            lines.append(f"{name:42s} {figures}  {STAGES.get(name, '')}".rstrip())
    return "\n".join(lines)


def _probed(noted: Path, arguments: list[str]) -> int:
    """edge-run that notes, for each line it writes, when and how long."""
    import edge.mat
    from edge.latency import Stopwatch
    from edge.outputs.json_lines import JsonLines
    from edge.outputs.sink import Item
    from edge.run import main
    from edge.runtime import Interpreter
    from firmware_bridge.decoder import Decoder

    notes: list[dict[str, Any]] = []
    latest: dict[str, float] = {}
    began_s: dict[int, float] = {}
    cpu_ms: dict[str, float] = {}
    invoke, feed = Interpreter.invoke, Decoder.feed
    write, write_at_once = JsonLines.write, JsonLines.write_at_once

    class Noted(Stopwatch):
        def __init__(self, start_s: float) -> None:
            super().__init__(start_s)
            began_s[id(self.stages_ms)] = time.time() - (time.monotonic() - start_s)
            self._cpu_s = time.thread_time()

        def __call__(self, stage: str) -> None:
            super().__call__(stage)
            now_s = time.thread_time()
            cpu_ms[stage] = (now_s - self._cpu_s) * 1000
            self._cpu_s = now_s

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        start_s, start_cpu_s = time.perf_counter(), time.thread_time()
        yield
        latest[name], cpu_ms[name] = (time.perf_counter() - start_s) * 1000, (time.thread_time() - start_cpu_s) * 1000

    def timed_invoke(self: Interpreter, values: Any) -> Any:
        with timed("invoke"):
            return invoke(self, values)

    def timed_feed(self: Decoder, data: bytes) -> Any:
        with timed("decode"):
            return feed(self, data)

    def timed_write(self: JsonLines, item: Item) -> None:
        start_s = time.time()
        with timed("write"):
            write(self, item)
        note(item, start_s)

    def timed_write_at_once(self: JsonLines, item: Item) -> bool:
        start_s = time.time()
        with timed("write"):
            written = write_at_once(self, item)
        if written:
            note(item, start_s)
        return written

    def note(item: Item, start_s: float) -> None:
        end_s = time.time()
        if item.picture:
            stages_ms = item.picture.stages_ms
            cpu_ms["process"] = time.process_time() * 1000
            of_frame = {
                "seq": json.loads(item.json_line())["seq"],
                "read_s": began_s.pop(id(stages_ms)),
                "stages_ms": stages_ms,
                **latest,
            }
            notes.append(of_frame | {"write_begins_s": start_s, "write_ends_s": end_s, "cpu_ms": dict(cpu_ms)})

    Interpreter.invoke, Decoder.feed = timed_invoke, timed_feed  # type: ignore[method-assign]
    JsonLines.write, JsonLines.write_at_once = timed_write, timed_write_at_once  # type: ignore[method-assign]
    edge.mat.Stopwatch = Noted  # type: ignore[misc]
    code = main(arguments)
    noted.write_text(json.dumps(notes))
    return code


if __name__ == "__main__":
    sys.exit(_probed(Path(sys.argv[1]), sys.argv[2:]))
