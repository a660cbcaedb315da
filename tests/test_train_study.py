"""A study trains every variant with every seed and sets them side by side."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from untrained import untrained

from firmware_bridge.errors import Exit, Failure
from train import study
from train.pmd import ATTRIBUTION
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


def planted(run: Run, step: int | None = None, **training: object) -> None:
    """A model that ended in the run's folder, or was stopped at `step`."""
    checkpoint = untrained(run.config)
    record = checkpoint.training.model_copy(update={"people": ["pmd:1"], "data": [ATTRIBUTION]} | training)
    reached = run.config.steps if step is None else step
    replace(checkpoint, training=record, step=reached).save(run.folder / "checkpoint.pt")
    if step is None:
        (run.folder / "losses.csv").touch()


@pytest.mark.parametrize(
    ("training", "reason"),
    [
        ({"people": ["pmd:13"]}, r"trained on other people \(pmd:13, not pmd:1\)"),
        ({"labelled_people": ["pmd:1"]}, "trained on other people's labels"),
        ({"labels_sha256": "0" * 64}, r"trained on other labels of these people \(0{64}, not none\)"),
        ({"data": ["another"]}, "trained on other data"),
        ({"command": "train-run --data pmd --experiment ii"}, "trained on other maps"),
    ],
)
def test_a_model_that_learned_from_anything_else_is_not_scored_as_one_of_the_study(
    training: dict[str, object], reason: str, pmd: Path, joints_i: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(study, "_train", lambda run, args: pytest.fail("trained beside a model that is not its own"))
    planted(planned(read_study(written(tmp_path)), tmp_path)[-1], **training)
    argv = [str(written(tmp_path)), "--data", str(pmd), "--joints", str(joints_i), "--out", str(tmp_path)]
    with pytest.raises(
        Failure, match=rf"without-exchange-1/checkpoint.pt was {reason}.*choose another --out"
    ) as refused:
        main([*argv, "--subjects", "1", "--test-subjects", "13"])
    assert refused.value.code == Exit.USAGE


def test_nobody_is_scored_on_a_model_that_knows_them(pmd: Path, joints_i: Path, tmp_path: Path, monkeypatch) -> None:
    """As when two studies write into one folder at a time."""
    monkeypatch.setattr(study, "_train", lambda run, args: planted(run, people=["pmd:13"]))
    argv = [str(written(tmp_path)), "--data", str(pmd), "--joints", str(joints_i), "--out", str(tmp_path)]
    with pytest.raises(Failure, match=r"pmd:13 trained .*full-0/checkpoint.pt: choose another --out") as refused:
        main([*argv, "--subjects", "1", "--test-subjects", "13"])
    assert refused.value.code == Exit.USAGE


def test_a_joint_output_that_nobody_taught_is_not_scored(pmd: Path, joints_i: Path, tmp_path: Path) -> None:
    """There are simulated people, but no batch shows any."""
    text = SMALL.replace("weights.joints = 0", "simulated_share = 0").replace("people = 0", "people = 3")
    argv = [str(written(tmp_path, text)), "--data", str(pmd), "--joints", str(joints_i), "--out", str(tmp_path)]
    for run in planned(read_study(written(tmp_path, text)), tmp_path):
        planted(run, labels_sha256="")
    argv += ["--json", str(tmp_path / "study.json")]
    assert main([*argv, "--subjects", "1", "--test-subjects", "13"]) == Exit.OK
    rows = json.loads((tmp_path / "study.json").read_text())["variants"]["full"]
    assert len(rows) == 2
    assert not any("joints_cm" in row for row in rows)


@pytest.mark.parametrize("step", [1, None], ids=["with a checkpoint", "before the first"])
def test_a_training_that_was_stopped_is_not_scored_as_one_that_ended(
    step: int | None, pmd: Path, joints_i: Path, tmp_path: Path, monkeypatch
) -> None:
    """As by Ctrl-C, after which train-run ends with 0."""

    def stopped(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        if step:
            planted(planned(read_study(written(tmp_path)), tmp_path)[0], step)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", stopped)
    argv = [str(written(tmp_path)), "--data", str(pmd), "--joints", str(joints_i), "--out", str(tmp_path)]
    with pytest.raises(Failure, match=rf"full-0 was stopped at step {step or 0} of 2: the same command") as stop:
        main([*argv, "--subjects", "1", "--test-subjects", "13"])
    assert stop.value.code == Exit.CHECK_FAILED


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no process is told of its parent's end")
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_training_ends_with_its_study(end: signal.Signals, pmd: Path, joints_i: Path, tmp_path: Path) -> None:
    text = SMALL.replace("steps_map = 2", "steps_map = 1000000")
    command = [sys.executable, "-c", "from train.commands import study; study()", str(written(tmp_path, text))]
    command += ["--data", str(pmd), "--joints", str(joints_i), "--subjects", "1", "--test-subjects", "13"]
    log = tmp_path / "full-0" / "log.txt"
    with subprocess.Popen([*command, "--out", str(tmp_path)], stdout=subprocess.PIPE, process_group=0) as process:
        try:
            while not (log.exists() and "encoder: " in log.read_text()):
                assert process.poll() is None, "ended before its training began"
                time.sleep(0.1)
            process.send_signal(end)
            process.communicate(timeout=60)  # until the training, which has the same stdout, is gone too
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert "Traceback" not in log.read_text()


def test_a_training_whose_study_has_ended_already_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study.commands, "run", lambda: pytest.fail("began"))
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(study.ctypes, "CDLL", lambda _: SimpleNamespace(prctl=lambda *_: 0))
    try:
        study.train_beside(os.getppid() + 1)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_labels_of_other_maps_are_refused_before_the_first_training(
    pmd: Path, joints_i: Path, joints_ii: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(study, "_train", lambda run, args: pytest.fail("trained what cannot be scored"))
    only_trained = json.loads(joints_i.read_text())
    only_trained["frames"] = {name: of for name, of in only_trained["frames"].items() if name.startswith("S1/")}
    (tmp_path / "one.json").write_text(json.dumps(only_trained))
    argv = [str(written(tmp_path)), "--data", str(pmd), "--subjects", "1", "--out", str(tmp_path / "runs")]
    for joints, people in ((joints_ii, "pmd:1"), (tmp_path / "one.json", "pmd:13")):
        with pytest.raises(Failure, match=f"{joints.name} has joints of no map of {people}: give the file") as refused:
            main([*argv, "--joints", str(joints), "--test-subjects", "13"])
        assert refused.value.code == Exit.MISSING_INPUT


@pytest.mark.parametrize("option", ["--json", "--markdown"])
def test_a_result_that_cannot_be_written_is_refused_before_any_work(option: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(study, "read_data", lambda args: pytest.fail("began"))
    argv = [str(written(tmp_path)), "--data", ".", "--joints", "j", "--subjects", "1", "--test-subjects", "2"]
    with pytest.raises(Failure, match=f"no folder {tmp_path / 'none'} for result") as refused:
        main([*argv, "--out", str(tmp_path / "runs"), option, str(tmp_path / "none" / "result")])
    assert refused.value.code == Exit.MISSING_INPUT


def test_no_trainings_at_a_time_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([str(written(tmp_path)), "--data", ".", "--test-subjects", "1", "--out", str(tmp_path), "--jobs", "0"])
    assert "argument --jobs: invalid whole number from 1 value: '0'" in capsys.readouterr().err


def test_training_is_on_the_experiment_and_mat_of_the_study(pmd: Path, joints_ii: Path, tmp_path, monkeypatch) -> None:
    commands: list[list[str]] = []

    def failing(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(subprocess, "run", failing)
    of_air = tmp_path / "air.json"
    of_air.write_text(joints_ii.read_text().replace("Sponge_Mat", "Air_Mat"))
    argv = [str(written(tmp_path)), "--data", str(pmd), "--joints", str(of_air), "--out", str(tmp_path)]
    with pytest.raises(Failure, match="full-0 failed"):
        main([*argv, "--experiment", "ii", "--mat", "air", "--subjects", "1", "--test-subjects", "2"])
    assert "--experiment ii --mat air --subjects 1" in " ".join(commands[0])


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


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (SMALL + '[variants."without-exchange"]', "'without-exchange' with seed 0 .* as 'without exchange' does"),
        (SMALL.replace("[0, 1]", "[1, 0, 1]"), "'full' with seed 1 would train in .*full-1 as 'full' does"),
        (SMALL + '[variants."./full"]', "'./full' with seed 0 .* as 'full' does"),
        (SMALL + '[variants."../full"]', r"'\.\./full' .* not right in .*: leave / out of its name"),
        (SMALL + '[variants."/tmp/full"]', "'/tmp/full' would train in /tmp/full-0"),
    ],
)
def test_runs_that_share_a_folder_or_leave_that_of_the_study_are_refused(text: str, reason: str, tmp_path) -> None:
    with pytest.raises(Failure, match=reason) as refused:
        planned(read_study(written(tmp_path, text)), tmp_path)
    assert refused.value.code == Exit.BAD_CONFIG
    assert "\n" not in str(refused.value)


def test_a_run_is_named_after_its_variant_and_seed(tmp_path: Path) -> None:
    runs: list[Run] = planned(read_study(written(tmp_path)), tmp_path)
    assert runs[-1].folder == tmp_path / "without-exchange-1"
