"""Points that follow the body are told from points that do not."""

import numpy as np
import pytest

from edge.keypoints import Keypoints
from firmware_bridge.geometry import Grid
from train.equivariance import equivariance_errors_cm

GRID = Grid(64, 32, 2.54, 2.54)


def blobs(count: int) -> np.ndarray:
    """One Gaussian blob a map, at a place of its own near the middle."""
    random = np.random.default_rng(0)
    row, col = random.uniform(28, 36, (count, 1, 1)), random.uniform(14, 18, (count, 1, 1))
    rows, cols = np.mgrid[:64, :32] + 0.5
    return np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / 8).astype(np.float32)


class CentreOfMass:
    """Follows the blob: `keypoints`. `joints` always says the same place. `nothing` has no points."""

    def predict(self, inputs: np.ndarray) -> dict[str, list[Keypoints]]:
        found: dict[str, list[Keypoints]] = {"keypoints": [], "joints": [], "nothing": []}
        rows, cols = np.mgrid[:64, :32] + 0.5
        for x in inputs:
            centre = np.array([[(x * cols).sum() / 32, (x * rows).sum() / 64]]) / x.sum()
            one = np.ones(1, np.float32)
            found["keypoints"].append(Keypoints(centre.astype(np.float32), one, one))
            found["joints"].append(Keypoints(np.full((1, 2), 0.5, np.float32), one, one))
            found["nothing"].append(Keypoints(np.zeros((0, 2), np.float32), one[:0], one[:0]))
        return found


def test_points_that_follow_the_body_have_hardly_any_error_and_fixed_points_the_size_of_the_move() -> None:
    errors_cm = equivariance_errors_cm(CentreOfMass(), blobs(6), GRID)
    assert errors_cm["keypoints"].shape == (6,)
    assert errors_cm["keypoints"].max() < 0.2
    assert errors_cm["joints"].mean() > 3
    assert np.isnan(errors_cm["nothing"]).all()


def test_the_same_maps_are_moved_in_the_same_way_each_time() -> None:
    first, second = (equivariance_errors_cm(CentreOfMass(), blobs(2), GRID)["joints"] for _ in range(2))
    assert first == pytest.approx(second, abs=0)


def test_an_output_that_a_model_does_not_have_is_left_out() -> None:
    class OnlyKeypoints(CentreOfMass):
        def predict(self, inputs: np.ndarray) -> dict[str, list[Keypoints]]:
            return {"keypoints": super().predict(inputs)["keypoints"], "joints": []}

    assert list(equivariance_errors_cm(OnlyKeypoints(), blobs(2), GRID)) == ["keypoints"]
