"""The float side is what the user names, else what lies beside the model, else the model's own graph."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from convert_once import Converted, convert_once, examples_once, float_graph_once
from test_edge_body import random_body

from convert.float_side import OWN_GRAPH, FloatGraph, float_side
from convert.graph import in_float
from convert.package import FLOAT_SUFFIX
from edge.body import BodyPrior
from edge.manifest import Manifest, read_manifest
from firmware_bridge.errors import Exit, Failure
from train.predict import FloatModel


@pytest.fixture(scope="module")
def converted(pmd: Path, joints_i: Path, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    return convert_once(pmd, joints_i, tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def manifest(converted: Converted) -> Manifest:
    return read_manifest(converted.manifest)


def test_beside_the_model_lie_its_encoder_and_its_float_graph(converted: Converted, manifest: Manifest) -> None:
    side = float_side(converted.model, manifest, None, None)
    assert side.graph == converted.model.with_name("tested.float.tflite").read_bytes()
    assert side.checkpoint is not None
    assert side.origin == "tested.float.tflite"


def test_without_a_float_graph_the_encoder_is_converted(
    converted: Converted, manifest: Manifest, tmp_path: Path
) -> None:
    model = Path(shutil.copy(converted.model, tmp_path))
    shutil.copy(converted.encoder, tmp_path)
    side = float_side(model, manifest, None, None)
    assert side.graph == float_graph_once(converted)
    assert side.origin == "converted from tested.encoder.pt"


def test_a_float_graph_serves_alone(converted: Converted, manifest: Manifest, tmp_path: Path) -> None:
    model = Path(shutil.copy(converted.model, tmp_path))
    file = Path(shutil.copy(converted.model.with_suffix(FLOAT_SUFFIX), tmp_path / "mine.tflite"))
    alone = float_side(model, manifest, None, file)
    assert (alone.graph, alone.checkpoint, alone.origin) == (file.read_bytes(), None, "mine.tflite")
    both = float_side(model, manifest, converted.checkpoint, file)
    assert both.checkpoint is not None
    with pytest.raises(Failure, match=r"cannot read the float graph .*none\.tflite") as missing:
        float_side(model, manifest, None, tmp_path / "none.tflite")
    assert missing.value.code == Exit.MISSING_INPUT


def test_a_model_without_a_float_side_is_measured_by_its_own_graph(
    converted: Converted, manifest: Manifest, tmp_path: Path
) -> None:
    model = Path(shutil.copy(converted.model, tmp_path))
    side = float_side(model, manifest.model_copy(update={"encoder_sha256": None}), None, None)
    assert (side.graph, side.checkpoint, side.origin) == (in_float(model.read_bytes()), None, OWN_GRAPH)


def test_the_float_graph_finds_the_points_that_pytorch_finds(
    converted: Converted, manifest: Manifest, pmd: Path
) -> None:
    inputs = examples_once(pmd, 13).inputs[:4]
    graph = FloatGraph(float_graph_once(converted), manifest, "graph").predict(inputs)
    pytorch = FloatModel(converted.load_checkpoint()).predict(inputs)
    for name in ("keypoints", "joints"):
        assert len(graph[name]) == 4
        for a, b in zip(graph[name], pytorch[name], strict=True):
            np.testing.assert_allclose(a.xy_norm, b.xy_norm, atol=1e-5)


def test_the_float_graph_knows_the_bodies_of_the_manifest(converted: Converted, manifest: Manifest, pmd: Path) -> None:
    inputs, body = examples_once(pmd, 13).inputs[:2], random_body()
    plain, knowing = (manifest.model_copy(update={"body": b}) for b in (None, body))
    seen, found = (FloatGraph(float_graph_once(converted), m, "graph").predict(inputs) for m in (plain, knowing))
    for one, other in zip(seen["joints"], found["joints"], strict=True):
        expected = BodyPrior(body, manifest.confidence, manifest.grid)(one).xy_norm
        np.testing.assert_array_equal(other.xy_norm, expected)


@pytest.mark.parametrize("kind", ["int8", "other outputs", "text"])
def test_what_is_no_float_graph_of_the_model_is_refused(converted: Converted, manifest: Manifest, kind: str) -> None:
    fewer = manifest.model_copy(update={"outputs": manifest.outputs[:1]})
    content, of = {
        "int8": (converted.model.read_bytes(), manifest),
        "other outputs": (in_float(converted.model.read_bytes()), fewer),
        "text": (b"a text file", manifest),
    }[kind]
    with pytest.raises(Failure, match=r"mine\.tflite (is not the float graph|cannot be run)") as refusal:
        FloatGraph(content, of, "mine.tflite")
    assert refusal.value.code == Exit.BAD_CONFIG
    assert "\n" not in str(refusal.value)
