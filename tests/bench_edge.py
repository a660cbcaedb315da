"""Latency and throughput of `edge-run` on real frames (--data: pmd's folder) or on simulated people.

OMP_NUM_THREADS=1 python tests/bench_edge.py latency --data ../shared/data/pmd --json latency.json
OMP_NUM_THREADS=1 python tests/bench_edge.py warm --data ../shared/data/pmd --frames 3000
OMP_NUM_THREADS=1 python tests/bench_edge.py throughput --data ../shared/data/pmd
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: BLAS threads that spin would be measured too

import bench_latency
import bench_throughput
import bench_warm
import numpy as np
from numpy.typing import NDArray

from firmware_bridge.messages import Info
from firmware_bridge.person import still
from firmware_bridge.scans import DEFAULT_GRID, simulated_info
from firmware_bridge.sensor import Sensor

PEOPLE = 17


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("latency", "warm", "throughput"))
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="pmd: one median map of each posture of person 5")
    parser.add_argument("--rate", type=float, default=20, metavar="HZ", help="latency: frames a second (20)")
    parser.add_argument("--frames", type=int, default=600, help="latency, warm: so many (600)")
    parser.add_argument("--seconds", type=float, default=6, help="throughput: for each number of mats (6)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured there")
    args = parser.parse_args()
    maps, info = occupied_maps(args.data)
    if args.what == "latency":
        found = bench_latency.measure(maps, info, args.rate, args.frames)
        print(bench_latency.table(found))
    elif args.what == "warm":
        found = bench_warm.measure(maps, info, args.frames)
        print(bench_warm.table(found))
    else:
        found = bench_throughput.measure(maps, info, args.seconds)
        print(bench_throughput.table(found))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


def occupied_maps(data: Path | None) -> tuple[NDArray[np.uint16], Info]:
    """(N, 64, 32) counts of people in bed, and the INFO of their mat."""
    info = simulated_info(0, DEFAULT_GRID, 20_000)
    if data is None:
        scans = [Sensor(seed, DEFAULT_GRID)(still(seed, DEFAULT_GRID).pressure_kpa) for seed in range(PEOPLE)]
        return np.asarray(scans, np.uint16), info
    from train.pmd import read_pmd

    return np.asarray(read_pmd(data, [5]).medians().pressure.round().clip(0, 4095), np.uint16), info


if __name__ == "__main__":
    main()
