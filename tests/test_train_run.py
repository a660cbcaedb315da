"""train-run and train-eval as a user runs them, on small work: the same code as the full training."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from edge.manifest import Training
from firmware_bridge.errors import Exit, Failure, run_command
from train import eval as train_eval
from train import export as train_export
from train import run as train_run
from train.checkpoint import load_checkpoint, sha256_of
from train.run import require_same_training
from train.simulated import FIRST_TRAINING_SEED

TINY = ("--steps-mask", 2, "--steps-map", 4, "--batch", 4, "--simulated-people", 6, "--threads", 1)


def run(*arguments: object) -> int:
    return run_command("train-run", lambda: train_run.main([str(a) for a in arguments]))


def evaluate(*arguments: object) -> int:
    return run_command("train-eval", lambda: train_eval.main([str(a) for a in arguments]))


def losses(folder: Path) -> list[dict[str, str]]:
    with (folder / "losses.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def trained(pmd: Path, joints_i: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few steps on person 12 and six simulated people."""
    out = tmp_path_factory.mktemp("run")
    assert run("--data", pmd, "--subjects", 12, "--joints", joints_i, "--out", out, *TINY) == Exit.OK
    return out / "checkpoint.pt"


def test_a_checkpoint_says_whom_it_was_trained_on(trained: Path) -> None:
    checkpoint = load_checkpoint(trained)
    assert checkpoint.step == 6
    assert checkpoint.training.people == checkpoint.training.labelled_people == ["pmd:12"]
    assert checkpoint.training.simulated_seeds == f"{FIRST_TRAINING_SEED}-{FIRST_TRAINING_SEED + 5}"
    assert "ODC-By" in checkpoint.training.data[0]
    assert checkpoint.training.command.startswith("train-run --data pmd")
    assert checkpoint.joint_map is not None
    assert checkpoint.joint_map.people == ["pmd:12"]
    assert checkpoint.posture is not None
    assert checkpoint.posture.classes == ["left", "right", "supine"]


def test_losses_of_every_step_are_written(trained: Path) -> None:
    rows = losses(trained.parent)
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[0]["cross_entropy"]
    assert not rows[0]["l1"]
    assert rows[-1]["l1"]


def test_a_folder_of_another_run_is_not_overwritten(trained: Path, pmd: Path, joints_i: Path, capsys) -> None:
    before = trained.read_bytes()
    assert run("--data", pmd, "--subjects", 12, "--out", trained.parent, *TINY, "--seed", 5) == Exit.USAGE
    assert "trained with other settings" in capsys.readouterr().err
    assert run("--data", pmd, "--subjects", 11, "--out", trained.parent, *TINY) == Exit.USAGE
    assert "trained on other people (pmd:12, not pmd:11)" in capsys.readouterr().err
    assert run("--data", pmd, "--subjects", 12, "--out", trained.parent, *TINY) == Exit.USAGE
    assert "trained on other people's labels (pmd:12, not none)" in capsys.readouterr().err
    assert trained.read_bytes() == before


def test_a_run_does_not_go_on_with_labels_that_were_corrected(
    trained: Path, pmd: Path, joints_i: Path, tmp_path: Path, capsys
) -> None:
    path = Path(shutil.copy(trained, tmp_path))
    content = json.loads(joints_i.read_text())
    content["frames"]["S11/1"][0][0] += 1
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    again = ("--data", pmd, "--subjects", 12, "--joints", other, "--out", tmp_path, *TINY)
    assert run(*again) == Exit.OK, "nobody's labels that this run was given have changed"
    content["frames"]["S12/1"][0][0] += 1
    other.write_text(json.dumps(content))
    assert run(*again) == Exit.USAGE
    assert f"{path} was trained on other labels of these people (" in capsys.readouterr().err


def test_a_run_of_before_labels_were_recorded_goes_on_and_claims_none(
    trained: Path, pmd: Path, joints_i: Path, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.pt"
    old = load_checkpoint(trained)
    assert len(old.training.labels_sha256 or "") == 64
    old.training = old.training.model_copy(update={"labels_sha256": None})
    old.save(path)
    assert run("--data", pmd, "--subjects", 12, "--joints", joints_i, "--out", tmp_path, *TINY) == Exit.OK
    assert load_checkpoint(path).training.labels_sha256 is None


def recorded(command: str = "train-run --data pmd --subjects 1 --out run", **changes: object) -> Training:
    known = {"data": ["pmd"], "people": ["pmd:1"], "labelled_people": ["pmd:1"], "simulated_seeds": "", "steps": 7}
    return Training.model_validate(known | {"command": command, "software": "0"} | changes)


@pytest.mark.parametrize(
    ("now", "difference"),
    [
        (recorded(people=["pmd:2"]), r"on other people \(pmd:1, not pmd:2\)"),
        (recorded(data=["slp"]), r"on other data \(pmd, not slp\)"),
        (recorded(labelled_people=[]), r"on other people's labels \(pmd:1, not none\)"),
        (recorded(labels_sha256="1" * 64), r"on other labels of these people \(0{64}, not 1{64}\)"),
        (recorded(labels_sha256=""), r"on other labels of these people \(0{64}, not none\)"),
        (recorded(init_sha256="0" * 64), r"began from another model \(none, not 0{64}\)"),
        (
            recorded("train-run --data pmd --experiment ii --subjects 1 --out run"),
            r"on other maps of these people \(Experiment I, not Experiment II, sponge mat\)",
        ),
        (
            recorded("train-run --data pmd --subjects 1 --unlabelled-ii 1 --out run"),
            r"\(Experiment I, not Experiment I and subjects \[1\] of Experiment II, sponge mat\)",
        ),
    ],
)
def test_a_run_that_learned_from_anything_else_is_not_gone_on_with(now: Training, difference: str) -> None:
    with pytest.raises(Failure, match=f"^run/checkpoint.pt .*{difference}: choose another --out$") as refused:
        require_same_training(Path("run/checkpoint.pt"), recorded(labels_sha256="0" * 64), now)
    assert refused.value.code == Exit.USAGE


def test_the_two_mats_of_experiment_ii_are_told_apart() -> None:
    sponge, air = (recorded(f"train-run --data pmd --experiment ii{mat}") for mat in ("", " --mat=air"))
    with pytest.raises(Failure, match=r"Experiment II, sponge mat, not Experiment II, air mat"):
        require_same_training(Path("c.pt"), sponge, air)


def test_a_run_goes_on_however_its_options_are_written() -> None:
    again = "train-run --threads 2 --every 5 --recordings a.matlog -c a b.toml --exp i --mat air --subjects 1 --out ./x"
    require_same_training(Path("c.pt"), recorded(), recorded(again, steps=9, software="1", simulated_seeds="1-2"))


def test_nothing_to_train_on_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--out", tmp_path, "--simulated-people", 0) == Exit.USAGE
    assert "nothing to train on" in capsys.readouterr().err


def test_a_label_free_run_uses_nobodys_labels(pmd: Path, joints_i: Path, tmp_path: Path) -> None:
    arguments = ("--data", pmd, "--subjects", 12, "--joints", joints_i, "--label-free", "--out", tmp_path, *TINY)
    assert run(*arguments) == Exit.OK
    checkpoint = load_checkpoint(tmp_path / "checkpoint.pt")
    assert checkpoint.config.weights.joints == 0
    assert checkpoint.training.labelled_people == []
    assert checkpoint.training.labels_sha256 == ""
    assert checkpoint.joint_map is not None
    assert checkpoint.joint_map.people == ["pmd:12"]


def test_joints_that_are_of_none_of_the_maps_are_refused(pmd: Path, joints_i: Path, tmp_path: Path, capsys) -> None:
    """Experiment I's file beside Experiment II's maps."""
    of_ii = ("--data", pmd, "--experiment", "ii", "--subjects", 1)
    assert run(*of_ii, "--joints", joints_i, "--out", tmp_path / "run", *TINY) == Exit.MISSING_INPUT
    assert f"{joints_i} has joints of none of these maps" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_simulated_people_who_are_never_shown_teach_no_joints(pmd: Path, tmp_path: Path) -> None:
    (tmp_path / "none.toml").write_text("simulated_share = 0.0\n")
    arguments = ("--data", pmd, "--subjects", 12, "--config", tmp_path / "none.toml", "--out", tmp_path)
    assert run(*arguments, *TINY) == Exit.OK
    checkpoint = load_checkpoint(tmp_path / "checkpoint.pt")
    assert checkpoint.training.simulated_seeds == ""
    assert not checkpoint.knows_joints
    assert checkpoint.posture is not None
    assert checkpoint.posture.reads == ["keypoints"]


def test_simulated_people_alone_are_shown_whatever_their_share(tmp_path: Path) -> None:
    (tmp_path / "none.toml").write_text("simulated_share = 0.0\n")
    assert run("--config", tmp_path / "none.toml", "--out", tmp_path, *TINY) == Exit.OK
    assert load_checkpoint(tmp_path / "checkpoint.pt").knows_joints


@pytest.mark.parametrize("option", ["--every", "--threads"])
def test_a_count_that_is_none_is_refused(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run("--out", tmp_path, option, 0)
    assert f"argument {option}: invalid whole number from 1 value: '0'" in capsys.readouterr().err


def test_a_file_in_place_of_the_folder_is_refused_before_any_work(tmp_path: Path, capsys) -> None:
    (tmp_path / "file").touch()
    assert run("--out", tmp_path / "file", *TINY) == Exit.USAGE
    error = capsys.readouterr().err
    assert f"cannot make the folder {tmp_path / 'file'}: File exists: choose another --out" in error
    assert error.count("\n") == 1


def test_a_model_is_adapted_to_unlabelled_recordings(trained: Path, pmd: Path, tmp_path: Path, capsys) -> None:
    """The recordings are of a simulated mat; the sidecar with their joints is taken away."""
    night = tmp_path / "night.matlog"
    export = ("--simulated", "3", "--duration", "2", "--rate", "5", "--out", str(night))
    assert train_export.main(export) == Exit.OK
    night.with_suffix(".truth.jsonl").unlink()
    few = ("--steps-map", 3, "--batch", 4, "--simulated-people", 4, "--threads", 1)
    out = tmp_path / "adapted"
    assert run("--init", trained, "--recordings", tmp_path, "--out", out, *few) == Exit.OK
    before, after = load_checkpoint(trained), load_checkpoint(out / "checkpoint.pt")
    assert after.training.people == ["pmd:12", "recording:night"]
    assert after.training.labelled_people == ["pmd:12"]
    assert after.training.data == before.training.data
    assert after.training.simulated_seeds == before.training.simulated_seeds
    assert after.training.init_sha256 == sha256_of(trained)
    assert "--init checkpoint.pt" in after.training.command
    assert float(losses(out)[-1]["consistency"]) > 0
    assert after.joint_map == before.joint_map
    assert after.posture == before.posture
    assert not torch.equal(after.encoder["joints.weight"], before.encoder["joints.weight"])
    assert run("--recordings", tmp_path, "--out", out, *few) == Exit.USAGE
    assert "trained with other settings" in capsys.readouterr().err


def test_postures_that_a_data_set_knows_stay_out_of_an_adaptation(trained: Path, pmd: Path, tmp_path: Path) -> None:
    """The reader of pmd knows each map's posture; without --joints the posture head is handed down untouched."""
    few = ("--steps-map", 1, "--batch", 4, "--simulated-people", 0, "--threads", 1)
    unlabelled = ("--data", pmd, "--experiment", "ii", "--subjects", 4)
    assert run("--init", trained, *unlabelled, "--out", tmp_path, *few) == Exit.OK
    after = load_checkpoint(tmp_path / "checkpoint.pt")
    assert after.posture == load_checkpoint(trained).posture
    assert after.training.people == ["pmd:12", "pmd:5"]


def test_annotated_maps_are_kept_in_practice_beside_unlabelled_ones_of_another_mat(
    trained: Path, pmd: Path, joints_i: Path, tmp_path: Path
) -> None:
    """Heads are fitted anew on the annotated maps; of the other mat neither joints nor postures are taken."""
    few = ("--steps-map", 2, "--batch", 8, "--simulated-people", 0, "--threads", 1)
    practised = ("--data", pmd, "--subjects", 12, "--joints", joints_i)
    assert run("--init", trained, *practised, "--unlabelled-ii", 4, "--out", tmp_path, *few) == Exit.OK
    rows, after = losses(tmp_path), load_checkpoint(tmp_path / "checkpoint.pt")
    assert any(float(row["joints"]) > 0 for row in rows)
    assert all(float(row["consistency"]) > 0 for row in rows)
    assert after.training.people == ["pmd:12", "pmd:5"]
    assert after.training.labelled_people == ["pmd:12"]
    assert after.posture
    assert after.posture != load_checkpoint(trained).posture


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ((), "--unlabelled-ii is about pmd: give its folder with --data"),
        (("--data", "x", "--format", "popu"), "--unlabelled-ii is about pmd"),
        (("--data", "PMD", "--experiment", "ii"), "--unlabelled-ii goes beside Experiment I"),
    ],
)
def test_unlabelled_maps_go_only_beside_experiment_i(more, words, pmd: Path, trained, tmp_path: Path, capsys) -> None:
    capsys.readouterr()
    more = [str(pmd) if part == "PMD" else part for part in more]
    assert run("--init", trained, "--unlabelled-ii", 4, *more, "--out", tmp_path / "run") != Exit.OK
    assert words in capsys.readouterr().err


def test_an_adaptation_goes_on_only_from_the_model_that_it_began_with(trained: Path, tmp_path: Path, capsys) -> None:
    few = ("--steps-map", 1, "--batch", 4, "--simulated-people", 4, "--threads", 1)
    other = load_checkpoint(trained)
    other.history = []
    other.save(tmp_path / "other.pt")
    assert run("--init", trained, "--out", tmp_path / "a", *few) == Exit.OK
    assert run("--init", tmp_path / "other.pt", "--out", tmp_path / "a", *few) == Exit.USAGE
    assert "began from another model" in capsys.readouterr().err


def test_an_adaptation_records_the_labels_that_it_was_given_itself(
    trained: Path, pmd: Path, joints_i: Path, tmp_path: Path, capsys
) -> None:
    """Those before are told by the model that it began from; the people's names alone would be the same."""
    few = ("--steps-map", 1, "--batch", 4, "--simulated-people", 0, "--threads", 1)
    adapted = ("--init", trained, "--data", pmd, "--subjects", 12, "--out", tmp_path, *few)
    assert run(*adapted) == Exit.OK
    training = load_checkpoint(tmp_path / "checkpoint.pt").training
    assert (training.labelled_people, training.labels_sha256) == (["pmd:12"], "")
    assert run(*adapted, "--joints", joints_i) == Exit.USAGE
    assert "was trained on other labels of these people (none, not " in capsys.readouterr().err


def test_a_gpu_that_is_not_there_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("here is one")
    assert run("--out", tmp_path, "--device", "cuda", *TINY) == Exit.USAGE
    assert "PyTorch finds no GPU here" in capsys.readouterr().err


def test_a_run_killed_hard_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from train.commands import run; run()", "--out", str(tmp_path), "--every", "2"]
    command += [
        "--steps-mask",
        "4",
        "--steps-map",
        "36",
        "--batch",
        "4",
        "--simulated-people",
        "4",
        "--threads",
        "1",
    ]
    path = tmp_path / "checkpoint.pt"
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while not path.exists():
            assert process.poll() is None, "ended before its first checkpoint"
        os.kill(process.pid, signal.SIGKILL)
    step = load_checkpoint(path).step
    assert step % 2 == 0
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"at step {step} of 40" in again.stderr
    assert load_checkpoint(path).step == 40
    rows = losses(tmp_path)
    assert [int(row["step"]) for row in rows] == list(range(1, 41))


def test_evaluation_tells_errors_cost_and_whose_maps(
    trained: Path, pmd: Path, joints_i: Path, tmp_path, capsys
) -> None:
    out = tmp_path / "eval.json"
    arguments = ("--model", trained, "--data", pmd, "--subjects", 11, "--joints", joints_i, "--json", out)
    assert evaluate(*arguments) == Exit.OK
    result = json.loads(out.read_text())
    assert result["data"]["people"] == ["pmd:11"]
    assert result["data"]["maps"] == 17
    assert result["data"]["seen_in_training"] == []
    assert result["model"]["parameters"] <= 70_000
    assert result["model"]["mac"] <= 15_000_000
    for key in ("joints", "keypoints_linear"):
        assert 0 < result[key]["mean_cm"] < 80
        assert 0 <= result[key]["pck_5cm"] <= result[key]["pck_10cm"] <= 100
    assert "pmd:11" in capsys.readouterr().out


def test_folds_are_evaluated_together(trained: Path, pmd: Path, joints_i: Path, tmp_path: Path) -> None:
    """The same model twice stands for two folds: the pooled figure lies between the two."""
    where = ("--data", pmd, "--joints", joints_i)
    single = []
    for subject in (11, 13):
        assert evaluate("--model", trained, *where, "--subjects", subject, "--json", tmp_path / "one.json") == Exit.OK
        single.append(json.loads((tmp_path / "one.json").read_text())["joints"]["mean_cm"])
    folds = ("--fold", f"{trained}=11", "--fold", f"{trained}=13")
    out = ("--json", tmp_path / "both.json", "--markdown", tmp_path / "both.md")
    assert evaluate(*folds, *where, *out) == Exit.OK
    both = json.loads((tmp_path / "both.json").read_text())
    assert min(single) < both["joints"]["mean_cm"] < max(single)
    assert both["joints"]["interval_95"]["mean_cm"] == pytest.approx(sorted(single))
    assert f"| joints | {both['joints']['mean_cm']:.2f} (" in (tmp_path / "both.md").read_text()


def test_evaluation_warns_of_people_the_model_knows(trained: Path, pmd: Path, joints_i: Path, capsys) -> None:
    assert evaluate("--model", trained, "--data", pmd, "--subjects", "12", "--joints", joints_i) == Exit.OK
    assert "warning: pmd:12 trained this model" in capsys.readouterr().out


def test_a_person_of_experiment_ii_is_known_from_experiment_i(pmd: Path, joints_i, joints_ii, tmp_path, capsys) -> None:
    assert run("--data", pmd, "--subjects", 5, "--joints", joints_i, "--out", tmp_path, *TINY) == Exit.OK
    where = ("--data", pmd, "--experiment", "ii", "--subjects", 4, "--joints", joints_ii)
    assert evaluate("--model", tmp_path / "checkpoint.pt", *where) == Exit.OK
    assert "pmd:5 trained this model" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"--joints": None}, Exit.USAGE, "--joints FILE is needed"),
        ({"--model": None}, Exit.USAGE, "give either --model FILE or --fold"),
        ({"--model": "none.pt"}, Exit.MISSING_INPUT, "no checkpoint none.pt"),
        ({"--model": "none.tflite"}, Exit.MISSING_INPUT, "no model none.tflite"),
        ({"--subjects": "7"}, Exit.MISSING_INPUT, "no subject 7"),
        ({"--data": "nowhere"}, Exit.MISSING_INPUT, "no nowhere/experiment-i"),
    ],
)
def test_bad_input_is_named_on_one_line(trained, pmd, joints_i, capsys, changes, code, words) -> None:
    options = {"--model": trained, "--data": pmd, "--subjects": "11", "--joints": joints_i} | changes
    arguments = [part for key, value in options.items() if value is not None for part in (key, value)]
    capsys.readouterr()
    assert evaluate(*arguments) == code
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_other_data_sets_train_and_evaluate_by_their_format(trained: Path, tmp_path: Path, capsys) -> None:
    """A folder in PoPu's layout: it has no joints, so there is nothing to score."""
    for i in range(3):
        readings = [(7 * i + 3 * n) % 90 for n in range(64 * 27)]
        snapshots = {"0": {"id": 0, "tactilus_readings": readings}}
        person = {"volunteer_id": i, "sex": "F", "height": 170, "weight": 60, "tactilus_columns": 27}
        about = {"tactilus_rows": 64, "position": "supine", "variation": "", "snapshots": snapshots}
        path = tmp_path / "tactilus_data" / str(i) / "supine_1.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(person | about))
    assert run("--data", tmp_path, "--format", "popu", "--out", tmp_path / "run", *TINY) == Exit.OK
    training = load_checkpoint(tmp_path / "run" / "checkpoint.pt").training
    assert training.data == ["PoPu, rdionisio1403/PoPu (CC0)"]
    assert len(training.people) == 3
    capsys.readouterr()
    assert evaluate("--model", trained, "--data", tmp_path, "--format", "popu") == Exit.MISSING_INPUT
    assert "none of these maps has annotated joints" in capsys.readouterr().err
    assert run("--data", tmp_path, "--format", "popu", "--experiment", "ii", "--out", tmp_path / "x") == Exit.USAGE
    assert "go with --format pmd" in capsys.readouterr().err


def test_settings_come_from_a_toml_file_and_can_be_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        train_run.main(["--print-config"])
    text = capsys.readouterr().out
    (tmp_path / "train.toml").write_text(text.replace("keypoints = 32", "keypoints = 6"))
    assert run("--config", tmp_path / "train.toml", "--out", tmp_path, *TINY) == Exit.OK
    config = load_checkpoint(tmp_path / "checkpoint.pt").config
    assert (config.encoder.keypoints, config.batch) == (6, 4)
