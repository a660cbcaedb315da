"""Outputs as their URIs name them: each gets its options, a queue of its own, and what it may lose."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest
from output_items import event, pose, stderr_of, wait_until

from edge.control import Control
from edge.outputs.opening import FACTORIES, open_outputs
from edge.outputs.sink import OutputClosed
from edge.outputs.uri import EXAMPLES, OPTIONS, parse_all
from firmware_bridge.errors import Exit, Failure

CONTROL = Control(["bed"])


def test_files_and_datagrams_get_every_line(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(30)
        udp = f"udp://127.0.0.1:{listener.getsockname()[1]}"
        with open_outputs(parse_all([f"json:{tmp_path}/a.json", f"csv:{tmp_path}/a.csv", udp]), CONTROL) as outputs:
            outputs.put(event("a"))
            outputs.put(pose(1))
            datagrams = [json.loads(listener.recv(1 << 16))["type"] for _ in range(2)]
    lines = [json.loads(line)["type"] for line in (tmp_path / "a.json").read_text().splitlines()]
    assert lines == datagrams == ["event", "pose"]
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 2
    assert [counts.written for counts in outputs.counts().values()] == [2, 2, 2]


def test_options_reach_the_file_and_the_queue(tmp_path: Path) -> None:
    texts = [f"json:{tmp_path}/a.json?rotate_mb=0.003&keep=2&rate=5"]
    with open_outputs(parse_all(texts), CONTROL, lossless=True) as outputs:
        for seq in range(100):
            outputs.put(pose(seq))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.json.1", "a.json.2"]
    (counts,) = outputs.counts().values()
    assert (counts.written, counts.thinned, counts.dropped) == (50, 50, 0)


def test_in_a_replay_files_lose_nothing(tmp_path: Path) -> None:
    texts = [f"json:{tmp_path}/a.json", f"csv:{tmp_path}/a.csv"]
    with open_outputs(parse_all(texts), CONTROL, lossless=True) as outputs:
        for seq in range(1000):
            outputs.put(pose(seq))
    for name in ("a.json", "a.csv"):
        assert len((tmp_path / name).read_text().splitlines()) >= 1000
    assert all(counts.dropped == 0 for counts in outputs.counts().values())


def test_an_output_that_can_never_open_fails_before_any_line_and_closes_the_others(tmp_path: Path) -> None:
    good, bad = f"json:{tmp_path}/a.json", f"json:{tmp_path}/nowhere/b.json"
    with pytest.raises(Failure, match="no folder") as refused:
        open_outputs(parse_all([good, bad]), CONTROL)
    assert refused.value.code == Exit.MISSING_INPUT
    open_outputs(parse_all([good]), CONTROL).close()  # a file still open could not be opened again


def test_a_stdout_that_was_closed_before_the_start_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(OutputClosed):
        open_outputs(parse_all(["json:-"]), CONTROL)


def test_a_replay_that_waits_for_room_ends_when_it_is_to_stop(tmp_path: Path) -> None:
    """A pipe that nobody reads as stdout, in a process of its own."""
    program = (
        "import sys\n"
        "from output_items import pose\n"
        "from edge.control import Control\n"
        "from edge.outputs.opening import open_outputs\n"
        "from edge.outputs.uri import parse_all\n"
        "import time; end_s = time.monotonic() + 0.5\n"
        "with open_outputs(parse_all(['json:-']), Control([]), lossless=True,"
        " stopping=lambda: time.monotonic() > end_s) as outputs:\n"
        "    for seq in range(2000): outputs.put(pose(seq))\n"
        "    outputs.close(0.1)\n"
        "    print(outputs.counts()['json:-'].dropped, file=sys.stderr)\n"
    )
    assert int(stderr_of(program)[-1]) > 1000


def test_plain_lines_load_no_library_of_another_output(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from edge.control import Control\n"
        "from edge.outputs.opening import open_outputs\n"
        "from edge.outputs.uri import parse_all\n"
        "parse_all(['mqtt://pi', 'http://127.0.0.1:8765'])\n"
        "open_outputs(parse_all(['json:-', 'csv:out.csv', 'udp://127.0.0.1:9']), Control([])).close()\n"
        "print(*{name.partition('.')[0] for name in sys.modules})\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    loaded = set(run.stdout.split())
    assert "edge" in loaded
    assert not loaded & {"aiohttp", "paho", "prometheus_client"}


def test_rates_of_outputs_are_their_own(tmp_path: Path) -> None:
    texts = [f"json:{tmp_path}/all.json", f"json:{tmp_path}/few.json?rate=0.001"]
    with open_outputs(parse_all(texts), CONTROL) as outputs:
        for seq in range(20):
            outputs.put(pose(seq))
            wait_until(lambda seq=seq: outputs.outputs[0].counts().written == seq + 1)
    texts = [(tmp_path / name).read_text() for name in ("all.json", "few.json")]
    every, few = ([json.loads(line)["seq"] for line in text.splitlines()] for text in texts)
    assert every == list(range(20))
    assert few == [few[0]]


def test_every_scheme_has_a_factory() -> None:
    assert set(FACTORIES) == set(EXAMPLES) == set(OPTIONS)


def test_the_live_view_is_served_with_what_the_queues_lost() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with open_outputs(parse_all([f"http://127.0.0.1:{port}"]), CONTROL) as outputs:
        outputs.put(pose(1))
        wait_until(lambda: next(iter(outputs.counts().values())).written)
        with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            metrics = answer.read().decode()
    assert f"http://127.0.0.1:{port}" in metrics


def test_the_live_view_for_all_needs_a_token() -> None:
    with pytest.raises(Failure, match="--token-file"):
        open_outputs(parse_all(["http://0.0.0.0:8765"]), CONTROL)
    open_outputs(parse_all(["http://0.0.0.0:0"]), CONTROL, token="a secret of many letters".replace(" ", "-")).close()


def test_a_broker_that_is_not_there_holds_up_neither_start_nor_end() -> None:
    with open_outputs(parse_all(["mqtt://me@127.0.0.1:9/beds?discovery=off&rate=5"]), CONTROL) as outputs:
        outputs.put(event("a"))
        outputs.check()
        outputs.close(0.1)
