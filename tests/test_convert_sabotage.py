"""A spoilt model is caught, and convert-check says what is wrong with it as far as it can know."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from convert_once import Converted, convert_once, examples_once
from convert_sabotage import calibrated_on, packaged, with_swapped_channels
from torch import Tensor, nn

from convert.check import main
from convert.litert import float_graph
from edge.manifest import read_manifest
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.skeleton import JOINTS
from train.encoder import HeatMaps
from train.pmd import GRID_I, read_pmd


@pytest.fixture(scope="module")
def converted(pmd: Path, joints_i: Path, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    return convert_once(pmd, joints_i, tmp_path_factory.getbasetemp())


class Check:
    """convert-check on person 13."""

    def __init__(self, pmd: Path, joints: Path, folder: Path) -> None:
        self.folder = folder
        self.arguments = ["--data", str(pmd), "--subjects", "13", "--joints", str(joints)]

    def __call__(self, model: Path) -> dict[str, Any]:
        """The JSON; its `code` is the exit code."""
        out = self.folder / "check.json"
        code = main([str(model), *self.arguments, "--json", str(out)])
        found: dict[str, Any] = json.loads(out.read_text())
        return found | {"code": code, "texts": [cause["text"] for cause in found["models"][0]["causes"]]}


@pytest.fixture
def check(pmd: Path, joints_i: Path, tmp_path: Path) -> Check:
    return Check(pmd, joints_i, tmp_path)


def test_of_a_sound_model_nothing_is_said(converted: Converted, check: Check, tmp_path: Path) -> None:
    found = check(packaged(converted, converted.model.read_bytes(), tmp_path))
    assert (found["code"], found["texts"]) == (Exit.OK, [])


def test_a_wrong_input_scale(converted: Converted, check: Check, pmd: Path, tmp_path: Path) -> None:
    spoilt = calibrated_on(converted, examples_once(pmd, 1).inputs * 0.5)
    found = check(packaged(converted, spoilt, tmp_path))
    assert found["code"] == Exit.CHECK_FAILED
    assert found["int8"]["mean_shift_cm"] > 0.3
    assert "the input takes 0.00 to 0.50 and is fed 0 to 1: wrong scale or zero point" in found["texts"][0]


def test_preprocessing_that_is_not_the_checkpoints(converted: Converted, check: Check, tmp_path: Path) -> None:
    wrong = {"baseline_percent": 60, "scale_percent": 99}
    found = check(packaged(converted, converted.model.read_bytes(), tmp_path, preprocessing=wrong))
    assert found["code"] == Exit.CHECK_FAILED
    assert found["int8"]["mean_shift_cm"] > 0.3
    assert "preprocessing has baseline_percent 60, the checkpoint was trained with 25" in found["texts"][0]


def test_outputs_that_change_places_are_refused_by_their_shape(
    converted: Converted, check: Check, tmp_path: Path
) -> None:
    outputs = json.loads(converted.manifest.read_text())["outputs"]
    outputs[0]["index"], outputs[1]["index"] = outputs[1]["index"], outputs[0]["index"]
    spoilt = packaged(converted, converted.model.read_bytes(), tmp_path, outputs=outputs)
    with pytest.raises(Failure, match="has shape") as refusal:
        check(spoilt)
    assert refusal.value.code == Exit.BAD_CONFIG


def test_joints_that_change_places_within_an_output(converted: Converted, check: Check, tmp_path: Path) -> None:
    joints = read_manifest(converted.manifest).output("joints")
    assert joints is not None
    a, b = JOINTS.index("r_knee"), JOINTS.index("l_shoulder")
    spoilt = with_swapped_channels(converted.model.read_bytes(), joints.index, a, b)
    found = check(packaged(converted, spoilt, tmp_path))
    assert found["code"] == Exit.CHECK_FAILED
    (text,) = found["texts"]
    assert "r_knee lies where l_shoulder belongs, l_shoulder lies where r_knee belongs" in text


class _Softmaxed(nn.Module):
    """An encoder that puts out probabilities."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> HeatMaps:
        maps = self.encoder(x)
        return HeatMaps(*(m.flatten(2).softmax(-1).reshape(m.shape) for m in maps[:2]), maps.features)


def test_an_int8_softmax_at_the_end(converted: Converted, check: Check, pmd: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = _Softmaxed(converted.load_checkpoint().build_encoder()).eval()
    graph = float_graph(encoder, GRID_I.rows, GRID_I.cols, ["keypoints", "joints"])  # type: ignore[arg-type]
    spoilt = calibrated_on(converted, examples_once(pmd, 1).inputs, graph)
    found = check(packaged(converted, spoilt, tmp_path))
    assert found["code"] == Exit.CHECK_FAILED
    assert found["int8"]["mean_shift_cm"] > 3
    assert "the graph ends in an int8 softmax, whose steps of 1/256 lose most of a heat map" in found["texts"][0]


@pytest.mark.parametrize("loudness", [1.0, 0.1], ids=["as loud as maps", "faint"])
def test_calibration_on_noise(converted: Converted, check: Check, tmp_path: Path, loudness: float) -> None:
    """Noise as loud as maps costs this model less than its limits: the ranges give it away."""
    noise = np.random.default_rng(0).uniform(0, loudness, (8, 64, 32)).astype(np.float32)
    found = check(packaged(converted, calibrated_on(converted, noise), tmp_path))
    assert found["code"] == Exit.CHECK_FAILED
    assert "tensors leave their int8 range" in found["texts"][-1]
    assert "calibrated on noise, on foreign or on too few maps" in found["texts"][-1]
    assert len(found["texts"]) == (1 if loudness == 1 else 2)  # faint noise does not reach the input's 1 either


def test_calibration_on_the_test_people_that_the_manifest_tells_of(
    converted: Converted, check: Check, tmp_path: Path
) -> None:
    calibration = {"people": ["pmd:1", "pmd:13"], "frames": 9, "clipped_percent": 0.0}
    spoilt = packaged(converted, converted.model.read_bytes(), tmp_path, calibration=calibration)
    with pytest.raises(Failure, match="trained or calibrated on pmd:13") as refusal:
        check(spoilt)
    assert refusal.value.code == Exit.USAGE


def test_calibration_on_the_test_people_that_the_manifest_hides(
    converted: Converted, check: Check, pmd: Path, tmp_path: Path
) -> None:
    """Mixed with other people they are found only where they alone set a range: that depends on the model."""
    manifest = read_manifest(converted.manifest)
    inputs = read_pmd(pmd, [13]).examples(manifest.grid, manifest.preprocessing).inputs
    found = check(packaged(converted, calibrated_on(converted, inputs), tmp_path))
    assert found["code"] == Exit.CHECK_FAILED
    assert found["int8"]["mean_shift_cm"] < 0.5  # the figures alone look good
    (text,) = found["texts"]
    assert "to the last bit what the maps of pmd:13 give: it was calibrated on the people who test it" in text
