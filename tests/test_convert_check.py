"""convert-check measures the cost of int8 on unseen people and fails when it is above the limit."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convert_once import Converted, convert_once

from convert.check import main
from convert.package import convert
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.skeleton import JOINTS


@pytest.fixture(scope="module")
def converted(pmd: Path, joints_i: Path, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    return convert_once(pmd, joints_i, tmp_path_factory.getbasetemp())


@pytest.fixture
def copy(converted: Converted, tmp_path: Path) -> Path:
    """The model of a package that a test may spoil."""
    for path in (converted.model, converted.manifest, converted.encoder):
        shutil.copy(path, tmp_path)
    return tmp_path / converted.model.name


def test_with_annotations_the_rise_of_the_error_is_limited(
    converted: Converted, pmd: Path, joints_i: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "check.json"
    arguments = ["--data", str(pmd), "--subjects", "13", "--joints", str(joints_i), "--json", str(file)]
    assert main([str(converted.model), *arguments, "--max-drop-cm", "0.5"]) == Exit.OK
    found = json.loads(file.read_text())
    int8, of_float = found["int8"], found["float"]
    assert (found["people"], found["maps"]) == (["pmd:13"], 17)
    assert int8["drop_cm"] == pytest.approx(int8["mean_cm"] - of_float["mean_cm"])
    assert 0 < int8["mean_shift_cm"] < int8["p95_shift_cm"] < int8["worst_shift_cm"]
    assert int8["mean_shift_cm"] < 0.5
    assert abs(int8["drop_cm"]) <= int8["mean_shift_cm"]
    assert list(int8["per_joint_shift_cm"]) == list(JOINTS)
    assert np.mean(list(int8["per_joint_shift_cm"].values())) == pytest.approx(int8["mean_shift_cm"])
    assert len(int8["keypoints"]["per_keypoint_shift_cm"]) == 32
    assert found["tflm"]["byte_equal_reference"] is True
    assert found["tflm"]["mean_shift_cm"] == found["reference"]["mean_shift_cm"]
    assert found["tflm"]["arena_bytes"] == found["model"]["arena_bytes"] <= 80_000
    assert found["xnnpack"] == {"partitions": 1, "whole_graph": True}
    assert found["limit"]["of"] == "rise of the mean error"
    assert "passed" in capsys.readouterr().out


def test_without_annotations_the_mean_shift_is_limited(converted: Converted, pmd: Path, tmp_path: Path) -> None:
    arguments = [str(converted.model), "--data", str(pmd), "--subjects", "13", "--json", str(tmp_path / "check.json")]
    assert main([*arguments, "--max-drop-cm", "0.5"]) == Exit.OK
    assert main([*arguments, "--max-drop-cm", "0.001"]) == Exit.CHECK_FAILED
    found = json.loads((tmp_path / "check.json").read_text())
    assert (found["float"]["mean_cm"], found["int8"]["mean_cm"], found["int8"]["drop_cm"]) == (None, None, None)
    assert found["limit"] == {
        "of": "mean shift",
        "max_drop_cm": 0.001,
        "measured_cm": found["int8"]["mean_shift_cm"],
        "passed": False,
    }


def test_a_model_calibrated_on_noise_fails(
    converted: Converted, copy: Path, pmd: Path, joints_i: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).uniform(0, 0.1, (8, 64, 32)).astype(np.float32)
    convert(converted.load_checkpoint(), noise, ["pmd:1"], "tested", converted.encoder).write(copy.parent)
    arguments = ["--data", str(pmd), "--subjects", "13", "--joints", str(joints_i)]
    assert main([str(copy), *arguments]) == Exit.CHECK_FAILED
    assert "FAILED" in capsys.readouterr().out


def test_people_whom_the_model_has_seen_are_refused_by_name(converted: Converted, pmd: Path) -> None:
    with pytest.raises(Failure, match=r"trained or calibrated on pmd:1, pmd:2:") as refusal:
        main([str(converted.model), "--data", str(pmd), "--subjects", "1,2,13"])
    assert refusal.value.code == Exit.USAGE


def test_the_whole_checkpoint_serves_as_well_as_its_encoder(converted: Converted, pmd: Path, copy: Path) -> None:
    copy.with_name("tested.encoder.pt").unlink()
    arguments = [str(copy), "--data", str(pmd), "--subjects", "13", "--max-drop-cm", "0.5"]
    assert main([*arguments, "--checkpoint", str(converted.checkpoint)]) == Exit.OK
    with pytest.raises(Failure, match=r"no checkpoint .*tested\.encoder\.pt") as missing:
        main(arguments)
    assert missing.value.code == Exit.MISSING_INPUT


def test_another_models_checkpoint_is_refused(converted: Converted, pmd: Path, copy: Path) -> None:
    other = converted.load_checkpoint()
    other.encoder = {name: tensor + 1 if "weight" in name else tensor for name, tensor in other.encoder.items()}
    other.encoder_only().save(copy.with_name("tested.encoder.pt"))
    with pytest.raises(Failure, match="is not what model tested was made from") as refusal:
        main([str(copy), "--data", str(pmd), "--subjects", "13"])
    assert refusal.value.code == Exit.BAD_CONFIG


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda m: m.with_suffix(".json").unlink(), "no manifest"),
        (lambda m: m.write_text("a text file"), "not a .tflite model"),
        (lambda m: m.write_bytes(m.read_bytes() + b"\0"), "SHA-256"),
        (lambda m: _change_manifest(m, "outputs", lambda outputs: outputs[1].update(scale=0.9)), "scale"),
        (lambda m: _change_manifest(m, "outputs", _swap), "shape"),
    ],
    ids=["no manifest", "text", "other hash", "wrong scale", "swapped outputs"],
)
def test_a_model_that_disagrees_with_its_manifest_is_refused(
    copy: Path, pmd: Path, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(copy)
    with pytest.raises(Failure, match=message) as refusal:
        main([str(copy), "--data", str(pmd), "--subjects", "13"])
    assert refusal.value.code == Exit.BAD_CONFIG


def test_missing_data_and_models_are_told_apart(copy: Path, tmp_path: Path) -> None:
    for arguments in ([str(copy), "--data", str(tmp_path)], [str(tmp_path / "none.tflite"), "--data", str(tmp_path)]):
        with pytest.raises(Failure) as refusal:
            main(arguments)
        assert refusal.value.code == Exit.MISSING_INPUT


def _change_manifest(model: Path, key: str, change: Callable[[Any], object]) -> None:
    path = model.with_suffix(".json")
    content = json.loads(path.read_text())
    change(content[key])
    path.write_text(json.dumps(content))


def _swap(outputs: list[dict[str, int]]) -> None:
    outputs[0]["index"], outputs[1]["index"] = outputs[1]["index"], outputs[0]["index"]
