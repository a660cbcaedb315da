"""Training maps levelled in a batch are those that edge.preprocess makes of a frame."""

import numpy as np
import pytest
import torch

from edge.manifest import Preprocessing
from edge.preprocess import Preprocessor
from firmware_bridge.geometry import Grid
from train.config import SQUARE_ROOT
from train.levelling import levelled

GRID = Grid(32, 16, 5.0, 5.0)


def frames(curve: float) -> np.ndarray:
    """(4, 32, 16): a few loaded taxels in an empty mat, by sensors whose curve bends so."""
    random = np.random.default_rng(0)
    return np.where(random.random((4, 32, 16)) < 0.4, 1000 * random.random((4, 32, 16)) ** curve, 0).astype(np.float32)


@pytest.mark.parametrize("curve", [0.3, 1.0, 3.0])
def test_a_batch_is_levelled_as_each_frame_is(curve: float) -> None:
    """Within what single precision leaves of a small share after its root was squared."""
    constants = Preprocessing()
    roots = Preprocessor(GRID, GRID, constants.model_copy(update=SQUARE_ROOT))(frames(curve))
    expected = Preprocessor(GRID, GRID, constants)(frames(curve))
    assert np.abs(expected - roots).max() > 0.02
    found = levelled(torch.from_numpy(roots)[:, None], constants)[:, 0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_model_that_is_shown_square_roots_is_told_by_square_roots() -> None:
    roots = torch.rand(2, 1, 32, 16)
    assert levelled(roots, Preprocessing(middle_percent=0)) is roots


def test_an_empty_map_stays_empty() -> None:
    assert not levelled(torch.zeros(2, 1, 32, 16), Preprocessing()).any()
