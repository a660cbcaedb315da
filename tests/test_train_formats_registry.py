"""Formats by name."""

from pathlib import Path

import pytest

from firmware_bridge.errors import Exit, Failure
from train.formats import FORMATS


@pytest.mark.parametrize("name", FORMATS)
def test_every_reader_names_a_folder_that_holds_nothing_of_its_own(tmp_path: Path, name: str) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(Failure, match=str(folder)) as failure:
            FORMATS[name](folder)
        assert failure.value.code == Exit.MISSING_INPUT
        assert "\n" not in str(failure.value)
