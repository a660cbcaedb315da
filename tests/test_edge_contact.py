"""Occupancy, contact area and centre of pressure, without knowing what a count is worth."""

from pathlib import Path

import numpy as np
import pytest
from edge_packages import GRID

from edge.contact import coherence, contact
from firmware_bridge.geometry import Grid
from firmware_bridge.person import night, still
from firmware_bridge.sensor import Sensor
from train.pmd import GRID_II, read_pmd


def occupied(counts: np.ndarray, grid: Grid = GRID) -> bool:
    return contact(counts.astype(np.float32), grid).occupied


def halved(counts: np.ndarray) -> np.ndarray:
    rows, cols = counts.shape
    return counts.reshape(rows // 2, 2, cols // 2, 2).mean((1, 3))


def test_every_real_body_is_noticed(pmd: Path) -> None:
    for counts in read_pmd(pmd, [1, 2, 3, 4, 5, 6, 11, 12]).pressure[::7]:
        assert occupied(counts)


def test_every_real_body_is_noticed_at_twice_the_pitch(pmd: Path) -> None:
    for counts in read_pmd(pmd).medians().pressure:
        assert occupied(halved(counts), Grid(32, 16, 5.08, 5.08))


@pytest.mark.parametrize("mat", ["sponge", "air"])
def test_every_real_body_is_noticed_on_mats_of_another_make(pmd: Path, mat: str) -> None:
    for counts in read_pmd(pmd, experiment="ii", mat=mat).pressure:  # type: ignore[arg-type]
        assert occupied(counts, GRID_II)


def test_mats_that_wait_for_a_body_are_empty(pmd: Path) -> None:
    """Frame 0 of each file: hands, a pillow, the wedge, crumpled sheet. In two of them somebody's legs."""
    taken = []
    for path in sorted(pmd.glob("experiment-i/S*/*.txt")):
        if path.parent.name == "S13":
            continue
        with path.open() as file:
            counts = np.array(file.readline().split(), np.float32).reshape(64, 32)
        if occupied(counts):
            taken.append(f"{path.parent.name}/{path.stem}")
    assert taken == ["S1/8", "S3/9"]


def test_lying_simulated_people_are_noticed_and_an_empty_bed_is_empty() -> None:
    for seed in range(20):
        sensor = Sensor(seed, GRID)
        assert occupied(sensor(still(seed, GRID).pressure_kpa))
        nobody = next(night(seed, GRID, 10, "empty"))
        for _ in range(5):
            assert not occupied(sensor(nobody.pressure_kpa))


def blank(seed: int) -> np.ndarray:
    return np.clip(np.random.default_rng(seed).normal(1, 1.5, (64, 32)).round(), 0, None)


@pytest.mark.parametrize("level", [0, 1, 43, 4095])
def test_a_frame_of_one_value_is_empty(level: int) -> None:
    seen = contact(np.full((64, 32), level, np.float32), GRID)
    assert not seen.occupied
    assert seen.peak == level


@pytest.mark.parametrize("amount", [1, 100, 1e4])
def test_noise_of_any_size_is_empty(amount: float) -> None:
    for seed in range(50):
        assert not occupied(amount * blank(seed))


@pytest.mark.parametrize("stuck", [1, 5, 20, 21, 40, 80])
def test_stuck_taxels_are_nobody(stuck: int) -> None:
    for seed in range(20):
        counts = blank(seed)
        counts.ravel()[np.random.default_rng(seed).choice(2048, stuck, replace=False)] = 4095
        assert not occupied(counts)


def test_stuck_lines_are_nobody() -> None:
    for lines in (slice(10, 11), slice(10, 12), slice(30, 33)):
        rows, cols = blank(1), blank(2)
        rows[lines] += 500
        cols[:, lines] += 500
        assert not occupied(rows)
        assert not occupied(cols)


def test_a_book_is_nobody() -> None:
    counts = blank(3)
    counts[20:32, 10:20] += 300
    assert not occupied(counts)


def test_stuck_taxels_do_not_hide_a_body(pmd: Path) -> None:
    for counts in read_pmd(pmd, [1, 4]).medians().pressure:
        counts.ravel()[np.random.default_rng(0).choice(2048, 20, replace=False)] = 4095
        assert occupied(counts)


@pytest.mark.parametrize("factor", [0.25, 0.5, 2, 4])
def test_the_unit_changes_the_peak_and_nothing_else(pmd: Path, factor: float) -> None:
    for counts in read_pmd(pmd, [2, 5]).medians().pressure:
        once, times = contact(counts, GRID), contact(factor * counts, GRID)
        assert times.peak == factor * once.peak
        assert (times.occupied, times.area_cm2, times.centre_cm) == (once.occupied, once.area_cm2, once.centre_cm)


def test_centre_and_area_of_a_load_of_known_shape() -> None:
    """An even load on rows 10..49 and columns 8..17 of a mat with oblong taxels."""
    grid = Grid(64, 32, 2.0, 3.0)
    counts = np.zeros((64, 32), np.float32)
    counts[10:50, 8:18] = 200
    seen = contact(counts, grid)
    assert seen.occupied
    assert seen.area_cm2 == pytest.approx(40 * 10 * 6)
    assert seen.centre_cm == pytest.approx((13 * 2.0, 30 * 3.0))
    assert seen.peak == 200


def test_an_empty_mat_has_no_centre_and_no_area() -> None:
    seen = contact(blank(4).astype(np.float32), GRID)
    assert (seen.occupied, seen.area_cm2, seen.centre_cm) == (False, 0.0, None)


def test_coherence_is_the_smaller_correlation_of_neighbours() -> None:
    rng = np.random.default_rng(5)
    for smooth in (rng.random((20, 9)), np.cumsum(rng.random((64, 32)), 1), np.cumsum(rng.random((7, 40)), 0)):
        load = (smooth / smooth.max()).astype(np.float32)
        along_cols = np.corrcoef(load[1:].ravel(), load[:-1].ravel())[0, 1]
        along_rows = np.corrcoef(load[:, 1:].ravel(), load[:, :-1].ravel())[0, 1]
        assert coherence(load) == pytest.approx(min(along_cols, along_rows), abs=1e-4)


def test_a_mat_of_one_row_or_column_is_never_occupied() -> None:
    for shape in ((1, 40), (40, 1), (1, 1)):
        assert not occupied(np.random.default_rng(0).random(shape), Grid(*shape, 50.0, 50.0))
