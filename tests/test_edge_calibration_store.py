"""Files of calibrations: readable, whole or not at all, never overwritten blindly."""

import json
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from calibrations import calibration, made, resting, tare

from edge.calibration.store import path_of, read, write
from edge.calibration.values import Fault, PowerLaw
from firmware_bridge.errors import Exit, Failure


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = path_of(tmp_path / "state", "bed")
    stored = made(tare(resting())).with_faults([Fault(row=3, col=4, kind="stuck")])
    stored = stored.model_copy(update={"orientation": "mirrored-90", "curve": PowerLaw(counts_per_kpa=60.5)})
    write(path, stored)
    assert path == tmp_path / "state" / "bed.calibration.json"
    assert read(path) == stored
    assert list(path.parent.iterdir()) == [path]


def test_no_file_is_no_calibration(tmp_path: Path) -> None:
    assert read(path_of(tmp_path, "bed")) is None


def test_every_key_has_a_line_of_its_own(tmp_path: Path) -> None:
    path = path_of(tmp_path, "bed")
    write(path, calibration(orientation="90"))
    lines = path.read_text().splitlines()
    assert lines[1] == '  "format": 1,'
    assert '  "orientation": "90",' in lines
    assert len(lines) == len(json.loads(path.read_text())) + 2


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda text: text.replace('"format": 1', '"format": 2'), "format: Input should be 1"),
        (lambda text: text.replace('"cols": 32', '"cols": "many"'), "cols: Input should be a valid integer"),
        (lambda text: text.replace('"rows": 64', '"rows": 63'), "file: baseline_counts is not a plane of 63 x 32"),
        (lambda text: text[: len(text) // 2], "file: Invalid JSON"),
        (lambda text: "", "file: Invalid JSON"),
    ],
)
def test_an_unreadable_file_is_named_with_its_key_and_never_overwritten(
    tmp_path: Path, change: object, complaint: str
) -> None:
    path = path_of(tmp_path, "bed")
    write(path, calibration())
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    before = path.read_bytes()
    for use in (lambda: read(path), lambda: write(path, calibration())):
        with pytest.raises(Failure, match=complaint) as caught:
            use()
        assert caught.value.code == Exit.BAD_CONFIG
        assert str(path) in str(caught.value)
        assert "tare again" in str(caught.value)
    assert path.read_bytes() == before


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file of this process grows beyond 4 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_fails_leaves_the_old_calibration_and_nothing_else(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = path_of(tmp_path, "bed")
    write(path, calibration(made_unix_s=1.0))
    request.getfixturevalue("full_disk")
    with pytest.raises(Failure, match=f"cannot write calibration {path}: File too large"):
        write(path, calibration(made_unix_s=2.0))
    kept = read(path)
    assert kept is not None
    assert kept.made_unix_s == 1.0
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(Failure, match=r"calibration .*state/bed\.calibration\.json: Not a directory") as caught:
        write(path_of(tmp_path / "state", "bed"), calibration())
    assert caught.value.code == Exit.BAD_CONFIG


@pytest.mark.parametrize("name", ["", "a/b", "/etc/passwd", "a\nb"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Failure, match="cannot name its calibration file"):
        path_of(tmp_path, name)
