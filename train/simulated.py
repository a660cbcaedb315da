"""Simulated people as training maps: one still of a new person for each seed, seen through a sensor of its own."""

from collections.abc import Iterable
from typing import Final

import numpy as np

from firmware_bridge.geometry import Grid
from firmware_bridge.person import still
from firmware_bridge.sensor import Sensor
from train.maps import Group, Maps

FIRST_TRAINING_SEED: Final = 1_000_000
"""Seeds from here on are for training; smaller ones are for demonstrations and tests, never trained on."""
COARSE_POSTURES: Final = ("supine", "left", "right")


def read_simulated(seeds: Iterable[int], grid: Grid) -> Maps:
    """One group and one frame a seed, joints with visibility 2."""
    pressure, groups, joints = [], [], []
    for seed in seeds:
        moment = still(seed, grid)
        assert moment.joints_cm is not None  # a still always shows somebody lying
        pressure.append(Sensor(seed, grid)(moment.pressure_kpa).astype(np.float32))
        groups.append(Group(f"simulated/{seed}", f"simulated:{seed}", coarse_posture(moment.posture)))
        joints.append(np.column_stack([moment.joints_cm, np.full(len(moment.joints_cm), 2.0)]))
    return Maps(np.stack(pressure), grid, groups, np.arange(len(groups)), np.stack(joints).astype(np.float32))


def coarse_posture(posture: str) -> str:
    """A simulated person's posture as Group names it; empty for prone, which no real map shows."""
    if posture == "reclined":
        return "supine"
    return next((coarse for coarse in COARSE_POSTURES if posture.startswith(coarse)), "")
