"""What a frame costs with warm caches: one after the other, in one thread, from its last byte to its line in a pipe.

The same decoder, session and output as in `edge-run`; what is missing is the port and the hand-over between threads.
"""

import os
import statistics
import time
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.core.calls import UNPACK
from edge.latency import Stopwatch
from edge.model import DEFAULT_MODEL, KeypointModel
from edge.outputs.json_lines import JsonLines
from edge.outputs.sink import Item
from edge.runtime import Interpreter
from edge.session import Instant, Session
from edge.smoothing import Smoothing
from firmware_bridge.decoder import Decoder, Frame
from firmware_bridge.encoder import encode, encode_frame
from firmware_bridge.messages import Info

WARM_UP: Final = 100
RATE_HZ: Final = 20
"""What the frames say of their time, for what is smoothed over it."""
PIPE_BYTES: Final = 1 << 16
STAGES: Final = ("decode", "pressure", "inference", "points", "line", "write")


class TimedInterpreter:
    """Stands where the model's interpreter stood, and notes how long each invoke takes."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        self.ms = 0.0

    def invoke(self, values: NDArray[np.int8]) -> list[NDArray[np.int8]]:
        begin_s = time.perf_counter()
        outputs = self._interpreter.invoke(values)
        self.ms = (time.perf_counter() - begin_s) * 1000
        return outputs


def measure(maps: NDArray[np.uint16], info: Info, frames: int) -> dict[str, Any]:
    """p50 and p95 in ms of each stage, of all but inference and of the invoke; maps (N, rows, cols)."""
    model = KeypointModel.from_files(DEFAULT_MODEL)
    timed = TimedInterpreter(model._interpreter)
    model._interpreter = timed  # type: ignore[assignment]
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as reader, open(writing, "w") as stream:
        output = JsonLines(stream)
        output.open()
        decoder = Decoder(unpacked=UNPACK)
        session = Session(model, "bed", decoder.counts, smoothing=Smoothing())
        (received,) = decoder.feed(encode(info))
        assert isinstance(received.event, Info)
        list(session.meet(received.event, _now()))
        rows = []
        for seq in range(WARM_UP + frames):
            raw = encode_frame(maps[seq // 20 % len(maps)], seq=seq, t_us=round(seq * 1e6 / RATE_HZ))
            decoder.feed(raw[:-1])
            rows.append(_row(decoder, session, received.event, output, raw[-1:]) | {"invoke": timed.ms})
            reader.read(PIPE_BYTES)
        output.close()
    return _summary(rows[WARM_UP:])


def _row(decoder: Decoder, session: Session, info: Info, output: JsonLines, last_byte: bytes) -> dict[str, float]:
    """ms of one frame in each stage."""
    begin_s = time.monotonic()
    (received,) = decoder.feed(last_byte)
    decoded_s = time.monotonic()
    assert isinstance(received.event, Frame)
    pose: Item | None = None
    for item in session.frame(received.event, info, Instant(time.time(), decoded_s), Stopwatch(decoded_s)):
        if item.picture:
            pose = item
            before_s = time.monotonic()
            assert output.write_at_once(item)
            after_s = time.monotonic()
    assert pose
    assert pose.picture
    stages_ms = {stage: ms for stage, ms in pose.picture.stages_ms.items() if stage in STAGES}
    return {"decode": (decoded_s - begin_s) * 1000, **stages_ms, "write": (after_s - before_s) * 1000}


def _now() -> Instant:
    return Instant(time.time(), time.monotonic())


def _summary(rows: list[dict[str, float]]) -> dict[str, Any]:
    for row in rows:
        row["all but inference"] = sum(row[stage] for stage in STAGES if stage != "inference")
    invoke_ms = statistics.median(row["invoke"] for row in rows)
    summary = {}
    for name in rows[0]:
        ms = sorted(row[name] for row in rows)
        p50_ms = statistics.median(ms)
        summary[name] = {"p50_ms": p50_ms, "p95_ms": ms[len(ms) * 95 // 100], "invokes": p50_ms / invoke_ms}
    return summary


def table(found: dict[str, Any]) -> str:
    lines = [f"{'warm, without port and threads':32s} {'p50 ms':>8s} {'p95 ms':>8s} {'invokes':>8s}"]
    lines += [f"{n:32s} {of['p50_ms']:8.3f} {of['p95_ms']:8.3f} {of['invokes']:8.2f}" for n, of in found.items()]
    return "\n".join(lines)
