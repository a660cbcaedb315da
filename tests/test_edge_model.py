"""Model packages: what they predict, and every disagreement between graph and manifest that is refused."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_packages import label_free_package, package
from test_edge_body import random_body

from edge.body import BodyPrior
from edge.keypoints import HeatmapDecoder
from edge.model import DEFAULT_MODEL, KeypointModel
from edge.runtime import Interpreter
from firmware_bridge.errors import Exit, Failure


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("package")


@pytest.fixture(scope="module")
def path(folder: Path) -> Path:
    return package(folder, body=None)


@pytest.fixture
def manifest(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.with_suffix(".json").read_text()))


@pytest.fixture
def model_input() -> np.ndarray:
    return np.random.default_rng(3).random((64, 32), np.float32)


def refusal(path: Path) -> Failure:
    with pytest.raises(Failure) as refused:
        KeypointModel.from_files(path)
    assert "\n" not in str(refused.value)
    assert str(path.with_suffix("")) in str(refused.value)
    return refused.value


def test_the_packaged_model_loads() -> None:
    model = KeypointModel.from_files(DEFAULT_MODEL)
    assert {"keypoints", "joints"} == set(model.predict(np.zeros((64, 32), np.float32)))


def test_predictions_are_the_decoded_outputs_of_the_graph(path: Path, model_input: np.ndarray) -> None:
    model = KeypointModel.from_files(path)
    found = model.predict(model_input)
    interpreter = Interpreter(path.read_bytes())
    interpreter.allocate()
    tensor = interpreter.inputs[0]
    q = np.clip(np.rint(model_input / tensor.scale) + tensor.zero_point, -128, 127).astype(np.int8)
    logits = interpreter.invoke(q.reshape(1, 64, 32, 1))
    for output in model.manifest.outputs:
        expected = HeatmapDecoder(output, model.manifest.grid)(logits[output.index][0], model_input)
        np.testing.assert_array_equal(found[output.name].xy_norm, expected.xy_norm)
        assert len(expected.value) == output.k
    assert found["joints"].xy_norm.shape == (14, 2)


def test_confidences_are_shares_for_every_point(path: Path, model_input: np.ndarray) -> None:
    model = KeypointModel.from_files(path)
    found = model.predict(model_input)
    for name, confidence in zip(("keypoints", "joints"), model.confidences(found), strict=True):
        assert confidence.shape == found[name].value.shape
        assert (confidence > 0).all()
        assert (confidence <= 1).all()


def test_keypoints_come_before_the_joints(path: Path, model_input: np.ndarray) -> None:
    model = KeypointModel.from_files(path)
    points = model.read(model.logits(model_input), model_input).points
    found = model.predict(model_input)
    np.testing.assert_array_equal(points.xy_norm, np.concatenate([found["keypoints"].xy_norm, found["joints"].xy_norm]))
    np.testing.assert_array_equal(model.confidence(points), np.concatenate(model.confidences(found)))


@pytest.mark.parametrize("labelled", [True, False])
def test_read_mirrored_too_a_body_and_its_mirror_image_have_the_same_joints(
    labelled: bool, path: Path, tmp_path: Path, model_input: np.ndarray
) -> None:
    """Keypoints have no names to exchange: they stay those of the frame as it is."""
    path = path if labelled else label_free_package(tmp_path)
    once, both = KeypointModel.from_files(path), KeypointModel.from_files(path, mirrored_too=True)
    image = np.ascontiguousarray(model_input[:, ::-1])
    found, seen = both.predict(model_input), once.predict(model_input)
    np.testing.assert_array_equal(found["keypoints"].xy_norm, seen["keypoints"].xy_norm)
    other = once.predict(image)["joints"].mirrored_joints()
    np.testing.assert_allclose(found["joints"].xy_norm, (seen["joints"].xy_norm + other.xy_norm) / 2, atol=1e-6)
    assert np.abs(seen["joints"].xy_norm - other.xy_norm).max() > 1e-3
    of_image = both.predict(image)["joints"].mirrored_joints()
    for name in ("xy_norm", "value", "spread_cm"):
        np.testing.assert_allclose(getattr(found["joints"], name), getattr(of_image, name), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mirrored_too", [False, True])
def test_joints_go_where_a_body_has_them_and_keypoints_stay(
    mirrored_too: bool, path: Path, tmp_path: Path, model_input: np.ndarray
) -> None:
    body = random_body()
    with_body = KeypointModel.from_files(package(tmp_path, body=body.model_dump()), mirrored_too=mirrored_too)
    seen = KeypointModel.from_files(path, mirrored_too=mirrored_too).predict(model_input)
    found, manifest = with_body.predict(model_input), with_body.manifest
    np.testing.assert_array_equal(found["keypoints"].xy_norm, seen["keypoints"].xy_norm)
    expected = BodyPrior(body, manifest.confidence, manifest.grid)(seen["joints"])
    np.testing.assert_array_equal(found["joints"].xy_norm, expected.xy_norm)
    assert np.abs(expected.xy_norm - seen["joints"].xy_norm).max() > 0.01
    with_body.body = None
    np.testing.assert_array_equal(with_body.predict(model_input)["joints"].xy_norm, seen["joints"].xy_norm)


def test_a_label_free_model_gets_its_joints_through_the_joint_map(tmp_path: Path, model_input: np.ndarray) -> None:
    model = KeypointModel.from_files(label_free_package(tmp_path))
    found = model.predict(model_input)
    joint_map = model.manifest.joint_map
    assert joint_map is not None
    points = found["keypoints"]
    expected = np.array(joint_map.bias, np.float64).reshape(14, 2)
    sureness = 1 / (1 + (points.spread_cm / 8) ** 2)
    for k, (xy_norm, *rest) in enumerate(zip(points.xy_norm, points.value, sureness, strict=True)):
        for i, feature in enumerate((*xy_norm, *rest)):
            expected += feature * np.array(joint_map.weights[4 * k + i]).reshape(14, 2)
    np.testing.assert_allclose(found["joints"].xy_norm, expected, atol=1e-4)
    spread_cm = found["joints"].spread_cm
    assert (spread_cm >= points.spread_cm.min()).all()
    assert (spread_cm <= points.spread_cm.max()).all()


def test_posture_is_the_largest_score_of_the_manifests_head(
    path: Path, manifest: dict[str, Any], tmp_path: Path, model_input: np.ndarray
) -> None:
    k = next(o["k"] for o in manifest["outputs"] if o["name"] == "keypoints")
    weights = np.zeros((4 * k, 3))
    weights[0] = [1, 0, -1]  # x of the first keypoint
    for bias, expected in (([0.0, 0.0, 0.0], "a"), ([0.0, 2.0, 0.0], "b"), ([0.0, 0.0, 9.0], "c")):
        head = {"classes": ["a", "b", "c"], "weights": weights.tolist(), "bias": bias}
        model = KeypointModel.from_files(package(tmp_path, posture=head))
        assert model.read(model.logits(model_input), model_input).posture == expected
    model = KeypointModel.from_files(package(tmp_path, posture=None))
    assert model.read(model.logits(model_input), model_input).posture is None


def test_a_posture_head_may_read_the_joints_after_the_keypoints(
    path: Path, manifest: dict[str, Any], tmp_path: Path, model_input: np.ndarray
) -> None:
    k = next(o["k"] for o in manifest["outputs"] if o["name"] == "keypoints")
    weights = np.zeros((4 * (k + 14), 2))
    weights[4 * k + 1] = [1, 0]  # y of the first joint, an ankle
    head = {"classes": ["low", "high"], "weights": weights.tolist(), "reads": ["keypoints", "joints"]}
    y_norm = float(KeypointModel.from_files(path).predict(model_input)["joints"].xy_norm[0, 1])
    for limit, expected in ((y_norm - 0.01, "low"), (y_norm + 0.01, "high")):
        model = KeypointModel.from_files(package(tmp_path, body=None, posture=head | {"bias": [0.0, limit]}))
        assert model.read(model.logits(model_input), model_input).posture == expected


def test_read_mirrored_too_both_views_vote_on_the_posture(path: Path, tmp_path: Path, model_input: np.ndarray) -> None:
    """A score for `left` from the mirror image is one for `right`."""
    seen = KeypointModel.from_files(path).predict(model_input)["keypoints"]
    image = KeypointModel.from_files(path).predict(np.ascontiguousarray(model_input[:, ::-1]))["keypoints"]
    k = len(seen.value)
    weights = np.zeros((4 * k, 3))
    more = seen.xy_norm[:, 0] - image.xy_norm[:, 0]
    point = int(np.abs(more).argmax())
    weights[4 * point] = [1, -1, 0]  # its x
    side = "left" if more[point] > 0 else "right"
    limit = float(abs(more[point]))
    assert limit > 1e-3
    for share, expected in ((0.9, side), (1.1, "supine")):
        bias = [0.0, 0.0, share * limit / 2]
        head = {"classes": ["left", "right", "supine"], "weights": weights.tolist(), "bias": bias}
        model = KeypointModel.from_files(package(tmp_path, posture=head), mirrored_too=True)
        assert model.read(model.logits(model_input), model_input).posture == expected


def test_a_missing_model_is_missing_input(tmp_path: Path) -> None:
    refused = refusal(tmp_path / "none.tflite")
    assert refused.code == Exit.MISSING_INPUT


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").mkdir()
    assert refusal(tmp_path / "model.tflite").code == Exit.BAD_CONFIG


def test_a_missing_manifest_is_refused(tmp_path: Path) -> None:
    path = package(tmp_path)
    path.with_suffix(".json").unlink()
    refused = refusal(path)
    assert refused.code == Exit.BAD_CONFIG
    assert "no manifest" in str(refused)


@pytest.mark.parametrize("content", [b"", b"TFL3", b"I am not a model.\n" * 20, os.urandom(3000)])
def test_a_file_that_is_no_model_is_refused_before_its_manifest_is_looked_for(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    refused = refusal(path)
    assert refused.code == Exit.BAD_CONFIG
    assert "is not a .tflite model" in str(refused)


def test_a_model_that_was_cut_off_has_another_hash(tmp_path: Path) -> None:
    path = package(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    assert "SHA-256" in str(refusal(path))


def test_the_model_of_another_manifest_is_refused(tmp_path: Path) -> None:
    path = package(tmp_path, model_sha256="0" * 64)
    refused = refusal(path)
    assert refused.code == Exit.BAD_CONFIG
    assert "000000000000" in str(refused)


@pytest.mark.parametrize(("version", "accepted"), [("0.0.9", True), ("0.1.0", True), ("0.10", False), ("2", False)])
def test_a_model_of_newer_software_is_refused(tmp_path: Path, version: str, accepted: bool) -> None:
    path = package(tmp_path, requires_software=version)
    if accepted:
        KeypointModel.from_files(path)
    else:
        refused = refusal(path)
        assert refused.code == Exit.BAD_CONFIG
        assert f"requires version {version}" in str(refused)


def changed_output(manifest: dict[str, Any], output: str, **changes: Any) -> dict[str, Any]:
    return {"outputs": [o | changes if o["name"] == output else o for o in manifest["outputs"]]}


def test_every_disagreement_with_the_tensors_is_refused_with_both_values(
    manifest: dict[str, Any], tmp_path: Path
) -> None:
    joints = next(o for o in manifest["outputs"] if o["name"] == "joints")
    keypoints = next(o for o in manifest["outputs"] if o["name"] == "keypoints")
    input_ = manifest["input"]
    wide = [[0.0] * 5] * 3
    cases = {
        r"input has shape \(1, 64, 32, 1\), the manifest says \(1, 32, 32, 1\)": {"rows": 32},
        "input has scale": {"input": input_ | {"scale": input_["scale"] * 1.001}},
        "input has zero point": {"input": input_ | {"zero_point": input_["zero_point"] + 1}},
        "output joints has scale": changed_output(manifest, "joints", scale=joints["scale"] * 1.001),
        "output keypoints has zero point": changed_output(
            manifest, "keypoints", zero_point=keypoints["zero_point"] - 1
        ),
        "output keypoints has shape": changed_output(manifest, "keypoints", k=keypoints["k"] + 1),
        "output indices": changed_output(manifest, "joints", index=keypoints["index"]),
        "names an output twice": changed_output(manifest, "keypoints", name="joints", k=14),
        "the graph has 2 outputs, the manifest 1": {"outputs": [joints]},
        "posture is not a matrix": {"posture": {"classes": ["a"], "weights": wide, "bias": [0.0] * 5}},
    }
    for number, (reason, changes) in enumerate(cases.items()):
        with pytest.raises(Failure, match=reason) as refused:
            KeypointModel.from_files(package(tmp_path / str(number), **changes))
        assert refused.value.code == Exit.BAD_CONFIG


def test_swapped_outputs_are_noticed(manifest: dict[str, Any], tmp_path: Path) -> None:
    outputs = [o | {"index": 1 - o["index"]} for o in manifest["outputs"]]
    assert "has shape" in str(refusal(package(tmp_path, outputs=outputs)))


def test_a_label_free_model_needs_a_joint_map_of_its_own_size(tmp_path: Path) -> None:
    assert "joint_map" in str(refusal(label_free_package(tmp_path / "none", joint_map=None)))
    small = {"weights": [[0.0] * 28] * 3, "bias": [0.0] * 28, "people": ["pmd-i/1"]}
    assert "joint_map is not a matrix" in str(refusal(label_free_package(tmp_path / "small", joint_map=small)))


def test_a_body_needs_joints_to_read(tmp_path: Path) -> None:
    assert "has a body" in str(refusal(label_free_package(tmp_path, body=random_body().model_dump())))
