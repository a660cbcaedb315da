"""Draws docs/skeletons.png: simulated people whom the shipped model never saw, and where it finds their joints."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from edge.model import DEFAULT_MODEL, KeypointModel
from edge.preprocess import Preprocessor
from firmware_bridge.geometry import Grid
from firmware_bridge.person import still
from firmware_bridge.sensor import Sensor
from firmware_bridge.skeleton import BONES, JOINTS

SEEDS = range(8)
GRID = Grid(64, 32, 2.54, 2.54)
COLOURS = {"r": "#ff6b6b", "l": "#4dd0e1", "n": "white", "h": "white"}

model = KeypointModel.from_files(DEFAULT_MODEL)
preprocess = Preprocessor(GRID, model.manifest.grid, model.manifest.preprocessing)
figure, axes = plt.subplots(1, len(SEEDS), figsize=(14, 4.2), facecolor="#10131a")
for seed, axis in zip(SEEDS, axes, strict=True):
    moment = still(seed, GRID)
    model_input = preprocess(Sensor(seed, GRID)(moment.pressure_kpa))
    xy_cm = preprocess.mat_cm(model.predict(model_input)["joints"].xy_norm)
    axis.imshow(model_input, extent=(0, GRID.width_cm, GRID.height_cm, 0), cmap="magma")
    for a, b in BONES:
        i, j = JOINTS.index(a), JOINTS.index(b)
        axis.plot(xy_cm[[i, j], 0], xy_cm[[i, j], 1], color=COLOURS[a[0]] if a[0] == b[0] else "white", linewidth=2)
    axis.set(xlim=(0, GRID.width_cm), ylim=(GRID.height_cm, 0), xticks=[], yticks=[])
    axis.set_title(moment.posture, color="white", fontsize=9)
figure.tight_layout(pad=0.4)
figure.savefig(Path(__file__).with_name("skeletons.png"), dpi=80)
