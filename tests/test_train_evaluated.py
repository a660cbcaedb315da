"""A float model and its int8 one answer alike, mirrored frames included."""

from pathlib import Path

import numpy as np
import pytest

from edge.body import BodyPrior
from edge.manifest import read_manifest
from edge.model import DEFAULT_MODEL
from firmware_bridge.geometry import Grid
from firmware_bridge.person import still
from train.evaluated import Evaluated

ENCODER = DEFAULT_MODEL.with_name("default.encoder.pt")


@pytest.fixture(scope="module")
def inputs() -> np.ndarray:
    grid = Grid(64, 32, 2.54, 2.54)
    loads = np.stack([still(seed, grid).pressure_kpa for seed in range(4)])
    return np.sqrt(loads / loads.max((1, 2), keepdims=True)).astype(np.float32)


def joints(path: Path, inputs: np.ndarray, mirrored_too: bool, body: bool = True) -> np.ndarray:
    found = Evaluated(path, mirrored_too=mirrored_too, body=body).predict(inputs)["joints"]
    return np.stack([points.xy_norm for points in found])


@pytest.mark.parametrize("path", [ENCODER, DEFAULT_MODEL], ids=["float", "int8"])
def test_mirrored_frames_are_the_mean_of_two_answers(path: Path, inputs: np.ndarray) -> None:
    both = joints(path, inputs, True, body=False)
    once = Evaluated(path, body=False).predict(inputs)["joints"]
    image = Evaluated(path, body=False).predict(np.ascontiguousarray(inputs[..., ::-1]))["joints"]
    expected = [(a.xy_norm + b.mirrored_joints().xy_norm) / 2 for a, b in zip(once, image, strict=True)]
    np.testing.assert_allclose(both, expected, atol=1e-6)


def test_float_and_int8_read_mirrored_frames_alike(inputs: np.ndarray) -> None:
    apart_cm = np.abs(joints(ENCODER, inputs, True) - joints(DEFAULT_MODEL, inputs, True)) * [32 * 2.54, 64 * 2.54]
    assert apart_cm.mean() < 0.5


@pytest.mark.parametrize("path", [ENCODER, DEFAULT_MODEL], ids=["float", "int8"])
def test_two_inferences_cost_twice_the_mac(path: Path) -> None:
    assert Evaluated(path, mirrored_too=True).mac == 2 * Evaluated(path).mac


@pytest.mark.parametrize("path", [ENCODER, DEFAULT_MODEL], ids=["float", "int8"])
@pytest.mark.parametrize("mirrored_too", [False, True])
def test_without_its_body_a_model_leaves_joints_where_heat_maps_are(
    path: Path, mirrored_too: bool, inputs: np.ndarray
) -> None:
    manifest = read_manifest(DEFAULT_MODEL.with_suffix(".json"))
    prior = BodyPrior.of(manifest)
    assert prior
    seen = Evaluated(path, mirrored_too=mirrored_too, body=False).predict(inputs)["joints"]
    expected = np.stack([prior(points).xy_norm for points in seen])
    np.testing.assert_allclose(joints(path, inputs, mirrored_too), expected, atol=1e-6)
    assert np.abs(expected - joints(path, inputs, mirrored_too, body=False)).max() > 1e-3
