"""The JSON lines: keys, units, null where there is nothing to say."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from edge_packages import GRID, info, package

from edge import __version__
from edge.messages import Counts, EventLine, Line, hello
from edge.model import KeypointModel
from edge.pipeline import Pipeline
from firmware_bridge.decoder import StreamCounts
from firmware_bridge.geometry import Orientation
from firmware_bridge.skeleton import JOINTS

EMPTY = np.zeros((64, 32), np.float32)
COMMON = {"type", "v", "ts", "seq", "mat"}


def parsed(line: Line) -> dict[str, Any]:
    text = line.json_line()
    assert text.endswith("\n")
    assert text.count("\n") == 1
    value = json.loads(text)
    assert set(value) >= COMMON
    assert value["v"] == 1
    return dict(value)


def test_hello_describes_model_grid_units_and_software(tmp_path: Path) -> None:
    model = KeypointModel.from_files(package(tmp_path))
    mat = info(orientation=Orientation(1), boot_id=99, device_id=5)
    value = parsed(hello(1.5, None, "bed", model, mat, Pipeline(model, mat)))
    assert value["type"] == "hello"
    assert value["grid"] == {"rows": 64, "cols": 32, "pitch_x_cm": GRID.pitch_x_cm, "pitch_y_cm": GRID.pitch_y_cm}
    assert value["model"]["sha256"] == model.manifest.model_sha256
    assert value["model"]["name"] == model.manifest.name
    assert value["units"] == {"pressure": "counts"}
    assert value["software"] == __version__
    assert value["joint_names"] == list(JOINTS)
    assert (value["mat"], value["boot_id"], value["device_id"], value["frame_rate_hz"]) == ("bed", 99, 5, 1.0)


def test_text_from_the_world_stays_on_one_line() -> None:
    line = EventLine(ts=0.0, seq=None, mat='a "bed"\n\u2028', event="port_lost", detail="line\none\r\n")
    assert parsed(line)["detail"] == "line\none\r\n"
    assert len(line.json_line().rstrip("\n").split("\n")) == 1


def test_counts_are_those_of_the_stream_and_the_run() -> None:
    stream = StreamCounts(received=10, lost=3, corrupt=2, skipped=1, reboots=4, repeated=5, unknown=6)
    counts = Counts.of(stream, dropped=1, poses=9, port_losses=7)
    assert counts.model_dump() == {
        "received": 10, "lost": 3, "corrupt": 2, "skipped": 1, "repeated": 5, "reboots": 4, "unknown": 6,
        "dropped": 1, "poses": 9, "port_losses": 7,
    }  # fmt: skip
