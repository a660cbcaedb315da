"""Costs are counted, not claimed."""

import json
from pathlib import Path

import pytest
from torch import nn

from firmware_bridge.errors import Exit, run_command
from train.config import TrainConfig
from train.cost import main, multiply_accumulates, parameters


def test_cost_counts_a_convolution_by_hand() -> None:
    layer = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.Conv2d(4, 4, 5, padding=2, groups=4))
    assert multiply_accumulates(layer, 8, 6) == 4 * 3 * 4 * 9 + 4 * 3 * 4 * 25
    assert parameters(layer) == 4 * 9 + 4 + 4 * 25 + 4


def test_counting_leaves_the_module_as_it_was() -> None:
    layer = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    multiply_accumulates(layer, 8, 8)
    assert layer[1].training
    assert int(layer[1].num_batches_tracked) == 0
    assert not layer[0]._forward_hooks


def test_the_papers_encoder_stands_beside_the_default_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cost.json"
    assert main(["--json", str(path)]) == Exit.OK
    native, reference = json.loads(path.read_text())
    encoder = TrainConfig().encoder.build()
    assert (native["variant"], native["parameters"]) == ("native", parameters(encoder))
    assert (native["mac"], native["relative_time"]) == (multiply_accumulates(encoder, 64, 32), 1)
    assert (reference["variant"], reference["rows"], reference["cols"]) == ("reference", 256, 256)
    assert (reference["parameters"], reference["mac"]) == (138_400, 557_096_256)
    assert reference["relative_time"] > 5  # 87 times the MAC
    table = capsys.readouterr().out
    assert "138,400" in table
    assert "557.1" in table


def test_own_settings_can_be_compared(tmp_path: Path) -> None:
    (tmp_path / "wide.toml").write_text("rows = 48\n[encoder]\nwidth = 24\n")
    path = tmp_path / "cost.json"
    assert main([str(tmp_path / "wide.toml"), "--json", str(path)]) == Exit.OK
    default, wide = json.loads(path.read_text())
    assert (wide["name"], wide["rows"]) == ("wide", 48)
    assert wide["parameters"] > default["parameters"]


def test_missing_settings_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "none.toml"
    assert run_command("train-cost", lambda: main([str(missing)])) == Exit.MISSING_INPUT
    assert capsys.readouterr().err == f"train-cost: cannot read configuration {missing}: No such file or directory\n"
