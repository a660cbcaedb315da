"""Keypoint decoding against a soft-argmax in float64."""

import numpy as np
import pytest

from edge.keypoints import HeatmapDecoder, Keypoints, confidence, mixed
from edge.manifest import Output
from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import JOINTS

MODEL = Grid(64, 32, 2.54, 2.9)
OUTPUT = Output(name="keypoints", index=0, rows=32, cols=16, k=20, scale=0.11, zero_point=-13)


@pytest.fixture
def logits() -> np.ndarray:
    return np.random.default_rng(1).integers(-128, 128, (32, 16, 20)).astype(np.int8)


@pytest.fixture
def model_input() -> np.ndarray:
    return np.random.default_rng(2).random((64, 32), np.float32)


def softmax_moments(logits: np.ndarray, model_input: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x_norm and y_norm (K, 2), value (K,), spread (K,) by loops in float64."""
    real = OUTPUT.scale * (logits.astype(np.float64) - OUTPUT.zero_point)
    xy_norm, value, spread_cm = [], [], []
    for k in range(real.shape[2]):
        p = np.exp(real[..., k] - real[..., k].max())
        p /= p.sum()
        x_cm = (np.arange(16) + 0.5) * 2 * MODEL.pitch_x_cm
        y_cm = (np.arange(32) + 0.5) * 2 * MODEL.pitch_y_cm
        mean_x, mean_y = (p.sum(0) * x_cm).sum(), (p.sum(1) * y_cm).sum()
        variance = (p.sum(0) * (x_cm - mean_x) ** 2).sum() + (p.sum(1) * (y_cm - mean_y) ** 2).sum()
        xy_norm.append((mean_x / MODEL.width_cm, mean_y / MODEL.height_cm))
        cells = [[model_input[2 * r : 2 * r + 2, 2 * c : 2 * c + 2].mean() for c in range(16)] for r in range(32)]
        value.append((p * np.array(cells)).sum())
        spread_cm.append(np.sqrt(variance))
    return np.array(xy_norm), np.array(value), np.array(spread_cm)


def assert_same(found: Keypoints, logits: np.ndarray, model_input: np.ndarray) -> None:
    xy_norm, value, spread_cm = softmax_moments(logits, model_input)
    np.testing.assert_allclose(found.xy_norm, xy_norm, atol=1e-5)
    np.testing.assert_allclose(found.value, value, atol=1e-5)
    np.testing.assert_allclose(found.spread_cm, spread_cm, atol=0.02)


def test_int8_logits_give_the_expectation_under_their_softmax(logits: np.ndarray, model_input: np.ndarray) -> None:
    assert_same(HeatmapDecoder(OUTPUT, MODEL)(logits, model_input), logits, model_input)


def test_float_logits_give_the_same(logits: np.ndarray, model_input: np.ndarray) -> None:
    real = OUTPUT.scale * (logits.astype(np.float64) - OUTPUT.zero_point)
    assert_same(HeatmapDecoder(OUTPUT, MODEL).from_float(real, model_input), logits, model_input)


def test_one_hot_maps_give_their_cells_centre_and_no_spread() -> None:
    logits = np.full((32, 16, 20), -128, np.int8)
    output = OUTPUT.model_copy(update={"scale": 1.0})
    cells = [(k, (3 * k) % 16) for k in range(20)]
    for k, (row, col) in enumerate(cells):
        logits[row, col, k] = 127
    model_input = np.zeros((64, 32), np.float32)
    model_input[2 * 4 : 2 * 4 + 2, 2 * 12 : 2 * 12 + 2] = 0.7
    found = HeatmapDecoder(output, MODEL)(logits, model_input)
    np.testing.assert_allclose(found.xy_norm, [((c + 0.5) / 16, (r + 0.5) / 32) for r, c in cells], atol=1e-5)
    np.testing.assert_allclose(found.spread_cm, 0, atol=0.1)
    assert found.value[4] == pytest.approx(0.7)
    assert found.value[5] == pytest.approx(0, abs=1e-6)


def test_a_flat_map_gives_the_middle() -> None:
    found = HeatmapDecoder(OUTPUT, MODEL)(np.full((32, 16, 20), 5, np.int8), np.zeros((64, 32), np.float32))
    np.testing.assert_allclose(found.xy_norm, 0.5, atol=1e-5)


def test_points_are_taken_apart_and_put_together(logits: np.ndarray, model_input: np.ndarray) -> None:
    found = HeatmapDecoder(OUTPUT, MODEL)(logits, model_input)
    again = found[:6] + found[6:]
    assert len(found[:6].value) == 6
    for name in ("xy_norm", "value", "spread_cm"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))


def test_features_go_point_by_point(logits: np.ndarray, model_input: np.ndarray) -> None:
    found = HeatmapDecoder(OUTPUT, MODEL)(logits, model_input)
    sureness = 1 / (1 + (found.spread_cm / 8) ** 2)
    expected = np.column_stack([found.xy_norm, found.value, sureness])
    np.testing.assert_allclose(found.features.reshape(20, 4), expected, rtol=1e-6)


def test_confidence_falls_with_the_spread() -> None:
    np.testing.assert_allclose(confidence(np.array([0, 8, 16, 1e6], np.float32), 8.0), [1, 0.5, 0.2, 0], atol=1e-6)


def body(xs_norm: np.ndarray) -> Keypoints:
    """14 joints at these x; each is as high, as loaded and as sure as its index says."""
    n = np.arange(14, dtype=np.float32)
    return Keypoints(np.stack([xs_norm, n / 20], 1).astype(np.float32), n / 14, n)


def test_the_joints_of_a_mirror_image_exchange_left_and_right() -> None:
    xs_norm = np.random.default_rng(0).random(14)
    found = body(xs_norm).mirrored_joints()
    others = [name.replace("r_", "*").replace("l_", "r_").replace("*", "l_") for name in JOINTS]
    assert others != list(JOINTS)
    origin = [JOINTS.index(name) for name in others]
    np.testing.assert_allclose(found.xy_norm[:, 0], 1 - xs_norm[origin], rtol=1e-6)
    np.testing.assert_allclose(found.xy_norm[:, 1] * 20, origin, rtol=1e-6)
    np.testing.assert_array_equal(found.spread_cm, origin)
    np.testing.assert_allclose(found.value * 14, origin, rtol=1e-6)
    np.testing.assert_allclose(found.mirrored_joints().xy_norm, body(xs_norm).xy_norm, atol=1e-6)


def test_two_answers_mix_to_the_points_of_both_heat_maps_together(model_input: np.ndarray) -> None:
    """The mean of two distributions, computed anew from the maps."""
    logits = np.random.default_rng(4).normal(size=(2, 32, 16, 20)) * 4
    decoder = HeatmapDecoder(OUTPUT, MODEL)
    one, other = (decoder.from_float(maps, model_input) for maps in logits)
    p = np.exp(logits)
    both = np.log((p / p.sum((1, 2), keepdims=True)).mean(0))
    expected = decoder.from_float(both, model_input)
    found = mixed(one, other, np.array([[MODEL.width_cm], [MODEL.height_cm]], np.float32))
    np.testing.assert_allclose(found.xy_norm, expected.xy_norm, atol=1e-5)
    np.testing.assert_allclose(found.value, expected.value, atol=1e-5)
    np.testing.assert_allclose(found.spread_cm, expected.spread_cm, atol=0.02)
