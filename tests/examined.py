"""What convert-check finds of a model, made up: for tests of the reports."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from convert.compare import Stage, shift
from convert.examine import Examined
from convert.outputs import OutputReport
from convert.tensors import TensorReport
from edge.manifest import read_manifest
from edge.model import DEFAULT_MODEL
from edge.runtime import Delegation
from firmware_bridge.geometry import Grid
from train.maps import Group, Maps

MANIFEST = read_manifest(DEFAULT_MODEL.with_suffix(".json"))
GRID = Grid(64, 32, 2.54, 2.54)


def maps_of(n: int, person: str = "pmd:13", *, labelled: bool = True) -> Maps:
    """`n` groups of one map each; the joints lie anywhere."""
    rng = np.random.default_rng(len(person))
    joints = np.full((n, 14, 3), 2, np.float32)
    joints[..., :2] = rng.uniform(0, 80, (n, 14, 2))
    return Maps(
        rng.random((n, 64, 32)).astype(np.float32),
        GRID,
        [Group(f"pmd-i/{person}/{i}", person, "supine") for i in range(n)],
        np.arange(n),
        joints if labelled else np.zeros_like(joints),
    )


def stage_of(maps: Maps, off_cm: float, *, keypoints: int = 32) -> Stage:
    """Every joint and keypoint as far to the right of the truth."""
    off = np.array([off_cm, 0.0])
    joints = maps.joints[maps.group_index][..., :2].astype(np.float64) + off
    points: NDArray[np.float64] = np.full((len(maps), keypoints, 2), 40.0) + off
    features = {"keypoints": np.zeros((len(maps), 4 * keypoints)), "joints": np.zeros((len(maps), 4 * 14))}
    return Stage(joints, points, joints + off, features)


def examined(
    maps: Maps, float_cm: float = 1.0, int8_cm: float = 1.1, *, file: str = "m.tflite", keypoints: int = 32
) -> Examined:
    """A model `float_cm` off, its int8 copy `int8_cm`, both in the same direction."""
    off_cm = {"float": float_cm, "float_tflite": float_cm, "int8_weights": float_cm, "reference": int8_cm}
    off_cm |= {"tflm": int8_cm, "int8": int8_cm}
    still = np.zeros((1, 2, 2))
    return Examined(
        file=file,
        size_bytes=111_408,
        manifest=MANIFEST,
        operators={"CONV_2D": 16},
        xnnpack=Delegation(1, True),
        tflm_arena_bytes=73_376,
        tflm_equals_reference=True,
        float_origin="converted from m.encoder.pt",
        seen=[],
        outputs=[OutputReport("joints", 0.2, 0.18, shift(still, still), 0.0, 88.0)],
        tensors=[TensorReport(i, "CONV_2D", (4, 4, 8), 30.0 + i, 40, 45, 0.0, 0.0, 90.0, "a remedy") for i in range(9)],
        causes=[],
        maps=maps,
        stages={name: stage_of(maps, cm, keypoints=keypoints) for name, cm in off_cm.items()},
    )


def with_frames(part: Examined, frames: Maps, float_cm: float, int8_cm: float) -> Examined:
    """The same with every frame looked at."""
    stages = {"float": stage_of(frames, float_cm), "int8": stage_of(frames, int8_cm)}
    return replace(part, frame_maps=frames, frame_stages=stages)
