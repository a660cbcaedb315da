"""convert-run writes the same files each time, from any encoder, and keeps test people out of the calibration."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter as LiteRt
from convert_once import DEFAULT_ENCODER, Converted, convert_once
from numpy.typing import NDArray
from torch import nn
from untrained import untrained

from convert.package import Package
from convert.run import main
from edge.manifest import JointMap, Manifest, read_manifest
from edge.model import KeypointModel
from edge.runtime import Interpreter
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.skeleton import JOINTS
from train.checkpoint import Checkpoint, load_checkpoint
from train.config import LossWeights, TrainConfig
from train.reference import ReferenceConfig
from train.simulated import read_simulated


@pytest.fixture(scope="module")
def converted(pmd: Path, joints_i: Path, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    return convert_once(pmd, joints_i, tmp_path_factory.getbasetemp())


def test_another_run_writes_the_same_bytes_and_shows_its_progress(converted: Converted, tmp_path: Path) -> None:
    """In a process of its own, with people, sets and dictionaries in another order; on a terminal, or so it thinks."""
    command = [sys.executable, "-W", "error", "-c", "from convert.commands import run; run()", *converted.arguments]
    command[command.index("1,2")] = "2,1"
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "FORCE_COLOR": "1", "TERM": "xterm"}
    done = subprocess.run([*command, "--out", str(tmp_path)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert done.stdout == ""
    assert re.search(r"calibrating.*\d%.*\d:\d\d:\d\d", done.stderr)
    for path in converted.model.parent.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_all_files_of_the_package_are_written(converted: Converted) -> None:
    names = {path.name for path in converted.model.parent.iterdir()}
    assert names == {"tested.tflite", "tested.json", "tested.float.tflite", "tested.encoder.pt"}


@pytest.fixture(
    scope="module",
    params=[
        TrainConfig(rows=48, cols=24, pitch_cm=3.4),
        TrainConfig(
            rows=32,
            cols=32,
            pitch_cm=5.0,
            encoder=ReferenceConfig(keypoints=16),
            weights=LossWeights(joints=0),
        ),
    ],
    ids=["native 48 x 24", "reference 32 x 32"],
)
def other(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that convert-run makes of an untrained encoder, calibrated on simulated people; with a float head."""
    config: TrainConfig = request.param
    checkpoint = untrained(config)
    training = checkpoint.training.model_copy(update={"simulated_seeds": "1000000-1000007"})
    k = config.encoder.keypoints
    weights = np.random.default_rng(0).normal(0, 0.02, (4 * k, 2 * len(JOINTS)))
    joint_map = JointMap(weights=weights.tolist(), bias=[0.5] * 2 * len(JOINTS), people=[])
    folder = tmp_path_factory.mktemp("other")
    encoder = opinionated(checkpoint)
    replace(checkpoint, training=training, joint_map=joint_map, encoder=encoder).save(folder / "checkpoint.pt")
    assert main([str(folder / "checkpoint.pt"), "--name", "other", "--head", "float"]) == Exit.OK
    return folder / "other.tflite"


def opinionated(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    """Weights of an untrained encoder whose points do not all lie in the middle, as those of flat maps do."""
    maps = read_simulated(range(10, 14), checkpoint.grid)
    inputs = maps.examples(checkpoint.grid, checkpoint.config.preprocessing).inputs
    encoder = checkpoint.build_encoder().train()
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        encoder(torch.from_numpy(inputs)[:, None])
    weights = encoder.state_dict()
    for name, factor in (("keypoints.weight", 10), ("joints.weight", 10), ("keypoints.1.weight", 3)):
        if name in weights:
            weights[name] *= factor
    return weights


def test_any_variant_and_grid_becomes_a_model_that_the_edge_runs(other: Path) -> None:
    model = KeypointModel.from_files(other)
    manifest = model.manifest
    assert manifest.variant == ("native" if manifest.rows == 48 else "reference")
    assert [o.name for o in manifest.outputs] == (["keypoints", "joints"] if manifest.rows == 48 else ["keypoints"])
    assert (manifest.calibration.people, manifest.calibration.frames) == (["simulated:1000000-1000007"], 8)
    encoder = load_checkpoint(other.with_name("other.encoder.pt")).build_encoder()
    int8, in_float = Interpreter(other.read_bytes()), Interpreter(other.with_name("other.float.tflite").read_bytes())
    int8.allocate()
    in_float.allocate()
    for x in model_inputs(manifest):
        with torch.no_grad():
            maps = encoder(torch.from_numpy(x)[None, None])
        q = (np.rint(x / manifest.input.scale) + manifest.input.zero_point).astype(np.int8)
        int8_logits, logits = int8.invoke(q[None, :, :, None]), in_float.invoke(x[None, :, :, None])  # type: ignore[arg-type]
        for output in manifest.outputs:
            expected = getattr(maps, output.name).permute(0, 2, 3, 1).numpy()
            np.testing.assert_allclose(logits[output.index], expected, atol=1e-3)
            likeness = np.corrcoef(int8_logits[output.index].ravel(), expected.ravel())[0, 1]
            assert likeness > 0.8  # int8 suits no net that was never trained; the reference, with its h-swish, least
        assert np.isfinite(model.predict(x)["joints"].xy_norm).all()


def test_the_float_head_answers_what_the_edges_decoder_answers(other: Path) -> None:
    model = KeypointModel.from_files(other)
    runner = LiteRt(str(other.with_name("other.float-head.tflite")), num_threads=1).get_signature_runner()
    for x in model_inputs(model.manifest):
        found = model.predict(x)
        answers = runner(pressure=x[None, :, :, None])
        assert answers.keys() == {"keypoints", "joints"}
        for name, sureness in zip(("keypoints", "joints"), model.confidences(found), strict=True):
            points = found[name]
            (answer,) = answers[name]
            assert np.ptp(points.xy_norm, axis=0).max() > 0.05
            np.testing.assert_allclose(answer[:, :2], points.xy_norm, atol=1e-4)
            np.testing.assert_allclose(answer[:, 2], points.value, atol=1e-4)
            np.testing.assert_allclose(answer[:, 3], sureness, atol=2e-3)


def model_inputs(manifest: Manifest) -> NDArray[np.float32]:
    """Simulated people on the model's own grid, whom it was not calibrated on."""
    return read_simulated(range(3), manifest.grid).examples(manifest.grid, manifest.preprocessing).inputs


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--data", "{pmd}", "--subjects", "1,13"], Exit.USAGE, "cannot calibrate on pmd:13"),
        (["--data", "{pmd}", "--joints", "{joints}", "--test-subjects", "1,13"], Exit.USAGE, "calibrated on pmd:1:"),
        (["--data", "{pmd}", "--test-subjects", "13"], Exit.USAGE, "--test-subjects needs"),
        (["--data", "{pmd}", "--subjects", "9"], Exit.MISSING_INPUT, "no subject 9"),
        (["--data", "{tmp}"], Exit.MISSING_INPUT, "no .*experiment-i"),
        ([], Exit.USAGE, "give --data or --recordings"),
    ],
)
def test_wrong_people_and_missing_data_are_refused_and_nothing_is_written(
    converted: Converted, pmd: Path, joints_i: Path, tmp_path: Path, arguments: list[str], code: Exit, message: str
) -> None:
    places = {"pmd": pmd, "joints": joints_i, "tmp": tmp_path}
    filled = [argument.format(**places) for argument in arguments]
    with pytest.raises(Failure, match=message) as refusal:
        main([str(converted.checkpoint), *filled, "--out", str(tmp_path / "out")])
    assert refusal.value.code == code
    assert not (tmp_path / "out").exists()


@pytest.fixture
def former(tmp_path: Path) -> Path:
    """A label-free checkpoint without a joint map, and the package of another one beside it."""
    config = TrainConfig(
        rows=32, cols=32, pitch_cm=5.0, encoder=ReferenceConfig(keypoints=16), weights=LossWeights(joints=0)
    )
    checkpoint = untrained(config)
    training = checkpoint.training.model_copy(update={"simulated_seeds": "1000000-1000001"})
    replace(checkpoint, training=training).save(tmp_path / "checkpoint.pt")
    for suffix in (".tflite", ".json", ".float.tflite", ".encoder.pt", ".float-head.tflite"):
        (tmp_path / f"model{suffix}").write_bytes(b"former")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_refused_checkpoint_leaves_the_former_package_as_it_was(former: Path) -> None:
    before = contents(former)
    with pytest.raises(Failure, match="label-free and has no joint map") as refusal:
        main([str(former / "checkpoint.pt")])
    assert refusal.value.code == Exit.BAD_CONFIG
    assert contents(former) == before


def test_an_interruption_leaves_the_former_package_as_it_was(former: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the last step before files are written."""
    package = Package(b"new", read_manifest(DEFAULT_ENCODER.with_name("default.json")), b"new", b"new")

    def interrupted(*_: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr("convert.run.convert", lambda *_: package)
    monkeypatch.setattr("convert.run.with_float_head", interrupted)
    before = contents(former)
    with pytest.raises(KeyboardInterrupt):
        main([str(former / "checkpoint.pt"), "--head", "float"])
    assert contents(former) == before


def test_a_folder_that_cannot_be_made_is_refused_before_work_begins(former: Path) -> None:
    with pytest.raises(Failure, match="cannot make the folder") as refusal:
        main([str(former / "checkpoint.pt"), "--out", str(former / "checkpoint.pt")])
    assert refusal.value.code == Exit.USAGE


def test_a_missing_or_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure) as missing:
        main([str(tmp_path / "none.pt")])
    (tmp_path / "text.pt").write_text("no checkpoint")
    with pytest.raises(Failure) as foreign:
        main([str(tmp_path / "text.pt")])
    assert (missing.value.code, foreign.value.code) == (Exit.MISSING_INPUT, Exit.BAD_CONFIG)


@pytest.mark.parametrize("name", ["sub/x", "../x", "", ".."])
def test_a_name_that_is_none_of_a_file_is_refused_before_work_begins(name: str, tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["none.pt", "--name", name, "--out", str(tmp_path)])
    assert refused.value.code == Exit.USAGE
    assert f"{name!r} is no name of a file: say the folder with --out" in capsys.readouterr().err
