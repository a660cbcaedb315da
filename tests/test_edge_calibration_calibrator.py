"""Counts in, pressure out: no baseline, no noise, no holes; and the model sees the same body as before."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from calibrations import COLS, ROWS, calibration, made, resting, tare
from edge_packages import GRID

from edge.calibration.calibrator import Calibrator
from edge.calibration.drift import FLOOR_NOISES
from edge.calibration.values import Calibration, PowerLaw, faults_of
from edge.contact import contact
from edge.model import DEFAULT_MODEL, KeypointModel
from edge.preprocess import Preprocessor
from edge.score import joint_errors_cm
from firmware_bridge.person import still
from firmware_bridge.sensor import Sensor
from train.maps import Maps
from train.pmd import ORIENTATION_I, read_pmd


def pressure(stored: Calibration | None, counts: np.ndarray) -> np.ndarray:
    """What the first frame becomes."""
    return Calibrator(stored, *counts.shape)(counts, False, 0.0)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float64])
def test_without_a_calibration_frames_stay_as_they_are(dtype: type) -> None:
    counts = np.arange(ROWS * COLS).reshape(ROWS, COLS).astype(dtype)
    counts.flags.writeable = False
    calibrator = Calibrator(None, ROWS, COLS)
    out = calibrator(counts, True, 5.0)
    assert (calibrator.unit, calibrator.followed()) == ("counts", None)
    assert out.dtype == dtype
    np.testing.assert_array_equal(out, counts)


def test_a_calibration_of_another_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="calibration of 64 x 32 for 32 x 64 taxels"):
        Calibrator(calibration(), COLS, ROWS)


def test_the_baseline_is_taken_away_and_noise_shows_nothing() -> None:
    counts = np.full((ROWS, COLS), 10, np.uint16)
    counts[0] = [*range(10, 10 + round(FLOOR_NOISES) + 1), *[0] * 27]
    counts[1] = 1010
    out = pressure(calibration(), counts)
    assert out[0].max() == 0
    assert out[2:].max() == 0
    np.testing.assert_allclose(out[1], 1000, rtol=1e-4)


def test_the_floor_has_no_step_and_takes_little_from_a_load() -> None:
    counts = np.linspace(0, 60, 6001).reshape(1, -1)[:, :6000].reshape(60, 100)
    out = pressure(calibration(60, 100), counts).ravel()
    assert np.diff(out).min() >= 0
    assert np.diff(out).max() < 2.1 * 0.01
    assert out[5000] == pytest.approx(40, abs=0.5)


def test_frames_are_only_read_in_whatever_order_they_lie() -> None:
    stored = calibration(faults=faults_of(np.eye(ROWS, COLS, dtype=bool), "dead"))
    counts = np.random.default_rng(0).integers(0, 500, (ROWS, COLS)).astype(np.uint16)
    turned = np.asfortranarray(counts)
    turned.flags.writeable = False
    np.testing.assert_array_equal(pressure(stored, turned), pressure(stored, counts))


def test_gains_even_out_and_the_curve_gives_kpa() -> None:
    gain = np.ones((ROWS, COLS))
    gain[:, 5] = 2
    stored = calibration(gain=gain.tolist(), curve=PowerLaw(counts_per_kpa=50, exponent=0.5))
    counts = np.full((ROWS, COLS), 210, np.uint16)
    counts[:, 5], counts[0] = 110, 10
    out = pressure(stored, counts)
    assert Calibrator(stored, ROWS, COLS).unit == "kPa"
    np.testing.assert_allclose(out[1:], 2, rtol=1e-2)
    np.testing.assert_array_equal(out[0], 0)


@pytest.mark.parametrize(
    "fault",
    [(10, 10), (0, 0), (63, 31), (slice(None), 12), (slice(None), slice(12, 14)), (20, slice(None)), (0, slice(None))],
    ids=str,
)
@pytest.mark.parametrize("shows", [0, 300, 4095])
def test_faulty_taxels_show_what_their_neighbours_do(fault: tuple[object, object], shows: int) -> None:
    """Within a tenth of the peak, even where two dead lines run side by side across it."""
    mask = np.zeros((ROWS, COLS), bool)
    mask[fault] = True
    y, x = np.mgrid[:ROWS, :COLS]
    smooth = np.rint(10 + 300 * np.exp(-(((y - 30) / 20) ** 2 + ((x - 14) / 8) ** 2)))
    broken = np.where(mask, shows, smooth)
    mended = pressure(calibration(faults=faults_of(mask, "dead")), broken)
    whole = pressure(calibration(), smooth)
    np.testing.assert_array_equal(mended[~mask], whole[~mask])
    np.testing.assert_allclose(mended[mask], whole[mask], atol=25)


def test_a_ramp_is_interpolated_exactly_inside_a_dead_line() -> None:
    stored = calibration(9, 9, faults=faults_of(np.arange(81).reshape(9, 9) % 9 == 4, "dead"))
    ramp = 1010 + 100 * np.tile(np.arange(9), (9, 1))
    np.testing.assert_allclose(pressure(stored, ramp)[1:-1, 4], 1400, rtol=1e-3)


def test_nearer_neighbours_count_for_more() -> None:
    stored = calibration(3, 3, faults=faults_of(np.arange(9).reshape(3, 3) == 4, "dead"))
    cross = np.array([[10, 1010, 10], [1010, 10, 1010], [10, 1010, 10]])
    assert pressure(stored, cross)[1, 1] == pytest.approx(1000 * 2 / 3, rel=1e-3)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_stuck_taxel_does_not_keep_its_neighbours_from_being_followed(order: Literal["C", "F"]) -> None:
    mask = np.zeros((5, 5), bool)
    mask[2, 2] = True
    calibrator = Calibrator(calibration(5, 5, faults=faults_of(mask, "stuck")), 5, 5)
    counts = np.full((5, 5), 12, order=order)
    counts[2, 2] = 4095
    for i in range(1000):
        calibrator(counts, False, i * 5.0)
    end = calibrator.followed()
    assert end is not None
    np.testing.assert_allclose(np.array(end.baseline_counts)[~mask], 12, atol=0.01)


def test_a_tare_cures_a_slope_that_looks_like_a_body() -> None:
    """And a body on the same mat is still one."""
    slope = np.add.outer(np.linspace(0, 60, ROWS), np.linspace(0, 40, COLS))
    frames = resting(level=20 + slope)
    assert all(contact(counts.astype(np.float32), GRID).occupied for counts in frames)
    calibrator = Calibrator(made(tare(frames, force=True)), ROWS, COLS)
    for i, counts in enumerate(resting(seed=1, level=20 + slope)):
        assert not contact(calibrator(counts, False, i / 10), GRID).occupied
    body = Sensor(2, GRID)(still(2, GRID).pressure_kpa)
    assert contact(calibrator(resting(seed=2, level=20 + slope, n=1)[0] + body, False, 4.0), GRID).occupied


@pytest.fixture(scope="module")
def model() -> KeypointModel:
    return KeypointModel.from_files(DEFAULT_MODEL)


@pytest.fixture(scope="module")
def person_13(pmd: Path, joints_i: Path) -> Maps:
    """Whom the shipped model never saw."""
    return read_pmd(pmd, [13], joints=joints_i).medians().labelled()


@pytest.fixture(scope="module", params=[3, 6, 10, 13, 14])
def waiting(request: pytest.FixtureRequest, pmd: Path) -> np.ndarray:
    """The mat just before person 13 lay down, where nothing lies on it."""
    with (pmd / f"experiment-i/S13/{request.param}.txt").open() as file:
        frame = np.array(file.readline().split(), np.float32).reshape(ROWS, COLS)
    return np.asarray(ORIENTATION_I.to_canonical(frame), np.float32)


def joints_cm(model: KeypointModel, frames: list[np.ndarray]) -> np.ndarray:
    """(N, 14, 2)."""
    preprocess = Preprocessor(GRID, model.manifest.grid, model.manifest.preprocessing)
    found = [model.predict(preprocess(frame))["joints"].xy_norm for frame in frames]
    return preprocess.mat_cm(np.stack(found))


def mean_cm(model: KeypointModel, frames: list[np.ndarray], maps: Maps) -> float:
    truth = maps.joints
    return joint_errors_cm(joints_cm(model, frames), truth[..., :2], truth[..., 2].astype(int)).mean_cm


def test_a_tare_makes_the_joints_of_a_real_person_no_worse(
    model: KeypointModel, person_13: Maps, waiting: np.ndarray
) -> None:
    stored = made(tare([waiting] * 40))
    raw = mean_cm(model, list(person_13.pressure), person_13)
    tared = mean_cm(model, [pressure(stored, frame) for frame in person_13.pressure], person_13)
    assert tared < raw + 0.05


def test_a_dead_column_costs_a_real_persons_joints_little_once_it_is_known(
    model: KeypointModel, person_13: Maps, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = np.zeros((ROWS, COLS), bool)
    dead[:, [11, 19]], dead[30] = True, True
    torn = [np.where(dead, 0, frame) for frame in person_13.pressure]
    quiet = {"baseline_counts": np.zeros((ROWS, COLS)).tolist(), "noise_counts": np.full((ROWS, COLS), 0.3).tolist()}
    stored = calibration(**quiet, faults=faults_of(dead, "dead"))
    monkeypatch.setattr(model, "body", None)  # it makes good most of what holes cost: here the heat maps are asked
    raw = mean_cm(model, list(person_13.pressure), person_13)
    holes = mean_cm(model, torn, person_13)
    mended = mean_cm(model, [pressure(stored, frame) for frame in torn], person_13)
    assert mended < raw + 0.5
    assert mended < holes


def test_the_floor_makes_joints_less_dependent_on_the_last_count(model: KeypointModel, person_13: Maps) -> None:
    """Counts divided by 4, rounded or not: the square root makes much of the last ones, the floor little."""
    quiet = {"baseline_counts": np.zeros((ROWS, COLS)).tolist(), "noise_counts": np.full((ROWS, COLS), 0.3).tolist()}
    exact = [frame / 4 for frame in person_13.pressure]
    rounded = [np.rint(frame) for frame in exact]

    def shift_cm(stored: Calibration | None) -> float:
        a, b = (joints_cm(model, [pressure(stored, frame) for frame in frames]) for frames in (exact, rounded))
        return float(np.linalg.norm(a - b, axis=-1).mean())

    assert shift_cm(calibration(**quiet)) < 0.8 * shift_cm(None)
