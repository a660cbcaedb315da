"""Draws docs/skeletons.png: simulated people whom the shipped model never saw, and where it finds their joints."""

from pathlib import Path

from edge.model import DEFAULT_MODEL, KeypointModel
from edge.preprocess import Preprocessor
from firmware_bridge.geometry import Grid
from firmware_bridge.person import still
from firmware_bridge.sensor import Sensor
from train import pictures

SEEDS = range(8)
GRID = Grid(64, 32, 2.54, 2.54)

model = KeypointModel.from_files(DEFAULT_MODEL)
preprocess = Preprocessor(GRID, model.manifest.grid, model.manifest.preprocessing)
moments = [still(seed, GRID) for seed in SEEDS]
titles = [moment.posture.replace("_", " ") for moment in moments]
figure, axes = pictures.panels(GRID, [""], titles)
for seed, moment, axis in zip(SEEDS, moments, axes[0], strict=True):
    model_input = preprocess(Sensor(seed, GRID)(moment.pressure_kpa))
    pictures.pressure(axis, model_input, GRID)
    pictures.skeleton(axis, preprocess.mat_cm(model.predict(model_input)["joints"].xy_norm))
pictures.save(figure, Path(__file__).with_name("skeletons.png"))
