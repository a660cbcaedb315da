"""Preprocessing: unit-free, centred, the same on every grid that can show a body."""

from pathlib import Path

import numpy as np
import pytest
from edge_packages import GRID
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.manifest import Preprocessing
from edge.preprocess import Preprocessor, misfit, rank_values
from firmware_bridge.geometry import Grid
from train.pmd import read_pmd

CONSTANTS = Preprocessing()
SQUARE_ROOT = Preprocessing(middle_percent=0)


@pytest.fixture(scope="module")
def maps(pmd: Path) -> np.ndarray:
    """(G, 64, 32) of three real people."""
    return read_pmd(pmd, [1, 4, 12]).medians().pressure


def blob(grid: Grid, x_cm: float, y_cm: float, sigma_cm: float = 9.0) -> np.ndarray:
    """A smooth load on `grid` at a place counted from its top left corner."""
    x = (np.arange(grid.cols) + 0.5) * grid.pitch_x_cm
    y = (np.arange(grid.rows) + 0.5) * grid.pitch_y_cm
    return 500 * np.exp(-((x - x_cm) ** 2 + (y[:, None] - y_cm) ** 2) / (2 * sigma_cm**2)).astype(np.float32)


def centre_cm(model_input: np.ndarray, preprocess: Preprocessor) -> np.ndarray:
    weight = model_input.astype(float) ** 2
    rows, cols = weight.shape
    x = weight.sum(0) @ (np.arange(cols) + 0.5) / weight.sum() / cols
    y = weight.sum(1) @ (np.arange(rows) + 0.5) / weight.sum() / rows
    return preprocess.mat_cm(np.array([x, y]))


@pytest.mark.parametrize("factor", [0.25, 0.5, 2, 4])
def test_the_unit_of_the_pressure_does_not_matter(maps: np.ndarray, factor: float) -> None:
    preprocess = Preprocessor(GRID, GRID, CONSTANTS)
    np.testing.assert_array_equal(preprocess(maps), preprocess(factor * maps))


def test_a_baseline_under_every_taxel_does_not_matter(maps: np.ndarray) -> None:
    preprocess = Preprocessor(GRID, GRID, CONSTANTS)
    np.testing.assert_array_equal(preprocess(maps), preprocess(maps + 43))


def test_the_input_is_a_power_of_the_share_of_the_99th_percentile(maps: np.ndarray) -> None:
    """0.46 at the 70th percentile of the taxels that carry more than 1 % of full load."""
    ranked = np.sort(maps[0].ravel())
    low, high = ranked[2047 * 25 // 100], ranked[2047 * 99 // 100]
    share = np.clip((maps[0] - low) / (high - low), 0, 1)
    loaded = np.sort(share[share > 0.01])
    exponent = np.log(0.46) / np.log(loaded[len(loaded) * 70 // 100])
    assert 0.3 < exponent < 0.8
    np.testing.assert_allclose(Preprocessor(GRID, GRID, CONSTANTS)(maps[0]), share**exponent, atol=1e-5)


def test_without_a_middle_it_is_the_square_root(maps: np.ndarray) -> None:
    ranked = np.sort(maps[0].ravel())
    low, high = ranked[2047 * 25 // 100], ranked[2047 * 99 // 100]
    expected = np.sqrt(np.clip((maps[0] - low) / (high - low), 0, 1))
    np.testing.assert_allclose(Preprocessor(GRID, GRID, SQUARE_ROOT)(maps[0]), expected, atol=1e-6)


@pytest.mark.parametrize("curve", [0.7, 0.85, 1.2, 1.4])
def test_the_curve_of_the_sensors_matters_less_than_to_a_square_root(maps: np.ndarray, curve: float) -> None:
    """A mat whose counts are a power of the pressure shows the model nearly the same body."""
    counts = 1000 * (maps / 1000) ** curve

    def difference(constants: Preprocessing) -> float:
        preprocess = Preprocessor(GRID, GRID, constants)
        return float(np.abs(preprocess(maps) - preprocess(counts)).mean())

    assert difference(CONSTANTS) < 0.75 * difference(SQUARE_ROOT)


def test_a_frame_without_a_middle_load_is_bent_no_further_than_bodies_are() -> None:
    """Nearly all of its loaded taxels are full ones."""
    frame = np.zeros((64, 32), np.float32)
    frame[20:60, 10:16] = [[100], [1], [50], [100]] * 10
    shown = Preprocessor(GRID, GRID, CONSTANTS)(frame)
    assert np.isfinite(shown).all()
    assert shown.max() == 1
    np.testing.assert_allclose(shown[22, 10], 0.5, atol=1e-6)


def test_frames_of_a_batch_do_not_know_of_one_another(maps: np.ndarray) -> None:
    preprocess = Preprocessor(GRID, GRID, CONSTANTS)
    np.testing.assert_array_equal(preprocess(maps), np.stack([preprocess(m) for m in maps]))


@pytest.mark.parametrize("level", [0, 17, 4095])
def test_a_frame_without_load_is_zero(level: int) -> None:
    assert not Preprocessor(GRID, GRID, CONSTANTS)(np.full((64, 32), level, np.uint16)).any()


@pytest.mark.parametrize("grid", [Grid(64, 27, 2.87, 2.54), Grid(80, 40, 2.0, 2.0), Grid(40, 24, 4.2, 3.6)])
def test_a_load_is_found_where_it_lies_on_mats_of_other_grids(grid: Grid) -> None:
    preprocess = Preprocessor(grid, GRID, CONSTANTS)
    for x_cm, y_cm in ((30.0, 60.0), (50.0, 110.0)):
        model_input = preprocess(blob(grid, x_cm, y_cm))
        assert model_input.shape == (64, 32)
        np.testing.assert_allclose(centre_cm(model_input, preprocess), [x_cm, y_cm], atol=0.4)


def test_the_same_body_on_another_grid_gives_nearly_the_same_input(maps: np.ndarray) -> None:
    """A real map, enlarged twice without smoothing, as a mat of half the pitch would show it."""
    fine = Grid(128, 64, 1.27, 1.27)
    enlarged = maps[0].repeat(2, axis=0).repeat(2, axis=1)
    same = Preprocessor(GRID, GRID, CONSTANTS)(maps[0])
    assert np.corrcoef(same.ravel(), Preprocessor(fine, GRID, CONSTANTS)(enlarged).ravel())[0, 1] > 0.95


def test_beyond_a_small_mat_there_is_no_pressure() -> None:
    small = Grid(50, 26, 2.54, 2.54)
    model_input = Preprocessor(small, GRID, CONSTANTS)(blob(small, 33, 63, 15) + np.eye(50, 26, dtype=np.float32))
    assert not model_input[:6].any()
    assert not model_input[-6:].any()
    assert not model_input[:, :2].any()
    assert model_input[7:-7, 3:-3].any()


@settings(max_examples=50)
@given(st.integers(20, 100), st.integers(10, 60), st.floats(1, 5), st.floats(1, 5), st.integers(0, 99))
def test_places_survive_the_way_to_the_model_and_back(rows: int, cols: int, dx: float, dy: float, seed: int) -> None:
    preprocess = Preprocessor(Grid(rows, cols, dx, dy), GRID, CONSTANTS)
    xy_norm = np.random.default_rng(seed).random((14, 2))
    np.testing.assert_allclose(preprocess.model_norm(preprocess.mat_cm(xy_norm)), xy_norm, atol=1e-9)


def test_mat_and_model_share_their_centre() -> None:
    mat = Grid(40, 24, 4.2, 3.6)
    middle_cm = Preprocessor(mat, GRID, CONSTANTS).mat_cm(np.array([0.5, 0.5]))
    np.testing.assert_allclose(middle_cm, [mat.width_cm / 2, mat.height_cm / 2])


def test_mats_that_cannot_show_the_body_are_refused_with_both_sizes() -> None:
    assert misfit(GRID, GRID) is None
    assert misfit(Grid(64, 27, 2.87, 2.54), GRID) is None
    assert "41 x 41 cm" in str(misfit(Grid(16, 16, 2.54, 2.54), GRID))
    assert "8.00 x 8.00 cm" in str(misfit(Grid(20, 10, 8, 8), GRID))


def test_a_rank_is_a_value_of_the_frame() -> None:
    """No interpolation: a microcontroller takes the same one."""
    values = np.array([5, 1, 4, 2, 3], np.float32)
    assert [rank[0] for rank in rank_values(values, 0, 24, 25, 99, 100)] == [1, 1, 2, 4, 5]
