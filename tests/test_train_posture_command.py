"""train-posture as a user runs it."""

import json
from pathlib import Path

import pytest
from posture_people import checkpoint_file
from untrained import untrained

from firmware_bridge.errors import Exit, run_command
from train.config import TrainConfig
from train.posture import command


def posture(*arguments: object) -> int:
    return run_command("train-posture", lambda: command.main([str(a) for a in arguments]))


def test_two_folds_become_tables_for_people_and_for_programs(
    pmd: Path, joints_i: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = checkpoint_file(tmp_path, "pmd:1", "pmd:2")
    folds = ("--fold", f"{checkpoint}=3", "--fold", f"{checkpoint}=4")
    written = ("--json", tmp_path / "a.json", "--markdown", tmp_path / "a.md")
    heads = ("--heads", "linear", "linear-distances")
    assert posture(*folds, "--data", pmd, "--joints", joints_i, "--threads", 1, *heads, *written) == Exit.OK
    said = capsys.readouterr()
    result = json.loads((tmp_path / "a.json").read_text())
    assert [fold["tested_on"] for fold in result["folds"]] == [["pmd:3"], ["pmd:4"]]
    assert result["folds"][0]["fitted_on"] == ["pmd:1", "pmd:2"]
    assert len(result["results"]) == 2 * 3 * 2
    tables = (tmp_path / "a.md").read_text()
    assert tables.count("| linear-distances |") == 2
    for one in result["results"]:
        assert one["files"] == 34
        assert one["right"] == sum(one["right_per_person"].values()) == 34 - len(one["wrong"])
        low, high = one["interval_95"]
        assert f"| {one['right']} ({low:.0f} to {high:.0f}) |" in tables
        assert f"{one['right']} ({low:.0f} to {high:.0f})" in said.out
    assert "95 % bootstrap interval over people" in said.out
    assert "encoder trained with nobody's labels" in said.out
    assert "24/24" not in said.out
    assert "24/24" in said.err


@pytest.mark.parametrize(
    ("folds", "code", "words"),
    [
        (["{model}=2,3"], Exit.USAGE, "was trained on pmd:2"),
        (["{model}=3", "{model}=3,4"], Exit.USAGE, "twice: each is tested once"),
        (["none.pt=3"], Exit.MISSING_INPUT, "no checkpoint none.pt"),
        (["{model}=77"], Exit.MISSING_INPUT, "no subject 77"),
    ],
)
def test_what_cannot_be_tested_is_refused_in_words(
    pmd: Path, joints_i: Path, tmp_path: Path, capsys, folds: list[str], code: Exit, words: str
) -> None:
    model = checkpoint_file(tmp_path, "pmd:1", "pmd:2")
    given = [part for fold in folds for part in ("--fold", fold.format(model=model))]
    assert posture(*given, "--data", pmd, "--joints", joints_i, "--heads", "linear") == code
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_a_model_that_nobody_taught_joints_is_refused(pmd: Path, joints_i: Path, tmp_path: Path, capsys) -> None:
    untrained(TrainConfig(), ["pmd:1"]).save(tmp_path / "a.pt")
    fold = ("--fold", f"{tmp_path / 'a.pt'}=3")
    assert posture(*fold, "--data", pmd, "--joints", joints_i, "--heads", "linear") == Exit.USAGE
    assert "a.pt finds no joints" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("fold", ["checkpoint.pt", "=3", "checkpoint.pt=three"])
def test_a_fold_names_a_file_and_people(fold: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command.main(["--fold", fold, "--data", "d", "--joints", "j"])
    assert end.value.code == Exit.USAGE
    assert "--fold" in capsys.readouterr().err
