"""The models of data/folds: what docs/RESULTS.md prints is what they have, on people whom none of them has seen."""

import json
from pathlib import Path

import pytest

from firmware_bridge.errors import Exit
from train.checkpoint import load_checkpoint
from train.eval import main
from train.pmd import person_of

REPOSITORY = Path(__file__).parent.parent
FOLDS = REPOSITORY / "data" / "folds"
JOINTS = REPOSITORY / "data" / "pmd-joints"
SCORED = {
    "fold1": ("i", [1, 2, 3]),
    "fold2": ("i", [4, 5, 6]),
    "fold3": ("i", [11, 12, 13]),
    "label-free1": ("i", [1, 2, 3]),
    "label-free2": ("i", [4, 5, 6]),
    "label-free3": ("i", [11, 12, 13]),
    "adapted1": ("ii", [1]),
    "adapted2": ("ii", [2]),
    "adapted3": ("ii", [3]),
    "adapted4": ("ii", [4]),
}


@pytest.mark.parametrize("name", SCORED)
def test_a_model_has_seen_nobody_whom_it_is_scored_on(name: str) -> None:
    experiment, subjects = SCORED[name]
    training = load_checkpoint(FOLDS / f"{name}.pt").training
    assert training.people
    assert not {person_of(experiment, subject) for subject in subjects} & set(training.people)


@pytest.mark.parametrize(
    ("row", "experiment", "joints", "folds"),
    [
        ("joints, single pass", "i", "joints.json", "fold1=1-3 fold2=4-6 fold3=11-13"),
        ("as trained on Experiment I, single pass", "ii", "joints-experiment-ii.json", "fold1=1-3 fold2=4"),
        (
            "linear map from the 128 points, labels of 6 people",
            "i",
            "joints.json",
            "label-free1=1-3 label-free2=4-6 label-free3=11-13",
        ),
        (
            "labels of 6 people, `--mirrored-too`",
            "i",
            "joints.json",
            "label-free1=1-3 label-free2=4-6 label-free3=11-13 --mirrored-too",
        ),
        (
            "adapted without labels, single pass",
            "ii",
            "joints-experiment-ii.json",
            "adapted1=1 adapted2=2 adapted3=3 adapted4=4",
        ),
    ],
)
def test_the_results_print_what_these_models_have(
    row: str, experiment: str, joints: str, folds: str, pmd: Path, tmp_path: Path
) -> None:
    command = ["--data", str(pmd), "--experiment", experiment, "--joints", str(JOINTS / joints)]
    for part in folds.split():
        name, _, subjects = part.partition("=")
        command += ["--fold", f"{FOLDS / name}.pt={subjects}"] if subjects else [part]
    assert main([*command, "--json", str(tmp_path / "scored.json")]) == Exit.OK
    scored = json.loads((tmp_path / "scored.json").read_text())["joints"]
    (line,) = [line for line in (REPOSITORY / "docs" / "RESULTS.md").read_text().splitlines() if f"| {row} |" in line]
    mean_cm, pck_5cm, pck_10cm = (float(cell.split("(")[0]) for cell in line.split("|")[2:5])
    assert mean_cm == pytest.approx(scored["mean_cm"], abs=0.011)
    assert (pck_5cm, pck_10cm) == pytest.approx((scored["pck_5cm"], scored["pck_10cm"]), abs=0.4)  # one joint
