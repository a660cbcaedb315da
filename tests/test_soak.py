"""Two minutes of `make soak`: the same command, with four tears, one stop of the broker and one full disk."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).with_name("soak.py")


@pytest.mark.timeout(600)
def test_two_minutes_of_troubles_are_survived_and_counted(tmp_path: Path) -> None:
    if os.geteuid() != 0 and not os.environ.get("CI"):
        pytest.skip("a disk of 1 MB is mounted by root only")
    report = tmp_path / "soak.json"
    command = [sys.executable, str(SOAK), "--minutes", "2", "--seed", "1", "--json", str(report)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    figures = json.loads(report.read_text())
    assert [criterion["name"] for criterion in figures["criteria"] if not criterion["holds"]] == []
    assert figures["tears"] == 4
    assert len({row["boot_id"] for row in figures["boots"]}) == 4
