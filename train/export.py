"""train-export: real or simulated pressure as a recording of the wire, with its true joints beside it."""

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.encoder import encode, encode_frame
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid, Orientation
from firmware_bridge.messages import Flag, Info, SampleFormat
from firmware_bridge.numbers import duration_s, rate_hz, seed
from firmware_bridge.person import night
from firmware_bridge.recording import RecordingWriter
from firmware_bridge.scans import truth_line
from firmware_bridge.sensor import Sensor
from firmware_bridge.skeleton import JOINTS
from train.arguments import add_data_arguments, read_data, require_joints
from train.maps import Maps
from train.pmd import ORIENTATION_I, ORIENTATION_II

FIRST_UNIX_US: Final = 1_500_000_000_000_000
"""Time of the first frame: pmd does not say when it was made, and the same input must give the same file."""
BOOT_ID: Final = 1
PMD_RATE_HZ: Final = 1.0
OF_PMD: Final = ("experiment", "mat", "subjects", "joints", "median")
OF_A_NIGHT: Final = ("duration", "rate")


@dataclass(frozen=True)
class Sample:
    """One frame to write: counts (rows, cols) as a device would send them, and what is known about it."""

    counts: NDArray[np.uint16]
    joints: NDArray[np.float32] | None
    """(14, 3): canonical x_cm, y_cm, visibility; None where nobody lies on the mat."""
    posture: str
    group: str


def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    args = parser.parse_args(argv)
    if (args.data is None) == (args.simulated is None):
        raise Failure("give either --data DIR or --simulated SEED", Exit.USAGE)
    source, others = ("--data", OF_A_NIGHT) if args.simulated is None else ("--simulated", OF_PMD)
    if foreign := [name for name in others if getattr(args, name) != parser.get_default(name)]:
        raise Failure(f"--{foreign[0]} does not go with {source}: leave it out", Exit.USAGE)
    if args.data is not None:
        maps = read_data(args)
        require_joints(args.joints, [maps])
        orientation, flags, rate_hz = ORIENTATION_I if args.experiment == "i" else ORIENTATION_II, Flag(0), PMD_RATE_HZ
        grid, samples = maps.grid, _real(maps.medians() if args.median else maps, orientation)
        name = f"pmd experiment {args.experiment}"
    else:
        grid, orientation, flags, rate_hz = Grid(64, 32, 2.54, 2.54), Orientation(), Flag.SIMULATED, args.rate
        frames = round(args.duration * rate_hz)
        if not frames:
            raise Failure(f"{args.duration:g} s at {rate_hz:g} frames/s is no frame: ask for more", Exit.USAGE)
        samples = itertools.islice(_simulated(args.simulated, grid, rate_hz), frames)
        name = f"simulated person {args.simulated}"
    truth = args.out.with_suffix(".truth.jsonl")
    count = write_recording(args.out, truth, samples, grid, orientation, flags, rate_hz, name)
    print(f"wrote {count} frames to {args.out}, their joints to {truth}", file=sys.stderr)
    return Exit.OK


def write_recording(
    path: Path,
    truth_path: Path,
    samples: Iterator[Sample],
    grid: Grid,
    orientation: Orientation,
    flags: Flag,
    rate_hz: float,
    name: str,
) -> int:
    """Write all samples; returns how many. `grid` is the canonical one. Raises Failure where either file exists."""
    device = orientation.canonical_grid(grid)  # a quarter turn is its own inverse on a grid's sides
    info = Info(
        firmware_name=name[:32],
        firmware_version="0",
        boot_id=BOOT_ID,
        rows=device.rows,
        cols=device.cols,
        pitch_x_um=round(device.pitch_x_cm * 10_000),
        pitch_y_um=round(device.pitch_y_cm * 10_000),
        adc_full_scale=4095,
        orientation=orientation,
        frame_rate_mhz=round(rate_hz * 1000),
    )
    if truth_path.exists():
        raise Failure(f"{truth_path} exists and is never overwritten: choose another name", Exit.USAGE)
    count = 0
    with RecordingWriter(path) as recording, truth_path.open("x") as truth:
        recording.write(encode(info), FIRST_UNIX_US)
        for count, sample in enumerate(samples, 1):
            t_us = round((count - 1) / rate_hz * 1e6)
            seq = (count - 1) & 0xFFFF
            message = encode_frame(sample.counts, seq=seq, t_us=t_us, sample_format=SampleFormat.U12, flags=flags)
            recording.write(message, FIRST_UNIX_US + t_us)
            truth.write(_truth_line(seq, t_us, sample) + "\n")
    return count


def _truth_line(seq: int, t_us: int, sample: Sample) -> str:
    if sample.joints is None:
        return truth_line(BOOT_ID, seq, t_us, None, None, sample.posture, sample.group)
    visible = sample.joints[:, 2].astype(int)
    return truth_line(BOOT_ID, seq, t_us, sample.joints[:, :2], visible, sample.posture, sample.group)


def _real(maps: Maps, orientation: Orientation) -> Iterator[Sample]:
    counts = orientation.from_canonical(np.rint(maps.pressure).clip(0, 4095).astype(np.uint16))
    for frame, g in zip(counts, maps.group_index, strict=True):
        group = maps.groups[g]
        yield Sample(frame, maps.joints[g], group.posture, group.name)


def _simulated(seed: int, grid: Grid, rate_hz: float) -> Iterator[Sample]:
    sensor = Sensor(seed, grid)
    for moment in night(seed, grid, rate_hz):
        joints = None
        if moment.joints_cm is not None:
            joints = np.column_stack([moment.joints_cm, np.full(len(JOINTS), 2.0)]).astype(np.float32)
        yield Sample(sensor(moment.pressure_kpa), joints, moment.posture, f"simulated/{seed}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="train-export", description=__doc__)
    add_data_arguments(parser, required=False)
    parser.add_argument("--median", action="store_true", help="one frame a file of pmd: the median of its frames")
    parser.add_argument("--simulated", type=seed, metavar="SEED", help="a night of this simulated person instead")
    parser.add_argument("--duration", type=duration_s, default=60.0, metavar="S", help="of the night (%(default)s)")
    parser.add_argument("--rate", type=rate_hz, default=10.0, metavar="HZ", help="frames/s of the night (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="FILE.matlog; joints: FILE.truth.jsonl")
    return parser
