"""edge-run and mats as processes of their own, for tests of what a run does."""

import json
import os
import signal
import socket
import subprocess
import sys
import tty
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from firmware_bridge.encoder import encode, encode_frame
from firmware_bridge.messages import Info

Lines = list[dict[str, Any]]
PROGRAM = "from edge.run import cli; cli()"
ENVIRONMENT = os.environ | {"XDG_STATE_HOME": "/nowhere"}
"""Calibrations of whoever runs the tests are none of theirs."""


class Daemon:
    """A running edge-run whose lines are read one by one. `program`: Python that ends with `cli()`."""

    def __init__(self, *arguments: object, program: str = PROGRAM) -> None:
        command = [sys.executable, "-c", program, *map(str, arguments)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
        )
        self.lines: Lines = []
        self.errors = ""

    def until(self, *what: str) -> dict[str, Any]:
        """Reads on to a line of one of these types, or an event of one of these names."""
        assert self.process.stdout is not None
        for text in self.process.stdout:
            self.lines.append(json.loads(text))
            if said(self.lines[-1]) in what:
                return self.lines[-1]
        raise AssertionError(f"edge-run ended before {what}: {self.process.communicate()[1]}")

    def until_logged(self, text: str) -> str:
        """Reads the log up to a line that holds `text`."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if text in line:
                return line
        raise AssertionError(f"edge-run ended without {text!r}")

    def stop(self) -> int:
        self.process.terminate()
        return self.finish()

    def finish(self) -> int:
        """The rest of its lines, and its exit code."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        with self.process, ThreadPoolExecutor(1) as reading:  # communicate() would forget what `until` has read ahead
            errors = reading.submit(self.process.stderr.read)
            self.lines += map(json.loads, self.process.stdout)
            self.errors = errors.result()
        return self.process.returncode

    def all(self, what: str) -> Lines:
        return [line for line in self.lines if said(line) == what]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """A test that failed leaves nothing running."""
        self.process.kill()
        with self.process:  # closes its pipes, and waits
            pass


def said(line: dict[str, Any]) -> str:
    return str(line.get("event", line["type"]))


def run(*arguments: object, program: str = PROGRAM) -> Daemon:
    daemon = Daemon(*arguments, program=program)
    daemon.finish()
    return daemon


def complaint(daemon: Daemon) -> str:
    """The one line in which it says why it ended; logs and what LiteRT says of itself come before it."""
    assert "Traceback" not in daemon.errors
    *_, last = daemon.errors.splitlines()
    assert last.startswith("edge-run: ")
    assert daemon.errors.count(last.removeprefix("edge-run: ")) == 1, "said twice"
    return last


class Mat:
    """bridge-sim on a pty with a stable name, to be killed, frozen and started again."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.process: subprocess.Popen[str] | None = None

    def start(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "firmware_bridge.bridge_sim", "--link", str(self.link), *map(str, arguments)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        assert "bridge-sim:" in self.process.stderr.readline()

    def kill(self) -> None:
        """As if the plug were pulled: it cleans nothing up."""
        if self.process:
            self.process.kill()
            self.process.communicate()
            self.process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The port stays open and no byte comes."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


class Port:
    """A serial port whose other end is the test."""

    def __init__(self) -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.name = os.ttyname(self._slave)
        self._seq = 0

    def wait_until_open_by(self, daemon: Daemon) -> None:
        """Whoever opens a port throws away what came before."""
        daemon.until_logged("the port is open")

    def send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.master, data) :]

    def say(self, info: Info) -> None:
        """INFO, after which frames count from 0 again."""
        self.send(encode(info))
        self._seq = 0

    def frame(self, counts: Any) -> None:
        self.send(encode_frame(counts, seq=self._seq, t_us=self._seq * 100_000))
        self._seq += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._slave)
        os.close(self.master)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str) -> tuple[int, Any]:
    """Status and JSON of a page of the live view."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)
