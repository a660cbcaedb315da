"""edge-run asked for what cannot be: one line that says so, and an exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from daemon_process import PROGRAM, complaint, run
from edge_packages import package


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package(tmp_path_factory.mktemp("package"))


def test_a_model_that_disagrees_with_its_manifest(tmp_path: Path) -> None:
    daemon = run("--port", "sim:", "--model", package(tmp_path, model_sha256="0" * 64))
    assert daemon.process.returncode == 78
    assert "SHA-256" in complaint(daemon)
    assert daemon.errors.count("\n") == 1
    assert daemon.lines == []


def test_a_text_file_as_model(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_text("This is not the model you are looking for.\n")
    daemon = run("--port", "sim:", "--model", tmp_path / "model.tflite")
    assert daemon.process.returncode == 78
    assert "is not a .tflite model" in complaint(daemon)
    assert daemon.errors.count("\n") == 1


@pytest.mark.parametrize("content", [b"", b"I am a diary, not a recording.\n" * 100])
def test_an_empty_or_foreign_file_as_recording(tmp_path: Path, content: bytes, model: Path) -> None:
    path = tmp_path / "file.matlog"
    path.write_bytes(content)
    daemon = run("--replay", path, "--model", model)
    assert daemon.process.returncode == 65
    assert str(path) in complaint(daemon)
    assert daemon.lines == []


def test_a_pipe_as_recording(tmp_path: Path, model: Path) -> None:
    pipe = tmp_path / "pipe.matlog"
    os.mkfifo(pipe)
    daemon = run("--replay", pipe, "--model", model)
    assert daemon.process.returncode == 66
    assert f"{pipe} is a pipe: save the recording" in complaint(daemon)


def test_a_run_that_does_not_begin_leaves_no_recording_behind(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "night.matlog"
    for arguments in (("sim:", "-F", f"csv:{tmp_path}/none/a.csv"), ("/dev/none", "--on-disconnect", "quit")):
        daemon = run("--port", *arguments, "--record", path, "--model", model)
        assert daemon.process.returncode == 66
        assert not path.exists()


def test_missing_files(tmp_path: Path, model: Path) -> None:
    for arguments in (
        ("--replay", tmp_path / "none.matlog", "--model", model),
        ("--port", "sim:", "--model", tmp_path / "none.tflite"),
    ):
        daemon = run(*arguments)
        assert daemon.process.returncode == 66
        assert str(tmp_path / "none.") in complaint(daemon)


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "--port sim: --replay x.matlog",
        "--replay x.matlog --record y.matlog",
        "--port sim: --speed 2",
        "--port sim: --output gopher:x",
        "--port sim:?colour=red",
        "--port sim:?rate=nan",
        "--port sim:?rate=inf",
        "--port sim: --orientation sideways",
        "--replay x.matlog --speed 0",
        "--port sim: --duration -1",
        "--port sim: --duration inf",
        "--port sim: --on-disconnect panic",
        "--port sim: --colour red",
    ],
)
def test_wrong_usage(arguments: str, model: Path) -> None:
    daemon = run(*arguments.split(), "--model", model)
    assert daemon.process.returncode == 2
    assert "error: " in daemon.errors or complaint(daemon)


def test_a_recording_is_never_overwritten(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "night.matlog"
    path.write_text("precious")
    daemon = run("--port", "sim:", "--duration", 1, "--record", path, "--model", model)
    assert daemon.process.returncode == 2
    assert path.read_text() == "precious"


def test_help_names_every_option_and_exit_code() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    options = (
        "--port --mat --format --baud --dtr --no-dtr --grid --pitch --orientation --on-disconnect --replay -r --speed "
        "--model --mirrored-too --no-smoothing --duration -T --output -F --record -w --token-file --state-dir --config "
        "-c --check-config --print-config --list-ports --version"
    )
    assert [option for option in options.split() if option not in done.stdout] == []
    assert "as fast as possible (the default)" in " ".join(done.stdout.split())
    for code in (0, 2, 65, 66, 69, 70, 74, 77, 78):
        assert f"\n  {code:2d}  " in done.stdout


def test_listing_ports_needs_neither_port_nor_model() -> None:
    command = [sys.executable, "-c", PROGRAM, "--list-ports", "--model", "/nowhere"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    assert bool(done.stdout) != ("no serial port" in done.stderr)
