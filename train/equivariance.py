"""Do points follow the body? How far points of a moved map are from the moved points."""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from firmware_bridge.geometry import Grid
from train.augment import random_similarity
from train.config import Augmentation
from train.evaluated import Predictor

MOVES_A_MAP: Final = 8
LARGEST_MOVES: Final = Augmentation(mirror=0.0)
"""Training's own sizes; the transforms themselves are new ones."""
SEED: Final = 20_000


def equivariance_errors_cm(model: Predictor, inputs: NDArray[np.float32], grid: Grid) -> dict[str, NDArray[np.float64]]:
    """Mean Euclidean error of each map's points under unseen rotations, shifts and scalings: output -> (N,).

    inputs (N, rows, cols); only points that stay on the map count. NaN for an output without points, nothing for
    one that this model does not have.
    """
    size_cm = np.array([grid.width_cm, grid.height_cm])
    before = {name: found for name, found in model.predict(inputs).items() if found}
    random = torch.Generator().manual_seed(SEED)
    errors: dict[str, list[NDArray[np.float64]]] = {name: [] for name in before}
    for _ in range(MOVES_A_MAP):
        move = random_similarity(len(inputs), LARGEST_MOVES, grid, random)
        after = model.predict(move.maps(torch.from_numpy(inputs)[:, None])[:, 0].numpy())
        for name, found in before.items():
            expected = move.points_norm(torch.from_numpy(np.stack([p.xy_norm for p in found]))).numpy()
            distance_cm = np.linalg.norm((np.stack([p.xy_norm for p in after[name]]) - expected) * size_cm, axis=-1)
            distance_cm[~((expected > 0) & (expected < 1)).all(-1)] = np.nan
            errors[name].append(distance_cm)
    return {
        name: np.nanmean(np.concatenate(moves, 1), 1) if moves[0].size else np.full(len(inputs), np.nan)
        for name, moves in errors.items()
    }
