"""A study trains every variant with every seed and sets them side by side."""

import json
from pathlib import Path

import pytest

from firmware_bridge.errors import Exit, Failure
from train.study import Run, main, markdown, planned, read_study

REPOSITORY = Path(__file__).resolve().parent.parent
STUDIES = sorted((REPOSITORY / "train" / "studies").glob("*.toml"))
SMALL = """
title = "small"
seeds = [0, 1]
[settings]
steps_mask = 0
steps_map = 2
frozen_steps = 0
batch = 4
simulated_people = 0
weights.joints = 0
[variants.full]
[variants."without exchange".settings.rebuild]
exchange = false
"""


def written(folder: Path, text: str = SMALL) -> Path:
    path = folder / "study.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.stem)
def test_every_study_that_ships_is_one_that_train_run_takes(path: Path, tmp_path: Path) -> None:
    study = read_study(path)
    runs = planned(study, tmp_path)
    assert len(runs) == len(study.seeds) * len(study.variants)
    assert len({run.folder for run in runs}) == len(runs)
    assert len({run.config.steps for run in runs}) == 1, "variants are compared after equally many steps"


def test_a_variant_changes_its_own_settings_and_keeps_the_studys(tmp_path: Path) -> None:
    runs = planned(read_study(written(tmp_path)), tmp_path)
    full, without, *_ = runs
    assert (full.config.rebuild.exchange, without.config.rebuild.exchange) == (True, False)
    assert without.config.batch == full.config.batch == 4
    assert [run.config.seed for run in runs] == [0, 0, 1, 1]


def test_the_study_runs_scores_and_goes_on_without_training_again(
    pmd: Path, joints_i: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, result = tmp_path / "runs", tmp_path / "study.json"
    argv = [str(written(tmp_path, SMALL.replace("[0, 1]", "[0]"))), "--data", str(pmd), "--joints", str(joints_i)]
    argv += ["--subjects", "1,2", "--test-subjects", "13", "--out", str(out), "--json", str(result), "--jobs", "2"]
    assert main(argv) == 0
    content = json.loads(result.read_text())
    assert content["people"] == ["pmd:13"]
    for rows in content["variants"].values():
        (row,) = rows
        assert 0 < row["l1"] < 1
        assert row["keypoints_linear_cm"] > 1
        assert "joints_cm" not in row  # nothing taught that output
    trained = {path: path.stat().st_mtime_ns for path in out.glob("*/checkpoint.pt")}
    assert len(trained) == 2
    assert main(argv) == 0
    assert trained == {path: path.stat().st_mtime_ns for path in out.glob("*/checkpoint.pt")}


def test_several_seeds_are_shown_as_mean_with_least_and_largest() -> None:
    result = {"variants": {"full": [{"l1": 0.01}, {"l1": 0.03}], "other": [{"l1": 0.5, "joints_cm": 2}]}}
    table = markdown(result).splitlines()
    assert table[2].startswith("| full | 0.0200 (0.0100 to 0.0300) |")
    assert table[3] == "| other | 0.5000 |  |  |  | 2.00 |"


def test_a_study_that_tests_on_people_it_trains_on_is_refused(pmd: Path, joints_i: Path, tmp_path: Path) -> None:
    argv = [str(written(tmp_path)), "--data", str(pmd), "--joints", str(joints_i), "--out", str(tmp_path)]
    with pytest.raises(Failure, match="share people") as refused:
        main([*argv, "--subjects", "1,2", "--test-subjects", "2"])
    assert refused.value.code == Exit.USAGE


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("title = 3", "no study|title"),
        ("title = [", "is no TOML"),
        (SMALL.replace("seeds = [0, 1]", "seeds = []"), "seeds"),
        (SMALL.replace("[variants.full]", "[variants.full.setings]"), "variants.full.setings"),
    ],
)
def test_a_bad_study_is_refused_by_name_and_key(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(Failure, match=reason) as refused:
        read_study(written(tmp_path, text))
    assert refused.value.code == Exit.BAD_CONFIG


def test_a_setting_that_does_not_exist_is_refused_with_the_variants_name(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"'without exchange': rebuild\.exchang"):
        planned(read_study(written(tmp_path, SMALL.replace("exchange = false", "exchang = false"))), tmp_path)


def test_a_run_is_named_after_its_variant_and_seed(tmp_path: Path) -> None:
    runs: list[Run] = planned(read_study(written(tmp_path)), tmp_path)
    assert runs[-1].folder == tmp_path / "without-exchange-1"
