"""train-eval: what it refuses, and when."""

import argparse
from pathlib import Path

import pytest

from firmware_bridge.errors import Exit, run_command
from tests.convert_once import DEFAULT_ENCODER
from train.checkpoint import load_checkpoint
from train.eval import main, people_counts


def evaluate(*arguments: object) -> int:
    return run_command("train-eval", lambda: main([str(a) for a in arguments]))


@pytest.mark.parametrize("option", ["--json", "--markdown"])
def test_a_folder_that_is_not_there_is_named_before_anything_is_read(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "none" / "result"
    code = evaluate("--model", "none.pt", "--data", "none", "--joints", "none.json", option, out)
    assert code == Exit.MISSING_INPUT
    assert capsys.readouterr().err == f"train-eval: no folder {out.parent} for result: make it first\n"


def test_a_label_budget_needs_people_of_pmd(
    pmd: Path, joints_i: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a model that was trained on recordings too, those of pmd are the ones whose labels are used."""
    model = tmp_path / "model.pt"
    where = ("--model", model, "--data", pmd, "--subjects", 13, "--joints", joints_i, "--label-budget", 1)
    checkpoint = load_checkpoint(DEFAULT_ENCODER)
    training = checkpoint.training
    checkpoint.training = training.model_copy(update={"people": ["pmd:ii-9", "recording:night"]})
    checkpoint.save(model)
    assert evaluate(*where) == Exit.USAGE
    assert "model.pt was trained on nobody of pmd" in capsys.readouterr().err
    checkpoint.training = training.model_copy(update={"people": ["pmd:12", "recording:night"]})
    checkpoint.save(model)
    assert evaluate(*where) == Exit.OK


@pytest.mark.parametrize("text", ["0", "0-3", "1,0"])
def test_a_label_budget_of_nobody_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="the labels of nobody"):
        people_counts(text)
    assert people_counts("1,3,6") == [1, 3, 6]
