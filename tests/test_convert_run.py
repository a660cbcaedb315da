"""convert-run writes the same files each time and keeps test people out of the calibration."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from convert_once import Converted, convert_once

from convert.run import main
from firmware_bridge.errors import Exit, Failure


@pytest.fixture(scope="module")
def converted(pmd: Path, joints_i: Path, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    return convert_once(pmd, joints_i, tmp_path_factory.getbasetemp())


def test_another_run_writes_the_same_bytes(converted: Converted, tmp_path: Path) -> None:
    """In a process of its own, with another order of sets and dictionaries."""
    command = [sys.executable, "-W", "error", "-c", "from convert.commands import run; run()", *converted.arguments]
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    done = subprocess.run([*command, "--out", str(tmp_path)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert done.stdout == ""
    for path in (converted.model, converted.manifest, converted.encoder):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


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


def test_a_missing_or_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure) as missing:
        main([str(tmp_path / "none.pt")])
    (tmp_path / "text.pt").write_text("no checkpoint")
    with pytest.raises(Failure) as foreign:
        main([str(tmp_path / "text.pt")])
    assert (missing.value.code, foreign.value.code) == (Exit.MISSING_INPUT, Exit.BAD_CONFIG)
