"""Model packages, messages and frames that several test files of edge/ look at."""

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from convert.litert import activation_ranges, float_graph, int8_graph
from edge.model import DEFAULT_MODEL
from edge.runtime import Interpreter
from firmware_bridge.decoder import Frame
from firmware_bridge.geometry import Grid, Orientation
from firmware_bridge.header import Flag
from firmware_bridge.messages import Info
from firmware_bridge.skeleton import JOINTS
from train.config import TrainConfig
from train.encoder import Encoder

GRID = Grid(64, 32, 2.54, 2.54)
Changes = dict[str, Any]


def info(grid: Grid = GRID, orientation: Orientation = Orientation(), **changes: Any) -> Info:  # noqa: B008 - frozen
    """INFO of a mat whose canonical grid is `grid`."""
    device = orientation.canonical_grid(grid)
    values: dict[str, Any] = {
        "firmware_name": "test-mat",
        "firmware_version": "1",
        "boot_id": 7,
        "rows": device.rows,
        "cols": device.cols,
        "pitch_x_um": round(device.pitch_x_cm * 10_000),
        "pitch_y_um": round(device.pitch_y_cm * 10_000),
        "adc_full_scale": 4095,
        "orientation": orientation,
        "frame_rate_mhz": 1000,
    }
    return Info(**(values | changes))


def frame(counts: NDArray[Any], seq: int = 0) -> Frame:
    return Frame(counts, seq, seq * 1_000_000, Flag.NONE, 12, 0)


def package(folder: Path, **changes: Any) -> Path:
    """A package in `folder`: the default model where there is one, else an untrained net; manifest with `changes`."""
    content, manifest = _default() if DEFAULT_MODEL.is_file() else _untrained(("keypoints", "joints"))
    return _write(folder, content, json.loads(manifest) | changes)


def label_free_package(folder: Path, **changes: Any) -> Path:
    """A model with the one output `keypoints`, whose manifest holds a joint map."""
    content, manifest = _untrained(("keypoints",))
    values = json.loads(manifest)
    rng = np.random.default_rng(5)
    k = values["outputs"][0]["k"]
    weights = rng.normal(0, 0.1, (4 * k, 2 * len(JOINTS)))
    bias = rng.uniform(0, 1, 2 * len(JOINTS))
    values["joint_map"] = {"weights": weights.tolist(), "bias": bias.tolist(), "people": ["pmd-i/1"]}
    return _write(folder, content, values | changes)


def _write(folder: Path, content: bytes, manifest: Changes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.tflite"
    path.write_bytes(content)
    path.with_suffix(".json").write_text(json.dumps(manifest))
    return path


def _default() -> tuple[bytes, str]:
    return DEFAULT_MODEL.read_bytes(), DEFAULT_MODEL.with_suffix(".json").read_text()


@functools.cache
def _untrained(outputs: tuple[str, ...]) -> tuple[bytes, str]:
    torch.manual_seed(0)
    config = TrainConfig()
    graph = float_graph(Encoder(config.encoder).eval(), config.rows, config.cols, outputs)
    maps = np.random.default_rng(0).random((4, config.rows, config.cols), np.float32)
    content, positions = int8_graph(graph, activation_ranges(graph, maps), len(outputs))
    tensors = Interpreter(content)
    described = []
    for name, index in zip(outputs, positions, strict=True):
        tensor = tensors.outputs[index]
        _, rows, cols, k = tensor.shape
        described.append(
            {"name": name, "index": index, "rows": rows, "cols": cols, "k": k}
            | {"scale": tensor.scale, "zero_point": tensor.zero_point}
        )
    manifest = {
        "name": "untrained",
        "version": "0",
        "requires_software": "0.1.0",
        "model_sha256": hashlib.sha256(content).hexdigest(),
        "encoder_sha256": None,
        "variant": "native",
        "rows": config.rows,
        "cols": config.cols,
        "pitch_x_cm": config.pitch_cm,
        "pitch_y_cm": config.pitch_cm,
        "preprocessing": {},
        "input": {"scale": tensors.inputs[0].scale, "zero_point": tensors.inputs[0].zero_point},
        "outputs": described,
        "training": {"data": [], "people": [], "labelled_people": [], "simulated_seeds": "", "steps": 0}
        | {"command": "tests", "software": "0"},
        "calibration": {"people": [], "frames": 4, "clipped_percent": 0.0},
        "accuracy": [],
        "parameters": 1,
        "mac": 1,
        "arena_bytes": 1,
    }
    return content, json.dumps(manifest)
