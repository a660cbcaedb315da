"""A mat larger than the model's grid is read where somebody lies."""

from pathlib import Path

import numpy as np
import pytest
from edge_packages import GRID, frame, info

from edge.model import DEFAULT_MODEL, KeypointModel
from edge.pipeline import Pipeline
from edge.window import Window
from firmware_bridge.geometry import Grid
from train.pmd import read_pmd

DOUBLE_BED = Grid(80, 64, 2.54, 2.54)


def laid(small: np.ndarray, row: int, col: int, mat: Grid = DOUBLE_BED) -> np.ndarray:
    large = np.zeros((mat.rows, mat.cols), small.dtype)
    large[row : row + small.shape[0], col : col + small.shape[1]] = small
    return large


@pytest.mark.parametrize("mat", [GRID, Grid(60, 30, 2.54, 2.54), Grid(64, 27, 2.87, 2.54), Grid(32, 16, 5.08, 5.08)])
def test_a_mat_that_is_no_larger_is_seen_whole(mat: Grid) -> None:
    window = Window(mat, GRID)
    counts = np.random.default_rng(0).random((mat.rows, mat.cols)).astype(np.float32)
    shown, corner_cm = window(counts)
    assert window.grid == mat
    assert shown is counts
    assert corner_cm.tolist() == [0, 0]


@pytest.mark.parametrize(("row", "col"), [(0, 0), (16, 32), (8, 16), (3, 29)])
def test_joints_are_where_somebody_lies_on_a_double_bed(pmd: Path, row: int, col: int) -> None:
    """As near to those on a mat of the model's size as a window that is off by some taxels lets them be."""
    model = KeypointModel.from_files(DEFAULT_MODEL)
    small, large = Pipeline(model, info()), Pipeline(model, info(DOUBLE_BED))
    moved_cm = []
    for counts in read_pmd(pmd, [13]).medians().pressure[::4]:
        expected, found = small.step(frame(counts)), large.step(frame(laid(counts, row, col)))
        assert expected.joints is not None
        assert found.joints is not None
        assert found.keypoints is not None
        assert ((found.keypoints[:, :2] >= 0) & (found.keypoints[:, :2] <= 1)).all()
        shift_cm = np.array([col * 2.54, row * 2.54])
        moved_cm.append(np.linalg.norm(found.joints[:, :2] - shift_cm - expected.joints[:, :2], axis=1).mean())
    assert np.mean(moved_cm) < 3


def test_a_stray_taxel_moves_no_window() -> None:
    body = np.ones((40, 12), np.float32)
    alone = laid(body, 20, 40)
    stray = alone.copy()
    stray[0, 0] = 3
    window = Window(DOUBLE_BED, GRID)
    np.testing.assert_array_equal(window(alone)[1], window(stray)[1])
    assert window(alone)[1].tolist() == [(40 + 6 - 16) * 2.54, 8 * 2.54]


def test_an_empty_mat_has_a_window_too() -> None:
    shown, _ = Window(DOUBLE_BED, GRID)(np.zeros((80, 64), np.float32))
    assert shown.shape == (64, 32)
