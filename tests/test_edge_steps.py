"""What NumPy makes of a frame before and after the graph; test_edge_core compares the core with it."""

import numpy as np
import pytest
from edge_packages import GRID, package
from test_edge_core import UNTURNED, somebody

from edge.contact import contact
from edge.keypoints import Keypoints
from edge.model import KeypointModel, Reading
from edge.preprocess import Preprocessor
from edge.steps import NumPySteps
from edge.window import Window
from firmware_bridge.geometry import ORIENTATIONS, Grid


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> KeypointModel:
    return KeypointModel.from_files(package(tmp_path_factory.mktemp("package")))


def lying() -> np.ndarray:
    return somebody(GRID).astype(np.uint16)


@pytest.mark.parametrize("turned", ORIENTATIONS)
def test_a_frame_is_seen_from_above_with_the_head_at_the_top(model: KeypointModel, turned: str) -> None:
    counts = lying()
    pressure, seen = NumPySteps(model, ORIENTATIONS[turned], GRID).see(ORIENTATIONS[turned].from_canonical(counts))
    np.testing.assert_array_equal(pressure, counts)
    assert pressure.dtype == np.float32
    assert seen == contact(counts.astype(np.float32), GRID)


def test_the_graph_is_fed_what_the_preprocessor_makes_of_the_frame(
    model: KeypointModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed: list[np.ndarray] = []
    monkeypatch.setattr(model, "logits", lambda model_input: fed.append(model_input) or [])
    steps = NumPySteps(model, UNTURNED, GRID)
    steps.see(lying())
    steps.infer()
    expected = Preprocessor(GRID, model.manifest.grid, model.manifest.preprocessing)(lying())
    np.testing.assert_array_equal(fed[0], expected)


def test_points_are_where_the_window_lies_on_the_mat(model: KeypointModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mat with 26 rows more than the model, somebody at its foot: cm count from the mat's corner, shares of it."""
    mat = Grid(90, 32, 2.54, 2.54)
    counts = np.zeros((90, 32), np.uint16)
    counts[20:84] = lying()
    k = len(model.half_cm)
    middle = Keypoints(np.full((k, 2), 0.5, np.float32), np.ones(k, np.float32), model.half_cm)
    monkeypatch.setattr(model, "read", lambda logits, model_input: Reading(middle, "left"))
    steps = NumPySteps(model, UNTURNED, mat)
    steps.see(counts)
    found = steps.find([])
    (x_cm, y_cm), confidence = found.joints[0, :2], found.joints[:, 2]
    window = Window(mat, model.manifest.grid)
    assert x_cm == pytest.approx(mat.width_cm / 2)
    assert y_cm == pytest.approx((window.corner(counts.astype(np.float32))[0] + 32) * 2.54)
    assert y_cm > 100
    np.testing.assert_allclose(found.keypoints[:, 0], 0.5)
    np.testing.assert_allclose(found.keypoints[:, 1], y_cm / mat.height_cm)
    np.testing.assert_allclose(confidence, 0.5)
    assert found.posture == "left"


def test_without_a_model_frames_are_seen_all_the_same() -> None:
    pressure, seen = NumPySteps(None, UNTURNED, GRID).see(lying())
    assert seen.occupied
    np.testing.assert_array_equal(pressure, lying())
