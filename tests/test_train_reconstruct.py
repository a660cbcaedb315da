"""train-reconstruct as a user runs it, on nets that were never trained: what counts is what it says of them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from untrained import untrained

from firmware_bridge.errors import Exit, run_command
from train.config import TrainConfig
from train.encoder import EncoderConfig
from train.rebuild import RebuildConfig
from train.reconstruct import main


def reconstruct(*arguments: object) -> int:
    return run_command("train-reconstruct", lambda: main([str(a) for a in ("--threads", 1, *arguments)]))


def saved(path: Path, people: list[str], *, dense: bool = True) -> Path:
    """Three keypoints: 9 numbers, 57 with their features."""
    untrained(TrainConfig(encoder=EncoderConfig(keypoints=3), rebuild=RebuildConfig(dense=dense)), people).save(path)
    return path


@pytest.fixture(scope="module")
def of_12(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("run") / "checkpoint.pt", ["pmd:12"])


def test_both_comparisons_with_pca_are_told(of_12: Path, pmd: Path, tmp_path: Path, capsys) -> None:
    out = {kind: tmp_path / f"r.{kind}" for kind in ("json", "markdown", "png")}
    options = [part for kind, path in out.items() for part in (f"--{kind}", path)]
    folds = ("--fold", f"{of_12}=11", "--fold", f"{of_12}=13")
    assert reconstruct(*folds, "--data", pmd, "--frames", 5, *options) == Exit.OK
    printed = capsys.readouterr().out
    result = json.loads(out["json"].read_text())
    assert result["data"] == {"people": ["pmd:11", "pmd:13"], "maps": 34, "seen_in_training": []}
    ways = {(row["way"], row["numbers"]): row for row in result["ways"]}
    assert list(ways) == [
        ("keypoints", 57),
        ("keypoints, decoder alone", 57),
        ("PCA", 9),
        ("PCA", 57),
        ("PCA, mirrored maps too", 9),
        ("PCA, mirrored maps too", 57),
    ]
    untrained, corrected = ways["keypoints, decoder alone", 57], ways["keypoints", 57]
    assert ways["PCA", 57]["l1"] < ways["PCA", 9]["l1"] < corrected["l1"] < untrained["l1"]
    assert ways["PCA", 57]["ssim"] > ways["PCA", 9]["ssim"] > corrected["ssim"] > untrained["ssim"]
    low, high = ways["PCA", 57]["interval_95"]["ssim"]
    assert low < ways["PCA", 57]["ssim"] < high
    table = out["markdown"].read_text()
    assert f"| PCA | 57 | {ways['PCA', 57]['l1']:.4f} (" in table
    for text in (table, printed.replace("\n", " ")):
        assert "keypoints against PCA (57 numbers): L1 worse, +0." in text
    assert "warning" not in printed
    with Image.open(out["png"]) as image:
        picture = np.asarray(image.convert("L"))
    assert picture.shape[1] > picture.shape[0] > 800
    originals = picture[: picture.shape[0] // 3]
    assert (originals < 100).mean() > 0.01, "bodies are dark on the mat"


def test_without_the_dense_plane_positions_and_values_are_all_there_is(pmd: Path, tmp_path: Path) -> None:
    path = saved(tmp_path / "checkpoint.pt", ["pmd:12"], dense=False)
    assert reconstruct("--fold", f"{path}=13", "--data", pmd, "--frames", 2, "--json", tmp_path / "r.json") == Exit.OK
    ways = json.loads((tmp_path / "r.json").read_text())["ways"]
    assert {row["numbers"] for row in ways} == {9}
    assert len(ways) == 4


def test_people_who_trained_the_model_are_refused_or_warned_of(of_12: Path, pmd: Path, capsys) -> None:
    arguments = ("--fold", f"{of_12}=12", "--data", pmd, "--frames", 5)
    assert reconstruct(*arguments) == Exit.USAGE
    assert capsys.readouterr().err.endswith("checkpoint.pt: choose other people, or say --allow-seen\n")
    assert reconstruct(*arguments, "--allow-seen") == Exit.OK
    assert "warning: pmd:12 trained this model" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"--fold": "none.pt=13"}, Exit.MISSING_INPUT, "no checkpoint none.pt"),
        ({"--data": "nowhere"}, Exit.MISSING_INPUT, "no nowhere/experiment-i"),
        ({"--frames": 1}, Exit.MISSING_INPUT, "57 components need more than the 17 maps there are: raise --frames"),
    ],
)
def test_bad_input_is_named_on_one_line(of_12: Path, pmd: Path, capsys, changes, code, words) -> None:
    options = {"--fold": f"{of_12}=13", "--data": pmd} | changes
    assert reconstruct(*(part for option in options.items() for part in option)) == code
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("people", [[], ["popu:3"]])
def test_pca_needs_the_people_the_net_was_trained_on(pmd: Path, tmp_path: Path, capsys, people: list[str]) -> None:
    path = saved(tmp_path / "checkpoint.pt", people)
    assert reconstruct("--fold", f"{path}=13", "--data", pmd) == Exit.USAGE
    assert "PCA wants training people of pmd Experiment I" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [("--fold", "x.pt"), ("--fold", "=1"), ("--fold", "x.pt=1", "--frames", "0"), ("--fold", "x=1", "--png", "x.svg")],
)
def test_arguments_that_make_no_sense_are_usage_errors(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit, match="2"):
        reconstruct(*arguments, "--data", "x")
