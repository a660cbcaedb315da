"""convert-check measures the cost of int8 on unseen people and fails when it is above the limit."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convert_once import Converted, convert_once
from convert_sabotage import packaged, with_swapped_channels

from convert.check import chosen, main
from convert.package import ENCODER_SUFFIX, FLOAT_SUFFIX
from firmware_bridge.encoder import encode, encode_frame
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid, Orientation
from firmware_bridge.messages import Info
from firmware_bridge.recording import RecordingWriter, read_recording
from firmware_bridge.skeleton import JOINTS
from train.export import main as export
from train.maps import Group, Maps
from train.simulated import read_simulated


@pytest.fixture(scope="module")
def converted(pmd: Path, joints_i: Path, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    return convert_once(pmd, joints_i, tmp_path_factory.getbasetemp())


@pytest.fixture
def copy(converted: Converted, tmp_path: Path) -> Path:
    """The model of a package that a test may spoil."""
    for suffix in (".tflite", ".json", ENCODER_SUFFIX, FLOAT_SUFFIX):
        shutil.copy(converted.model.with_suffix(suffix), tmp_path)
    return tmp_path / converted.model.name


def checked(tmp_path: Path, code: Exit, *arguments: object) -> dict[str, Any]:
    """The JSON of a run that ends with `code`."""
    file = tmp_path / "check.json"
    assert main([*map(str, arguments), "--json", str(file)]) == code
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_with_annotations_every_stage_has_its_shift_and_its_accuracy(
    converted: Converted, pmd: Path, joints_i: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ("--data", pmd, "--subjects", "13", "--joints", joints_i, "--max-drop-cm", "0.5", "--max-drop-pck", "5")
    found = checked(tmp_path, Exit.OK, converted.model, *data, "--every-frame")
    int8, of_float = found["int8"], found["float"]
    assert (found["people"], found["maps"], found["truth"]) == (["pmd:13"], 17, "float")
    assert found["limits"][0]["measured"] == pytest.approx(int8["mean_cm"] - of_float["mean_cm"])
    assert found["limits"][1]["measured"] == pytest.approx(of_float["pck_5cm"] - int8["pck_5cm"])
    assert 0 < int8["mean_shift_cm"] < int8["p95_shift_cm"] < int8["p99_shift_cm"] < int8["worst_shift_cm"]
    assert int8["mean_shift_cm"] < 0.5
    assert abs(found["limits"][0]["measured"]) <= int8["mean_shift_cm"]
    assert list(int8["per_point"]) == list(JOINTS)
    assert np.mean([p["mean_cm"] for p in int8["per_point"].values()]) == pytest.approx(int8["mean_shift_cm"])
    assert len(int8["keypoints"]["per_point"]) == 32
    assert int8["joint_map"]["mean_cm"] > int8["mean_cm"]
    assert of_float["postures_right"] > 12
    assert found["tflm"] == found["reference"] | {"byte_equal_reference": True}
    assert found["xnnpack"] == {"partitions": 1, "whole_graph": True}
    conversion = found["steps"]["conversion"]
    assert conversion["mean_shift_cm"] < 0.001 < found["steps"]["quantization"]["mean_shift_cm"]
    assert conversion["worst_shift_cm"] < 0.01
    assert 1000 < found["frames"]["count"] < 2000
    assert 0 < found["frames"]["int8"]["mean_shift_cm"] < 0.5
    (model,) = found["models"]
    assert model["tflm"] == {"byte_equal_reference": True, "arena_bytes": model["tflm"]["arena_bytes"]}
    assert model["tflm"]["arena_bytes"] <= 80_000
    assert model["xnnpack"] == {"partitions": 1, "whole_graph": True}
    assert len(model["tensors"]) == sum(model["operators"].values()) + 1
    assert model["causes"] == []
    assert any(board["fits"] for board in model["boards"])
    assert "passed" in capsys.readouterr().out


def test_without_annotations_the_mean_shift_is_limited(converted: Converted, pmd: Path, tmp_path: Path) -> None:
    arguments = (converted.model, "--data", pmd, "--subjects", "13")
    checked(tmp_path, Exit.OK, *arguments, "--max-drop-cm", "0.5")
    found = checked(tmp_path, Exit.CHECK_FAILED, *arguments, "--max-drop-cm", "0.001")
    assert (found["float"]["mean_cm"], found["int8"]["mean_cm"]) == (None, None)
    (limit,) = found["limits"]
    assert limit == {
        "of": "mean shift of the joints",
        "unit": "cm",
        "measured": found["int8"]["mean_shift_cm"],
        "limit": 0.001,
        "passed": False,
    }


def test_pck_may_not_fall_by_more_than_its_limit(
    converted: Converted, pmd: Path, joints_i: Path, tmp_path: Path
) -> None:
    """A left ankle that int8 finds where the right one is, and the other way round: fewer joints within 5 cm."""
    left, right = JOINTS.index("l_ankle"), JOINTS.index("r_ankle")
    manifest = json.loads(converted.manifest.read_text())
    (output,) = (output["index"] for output in manifest["outputs"] if output["name"] == "joints")
    spoilt = packaged(converted, with_swapped_channels(converted.model.read_bytes(), output, left, right), tmp_path)
    data = ("--data", pmd, "--subjects", "13", "--joints", joints_i, "--max-drop-cm", "90")
    found = checked(tmp_path, Exit.CHECK_FAILED, spoilt, *data, "--max-drop-pck", "5")
    assert [limit["passed"] for limit in found["limits"]] == [True, False]
    assert found["limits"][1]["limit"] == 5


def test_a_recording_needs_no_annotations(converted: Converted, pmd: Path, tmp_path: Path) -> None:
    night = tmp_path / "night.matlog"
    assert export(["--data", str(pmd), "--subjects", "13", "--out", str(night)]) == Exit.OK
    assert sum(1 for _ in read_recording(night)) > 1000
    night.with_suffix(".truth.jsonl").unlink()
    arguments = (converted.model, "--recordings", night, "--frames", "20", "--max-drop-cm", "0.5")
    found = checked(tmp_path, Exit.OK, *arguments)
    assert (found["people"], found["maps"]) == (["recording:night"], 20)
    assert found["int8"]["mean_cm"] is None
    assert 0 < found["int8"]["mean_shift_cm"] < 0.5


def night(annotated: Sequence[int]) -> Maps:
    """A recording of 40 frames; nobody lies there in the first ten."""
    person = read_simulated([0], Grid(64, 32, 2.54, 2.54))
    pressure = np.repeat(person.pressure, 40, 0)
    pressure[:10] = 0
    joints = np.zeros((40, len(JOINTS), 3), np.float32)
    joints[annotated] = person.joints
    return Maps(pressure, person.grid, [Group(f"{i}", "recording:night") for i in range(40)], np.arange(40), joints)


@pytest.mark.parametrize(
    ("annotated", "most", "expected"),
    [
        ([12, 13, 14, 36], 8, [10, 12, 13, 14, 21, 30, 36, 39]),
        ([12, 13, 14, 36], 3, [12, 14, 36]),
        ([12, 13, 14, 36], 100, range(10, 40)),
        ([], 4, [10, 20, 29, 39]),
        (range(40), 4, [10, 20, 29, 39]),
    ],
    ids=["some", "more than asked for", "all asked for", "none", "every frame"],
)
def test_of_a_recording_annotated_frames_come_first(
    annotated: Sequence[int], most: int, expected: Sequence[int]
) -> None:
    maps = chosen(night(annotated), most)
    assert [int(group.name) for group in maps.groups] == list(expected)
    assert maps.joints[:, :, 2].any(1).tolist() == [i in annotated for i in expected]


def test_a_recording_of_an_empty_mat_is_refused(converted: Converted, tmp_path: Path) -> None:
    empty = tmp_path / "empty.matlog"
    noise = np.random.default_rng(0).integers(0, 40, (64, 32)).astype(np.uint16)
    with RecordingWriter(empty) as recording:
        recording.write(encode(Info("mat", "1", 5, 64, 32, 25_400, 25_400, 4095, Orientation())), 0)
        recording.write(encode_frame(noise, seq=0, t_us=0), 0)
    with pytest.raises(Failure, match="nobody lies on the mat in recording empty") as refusal:
        main([str(converted.model), "--recordings", str(empty)])
    assert refusal.value.code == Exit.FOREIGN_DATA


def test_a_users_own_model_without_pytorch_is_measured_by_its_own_graph(copy: Path, pmd: Path, tmp_path: Path) -> None:
    for suffix in (ENCODER_SUFFIX, FLOAT_SUFFIX):
        copy.with_suffix(suffix).unlink()
    _change_manifest(copy, lambda manifest: manifest.update(encoder_sha256=None))
    found = checked(tmp_path, Exit.OK, copy, "--data", pmd, "--subjects", "13", "--max-drop-cm", "0.5")
    assert found["truth"] == "float_tflite"
    assert found["models"][0]["float_side"].startswith("the model's own graph")
    assert 0 < found["int8"]["mean_shift_cm"] < 0.5
    assert "float" not in found


def test_folds_are_looked_at_together_and_seen_people_are_a_warning_in_every_report(
    converted: Converted, copy: Path, pmd: Path, joints_i: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for suffix in (".tflite", ".json", ENCODER_SUFFIX, FLOAT_SUFFIX):
        copy.with_suffix(suffix).rename(tmp_path / f"other{suffix}")
    other = tmp_path / "other.tflite"
    arguments = ["--fold", f"{converted.model}=13", "--fold", f"{other}=12", "--data", pmd]
    arguments += ["--joints", joints_i, "--max-drop-cm", "0.5", "--max-drop-pck", "5"]
    with pytest.raises(Failure, match=r"other\.tflite was trained or calibrated on pmd:12") as refusal:
        main(list(map(str, arguments)))
    assert refusal.value.code == Exit.USAGE
    reports = {kind: tmp_path / f"report.{kind}" for kind in ("html", "markdown")}
    written = [part for kind, path in reports.items() for part in (f"--{kind}", path)]
    found = checked(tmp_path, Exit.OK, *arguments, *written, "--allow-seen")
    assert (found["people"], found["maps"]) == (["pmd:12", "pmd:13"], 34)
    assert [(model["file"], model["people"]) for model in found["models"]] == [
        ("tested.tflite", ["pmd:13"]),
        ("other.tflite", ["pmd:12"]),
    ]
    warning = "other.tflite was trained or calibrated on pmd:12: no figure here is about new people"
    assert found["warnings"] == [warning]
    for text in (capsys.readouterr().out, *(path.read_text() for path in reports.values())):
        assert warning in text


def test_people_whom_the_model_has_seen_are_refused_by_name(converted: Converted, pmd: Path) -> None:
    with pytest.raises(Failure, match=r"trained or calibrated on pmd:1, pmd:2:") as refusal:
        main([str(converted.model), "--data", str(pmd), "--subjects", "1,2,13"])
    assert refusal.value.code == Exit.USAGE


def test_the_whole_checkpoint_serves_as_well_as_its_encoder(converted: Converted, pmd: Path, copy: Path) -> None:
    copy.with_name("tested.encoder.pt").unlink()
    arguments = [str(copy), "--data", str(pmd), "--subjects", "13", "--max-drop-cm", "0.5"]
    with pytest.raises(Failure, match=r"no checkpoint .*tested\.encoder\.pt") as missing:
        main(arguments)
    assert missing.value.code == Exit.MISSING_INPUT
    assert main([*arguments, "--checkpoint", str(converted.checkpoint)]) == Exit.OK


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
        (lambda m: _change_manifest(m, lambda content: content["outputs"][1].update(scale=0.9)), "scale"),
        (lambda m: _change_manifest(m, lambda content: content["input"].update(scale=0.9)), "scale"),
    ],
    ids=["no manifest", "text", "other hash", "output's scale", "input's scale"],
)
def test_a_model_that_disagrees_with_its_manifest_is_refused(
    copy: Path, pmd: Path, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(copy)
    with pytest.raises(Failure, match=message) as refusal:
        main([str(copy), "--data", str(pmd), "--subjects", "13"])
    assert refusal.value.code == Exit.BAD_CONFIG


def test_missing_data_and_models_are_told_apart(copy: Path, tmp_path: Path) -> None:
    missing = str(tmp_path / "none.tflite"), str(tmp_path / "none.matlog")
    for arguments in (
        [str(copy), "--data", str(tmp_path)],
        [missing[0], "--data", str(tmp_path)],
        [str(copy), "--recordings", missing[1]],
    ):
        with pytest.raises(Failure) as refusal:
            main(arguments)
        assert refusal.value.code == Exit.MISSING_INPUT


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "{pmd}"], "give either MODEL.tflite or --fold"),
        (["{model}", "--fold", "{model}=13", "--data", "{pmd}"], "give either MODEL.tflite or --fold"),
        (["{model}"], "give either --data DIR or --recordings"),
        (["{model}", "--data", "{pmd}", "--recordings", "x.matlog"], "give either --data DIR or --recordings"),
        (["--fold", "{model}=13", "--recordings", "x.matlog"], "--fold goes with --data"),
        (["--fold", "{model}=13", "--fold", "{model}=12,13", "--data", "{pmd}"], "names subject 13 twice"),
        (["--fold", "{model}=13", "--subjects", "1", "--data", "{pmd}"], "--subjects goes with one model"),
    ],
)
def test_contradictions_are_usage_errors(converted: Converted, pmd: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(Failure, match=message) as refusal:
        main([argument.format(model=converted.model, pmd=pmd) for argument in arguments])
    assert refusal.value.code == Exit.USAGE


def _change_manifest(model: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = model.with_suffix(".json")
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
