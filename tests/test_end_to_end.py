"""The committed model on a person whom it never saw, by the commands of the README."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY

MODEL = REPOSITORY / "edge" / "models" / "default.tflite"


def run(program: str, *arguments: object, stdout: Path | None = None) -> None:
    script = Path(sys.executable).with_name(program)
    output = stdout.open("w") if stdout else None
    try:
        subprocess.run([script, *map(str, arguments)], check=True, stdout=output)
    finally:
        if output:
            output.close()


@pytest.fixture(scope="module")
def manifest() -> Any:
    return json.loads(MODEL.with_suffix(".json").read_text())


def test_the_model_is_small_and_knows_nothing_of_person_13(manifest: Any) -> None:
    assert manifest["parameters"] <= 70_000
    assert manifest["mac"] <= 15_000_000
    assert manifest["arena_bytes"] <= 80_000
    assert MODEL.stat().st_size + MODEL.with_suffix(".json").stat().st_size < 300_000
    assert MODEL.with_name("default.encoder.pt").stat().st_size < 350_000
    known = {*manifest["training"]["people"], *manifest["calibration"]["people"]}
    assert known == {f"pmd:{n}" for n in (1, 2, 3, 4, 5, 6, 11, 12)}
    assert "ODC-By" in manifest["training"]["data"][0]


def test_joints_of_person_13_through_edge_run(pmd: Path, joints_i: Path, tmp_path: Path) -> None:
    """17 maps, as a recording, through the daemon: mean at most 4.0 cm, at least 93 % within 10 cm."""
    recording, poses, score = tmp_path / "s13.matlog", tmp_path / "poses.jsonl", tmp_path / "score.json"
    where = ("--data", pmd, "--subjects", 13, "--joints", joints_i)
    run("train-export", *where, "--median", "--out", recording)
    run("edge-run", "--replay", recording, stdout=poses)
    truth = recording.with_suffix(".truth.jsonl")
    subprocess.run([sys.executable, "-m", "edge.score", poses, truth, "--json", score], check=True)
    result = json.loads(score.read_text())
    assert result["frames"] == 17
    assert result["missed"] == 0
    assert result["joints"]["mean_cm"] <= 4.0
    assert result["joints"]["pck_10cm"] >= 93


def test_every_frame_of_person_13_is_as_good_as_the_median(pmd: Path, joints_i: Path, tmp_path: Path) -> None:
    recording, poses, score = tmp_path / "all.matlog", tmp_path / "poses.jsonl", tmp_path / "score.json"
    run("train-export", "--data", pmd, "--subjects", 13, "--joints", joints_i, "--out", recording)
    run("edge-run", "--replay", recording, stdout=poses)
    truth = recording.with_suffix(".truth.jsonl")
    subprocess.run([sys.executable, "-m", "edge.score", poses, truth, "--json", score], check=True)
    result = json.loads(score.read_text())
    assert result["frames"] > 1000
    assert result["missed"] == 0
    assert result["joints"]["mean_cm"] <= 4.0


def test_int8_costs_almost_nothing_and_runs_as_one_partition(pmd: Path, joints_i: Path, tmp_path: Path) -> None:
    out = tmp_path / "check.json"
    run("convert-check", MODEL, "--data", pmd, "--subjects", 13, "--joints", joints_i, "--json", out)
    result = json.loads(out.read_text())
    assert result["int8"]["mean_shift_cm"] <= 0.3
    assert result["xnnpack"]["partitions"] == 1
    assert result["tflm"]["byte_equal_reference"] is True


def test_evaluation_of_the_committed_model_agrees_with_its_manifest(
    pmd: Path, joints_i: Path, tmp_path: Path, manifest: Any
) -> None:
    out = tmp_path / "eval.json"
    where = ("--data", pmd, "--subjects", 13, "--joints", joints_i)
    for name, row in (("default.tflite", "joint output, int8"), ("default.encoder.pt", "joint output, float")):
        run("train-eval", "--model", MODEL.with_name(name), *where, "--json", out)
        result = json.loads(out.read_text())
        (stated,) = [r for r in manifest["accuracy"] if r["what"] == row]
        assert result["joints"]["mean_cm"] == pytest.approx(stated["mean_cm"], abs=0.005)
        assert result["model"]["arena_bytes"] == manifest["arena_bytes"]
        assert result["data"]["seen_in_training"] == []


@pytest.mark.parametrize("seed", [7, 8, 9])
def test_joints_of_a_simulated_person_through_edge_run(tmp_path: Path, seed: int) -> None:
    """A night of a person whose seed was not trained on: mean at most 5 cm, and nobody in an empty bed."""
    recording, poses, score = tmp_path / "night.matlog", tmp_path / "poses.jsonl", tmp_path / "score.json"
    run("train-export", "--simulated", seed, "--duration", 40, "--rate", 5, "--out", recording)
    run("edge-run", "--replay", recording, stdout=poses)
    truth = recording.with_suffix(".truth.jsonl")
    subprocess.run([sys.executable, "-m", "edge.score", poses, truth, "--json", score], check=True)
    result = json.loads(score.read_text())
    assert result["frames"] > 150
    assert result["joints"]["mean_cm"] <= 5.0
    assert result["empty_agreement"] == 1
