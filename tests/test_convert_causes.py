"""What is wrong is told from the files where it can be, and from the figures where it must be."""

import numpy as np
import pytest

from convert.causes import causes_in_conversion, causes_in_files, causes_in_points, causes_in_tensors
from convert.compare import Stage
from convert.tensors import TensorReport
from edge.manifest import read_manifest
from edge.model import DEFAULT_MODEL
from train.checkpoint import load_checkpoint

MODEL = DEFAULT_MODEL.read_bytes()
MANIFEST = read_manifest(DEFAULT_MODEL.with_suffix(".json"))
CHECKPOINT = load_checkpoint(DEFAULT_MODEL.with_name("default.encoder.pt"))


def test_the_default_model_has_nothing_wrong_in_its_files() -> None:
    assert list(causes_in_files(MODEL, MANIFEST, CHECKPOINT)) == []
    assert list(causes_in_files(MODEL, MANIFEST, None)) == []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"pitch_x_cm": 3.0}, "the manifest's grid is"),
        ({"joint_map": None}, "the manifest's joint_map is not the checkpoint's"),
        ({"posture": None}, "the manifest's posture is not the checkpoint's"),
        ({"body": None}, "the manifest's body is not the checkpoint's"),
    ],
)
def test_a_manifest_that_is_not_the_checkpoints(change: dict[str, object], text: str) -> None:
    (cause,) = causes_in_files(MODEL, MANIFEST.model_copy(update=change), CHECKPOINT)
    assert cause.text.startswith(text)
    assert cause.certain


@pytest.mark.parametrize(
    ("scale", "zero_point", "certain"),
    [(1 / 510, -128, True), (1 / 255, -100, True), (1 / 255, -140 + 24, True), (1 / 100, -128, False)],
    ids=["too small", "shifted", "shifted a little", "too large"],
)
def test_an_input_range_that_is_not_what_the_model_is_fed(scale: float, zero_point: int, certain: bool) -> None:
    entry = MANIFEST.input.model_copy(update={"scale": scale, "zero_point": zero_point})
    (cause,) = causes_in_files(MODEL, MANIFEST.model_copy(update={"input": entry}), None)
    assert cause.text.startswith("the input takes")
    assert cause.certain is certain


def stage(joints_cm: np.ndarray, keypoints_cm: np.ndarray) -> Stage:
    return Stage(joints_cm, keypoints_cm, None, {})


@pytest.fixture
def points() -> tuple[np.ndarray, np.ndarray]:
    """Joints and as many keypoints, each wandering about a place of its own."""
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 150, (28, 2)) + rng.normal(0, 10, (9, 28, 2))
    return places[:, :14], places[:, 14:]


def test_small_shifts_are_no_mix_up(points: tuple[np.ndarray, np.ndarray]) -> None:
    real = stage(*points)
    shifted = stage(*(p + np.random.default_rng(1).normal(0, 0.3, p.shape) for p in points))
    assert list(causes_in_points(shifted, real, MANIFEST)) == []


def test_points_that_are_lost_altogether_are_no_mix_up(points: tuple[np.ndarray, np.ndarray]) -> None:
    centre = np.full_like(points[0], 75.0)
    assert list(causes_in_points(stage(centre, centre), stage(*points), MANIFEST)) == []


def test_whole_outputs_that_change_places(points: tuple[np.ndarray, np.ndarray]) -> None:
    (cause,) = causes_in_points(stage(points[1], points[0]), stage(*points), MANIFEST)
    assert cause.certain
    assert "keypoint 0 lies where r_ankle belongs" in cause.text
    assert cause.text.endswith("and 24 more")


def test_two_channels_that_change_places(points: tuple[np.ndarray, np.ndarray]) -> None:
    joints = points[0].copy()
    joints[:, [6, 11]] = joints[:, [11, 6]]
    (cause,) = causes_in_points(stage(joints, points[1]), stage(*points), MANIFEST)
    assert cause.text.endswith("r_wrist lies where l_wrist belongs, l_wrist lies where r_wrist belongs")


def test_a_float_graph_that_computes_something_else(points: tuple[np.ndarray, np.ndarray]) -> None:
    joints, keypoints = points
    assert list(causes_in_conversion(stage(joints, keypoints), stage(joints + 1e-3, keypoints))) == []
    (cause,) = causes_in_conversion(stage(joints, keypoints), stage(joints + np.array([0.3, 0.4]), keypoints))
    assert cause.text.startswith("the float graph's joints lie 0.50 cm from PyTorch's: it is another model's")
    assert cause.certain


def tensor(index: int, beyond_percent: float) -> TensorReport:
    return TensorReport(index, "ADD", (1,), 30.0, 40.0, None, 0.1, beyond_percent, 90.0, "")


def test_many_tensors_that_leave_their_range_point_to_the_calibration() -> None:
    clean = [tensor(i, 6) for i in range(10)]
    assert list(causes_in_tensors([*clean, tensor(10, 12)])) == []
    (hint,) = causes_in_tensors([*clean, tensor(10, 12), tensor(11, 35)])
    assert "2 of 12 tensors leave their int8 range by more than 10 %, tensor 11 (ADD) by 35 %" in hint.text
    assert "calibrated on noise, on foreign or on too few maps" in hint.text
    assert not hint.certain
    (cause,) = causes_in_tensors([*clean, *(tensor(10 + i, 12) for i in range(5))])
    assert cause.certain
