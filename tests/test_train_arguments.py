"""Arguments that the commands share."""

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import ORIENTATIONS
from firmware_bridge.messages import Info
from train.arguments import (
    add_data_arguments,
    add_recordings_arguments,
    command_line,
    corrected,
    make_folder,
    read_folds,
    require_one_test_each,
    require_writable,
    subject_list,
)
from train.arguments import (
    tested_fold as fold_of,
)


@pytest.mark.parametrize(("text", "subjects"), [("13", [13]), ("1-3,13", [1, 2, 3, 13]), ("11-13,1", [11, 12, 13, 1])])
def test_subjects_are_numbers_and_ranges(text: str, subjects: list[int]) -> None:
    assert subject_list(text) == subjects


@pytest.mark.parametrize("text", ["", "a", "1-", "1,,2", "1-3,2"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"subject"):
        subject_list(text)


@pytest.mark.parametrize("text", ["13-11", "1-3,13-11"])
def test_a_range_that_names_nobody_is_refused_with_the_one_that_was_meant(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"'13-11' names no subject: write 11-13"):
        subject_list(text)


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_recordings_arguments(parser, "recordings")
    return parser.parse_args(arguments)


def test_corrections_put_an_info_right_and_nothing_else() -> None:
    said = Info("mat", "1", 5, 16, 8, 20_000, 30_000, 4095)
    put_right = corrected(parsed("--recordings", "a.matlog", "--orientation", "90", "--pitch", "2.5"))(said)
    assert put_right == replace(said, orientation=ORIENTATIONS["90"], pitch_x_um=25_000, pitch_y_um=25_000)
    assert corrected(parsed("--recordings", "a.matlog"))(said) == said


def test_corrections_without_recordings_are_refused() -> None:
    with pytest.raises(Failure, match="--pitch is about recordings") as caught:
        corrected(parsed("--pitch", "2.5"))
    assert caught.value.code == Exit.USAGE


def test_a_correction_that_cannot_be_is_refused_in_edge_runs_words() -> None:
    with pytest.raises(Failure, match=r"--orientation.*45") as caught:
        corrected(parsed("--recordings", "a.matlog", "--orientation", "45"))
    assert caught.value.code == Exit.USAGE


def test_a_folder_is_there_afterwards(tmp_path: Path) -> None:
    make_folder(tmp_path / "new" / "run")
    make_folder(tmp_path / "new" / "run")
    assert (tmp_path / "new" / "run").is_dir()


@pytest.mark.parametrize("below", ["", "run"])
def test_a_folder_that_a_file_is_in_the_way_of_is_refused(below: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match=r"cannot make the folder .*file.*: choose another --out") as refused:
        make_folder(tmp_path / "file" / below)
    assert refused.value.code == Exit.USAGE


def test_provenance_names_files_without_their_folders() -> None:
    assert command_line("train-run", ["--data", "/home/me/pmd", "--seed", "1"]) == "train-run --data pmd --seed 1"


def test_nobody_is_tested_in_two_folds() -> None:
    require_one_test_each([(Path("a.pt"), [1, 2]), (Path("a.pt"), [3])])
    with pytest.raises(Failure, match="--fold names subject 2 twice: each is tested once") as refused:
        require_one_test_each([(Path("a.pt"), [1, 2]), (Path("b.pt"), [2, 3])])
    assert refused.value.code == Exit.USAGE


def folds(*arguments: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fold", type=fold_of, action="append")
    add_data_arguments(parser, formats=True)
    return parser.parse_args([str(argument) for argument in arguments])


def test_each_fold_has_the_maps_of_its_own_people(pmd: Path) -> None:
    read = read_folds(folds("--data", pmd, "--fold", "a.pt=12", "--fold", "b.pt=11,13"))
    assert [(path, maps.people) for path, maps in read] == [
        (Path("a.pt"), ["pmd:12"]),
        (Path("b.pt"), ["pmd:11", "pmd:13"]),
    ]
    with pytest.raises(Failure, match="--subjects goes with one model") as refused:
        read_folds(folds("--data", pmd, "--fold", "a.pt=12", "--subjects", "1"))
    assert refused.value.code == Exit.USAGE
    with pytest.raises(Failure, match="subject 12 twice"):
        read_folds(folds("--data", pmd, "--fold", "a.pt=12", "--fold", "b.pt=12"))


def test_results_that_cannot_be_written_are_told_before_the_work(tmp_path: Path) -> None:
    require_writable(None, tmp_path / "new.json")
    with pytest.raises(Failure, match=r"no folder .*none for new.json: make it first") as missing:
        require_writable(None, tmp_path / "none" / "new.json")
    assert missing.value.code == Exit.MISSING_INPUT
    with pytest.raises(Failure, match="is a folder: name a file in it") as folder:
        require_writable(tmp_path)
    assert folder.value.code == Exit.USAGE
    assert not list(tmp_path.iterdir())


def test_a_result_that_may_not_be_written_is_told_before_the_work(tmp_path: Path, monkeypatch) -> None:
    """Of the right to write the superuser knows nothing."""
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    with pytest.raises(Failure, match=r"new.json may not be written: choose another place"):
        require_writable(tmp_path / "new.json")
