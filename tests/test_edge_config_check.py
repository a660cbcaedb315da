"""What a configuration names and the machine does not have."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from edge_packages import package

from edge.config.check import missing, read_token
from edge.config.file import ConfigFile, read_file
from edge.config.settings import DaemonConfig, MatSettings, RecordSettings
from firmware_bridge.errors import Exit, Failure

NOBODY = 65534
TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package(tmp_path_factory.mktemp("package"))


def found(default: Path, folder: Path, **settings: Any) -> list[str]:
    settings = {"model": default, "state_dir": folder, "mat": [MatSettings(port="sim:")], **settings}
    return list(missing(DaemonConfig(**settings), ConfigFile()))


def test_nothing_is_missing_where_everything_is(model: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert (
        found(
            model,
            tmp_path / "made" / "later",
            token_file=tmp_path / "token",
            output=["json:-", f"csv:{tmp_path}/a.csv", "http://0.0.0.0:8765", "mqtt://nowhere.example"],
            recording=RecordSettings(path=tmp_path),
            mat=[MatSettings(port="sim:?seed=7"), MatSettings(name="b", port="/dev/not-plugged-in")],
        )
        == []
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": Path("/none.tflite")}, ["no model /none.tflite"]),
        ({"token_file": Path("/none")}, ["no token file /none"]),
        ({"recording": RecordSettings(path=Path("/none"))}, ["no folder /none for recordings"]),
        ({"recording": RecordSettings(path=Path("/none/a.matlog"))}, ["no folder /none for recordings"]),
        ({"recording": RecordSettings(path=Path("exists.matlog"))}, ["exists.matlog exists and is never overwritten"]),
        ({"state_dir": Path("exists.matlog/state")}, ["exists.matlog, where state_dir"]),
        ({"output": ["csv:/none/a.csv"]}, ["no folder /none"]),
        ({"output": ["mqtts://host?cafile=/none.pem"]}, ["cafile /none.pem: No such file"]),
        ({"output": ["mqtts://host?cafile=exists.matlog"]}, ["cafile exists.matlog: no certificate in it"]),
        ({"output": ["mqtt://host?discovery=a%2B"]}, ["discovery a+ is no topic"]),
        ({"mat": []}, ["no mat: add [[mat]]"]),
        ({"output": ["http://0.0.0.0:8765"]}, ["would show people in bed"]),
        ({"output": ["http://0.0.0.0:8765"], "token_file": Path("/none")}, ["no token file /none"]),
        ({"mat": [MatSettings(port="sim:?colour=red")]}, ["sim:?colour=red is not understood"]),
        ({"model": Path("/none.tflite"), "token_file": Path("/none")}, ["no model", "no token file"]),
    ],
)
def test_each_thing_that_is_missing_is_one_line(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exists.matlog").touch()
    lines = found(model, tmp_path, **settings)
    assert len(lines) == len(words)
    assert all(word in line for word, line in zip(words, lines, strict=True))


def test_what_systemd_makes_when_the_service_starts_is_told_of_and_nothing_missing(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = Path("/run/credentials/edge-run@no-such-bed.service/token")
    recordings = Path("/run/edge-run/no-such-bed")
    settings = {"token_file": token, "recording": RecordSettings(path=recordings)}
    assert found(model, tmp_path, output=["http://0.0.0.0:8765", f"csv:{recordings}/a.csv"], **settings) == []
    later = "cannot be checked: systemd has to make it when the service starts, by"
    folder = f"edge-run: {recordings} {later} RuntimeDirectory=edge-run/no-such-bed"
    assert capsys.readouterr().err.splitlines() == [
        f"edge-run: {token} {later} LoadCredential=token:FILE", folder, folder,
    ]  # fmt: skip
    with pytest.raises(Failure, match=f"no token file {token}: systemd makes it by LoadCredential=token:FILE") as start:
        read_token(token)
    assert start.value.code == Exit.MISSING_INPUT


def test_what_systemd_made_is_checked_where_it_is_there(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("edge.config.check.CREDENTIALS", tmp_path)
    (tmp_path / "token").touch()
    (line,) = found(model, tmp_path, token_file=tmp_path / "token")
    assert "is empty" in line
    assert capsys.readouterr().err == ""


def test_a_password_of_nobody_is_told_of(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_RUN_MQTT_PASSWORD", "secret")
    (line,) = found(model, tmp_path, output=["mqtt://host"])
    assert "a password without a user" in line
    assert found(model, tmp_path, output=["mqtt://me@host"]) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_folders_that_belong_to_others(tmp_path: Path) -> None:
    """Imports come first: the interpreter may lie where the unprivileged user cannot read."""
    program = f"""
import os
from pathlib import Path
from edge.config.check import missing
from edge.config.file import ConfigFile
from edge.config.settings import DaemonConfig, RecordSettings
config = DaemonConfig(model=Path("/none"), state_dir=Path("/etc/state"), recording=RecordSettings(path=Path("/etc")))
os.setgroups([]), os.setgid({NOBODY}), os.setuid({NOBODY})
print(*missing(config, ConfigFile()), sep="\\n")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "\ncannot write recordings into /etc: choose another place\n" in done.stdout
    assert "\ncannot write into /etc, where state_dir /etc/state is: choose another\n" in done.stdout


def test_what_the_file_says_is_found_there(tmp_path: Path) -> None:
    path = tmp_path / "bed.toml"
    path.write_text("version = 1\n\nmodel = '/none.tflite'\n")
    config = DaemonConfig(model=Path("/none.tflite"), state_dir=tmp_path, mat=[MatSettings(port="sim:")])
    [line] = missing(config, read_file(path))
    assert line.startswith(f"{path}:3: no model /none.tflite")


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (None, Exit.MISSING_INPUT, "no token file"),
        (b" \n", Exit.BAD_CONFIG, "is empty"),
        (b"\xff\xfe", Exit.BAD_CONFIG, "it is no text"),
    ],
)
def test_a_token_file_without_a_token_is_refused(tmp_path: Path, content: bytes | None, code: Exit, words: str) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Failure, match=words) as failure:
        read_token(path)
    assert failure.value.code == code


def test_a_token_is_what_stands_between_blanks(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f" {TOKEN}\r\n")
    assert read_token(tmp_path / "token") == TOKEN
