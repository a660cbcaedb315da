"""Known loads: what a count is worth."""

from functools import cache
from itertools import islice

import numpy as np
import pytest
from calibrations import COLS, ROWS, calibration, made, tare
from edge_packages import GRID

from edge.calibration.calibrator import Calibrator
from edge.calibration.collector import Refused
from edge.calibration.gains import LARGEST_GAIN, KnownLoad, with_even_load, with_weight, worth
from edge.calibration.values import Calibration, PowerLaw, faults_of
from edge.contact import contact
from firmware_bridge.person import Moment, night, still
from firmware_bridge.sensor import Sensor


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


RATE_HZ = 10
FRAMES = 31
KG_PER_KPA = GRID.pitch_x_cm * GRID.pitch_y_cm / 1e4 * 1000 / 9.81


class Mat:
    """A simulated one, tared."""

    def __init__(self, seed: int = 3) -> None:
        self.sensor = Sensor(seed, GRID)
        nobody = np.zeros((ROWS, COLS), np.float32)
        self.tared = made(tare([self.sensor(nobody) for _ in range(40)], force=True))

    def calibrated(
        self, loads: list[np.ndarray], mass_kg: float | None = None, before: Calibration | None = None
    ) -> Calibration | Refused:
        """By loads in kPa, a frame each."""
        calibration = before or self.tared
        calibrate = Calibrator(calibration, ROWS, COLS)
        load = KnownLoad(calibration, GRID, mass_kg)
        for i, kpa in enumerate(loads):
            counts = self.sensor(kpa)
            load.feed(counts, contact(calibrate(counts, True, 0.0), GRID).occupied, i / RATE_HZ)
        return load.result()

    def pressure(self, calibration: Calibration, kpa: np.ndarray) -> np.ndarray:
        return Calibrator(calibration, ROWS, COLS)(self.sensor(kpa), True, 0.0)


def even(kpa: float, n: int = FRAMES) -> list[np.ndarray]:
    return [np.full((ROWS, COLS), kpa, np.float32)] * n


@cache
def sleeper(seed: int, what: str) -> list[np.ndarray]:
    """Frames of one who breathes, while they do nothing else than `what`."""
    found: list[Moment] = []
    for moment in islice(night(seed, GRID, RATE_HZ), 3000):
        found = [*found, moment] if moment.posture == what else []
        if len(found) == FRAMES:
            return [moment.pressure_kpa for moment in found]
    raise AssertionError(f"person {seed} is never {what} for long enough")


def spread(pressure: np.ndarray, calibration: Calibration) -> float:
    healthy = pressure[~calibration.faulty]
    return float(np.std(healthy) / np.mean(healthy))


def refusal(result: Calibration | Refused) -> str:
    assert isinstance(result, Refused), result
    assert "\n" not in result.reason
    return result.reason


@pytest.mark.parametrize("kpa", [1.0, 2.0, 4.0])
def test_a_mattress_of_water_evens_a_mat_for_other_loads_too(kpa: float) -> None:
    mat = Mat()
    evened = made(mat.calibrated(even(kpa)))
    raw, out = (mat.pressure(one, even(1.5)[0]) for one in (mat.tared, evened))
    assert spread(raw, evened) > 0.3
    assert spread(out, evened) < 0.05
    assert np.median(out) == pytest.approx(np.median(raw), rel=0.05)


def test_somebody_who_breathes_and_whose_weight_is_known_gives_kpa_for_every_posture() -> None:
    mat = Mat()
    supine, side = sleeper(5, "supine"), sleeper(5, "left")
    mass_kg = float(np.mean([kpa.sum() for kpa in supine])) * KG_PER_KPA
    weighed = made(mat.calibrated(supine, mass_kg, made(mat.calibrated(even(2.0)))))
    assert weighed.unit == "kPa"
    assert weighed.gain is not None
    for kpa in (supine[-1], side[-1]):
        assert mat.pressure(weighed, kpa).sum() * KG_PER_KPA == pytest.approx(mass_kg, rel=0.05)


def test_a_second_weighing_replaces_the_first_and_new_gains_drop_it() -> None:
    mat, supine = Mat(), sleeper(5, "supine")
    mass_kg = float(supine[0].sum()) * KG_PER_KPA
    wrong = made(mat.calibrated(supine, 2 * mass_kg))
    right = made(mat.calibrated(supine, mass_kg, wrong))
    assert wrong.curve
    assert right.curve
    assert right.curve.counts_per_kpa == pytest.approx(2 * wrong.curve.counts_per_kpa, rel=0.02)
    assert made(mat.calibrated(even(2.0), before=right)).unit == "counts"


def test_what_else_is_known_of_the_mat_is_kept() -> None:
    mat = Mat()
    known = mat.tared.model_copy(update={"orientation": "180"}).with_faults(faults_of(np.eye(ROWS, COLS) > 0, "dead"))
    changed = made(mat.calibrated(even(2.0), before=known))
    assert changed.model_copy(update={"gain": None}) == known


@pytest.mark.parametrize("mass_kg", [None, 70.0])
def test_an_empty_mat_is_no_load(mass_kg: float | None) -> None:
    reason = refusal(Mat().calibrated(even(0.0), mass_kg))
    assert reason.startswith("the mat shows 0 counts, an even load needs " if mass_kg is None else "nobody lies on")


def test_a_load_that_drowns_in_the_noise_is_refused() -> None:
    assert "counts, an even load needs 20" in refusal(Mat().calibrated(even(0.2)))
    mat = Mat()
    noisy = mat.tared.model_copy(update={"noise_counts": np.full((ROWS, COLS), 10.0).tolist()})
    assert "counts, an even load needs 150" in refusal(mat.calibrated(even(1.0), before=noisy))


@pytest.mark.parametrize(("rows", "text"), [(48, "75 %"), (58, "91 %")])
def test_an_even_load_must_cover_the_mat(rows: int, text: str) -> None:
    part = even(2.0)[0].copy()
    part[rows:] = 0
    assert f"the load covers {text} of the mat: lay" in refusal(Mat().calibrated([part] * FRAMES))


@pytest.mark.parametrize("seed", range(3))
def test_a_body_is_no_even_load_and_an_even_load_nobody(seed: int) -> None:
    mat = Mat(seed)
    assert "lay an even one on all of it" in refusal(mat.calibrated(sleeper(seed, "supine")))
    assert "nobody lies on the mat in 31 of 31 frames" in refusal(mat.calibrated(even(2.0), 80.0))


def test_somebody_who_comes_turns_or_goes_is_not_weighed() -> None:
    mat, supine, left = Mat(), sleeper(5, "supine"), sleeper(5, "left")
    nobody = even(0.0)
    assert "nobody lies on the mat in 10 of 31" in refusal(mat.calibrated([*nobody[:10], *supine[:21]], 80.0))
    assert "nobody lies on the mat in 5 of 31" in refusal(mat.calibrated([*supine[:26], *nobody[:5]], 80.0))
    assert "% of the load moves: keep it still" in refusal(mat.calibrated([*supine[:15], *left[:16]], 80.0))


def test_an_even_load_that_is_being_laid_down_is_noticed() -> None:
    filling = [kpa * (1 + i / FRAMES) for i, kpa in enumerate(even(1.0))]
    assert "% of the load moves" in refusal(Mat().calibrated(filling))


@pytest.mark.parametrize("n", [0, 1, 9])
@pytest.mark.parametrize("mass_kg", [None, 70.0])
def test_too_few_frames_are_refused(n: int, mass_kg: float | None) -> None:
    reason = f"{n} frames came, a calibration needs 10"
    assert reason in refusal(Mat().calibrated(sleeper(5, "supine")[:n], mass_kg))


def test_what_a_count_is_worth_is_said_in_words() -> None:
    assert worth(calibration(curve=PowerLaw(counts_per_kpa=61.25))) == "61.2 counts are 1 kPa"
    gain = np.linspace(0.5, 1.5, ROWS * COLS).reshape(ROWS, COLS).tolist()
    assert worth(calibration(gain=gain)).startswith("9 of 10 gains are 0.55 to 1.45, and pressure is in counts until")
