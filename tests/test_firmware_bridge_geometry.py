"""Grids and how devices hold them."""

import numpy as np
import pytest

from firmware_bridge.geometry import ORIENTATIONS, Grid, Orientation, spelled


def test_every_orientation_has_one_spelling() -> None:
    assert len(ORIENTATIONS) == 8
    assert {spelled(orientation): orientation for orientation in ORIENTATIONS.values()} == ORIENTATIONS


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_a_frame_turned_there_and_back_is_the_same(orientation: Orientation) -> None:
    sent = np.arange(2 * 3 * 5).reshape(2, 3, 5)
    canonical = orientation.to_canonical(sent)
    grid = orientation.canonical_grid(Grid(3, 5, 1.0, 2.0))
    assert canonical.shape == (2, grid.rows, grid.cols)
    assert (grid.width_cm, grid.height_cm) == ((5.0, 6.0) if grid.rows == 3 else (6.0, 5.0))
    np.testing.assert_array_equal(orientation.from_canonical(canonical), sent)
    assert Orientation.from_byte(orientation.to_byte()) == orientation


def test_degrees_are_counted_counter_clockwise_after_mirroring() -> None:
    sent = np.array([[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(ORIENTATIONS["90"].to_canonical(sent), [[3, 6], [2, 5], [1, 4]])
    np.testing.assert_array_equal(ORIENTATIONS["mirrored-90"].to_canonical(sent), [[1, 4], [2, 5], [3, 6]])


@pytest.mark.parametrize("byte", [-1, 8, 255])
def test_a_byte_that_is_no_orientation_is_refused(byte: int) -> None:
    with pytest.raises(ValueError, match=r"not in 0\.\.7"):
        Orientation.from_byte(byte)
