"""`make bench`: what a frame costs, as ratios to one invoke of the default model in the same run (one thread)."""

import statistics
import time
from collections.abc import Callable

import numpy as np

from edge.core.calls import UNPACK
from edge.model import DEFAULT_MODEL, KeypointModel
from edge.pipeline import Pipeline
from edge.runtime import Interpreter
from firmware_bridge.decoder import Decoder, Frame
from firmware_bridge.encoder import encode, encode_frame
from firmware_bridge.person import still
from firmware_bridge.scans import DEFAULT_GRID, simulated_info
from firmware_bridge.sensor import Sensor

REPEATS, WARM_UP = 300, 20


def median_us(work: Callable[[], object]) -> float:
    times = []
    for _ in range(WARM_UP + REPEATS):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e6)
    return statistics.median(times[WARM_UP:])


def main() -> None:
    counts = Sensor(0, DEFAULT_GRID)(still(0, DEFAULT_GRID).pressure_kpa)
    info = simulated_info(0, DEFAULT_GRID, 10_000)
    model = KeypointModel.from_files(DEFAULT_MODEL)
    interpreter = Interpreter(DEFAULT_MODEL.read_bytes())
    interpreter.allocate()
    pipeline, by_numpy = Pipeline(model, info), Pipeline(model, info, core=None)
    quantised = np.zeros(interpreter.inputs[0].shape, np.int8)
    decoder, seq = Decoder(unpacked=UNPACK), 0
    decoder.feed(encode(info))

    def decode() -> Frame:
        nonlocal seq
        seq += 1
        (received,) = decoder.feed(encode_frame(counts, seq=seq & 0xFFFF, t_us=seq))
        assert isinstance(received.event, Frame)
        return received.event

    frame = decode()
    encode_us = median_us(lambda: encode_frame(counts, seq=0, t_us=0))
    invoke_us = median_us(lambda: interpreter.invoke(quantised))
    stages = {
        "decode one u12 frame of 64 x 32": median_us(decode) - encode_us,
        "invoke (int8, XNNPACK)": invoke_us,
        "pipeline.step, all of it": median_us(lambda: pipeline.step(frame)),
        "the same by NumPy, without the C core": median_us(lambda: by_numpy.step(frame)),
    }
    print(f"{'stage':44s} {'us':>8s} {'/ invoke':>9s}")
    for stage, us in stages.items():
        print(f"{stage:44s} {us:8.0f} {us / invoke_us:9.2f}")


if __name__ == "__main__":
    main()
