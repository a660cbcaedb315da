"""What a virtual mat scans: a simulated person, or the frames of a recording."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.decoder import Frame
from firmware_bridge.geometry import Grid, Orientation
from firmware_bridge.messages import Info
from firmware_bridge.person import Moment, night
from firmware_bridge.recording import read_recording
from firmware_bridge.sensor import Sensor
from firmware_bridge.skeleton import JOINTS

DEFAULT_GRID: Final = Grid(64, 32, 2.54, 2.54)
SCENES: Final = ("night", "empty")
ADC_FULL_SCALE: Final = 4095
CANONICAL: Final = Orientation()


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """One scan of a mat."""

    counts: NDArray[np.uint16]
    """(rows, cols) as the device holds them."""
    moment: Moment | None = None
    """The simulated truth behind them."""


def simulated_info(seed: int, grid: Grid, rate_mhz: int, orientation: Orientation = CANONICAL) -> Info:
    """INFO of a mat whose canonical grid is `grid`."""
    device = orientation.canonical_grid(grid)
    return Info(
        firmware_name="virtual-mat",
        firmware_version="1",
        boot_id=0,
        rows=device.rows,
        cols=device.cols,
        pitch_x_um=round(device.pitch_x_cm * 10_000),
        pitch_y_um=round(device.pitch_y_cm * 10_000),
        adc_full_scale=ADC_FULL_SCALE,
        orientation=orientation,
        frame_rate_mhz=rate_mhz,
        device_id=seed & 0xFFFF,
    )


def simulated_scans(
    seed: int,
    grid: Grid,
    rate_hz: float,
    scene: str = "night",
    orientation: Orientation = CANONICAL,
) -> Iterator[Scan]:
    """Endless scans of the person `seed` on a mat whose canonical grid is `grid`."""
    sensor = Sensor(seed, grid)
    for moment in night(seed, grid, rate_hz, scene):
        counts = orientation.from_canonical(sensor(moment.pressure_kpa))
        yield Scan(np.ascontiguousarray(counts), moment)


def recorded_scans(path: Path) -> tuple[Info, Iterator[Scan]]:
    """INFO and whole frames of a recording. Raises Failure as read_recording does."""
    recorded = read_recording(path)
    info = next(item.event for item in recorded if isinstance(item.event, Info))
    frames = (item.event for item in recorded if isinstance(item.event, Frame))
    return info, (Scan(frame.counts) for frame in frames if frame.counts.shape == (info.rows, info.cols))


def truth_line(
    boot_id: int,
    seq: int,
    t_us: int,
    joints_cm: NDArray[np.floating] | None,
    visible: NDArray[np.integer] | None,
    posture: str,
    group: str,
) -> str:
    """One line of a truth sidecar. joints_cm (14, 2) canonical, from the mat's top left corner; visible (14,) 0..2.

    `t_us` ends up as the wire carries it, in 32 bits.
    """
    joints = None
    if joints_cm is not None:
        v = np.full(len(JOINTS), 2) if visible is None else visible
        joints = {
            name: {"x_cm": round(float(x), 2), "y_cm": round(float(y), 2), "v": int(v[i])}
            for i, (name, (x, y)) in enumerate(zip(JOINTS, joints_cm, strict=True))
        }
    sent = {"boot_id": boot_id, "seq": seq, "t_us": t_us & 0xFFFFFFFF}
    return json.dumps(sent | {"joints": joints, "posture": posture, "group": group})
