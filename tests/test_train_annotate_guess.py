"""Where the joints stand before a person has touched them."""

import numpy as np
import pytest

from edge.model import DEFAULT_MODEL, KeypointModel
from edge.pipeline import Pipeline
from firmware_bridge.decoder import Frame
from firmware_bridge.geometry import Grid
from firmware_bridge.messages import Flag, Info
from firmware_bridge.person import still
from firmware_bridge.sensor import Sensor
from firmware_bridge.skeleton import JOINTS, MIRRORED
from train.annotate.guess import CLEAR, LIKELY, guess, on_mat, plain_figure


@pytest.fixture(scope="module")
def model() -> KeypointModel:
    return KeypointModel.from_files(DEFAULT_MODEL)


@pytest.mark.parametrize("grid", [Grid(64, 32, 2.54, 2.54), Grid(80, 30, 3.0, 2.2)])
def test_the_guess_is_what_the_daemon_says_of_the_same_frame(model: KeypointModel, grid: Grid) -> None:
    counts = Sensor(5, grid)(still(5, grid).pressure_kpa)
    info = Info("mat", "1", 1, grid.rows, grid.cols, round(grid.pitch_x_cm * 1e4), round(grid.pitch_y_cm * 1e4), 4095)
    joints = Pipeline(model, info).step(Frame(counts, 0, 0, Flag(0), 12, 0)).joints
    assert joints is not None
    found = np.array(guess(model, grid, counts.astype(np.float32)))
    on_the_mat = np.clip(joints[:, :2] / [grid.pitch_x_cm, grid.pitch_y_cm], 0, [grid.cols, grid.rows])
    np.testing.assert_allclose(found[:, :2], on_the_mat, atol=0.006)
    np.testing.assert_array_equal(found[:, 2], (joints[:, 2] >= LIKELY).astype(int) + (joints[:, 2] >= CLEAR))


def test_a_mat_that_the_model_cannot_read_starts_with_a_plain_figure(model: KeypointModel) -> None:
    grid = Grid(16, 16, 2.54, 2.54)
    points = guess(model, grid, np.zeros((16, 16), np.float32))
    assert points == plain_figure(grid)
    assert {v for *_, v in points} == {0}


def test_the_plain_figure_lies_on_its_back_in_the_middle() -> None:
    xy = np.array(plain_figure(Grid(64, 32, 2.54, 2.54)))[:, :2]
    np.testing.assert_allclose(xy[list(MIRRORED)], [32, 0] + xy * [-1, 1], atol=0.011)
    at = {joint: xy[i] for i, joint in enumerate(JOINTS)}
    assert at["l_wrist"][0] > at["l_shoulder"][0] > at["r_shoulder"][0] > at["r_wrist"][0]
    assert at["head"][1] < at["neck"][1] < at["l_hip"][1] < at["l_knee"][1] < at["l_ankle"][1]


def test_joints_beside_the_mat_stand_at_its_edge() -> None:
    grid = Grid(64, 32, 2.54, 2.54)
    points = on_mat(np.array([[-5.0, 400.0]] * 14), np.full(14, 2), grid)
    assert points == [(0.0, 64.0, 2)] * 14
