"""Frames in, results out: turned once, unit-free, pressure only where the model cannot read the mat."""

from pathlib import Path

import numpy as np
import pytest
from edge_packages import GRID, frame, info, label_free_package, package

from edge.model import KeypointModel
from edge.pipeline import Pipeline
from edge.preprocess import Preprocessor
from edge.window import Window
from firmware_bridge.geometry import Grid, Orientation
from train.pmd import read_pmd

ORIENTATIONS = [Orientation.from_byte(byte) for byte in range(8)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> KeypointModel:
    return KeypointModel.from_files(package(tmp_path_factory.mktemp("package")))


@pytest.fixture(scope="module")
def maps(pmd: Path) -> np.ndarray:
    """(G, 64, 32) canonical, of four real people in all postures."""
    return read_pmd(pmd, [1, 3, 6, 13]).medians().pressure


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
def test_a_mat_in_any_orientation_gives_the_same_joints(
    model: KeypointModel, maps: np.ndarray, orientation: Orientation
) -> None:
    upright = Pipeline(model, info())
    turned = Pipeline(model, info(orientation=orientation))
    assert turned.grid == GRID
    for counts in maps[::10]:
        expected = upright.step(frame(counts))
        result = turned.step(frame(np.ascontiguousarray(orientation.from_canonical(counts))))
        np.testing.assert_array_equal(result.joints, expected.joints)
        np.testing.assert_array_equal(result.keypoints, expected.keypoints)
        assert result.centre_of_pressure_cm == expected.centre_of_pressure_cm
        assert result.contact_area_cm2 == expected.contact_area_cm2


def test_the_setting_overrides_what_the_mat_says(model: KeypointModel, maps: np.ndarray) -> None:
    device = np.ascontiguousarray(Orientation(1).from_canonical(maps[0]))
    wrong = info(Grid(32, 64, 2.54, 2.54))
    result = Pipeline(model, wrong, Orientation(1)).step(frame(device))
    np.testing.assert_array_equal(result.joints, Pipeline(model, info()).step(frame(maps[0])).joints)


@pytest.mark.parametrize("factor", [0.25, 0.5, 2, 4])
def test_multiplying_every_frame_moves_no_joint_and_empties_no_bed(
    model: KeypointModel, maps: np.ndarray, factor: float
) -> None:
    pipeline = Pipeline(model, info())
    for counts in maps:
        once, times = pipeline.step(frame(counts)), pipeline.step(frame(counts * factor))
        assert once.joints is not None
        np.testing.assert_array_equal(times.joints, once.joints)
        assert times.peak_pressure == once.peak_pressure * factor
        assert times.occupied
        assert times.contact_area_cm2 == once.contact_area_cm2


@pytest.mark.parametrize("factor", [0.25, 0.5])
def test_rounding_to_whole_counts_at_a_quarter_of_the_gain_costs_less_than_a_centimetre(
    model: KeypointModel, maps: np.ndarray, factor: float
) -> None:
    """What a mat with fewer counts would send: not the same frame any more, as it has lost its lightest loads."""
    pipeline = Pipeline(model, info())
    shifts = []
    for counts in maps:
        once, times = pipeline.step(frame(counts)), pipeline.step(frame(np.rint(counts * factor)))
        assert once.joints is not None
        assert times.joints is not None
        shifts.append(np.linalg.norm(once.joints[:, :2] - times.joints[:, :2], axis=1))
    assert np.mean(shifts) < 1


def test_joints_and_keypoints_are_the_models_on_the_mats_own_coordinates(
    maps: np.ndarray, model: KeypointModel
) -> None:
    """A mat with four rows more and two columns more than the model's: all lies as much further in as its window."""
    counts = np.zeros((68, 34), np.float32)
    counts[2:66, 1:33] = maps[0]
    mat = Grid(68, 34, 2.54, 2.54)
    result = Pipeline(model, info(mat), core=None).step(frame(counts))
    shown, corner_cm = Window(mat, GRID)(counts)
    found = model.predict(Preprocessor(GRID, GRID, model.manifest.preprocessing)(shown))
    assert result.joints is not None
    assert result.keypoints is not None
    model_cm = np.array([GRID.width_cm, GRID.height_cm])
    np.testing.assert_allclose(result.joints[:, :2], found["joints"].xy_norm * model_cm + corner_cm, atol=1e-4)
    mat_cm = np.array([34, 68]) * 2.54
    keypoints_cm = found["keypoints"].xy_norm * model_cm + corner_cm
    np.testing.assert_allclose(result.keypoints[:, :2], keypoints_cm / mat_cm, atol=1e-6)


def test_an_empty_bed_has_neither_joints_nor_keypoints(model: KeypointModel) -> None:
    counts = np.random.default_rng(0).integers(0, 4, (64, 32)).astype(np.uint16)
    result = Pipeline(model, info()).step(frame(counts))
    assert not result.occupied
    assert (result.joints, result.keypoints, result.posture, result.problem) == (None, None, None, None)
    assert (result.centre_of_pressure_cm, result.contact_area_cm2, result.peak_pressure) == (None, 0.0, 3.0)


def test_frames_as_the_wire_brings_them_are_only_read(model: KeypointModel, maps: np.ndarray) -> None:
    counts = maps[0].astype(np.uint16)
    counts.flags.writeable = False
    result = Pipeline(model, info()).step(frame(counts))
    np.testing.assert_array_equal(result.joints, Pipeline(model, info()).step(frame(maps[0].round())).joints)


def test_a_mat_that_does_not_fit_the_model_gives_pressure_and_the_reason(
    model: KeypointModel, maps: np.ndarray
) -> None:
    coarse = Grid(16, 8, 10.16, 10.16)
    counts = maps[0].reshape(16, 4, 8, 4).mean((1, 3))
    pipeline = Pipeline(model, info(coarse))
    result = pipeline.step(frame(counts))
    assert result.joints is None
    assert result.peak_pressure == pytest.approx(counts.max())
    assert result.problem == pipeline.problem
    assert "10.16 x 10.16 cm" in str(result.problem)


def test_without_a_model_there_is_pressure(maps: np.ndarray) -> None:
    result = Pipeline(None, info()).step(frame(maps[0]))
    assert result.occupied
    assert result.contact_area_cm2 > 0
    assert (result.joints, result.problem) == (None, "no model is loaded")


def test_a_model_that_fails_later_leaves_the_pressure_and_says_why(
    model: KeypointModel, maps: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = Pipeline(model, info())

    def fail(model_input: np.ndarray) -> list[np.ndarray]:
        raise RuntimeError("XNNPACK is out of memory")

    monkeypatch.setattr(model, "invoke", fail)
    result = pipeline.step(frame(maps[0]))
    assert result.occupied
    assert result.contact_area_cm2 > 0
    assert (result.joints, result.problem) == (None, "inference failed: XNNPACK is out of memory")
    monkeypatch.undo()
    assert pipeline.step(frame(maps[0])).joints is not None


def test_a_label_free_model_gives_named_joints(tmp_path: Path, maps: np.ndarray) -> None:
    model = KeypointModel.from_files(label_free_package(tmp_path))
    result = Pipeline(model, info()).step(frame(maps[0]))
    assert result.joints is not None
    assert result.joints.shape == (14, 3)
