"""Arguments that the commands share."""

import argparse

import pytest

from train.arguments import command_line, subject_list


@pytest.mark.parametrize(("text", "subjects"), [("13", [13]), ("1-3,13", [1, 2, 3, 13]), ("11-13,1", [11, 12, 13, 1])])
def test_subjects_are_numbers_and_ranges(text: str, subjects: list[int]) -> None:
    assert subject_list(text) == subjects


@pytest.mark.parametrize("text", ["", "a", "1-", "1,,2", "1-3,2"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"subject"):
        subject_list(text)


def test_provenance_names_files_without_their_folders() -> None:
    assert command_line("train-run", ["--data", "/home/me/pmd", "--seed", "1"]) == "train-run --data pmd --seed 1"
