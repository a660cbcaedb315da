"""edge-export as a command: what it takes, what it refuses, and that it never leaves a part of a file."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from calibrations import calibration
from daemon_process import run
from edge_packages import package
from recorded_nights import START_US, Night, people, scans

from edge.calibration import store
from edge.export import main
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid, Orientation

WIDE = Grid(16, 40, 5.08, 5.08)


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """20 frames in 2 s."""
    return Night(tmp_path / "night.matlog").mat().frames(scans(20)).done()


def export(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def counts(path: Path) -> np.ndarray:
    with np.load(path) as archive:
        return np.asarray(archive["counts"])


def seqs(path: Path) -> list[int]:
    with np.load(path) as archive:
        return list(archive["seq"])


def refused(code: Exit, *arguments: object) -> str:
    with pytest.raises(Failure) as caught:
        export(*arguments)
    assert caught.value.code == code
    return str(caught.value)


def test_it_ends_with_one_line_that_says_what_was_written(
    night: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(night, "--out", tmp_path / "a.npz") == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "20 frames of 64 x 32 taxels, 2.54 cm from row to row" in said.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "night.matlog"]


def test_a_part_of_a_recording_by_its_time(night: Path, tmp_path: Path) -> None:
    """From the one limit to before the other."""
    export(night, "--out", tmp_path / "a.npz", "--from", 0.5, "--to", 1.2)
    assert seqs(tmp_path / "a.npz") == list(range(5, 12))


def test_the_parts_of_a_recording_are_the_whole_with_poses_or_without(tmp_path: Path, night: Path, pmd: Path) -> None:
    person = Night(tmp_path / "person.matlog").mat().frames(people(pmd)[:9]).done()
    model = package(tmp_path / "package")
    for name, limits in (("a", ("--to", 0.4)), ("b", ("--from", 0.4)), ("all", ())):
        export(person, "--out", tmp_path / f"{name}.npz", "--poses", "--model", model, *limits)
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b, np.load(tmp_path / "all.npz") as whole:
        assert list(a["seq"]) == [0, 1, 2, 3]
        for name in ("counts", "joints_cm", "seq"):
            np.testing.assert_array_equal(np.concatenate([a[name], b[name]]), whole[name])


def test_the_files_of_one_night_become_one_file(tmp_path: Path, pmd: Path) -> None:
    """With poses too: smoothing does not start anew with each file."""
    maps = people(pmd)[:8]
    whole = Night(tmp_path / "whole.matlog").mat().frames(maps).done()
    first = Night(tmp_path / "1.matlog").mat().frames(maps[:3]).done()
    second = Night(tmp_path / "2.matlog", START_US + 300_000).mat().frames(maps[3:], first_seq=3).done()
    model = package(tmp_path / "package")
    export(whole, "--out", tmp_path / "whole.npz", "--poses", "--model", model)
    export(first, second, "--out", tmp_path / "parts.npz", "--poses", "--model", model)
    export(first, second, "--out", tmp_path / "end.npz", "--from", 0.2, "--to", 0.5)
    with np.load(tmp_path / "whole.npz") as one, np.load(tmp_path / "parts.npz") as other:
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
    assert seqs(tmp_path / "end.npz") == [2, 3, 4]


@pytest.mark.parametrize("order", ["21", "11", "132"])
def test_recordings_out_of_order_or_given_twice_are_refused(tmp_path: Path, order: str) -> None:
    """Told before anything is written: their times would go back."""
    for number in range(1, 4):
        Night(tmp_path / f"{number}.matlog", START_US + number * 300_000).mat().frames(scans(3)).done()
    *_, before, last = paths = [tmp_path / f"{number}.matlog" for number in order]
    said = refused(Exit.USAGE, *paths, "--out", tmp_path / "a.npz")
    assert said == f"{last} did not begin after {before}: give recordings in the order of time, each once"
    assert not list(tmp_path.glob("a.npz*"))


def test_after_a_file_that_is_cut_off_the_next_one_is_gone_on_with(tmp_path: Path) -> None:
    first = Night(tmp_path / "1.matlog").mat().frames(scans(4)).done()
    first.write_bytes(first.read_bytes()[:-500])
    second = Night(tmp_path / "2.matlog", START_US + 400_000).mat().frames(scans(4), first_seq=4).done()
    model = package(tmp_path / "package")
    export(first, second, "--out", tmp_path / "a.npz", "--poses", "--model", model, "--to", 0.7)
    assert seqs(tmp_path / "a.npz") == [0, 1, 2, 4, 5, 6]


def test_frames_read_mirrored_too_have_the_joints_that_edge_run_finds_so(tmp_path: Path, pmd: Path) -> None:
    night = Night(tmp_path / "people.matlog").mat().frames(people(pmd)[:8]).done()
    model = package(tmp_path / "package")
    told = ("--model", model, "--mirrored-too")
    export(night, "--out", tmp_path / "once.npz", "--poses", "--smoothing", "off", *told[:2])
    export(night, "--out", tmp_path / "both.npz", "--poses", "--smoothing", "off", *told)
    daemon = run("--no-smoothing", "--replay", night, *told)
    assert daemon.process.returncode == 0
    poses = [pose for pose in daemon.all("pose") if pose["joints"]]
    expected = [[(joint["x_cm"], joint["y_cm"]) for joint in pose["joints"].values()] for pose in poses]
    with np.load(tmp_path / "once.npz") as once, np.load(tmp_path / "both.npz") as both:
        seen = np.isfinite(both["joints_cm"][:, 0, 0])
        assert seen.sum() == len(poses) > 0
        np.testing.assert_allclose(both["joints_cm"][seen][..., :2], expected, atol=0.051)
        assert np.abs(both["joints_cm"][seen] - once["joints_cm"][seen]).max() > 0.5


def test_a_recording_that_is_cut_off_is_exported_to_its_last_whole_frame_with_a_warning(
    night: Path, tmp_path: Path
) -> None:
    """Told once, in a process of its own, with poses as without."""
    cut = tmp_path / "cut.matlog"
    cut.write_bytes(night.read_bytes()[:-1000])
    for name, arguments in (("a", []), ("b", ["--poses"])):
        command = [sys.executable, "-m", "edge.export", cut, "--out", tmp_path / f"{name}.npz", *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("ends within a message") == 1
        assert seqs(tmp_path / f"{name}.npz") == list(range(19))


def test_damage_in_the_middle_costs_nothing_else(tmp_path: Path) -> None:
    maps = scans(6)
    night = Night(tmp_path / "a.matlog").mat().frames(maps[:3]).damaged().frames(maps[3:], first_seq=3).done()
    export(night, "--out", tmp_path / "a.npz")
    np.testing.assert_array_equal(counts(tmp_path / "a.npz"), maps)


def test_a_mat_that_restarts_is_gone_on_with(tmp_path: Path) -> None:
    maps = scans(6)
    night = Night(tmp_path / "a.matlog").mat(boot_id=1).frames(maps[:3]).mat(boot_id=2).frames(maps[3:]).done()
    for arguments in ((), ("--poses", "--model", package(tmp_path / "package"))):
        (tmp_path / "a.npz").unlink(missing_ok=True)
        export(night, "--out", tmp_path / "a.npz", *arguments)
        with np.load(tmp_path / "a.npz") as archive:
            assert archive["boot_id"].tolist() == [1, 1, 1, 2, 2, 2]
            assert archive["seq"].tolist() == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("ending", ["npz", "csv", "asf"])
def test_a_file_has_one_grid_and_the_parts_can_be_exported(tmp_path: Path, ending: str) -> None:
    wide = scans(4, WIDE)
    night = Night(tmp_path / "a.matlog").mat().frames(scans(3)).mat(grid=WIDE, boot_id=8).frames(wide).done()
    said = refused(Exit.FOREIGN_DATA, night, "--out", tmp_path / f"a.{ending}")
    assert "64 x 32 taxels of 2.54 x 2.54 cm" in said
    assert "then 16 x 40 taxels of 5.08 x 5.08 cm" in said
    assert "--to 0.300000 and --from 0.300000" in said
    assert [path.name for path in tmp_path.iterdir()] == ["a.matlog"], "no part of a file is left"
    export(night, "--out", tmp_path / "b.npz", "--from", "0.300")
    np.testing.assert_array_equal(counts(tmp_path / "b.npz"), wide)
    export(night, "--out", tmp_path / "c.npz", "--to", "0.300")
    assert counts(tmp_path / "c.npz").shape == (3, 64, 32)


def test_a_grid_that_changes_under_poses_is_told_in_the_same_words(tmp_path: Path) -> None:
    """Both changes lie within one block of reading."""
    small = Grid(64, 32, 2.0, 2.54)
    night = Night(tmp_path / "a.matlog").mat().frames(scans(3)).mat(grid=small, boot_id=8).frames(scans(2)).done()
    arguments = (night, "--out", tmp_path / "a.npz", "--poses", "--model", package(tmp_path / "package"))
    assert "--to 0.300" in refused(Exit.FOREIGN_DATA, *arguments)


def test_an_orientation_that_the_mat_says_wrong(tmp_path: Path) -> None:
    maps = scans(2)
    night = Night(tmp_path / "a.matlog").mat(orientation=Orientation(2)).frames(maps).done()
    export(night, "--out", tmp_path / "a.npz")
    np.testing.assert_array_equal(counts(tmp_path / "a.npz"), maps)
    export(night, "--out", tmp_path / "b.npz", "--orientation", "0")
    np.testing.assert_array_equal(counts(tmp_path / "b.npz"), Orientation(2).from_canonical(maps))


def test_a_pitch_that_the_mat_says_wrong(tmp_path: Path, pmd: Path) -> None:
    """Exported as from a mat that says it right, with poses or without."""
    maps = people(pmd)[:2]
    right = Night(tmp_path / "right.matlog").mat().frames(maps).done()
    wrong = Night(tmp_path / "wrong.matlog").mat(grid=Grid(64, 32, 1.0, 5.08)).frames(maps).done()
    poses = ("--poses", "--model", package(tmp_path / "package"))
    for name, arguments in (("plain", ()), ("posed", poses)):
        export(right, "--out", tmp_path / f"{name}-right.npz", *arguments)
        export(wrong, "--out", tmp_path / f"{name}-wrong.npz", *arguments, "--pitch", "2.54x2.54")
        with np.load(tmp_path / f"{name}-right.npz") as a, np.load(tmp_path / f"{name}-wrong.npz") as b:
            assert b["pitch_x_cm"] == b["pitch_y_cm"] == 2.54
            for key in a:
                np.testing.assert_array_equal(a[key], b[key])


def test_a_calibration_turns_frames_and_poses_alike(tmp_path: Path, pmd: Path) -> None:
    """The counts stay as they came: only the poses know of the calibration."""
    maps = people(pmd)[:2]
    upright = Night(tmp_path / "a.matlog").mat().frames(maps).done()
    upside_down = Night(tmp_path / "b.matlog").mat().frames(Orientation(2).from_canonical(maps)).done()
    store.write(tmp_path / "a.json", calibration())
    store.write(tmp_path / "b.json", calibration(orientation="180"))
    poses = ("--poses", "--model", package(tmp_path / "package"))
    export(upright, "--out", tmp_path / "a.npz", *poses, "--calibration", tmp_path / "a.json")
    export(upside_down, "--out", tmp_path / "b.npz", *poses, "--calibration", tmp_path / "b.json")
    np.testing.assert_array_equal(counts(tmp_path / "b.npz"), maps)
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        np.testing.assert_array_equal(a["joints_cm"], b["joints_cm"])


def test_the_format_by_name_or_by_ending(night: Path, tmp_path: Path) -> None:
    export(night, "--out", tmp_path / "A.CSV")
    export(night, "--out", tmp_path / "data.txt", "--format", "csv")
    assert (tmp_path / "A.CSV").read_bytes() == (tmp_path / "data.txt").read_bytes()
    assert "--format" in refused(Exit.USAGE, night, "--out", tmp_path / "data.bin")


def test_an_output_that_exists_is_not_overwritten(night: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.npz"
    out.write_text("precious")
    assert "exists" in refused(Exit.USAGE, night, "--out", out)
    assert out.read_text() == "precious"


@pytest.mark.parametrize("content", [b"", b"time,x,y\n1,2,3\n" * 100])
def test_an_empty_or_foreign_file(tmp_path: Path, night: Path, content: bytes) -> None:
    """Told before anything is written, though it is the last of several."""
    (tmp_path / "file.matlog").write_bytes(content)
    assert "file.matlog" in refused(Exit.FOREIGN_DATA, night, tmp_path / "file.matlog", "--out", tmp_path / "a.npz")
    assert not (tmp_path / "a.npz").exists()


def test_a_recording_without_a_whole_frame(tmp_path: Path) -> None:
    path = Night(tmp_path / "a.matlog").mat().done()
    assert "no whole frame" in refused(Exit.FOREIGN_DATA, path, "--out", tmp_path / "a.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["a.matlog"]


def test_missing_files(tmp_path: Path, night: Path) -> None:
    for arguments in (
        (tmp_path / "none.matlog", "--out", tmp_path / "a.npz"),
        (night, "--out", tmp_path / "none" / "a.npz"),
        (night, "--out", tmp_path / "a.npz", "--poses", "--model", tmp_path / "none.tflite"),
        (night, "--out", tmp_path / "a.npz", "--poses", "--calibration", tmp_path / "none.json"),
    ):
        assert "none" in refused(Exit.MISSING_INPUT, *arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--out a.asf --poses", "no place in a Tekscan file"),
        ("--out a.npz --smoothing off", "add --poses"),
        ("--out a.npz --mirrored-too", "add --poses"),
        ("--out a.npz --from 5 --to 5", "nothing lies between"),
        ("--out a.npz --from 60", "no frame of .* between 60 s and inf s"),
        ("--out a.npz --orientation up", '--orientation is "up", expected one of 0, 90'),
    ],
)
def test_what_makes_no_sense_is_refused(
    night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Failure, match=words) as caught:
        export(night, *arguments.split())
    assert caught.value.code == Exit.USAGE
    assert [path.name for path in tmp_path.iterdir()] == ["night.matlog"]


@pytest.mark.parametrize("arguments", ["", "--out a.npz --from -1", "--out a.npz --to inf", "--out a.npz --format xls"])
def test_wrong_usage(night: Path, arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        export(night, *arguments.split())
    assert caught.value.code == Exit.USAGE
    assert "edge-export: error: " in capsys.readouterr().err


def test_a_disk_that_is_full_leaves_no_part_of_a_file(night: Path, tmp_path: Path) -> None:
    program = """
import resource, sys
from edge.export import cli
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
cli()
"""
    command = [sys.executable, "-", night, "--out", tmp_path / "a.csv"]
    done = subprocess.run(command, input=program, capture_output=True, text=True)
    assert done.returncode == Exit.PERMISSION
    assert "a.csv failed: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["night.matlog"]


def test_help_reads_like_a_manual_page(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        export("--help")
    text = capsys.readouterr().out
    for code in (0, 2, 65, 66, 70, 77, 78):
        assert f"\n  {code:2d}  " in text
    for name in ("joints_cm", "unix_us", "r0c1", "head_x_cm", "tekscan", "examples:"):
        assert name in text
