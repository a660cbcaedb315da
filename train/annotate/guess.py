"""Where the joints stand before a person has touched them: the model's int8 answer, or a plain figure."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.model import KeypointModel
from edge.preprocess import Preprocessor, misfit
from edge.window import Window
from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import JOINTS
from train.annotations import DECIMALS, Points

CLEAR, LIKELY = 0.75, 0.3
"""Confidence from which a joint starts with v = 2 and v = 1: agrees best with the annotations of pmd (63 %)."""

_RIGHT_CM: Final = {
    "ankle": (-11, 80), "knee": (-11, 42), "hip": (-10, 2), "wrist": (-26, -2), "elbow": (-24, -26),
    "shoulder": (-17, -54), "neck": (0, -58), "head": (0, -76),
}  # fmt: skip
"""Someone on the back, from the middle of the mat."""


def guess(model: KeypointModel, mat: Grid, pressure: NDArray[np.float32]) -> Points:
    """The joints that `model` finds on a map (rows, cols) as edge-run does, or a plain figure in the middle of a mat
    that it cannot read.
    """
    manifest = model.manifest
    if misfit(mat, manifest.grid):
        return plain_figure(mat)
    window = Window(mat, manifest.grid)
    shown, corner_cm = window(pressure)
    preprocess = Preprocessor(window.grid, manifest.grid, manifest.preprocessing)
    found = model.predict(preprocess(shown))
    _, confidence = model.confidences(found)
    xy_cm = preprocess.mat_cm(found["joints"].xy_norm) + corner_cm
    return on_mat(xy_cm, np.digitize(confidence, [LIKELY, CLEAR]), mat)


def plain_figure(mat: Grid) -> Points:
    """Someone on the back in the middle of the mat, every joint a guess."""
    right = np.array([_RIGHT_CM[joint.removeprefix("r_").removeprefix("l_")] for joint in JOINTS], float)
    side = np.array([-1 if joint.startswith("l_") else 1 for joint in JOINTS])
    xy_cm = right * np.stack([side, np.ones(len(JOINTS))], 1) + [mat.width_cm / 2, mat.height_cm / 2]
    return on_mat(xy_cm, np.zeros(len(JOINTS), int), mat)


def on_mat(xy_cm: NDArray[np.floating], visibility: NDArray[np.integer], mat: Grid) -> Points:
    """(14, 2) cm and (14,) 0-2 as points in taxels, those beside the mat at its edge."""
    taxels = np.clip(xy_cm / [mat.pitch_x_cm, mat.pitch_y_cm], 0, [mat.cols, mat.rows]).round(DECIMALS)
    return [(float(x), float(y), v) for (x, y), v in zip(taxels, visibility.tolist(), strict=True)]
