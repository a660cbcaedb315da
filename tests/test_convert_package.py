"""The files belong together, say what is true and are small."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from convert_once import Converted, convert_once, examples_once

from convert.kernels import MicroKernels
from convert.package import convert, write_together
from edge.manifest import read_manifest
from edge.model import KeypointModel
from edge.runtime import Interpreter
from firmware_bridge.errors import Failure
from train.checkpoint import load_checkpoint
from train.cost import multiply_accumulates, parameters


@pytest.fixture(scope="module")
def converted(pmd: Path, joints_i: Path, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    return convert_once(pmd, joints_i, tmp_path_factory.getbasetemp())


def test_hashes_name_the_files_beside_the_manifest(converted: Converted) -> None:
    manifest = read_manifest(converted.manifest)
    assert manifest.model_sha256 == hashlib.sha256(converted.model.read_bytes()).hexdigest()
    assert manifest.encoder_sha256 == hashlib.sha256(converted.encoder.read_bytes()).hexdigest()


def test_model_and_manifest_are_under_300_kb_and_the_encoder_under_350(converted: Converted) -> None:
    assert converted.model.stat().st_size + converted.manifest.stat().st_size <= 300_000
    assert converted.encoder.stat().st_size <= 350_000


def test_the_manifest_describes_the_graphs_tensors(converted: Converted) -> None:
    manifest, graph = read_manifest(converted.manifest), Interpreter(converted.model.read_bytes())
    assert (manifest.input.scale, manifest.input.zero_point) == (graph.inputs[0].scale, graph.inputs[0].zero_point)
    assert [o.name for o in manifest.outputs] == ["keypoints", "joints"]
    assert [o.k for o in manifest.outputs] == [32, 14]
    for output in manifest.outputs:
        tensor = graph.outputs[output.index]
        assert tensor.shape == (1, output.rows, output.cols, output.k)
        assert (tensor.scale, tensor.zero_point) == (output.scale, output.zero_point)


def test_the_manifest_carries_what_the_checkpoint_knows_and_what_was_counted(converted: Converted) -> None:
    manifest, checkpoint = read_manifest(converted.manifest), converted.load_checkpoint()
    encoder = checkpoint.build_encoder()
    assert manifest.training == checkpoint.training
    assert manifest.joint_map == checkpoint.joint_map
    assert manifest.posture == checkpoint.posture
    assert manifest.preprocessing == checkpoint.config.preprocessing
    assert manifest.grid == checkpoint.grid
    assert manifest.parameters == parameters(encoder)
    assert manifest.mac == multiply_accumulates(encoder, 64, 32)
    assert manifest.arena_bytes == MicroKernels(converted.model.read_bytes()).arena_bytes()


def test_calibration_and_accuracy_say_whose_maps(converted: Converted) -> None:
    manifest = read_manifest(converted.manifest)
    assert manifest.calibration.people == ["pmd:1", "pmd:2"]
    assert manifest.calibration.frames > 1000
    assert manifest.calibration.clipped_percent == 0
    assert [row.what for row in manifest.accuracy] == [
        *("joint output, float", "joint map, float"),
        *("joint output, int8", "joint map, int8"),
    ]
    for row in manifest.accuracy:
        assert (row.people, row.maps) == (["pmd:13"], 17)
        assert 1 < row.mean_cm < 20
        assert 0 < row.pck_5cm < row.pck_10cm <= 100


def test_the_encoder_beside_the_model_is_the_checkpoints(converted: Converted) -> None:
    shipped, original = load_checkpoint(converted.encoder), converted.load_checkpoint()
    assert (shipped.rest, shipped.optimizer, shipped.history) == (None, None, [])
    assert shipped.encoder.keys() == original.encoder.keys()
    assert all(bool((shipped.encoder[name] == tensor).all()) for name, tensor in original.encoder.items())


def test_a_label_free_model_ships_without_the_untrained_joint_output(
    converted: Converted, pmd: Path, tmp_path: Path
) -> None:
    trained = converted.load_checkpoint()
    weights = trained.config.weights.model_copy(update={"joints": 0.0})
    checkpoint = replace(trained, config=trained.config.model_copy(update={"weights": weights}), posture=None)
    inputs = examples_once(pmd, 1).inputs
    package = convert(checkpoint, inputs, ["pmd:1"], "free")
    assert [(o.name, o.index) for o in package.manifest.outputs] == [("keypoints", 0)]
    write_together(package.files(), tmp_path)
    found = KeypointModel.from_files(tmp_path / "free.tflite").predict(inputs[0])
    assert found["joints"].xy_norm.shape == (14, 2)
    assert np.isfinite(found["joints"].xy_norm).all()
    with pytest.raises(Failure, match="no joint map"):
        convert(replace(checkpoint, joint_map=None), inputs, ["pmd:1"], "free")


def test_no_file_is_replaced_where_one_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(FileNotFoundError):
        write_together({"a": b"new", "missing/b": b"new"}, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}
    assert write_together({"a": b"new", "b": b"new"}, tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"new", "b": b"new"}
