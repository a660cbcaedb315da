"""sd_notify against real datagram sockets: what a service manager hears, and that nothing ever stops the daemon."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.notify import Notifier


class Manager:
    """The service manager's end of NOTIFY_SOCKET."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        """All messages since the last call."""
        messages = []
        try:
            while True:
                messages.append(self.socket.recv(4096).decode())
        except BlockingIOError:
            return messages


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@edge-run-test-{secrets.token_hex(8)}"
    manager = Manager(name)
    yield manager
    manager.socket.close()


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_start_and_stop_are_one_message_each(manager: Manager) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.name})
    notifier.ready()
    assert manager.heard() == ["READY=1"]
    notifier.stopping()
    assert manager.heard() == ["STOPPING=1"]


def test_a_status_is_one_line_and_sent_when_it_changes(manager: Manager) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.name})
    for text in ("bed: 10.0 frames/s", "bed: 10.0 frames/s", "bed: no frame for 3 s\nREADY=1"):
        notifier.status(text)
    assert manager.heard() == ["STATUS=bed: 10.0 frames/s", "STATUS=bed: no frame for 3 s READY=1"]


def test_the_watchdog_is_pinged_at_once_and_then_at_most_every_half_of_its_time(manager: Manager) -> None:
    clock = Clock()
    environment = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}
    notifier = Notifier(environment, clock)
    pinged_s = []
    for _ in range(400):
        notifier.watchdog()
        pinged_s += [clock.now_s] * len(manager.heard())
        clock.now_s += 0.125
    assert pinged_s == [100.0, 115.0, 130.0, 145.0]


@pytest.mark.parametrize(
    "watchdog",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid() + 1)},
    ],
)
def test_a_watchdog_that_waits_for_nobody_or_for_another_process_is_not_pinged(
    manager: Manager, watchdog: dict[str, str]
) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.name} | watchdog)
    notifier.watchdog()
    assert notifier.watchdog_every_s is None
    assert manager.heard() == []


@pytest.mark.parametrize("name", ["", "vsock:2:1234", "relative/path"])
def test_without_a_socket_nothing_happens(name: str, caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000"})
    notifier.ready()
    notifier.status("well")
    notifier.watchdog()
    notifier.stopping()
    assert caplog.messages == []


def test_a_manager_that_has_gone_is_logged_and_told_the_status_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = tmp_path / "notify"
    notifier = Notifier({"NOTIFY_SOCKET": str(name)})
    notifier.status("well")
    assert caplog.messages == ["systemd does not hear STATUS: [Errno 2] No such file or directory"]
    manager = Manager(str(name))
    notifier.status("well")
    assert manager.heard() == ["STATUS=well"]
    manager.socket.close()


def test_a_manager_that_does_not_read_does_not_stop_the_daemon(
    manager: Manager, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edge.notify.SEND_TIMEOUT_S", 0.01)
    notifier = Notifier({"NOTIFY_SOCKET": manager.name})
    for n in range(100_000):
        notifier.status(str(n))
        if caplog.messages:
            break
    assert caplog.messages == ["systemd does not hear STATUS: timed out"]


def test_systemd_s_own_tool_says_the_same(manager: Manager) -> None:
    """systemd-notify --ready --status, the reference for what is on the socket."""
    if not shutil.which("systemd-notify"):
        pytest.skip("no systemd-notify on this machine")
    environment = {"NOTIFY_SOCKET": manager.name, "PATH": os.environ["PATH"]}
    subprocess.run(["systemd-notify", "--no-block", "--ready", "--status=well"], env=environment, check=True)
    reference = [line for message in manager.heard() for line in message.splitlines()]
    program = "from edge.notify import Notifier; n = Notifier(); n.ready(); n.status('well')"
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert manager.heard() == ["READY=1", "STATUS=well"]
    assert {"READY=1", "STATUS=well"} <= set(reference)
