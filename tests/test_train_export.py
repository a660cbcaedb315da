"""Exports are recordings of the wire: what comes back from them is what went in."""

import json
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.decoder import Decoder, Frame
from firmware_bridge.errors import Exit, run_command
from firmware_bridge.recording import read_recording
from firmware_bridge.skeleton import JOINTS
from train.export import main
from train.pmd import GRID_I, GRID_II, read_pmd
from train.recordings import read_recordings


def export(*arguments: object) -> int:
    return run_command("train-export", lambda: main([str(a) for a in arguments]))


def test_real_maps_come_back_canonical_with_their_joints(pmd: Path, joints_i: Path, tmp_path: Path) -> None:
    out = tmp_path / "s12.matlog"
    assert export("--data", pmd, "--subjects", "12", "--joints", joints_i, "--median", "--out", out) == Exit.OK
    original = read_pmd(pmd, [12], joints=joints_i).medians()
    (maps,) = read_recordings([out])
    np.testing.assert_array_equal(maps.pressure, np.rint(original.pressure))
    np.testing.assert_allclose(maps.joints, original.joints, atol=0.006)
    assert maps.grid == GRID_I
    assert [g.posture for g in maps.groups] == [g.posture for g in original.groups]


def test_the_wire_carries_frames_as_the_device_sent_them(pmd: Path, tmp_path: Path) -> None:
    out = tmp_path / "s12.matlog"
    assert export("--data", pmd, "--subjects", "12", "--out", out) == Exit.OK
    decoder = Decoder()
    first = next(r.event for r in read_recording(out, decoder) if isinstance(r.event, Frame))
    raw = np.loadtxt(pmd / "experiment-i" / "S12" / "1.txt", max_rows=4)[3].reshape(64, 32)
    np.testing.assert_array_equal(first.counts, raw)
    assert decoder.info is not None
    assert decoder.info.orientation.mirrored


def test_experiment_ii_keeps_its_pitch_and_its_turned_mat(pmd: Path, joints_ii: Path, tmp_path: Path) -> None:
    out = tmp_path / "ii.matlog"
    where = ("--data", pmd, "--experiment", "ii", "--subjects", "2", "--joints", joints_ii)
    assert export(*where, "--out", out) == Exit.OK
    (maps,) = read_recordings([tmp_path])
    assert maps.grid == GRID_II
    original = read_pmd(pmd, [2], experiment="ii", joints=joints_ii)
    np.testing.assert_array_equal(maps.pressure, original.pressure)
    assert len(maps.labelled()) == 6


def test_a_simulated_night_has_a_truth_line_for_each_frame(tmp_path: Path) -> None:
    out = tmp_path / "night.matlog"
    assert export("--simulated", 3, "--duration", 5, "--rate", 5, "--out", out) == Exit.OK
    lines = [json.loads(line) for line in out.with_suffix(".truth.jsonl").read_text().splitlines()]
    assert [line["seq"] for line in lines] == list(range(25))
    assert lines[0]["joints"] is None
    assert set(lines[-1]["joints"]) == set(JOINTS)
    (maps,) = read_recordings([out])
    assert len(maps) == 25
    assert maps.joints[-1, :, 2].all()
    assert not maps.joints[0].any()


def test_the_same_command_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        export("--simulated", 3, "--duration", 2, "--out", tmp_path / f"{name}.matlog")
    assert (tmp_path / "a.matlog").read_bytes() == (tmp_path / "b.matlog").read_bytes()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("--rate=0", "invalid rate (0.1 to 200) value: '0'"),
        ("--rate=1e-9", "invalid rate (0.1 to 200) value"),
        ("--rate=nan", "invalid rate (0.1 to 200) value"),
        ("--duration=-1", "invalid number of seconds (above 0) value: '-1'"),
        ("--duration=inf", "invalid number of seconds (above 0) value"),
        ("--simulated=-1", "invalid seed (a whole number from 0) value: '-1'"),
    ],
)
def test_a_night_that_cannot_be_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str, words: str
) -> None:
    with pytest.raises(SystemExit) as refused:
        export("--simulated=7", wrong, "--out", tmp_path / "o.matlog")
    assert refused.value.code == Exit.USAGE
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [(), ("--data", "x", "--simulated", "1")])
def test_one_source_must_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str]) -> None:
    assert export(*arguments, "--out", tmp_path / "o.matlog") == Exit.USAGE
    assert capsys.readouterr().err == "train-export: give either --data DIR or --simulated SEED\n"


def test_a_recording_is_never_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "night.matlog"
    out.write_bytes(b"precious")
    assert export("--simulated", 3, "--duration", 1, "--out", out) == Exit.USAGE
    assert out.read_bytes() == b"precious"


@pytest.mark.parametrize("folder", [False, True])
def test_a_truth_is_never_overwritten_and_leaves_no_recording_without_one(folder: bool, tmp_path: Path, capsys) -> None:
    truth = tmp_path / "night.truth.jsonl"
    if folder:
        truth.mkdir()
    else:
        truth.write_text("precious")
    assert export("--simulated", 3, "--duration", 1, "--out", tmp_path / "night.rec") == Exit.USAGE
    assert f"{truth} exists and is never overwritten: choose another name" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [truth]


def test_truth_belongs_to_its_frames_after_the_devices_clock_has_gone_round(tmp_path: Path) -> None:
    out = tmp_path / "long.matlog"
    assert export("--simulated", 1, "--duration", 4400, "--rate", 0.1, "--out", out) == Exit.OK
    lines = [json.loads(line) for line in out.with_suffix(".truth.jsonl").read_text().splitlines()]
    frames = [r.event for r in read_recording(out) if isinstance(r.event, Frame)]
    assert [(line["seq"], line["t_us"]) for line in lines] == [(frame.seq, frame.t_us) for frame in frames]
    assert lines[-1]["t_us"] < lines[-20]["t_us"]


def test_joints_of_other_maps_are_refused(pmd: Path, joints_ii: Path, tmp_path: Path, capsys) -> None:
    where = ("--data", pmd, "--subjects", 12, "--joints", joints_ii)
    assert export(*where, "--out", tmp_path / "o.matlog") == Exit.MISSING_INPUT
    assert "has joints of none of these maps" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--simulated", 1, "--median"), "--median does not go with --simulated"),
        (("--simulated", 1, "--subjects", 3), "--subjects does not go with --simulated"),
        (("--data", "x", "--rate", 5), "--rate does not go with --data"),
        (("--simulated", 1, "--duration", 0.01), "0.01 s at 10 frames/s is no frame: ask for more"),
    ],
)
def test_options_that_would_do_nothing_are_refused(arguments, words: str, tmp_path: Path, capsys) -> None:
    assert export(*arguments, "--out", tmp_path / "o.matlog") == Exit.USAGE
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
