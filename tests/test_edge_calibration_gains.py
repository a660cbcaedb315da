"""Known loads: what a count is worth."""

import numpy as np
import pytest
from calibrations import COLS, ROWS, calibration
from edge_packages import GRID

from edge.calibration.calibrator import Calibrator
from edge.calibration.gains import LARGEST_GAIN, with_even_load, with_weight
from edge.calibration.values import PowerLaw, faults_of
from firmware_bridge.person import still


def uneven(seed: int = 0) -> np.ndarray:
    return np.exp(np.random.default_rng(seed).normal(0, 0.25, (ROWS, COLS)))


def test_an_even_load_makes_an_uneven_mat_even() -> None:
    sensitivity = uneven()
    tared = calibration()
    gained = with_even_load(tared, Calibrator(tared, ROWS, COLS)(10 + 500 * sensitivity, True, 0.0))
    out = Calibrator(gained, ROWS, COLS)(10 + 200 * sensitivity, True, 0.0)
    assert np.std(200 * sensitivity) / np.mean(200 * sensitivity) > 0.2
    assert np.std(out) / np.mean(out) < 0.01


def test_gains_are_found_again_from_frames_that_have_gains_already() -> None:
    sensitivity = uneven()
    gained = calibration(gain=uneven(1).tolist())
    again = with_even_load(gained, Calibrator(gained, ROWS, COLS)(10 + 500 * sensitivity, True, 0.0))
    out = Calibrator(again, ROWS, COLS)(10 + 200 * sensitivity, True, 0.0)
    assert np.std(out) / np.mean(out) < 0.01


def test_taxels_that_show_nothing_are_not_enlarged_without_end() -> None:
    load = np.full((ROWS, COLS), 500, np.float32)
    load[3, 3] = 0
    gain = with_even_load(calibration(), load).gain
    assert gain is not None
    assert gain[3][3] == LARGEST_GAIN


def test_a_body_of_known_weight_gives_kpa() -> None:
    kpa = still(1, GRID).pressure_kpa
    mass_kg = float(kpa.sum()) * 1000 * (GRID.pitch_x_cm * GRID.pitch_y_cm / 1e4) / 9.81
    assert 40 < mass_kg < 140
    weighed = with_weight(calibration(), 60 * kpa, GRID, mass_kg)
    out = Calibrator(weighed, ROWS, COLS)(10 + 60 * kpa, True, 0.0)
    assert weighed.unit == "kPa"
    np.testing.assert_allclose(out[kpa > 1], kpa[kpa > 1], rtol=0.01)


@pytest.mark.parametrize("kg", [0.0, -5.0])
def test_nonsense_is_refused(kg: float) -> None:
    nothing, something = np.zeros((ROWS, COLS), np.float32), np.ones((ROWS, COLS), np.float32)
    curved = calibration(curve=PowerLaw(counts_per_kpa=60))
    with pytest.raises(ValueError, match="even load"):
        with_even_load(calibration(), nothing)
    with pytest.raises(ValueError, match="even load"):
        with_even_load(curved, something)
    for tared, pressure in ((calibration(), nothing), (calibration(), something), (curved, something)):
        with pytest.raises(ValueError, match="known weight"):
            with_weight(tared, pressure, GRID, kg)


def test_faulty_taxels_have_no_say_in_what_is_typical() -> None:
    faulty = np.zeros((ROWS, COLS), bool)
    faulty[:, :15] = True
    load = np.where(faulty, 4000, 500).astype(np.float32)
    gain = with_even_load(calibration(faults=faults_of(faulty, "stuck")), load).gain
    np.testing.assert_allclose(np.array(gain)[~faulty], 1)
