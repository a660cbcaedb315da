"""People whose posture is told by where one point lies, for posture heads to learn, and a checkpoint to find points."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from untrained import untrained

from train.config import TrainConfig
from train.posture.fitting import Labelled

POINTS = 6


def people(names: str, maps: int = 30, seed: int = 0) -> Labelled:
    """Each person lies somewhere of his own; the class is the point out of 1, 2, 3 that is 20 cm to one side.

    The mean of all points is the same for each class, and so is each point's mean over the classes.
    """
    random = np.random.default_rng(seed)
    body_cm = np.column_stack([np.full(POINTS, 40.0), 25.0 * np.arange(POINTS), np.zeros(POINTS), np.ones(POINTS)])
    x, y, who = [], [], []
    for name in names:
        place_cm = random.normal(0, 8, 2)
        for i in range(maps):
            points = body_cm.copy()
            points[:, :2] += place_cm + random.normal(0, 1.5, (POINTS, 2))
            points[1 + i % 3, 0] += 20
            x.append(points)
            y.append(i % 3)
            who.append(name)
    return Labelled(np.array(x), np.array(y), np.array(who), np.zeros(len(x), bool), 3)


def checkpoint_file(folder: Path, *people: str) -> Path:
    """A checkpoint that knows `people`, and joints from simulated ones; its encoder points always at the same place."""
    path = folder / "checkpoint.pt"
    checkpoint = untrained(TrainConfig(), people)
    training = checkpoint.training.model_copy(update={"simulated_seeds": "1000000-1000009"})
    replace(checkpoint, training=training).save(path)
    return path
