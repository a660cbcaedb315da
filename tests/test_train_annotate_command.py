"""The command line: what it refuses, and how it ends."""

import socket
from pathlib import Path

import numpy as np
import pytest
from annotate_server import Running, refused, simulated_night

from firmware_bridge.errors import Exit


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulated_night(tmp_path_factory.mktemp("night"))


def test_it_ends_cleanly_and_says_what_is_done(night: Path, tmp_path: Path) -> None:
    with Running(night, "--out", tmp_path / "joints.json", "--count", 3) as running:
        first = running.session()["maps"][0]
        body = {"name": first["name"], "points": first["guess"], "accepted": True, "active_s": 1}
        assert running.ask("POST", "/label", body)[0] == 200
        code, said = running.stop()
    assert code == Exit.OK
    assert "1 of 3 maps are done" in said


def test_it_listens_on_this_machine_alone(night: Path, tmp_path: Path) -> None:
    with Running(night, "--out", tmp_path / "joints.json", "--count", 1) as running:
        listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        addresses = {f[1] for f in listening if f[3] == "0A" and f[1].endswith(f":{running.port:04X}")}
    assert addresses == {f"0100007F:{running.port:04X}"}


def test_a_folder_of_recordings_is_taken_as_a_whole(night: Path, tmp_path: Path) -> None:
    with Running(night.parent, "--out", tmp_path / "joints.json", "--count", 1) as running:
        assert running.session()["maps"][0]["name"].startswith("night.matlog/")
        assert running.session()["use"].startswith(f"train-run --recordings {night.parent} --joints ")


def test_a_mat_that_says_wrong_how_it_lies_is_put_right_and_training_is_told(night: Path, tmp_path: Path) -> None:
    shown = []
    for number, turn in enumerate([(), ("--orientation", "180")]):
        with Running(night, *turn, "--out", tmp_path / f"{number}.json", "--count", 1) as running:
            session = running.session()
        one = session["maps"][0]
        shown.append(np.array(one["pressure"]).reshape(one["rows"], one["cols"]))
        assert f"train-run --recordings {' '.join([str(night), *turn])} --joints " in session["use"]
    assert abs(shown[0][::-1, ::-1] - shown[1]).max() < 0.01


def test_maps_of_pmd_start_at_known_joints_where_asked(pmd: Path, joints_i: Path, tmp_path: Path) -> None:
    data = ("--data", pmd, "--subjects", 13)
    with Running(*data, "--joints", joints_i, "--out", tmp_path / "a.json", "--count", 17) as running:
        told = running.session()["maps"]
    assert sorted(m["name"] for m in told) == sorted(f"S13/{n}" for n in range(1, 18))
    assert {m["guess_is"] for m in told} == {"the joints of --joints"}
    with Running(*data, "--out", tmp_path / "a.json", "--count", 2) as running:
        assert {m["guess_is"] for m in running.session()["maps"]} == {"model"}


def test_what_to_do_with_labels_of_pmd_names_the_maps_that_were_shown(pmd: Path, tmp_path: Path) -> None:
    shown = ("--data", pmd, "--experiment", "ii", "--mat", "air", "--subjects", "1-2")
    with Running(*shown, "--out", tmp_path / "air.json", "--count", 1) as running:
        use = running.session()["use"]
    assert use.startswith(f"train-run --data {pmd} --experiment ii --mat air --subjects 1,2 --joints ")


def test_a_taken_port_is_named(night: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, said = refused(night, "--out", tmp_path / "joints.json", "--port", port)
    assert code == Exit.PORT_BUSY
    assert f"127.0.0.1:{port}" in said
    assert "--port" in said


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), Exit.USAGE, "either recordings"),
        (("{night}", "--data", "/"), Exit.USAGE, "either recordings"),
        (("{night}", "--joints", "x.json"), Exit.USAGE, "--joints goes with --data"),
        (("{night}", "--count", "0"), Exit.USAGE, "whole number from 1"),
        (("{night}", "--model", "none.tflite"), Exit.MISSING_INPUT, "no model none.tflite"),
        (("none.matlog",), Exit.MISSING_INPUT, "no recording none.matlog"),
        (("--data", "none"), Exit.MISSING_INPUT, "no none/experiment-i"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    night: Path, tmp_path: Path, arguments: tuple[str, ...], code: Exit, words: str
) -> None:
    given = [a.format(night=night) for a in arguments]
    result, said = refused(*given, "--out", tmp_path / "joints.json")
    assert result == code
    assert words in said
    assert "Traceback" not in said
