"""Manifests: what is read, and which key a refusal names."""

import json
from pathlib import Path
from typing import Any

import pytest
from edge_packages import package

from edge.manifest import read_manifest
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = package(tmp_path_factory.mktemp("package")).with_suffix(".json")
    return dict(json.loads(path.read_text()))


def write(folder: Path, values: Any) -> Path:
    path = folder / "model.json"
    path.write_text(json.dumps(values))
    return path


def test_a_manifest_survives_writing_and_reading(values: dict[str, Any], tmp_path: Path) -> None:
    manifest = read_manifest(write(tmp_path, values))
    (tmp_path / "again.json").write_text(manifest.model_dump_json())
    assert read_manifest(tmp_path / "again.json") == manifest


def test_grid_and_outputs_are_found_by_name(values: dict[str, Any], tmp_path: Path) -> None:
    manifest = read_manifest(write(tmp_path, values))
    assert manifest.grid == Grid(64, 32, 2.54, 2.54)
    joints, keypoints = manifest.output("joints"), manifest.output("keypoints")
    assert joints is not None
    assert joints.k == 14
    assert keypoints is not None
    assert {joints.index, keypoints.index} == {0, 1}


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("outputs", {"outputs": []}),
        ("colour", {"colour": "red"}),
        ("model_sha256", {"model_sha256": "abc"}),
        ("pitch_x_cm", {"pitch_x_cm": -1}),
        ("input.zero_point", {"input": {"scale": 0.1, "zero_point": 200}}),
        ("format", {"format": 1}),
        ("posture.classes", {"posture": {"classes": [], "reads": ["joints"], "weights": [[]] * 56, "bias": []}}),
    ],
)
def test_a_wrong_key_is_named(values: dict[str, Any], key: str, change: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(Failure, match=f": {key}") as refused:
        read_manifest(write(tmp_path, values | change))
    assert refused.value.code == Exit.BAD_CONFIG
    assert "\n" not in str(refused.value)


def test_a_missing_key_is_named(values: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(Failure, match="parameters"):
        read_manifest(write(tmp_path, {k: v for k, v in values.items() if k != "parameters"}))


def test_a_missing_manifest_and_one_that_is_no_json_are_bad_configuration(tmp_path: Path) -> None:
    for content, reason in ((None, "no manifest"), ("{", "JSON"), ("[1]", "object")):
        path = tmp_path / "model.json"
        if content is not None:
            path.write_text(content)
        with pytest.raises(Failure, match=reason) as refused:
            read_manifest(path)
        assert refused.value.code == Exit.BAD_CONFIG
        assert "\n" not in str(refused.value)


def test_joints_must_be_fourteen_maps(values: dict[str, Any], tmp_path: Path) -> None:
    outputs = [o | {"k": 13} if o["name"] == "joints" else o for o in values["outputs"]]
    with pytest.raises(Failure, match="13 maps, not 14"):
        read_manifest(write(tmp_path, values | {"outputs": outputs}))
