"""The page's two requests: who may ask, what is refused, and what a kill -9 costs (nothing)."""

import random
import threading
import time
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from annotate_server import Running, simulated_night

from train.annotations import Annotations


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulated_night(tmp_path_factory.mktemp("night"))


@pytest.fixture(scope="module")
def server(night: Path) -> Iterator[Running]:
    with Running(night, "--out", night.with_name("joints.json"), "--count", 3) as running:
        yield running


def label(running: Running, **changes: Any) -> dict[str, Any]:
    first = running.session()["maps"][0]
    return {"name": first["name"], "points": first["guess"], "accepted": True, "active_s": 1.5} | changes


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "localhost.evil.example:{port}"])
def test_a_foreign_host_name_is_refused(server: Running, host: str) -> None:
    """A page whose name was made to point to this machine (DNS rebinding) sends its own name."""
    for method, path in (("GET", "/"), ("GET", "/session.json"), ("POST", "/label")):
        status, body = server.ask(method, path, label(server), Host=host.format(port=server.port))
        assert status == 403
        assert b"night" not in body


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1"])
def test_a_foreign_origin_can_neither_write_nor_read(server: Running, night: Path, origin: str) -> None:
    foreign = origin.format(port=server.port)
    assert server.ask("POST", "/label", label(server), Origin=foreign)[0] == 403
    assert server.ask("GET", "/session.json", Origin=foreign)[0] == 403
    assert not night.with_name("joints.json").exists()


def test_localhost_is_this_machine_too(server: Running) -> None:
    assert server.ask("GET", "/session.json", Host=f"localhost:{server.port}")[0] == 200


def test_only_the_files_of_the_page_are_served(server: Running) -> None:
    for name in ("/", "/app.js", "/labels.js", "/picture.js", "/saver.js", "/style.css", "/icon.svg"):
        assert server.ask("GET", name)[0] == 200
    for name in ("/index.html", "/../server.py", "/%2e%2e/server.py", "/label"):
        assert server.ask("GET", name)[0] in {404, 405}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"name": "night.matlog/99999"}, 404),
        ({"points": []}, 400),
        ({"points": [[0, 0, 3]] * 14}, 400),
        ({"points": [[0, -1, 2]] * 14}, 400),
        ({"points": [[40, 0, 2]] * 14}, 400),
        ({"points": [["NaN", 0, 2]] * 14}, 400),
        ({"accepted": "perhaps"}, 400),
        ({"more": 1}, 400),
    ],
)
def test_what_is_no_label_is_refused_and_not_kept(
    server: Running, night: Path, changes: dict[str, Any], status: int
) -> None:
    assert server.ask("POST", "/label", label(server, **changes))[0] == status
    assert server.ask("POST", "/label", b"{")[0] == 400
    assert not night.with_name("joints.json").exists()


def test_a_file_that_cannot_be_written_is_told_and_the_label_can_be_sent_again(night: Path, tmp_path: Path) -> None:
    (tmp_path / "joints.json.partial").mkdir()
    with Running(night, "--out", tmp_path / "joints.json", "--count", 2) as running:
        status, body = running.ask("POST", "/label", label(running))
        assert (status, b"cannot write joints.json" in body) == (507, True)
        (tmp_path / "joints.json.partial").rmdir()
        assert running.ask("POST", "/label", label(running))[0] == 200
    assert len(Annotations.load(tmp_path / "joints.json").frames) == 1


def test_a_file_changed_by_another_program_is_told(night: Path, tmp_path: Path) -> None:
    with Running(night, "--out", tmp_path / "joints.json", "--count", 2) as running:
        (tmp_path / "joints.json").write_text("mine")
        status, body = running.ask("POST", "/label", label(running))
    assert (status, b"changed by another program" in body) == (409, True)
    assert (tmp_path / "joints.json").read_text() == "mine"


def test_what_was_confirmed_is_there_after_a_kill_at_any_moment(night: Path, tmp_path: Path) -> None:
    """Labels are sent without pause; after each kill the file is whole and holds the last one confirmed, or later."""
    out = tmp_path / "joints.json"
    confirmed, sent = 0, 0
    moments = random.Random(0)
    for _ in range(6):
        with Running(night, "--out", out, "--count", 2) as running:
            name = running.session()["maps"][0]["name"]
            killer = threading.Thread(target=lambda r=running: (time.sleep(moments.uniform(0.02, 0.3)), r.kill()))
            killer.start()
            try:
                while True:
                    sent += 1
                    points = [[sent / 100, 1, 2]] * 14
                    if running.ask("POST", "/label", label_of(name, points))[0] == 200:
                        confirmed = sent
            except (OSError, HTTPException):
                killer.join()
        kept = round(Annotations.load(out).frames[name][0][0] * 100) if confirmed else 0
        assert confirmed <= kept <= sent
    assert confirmed > 10


def label_of(name: str, points: list[list[float]]) -> dict[str, Any]:
    return {"name": name, "points": points, "accepted": True, "active_s": 0}
