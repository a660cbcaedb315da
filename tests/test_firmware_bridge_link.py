"""Links to real ptys, sockets and files: how they open, fail, are lost and come back."""

import os
import pty
import socket
import subprocess
import sys
import textwrap
import threading
import tty
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from firmware_bridge.errors import Exit, Failure
from firmware_bridge.link import FIRST_WAIT_S, LONGEST_WAIT_S, LinkDown, LinkLost, LinkUp, ReopeningLink, SerialLink


class Board:
    """The far end of a serial cable: a pty whose slave has a stable name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        new = path.with_suffix(".new")
        new.symlink_to(os.ttyname(slave))
        new.replace(path)
        self.slave = slave

    def unplug(self) -> None:
        os.close(self.slave)
        os.close(self.master)
        self.path.unlink()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mat"


@pytest.fixture
def board(path: Path) -> Iterator[Board]:
    board = Board(path)
    yield board
    if path.is_symlink():
        board.unplug()


def open_files() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))


def test_bytes_go_both_ways_unchanged(board: Board) -> None:
    link = SerialLink(str(board.path))
    everything = bytes(range(256))
    os.write(board.master, everything)
    assert link.read(5) == everything
    link.write(everything)
    assert os.read(board.master, 1000) == everything
    link.close()


def test_reading_without_bytes_ends_empty(board: Board) -> None:
    link = SerialLink(str(board.path))
    assert link.read(0.01) == b""
    link.close()


def test_a_port_is_idle_while_no_byte_waits_in_it(board: Board) -> None:
    link = SerialLink(str(board.path))
    assert link.idle()
    os.write(board.master, b"x")
    assert not link.idle()
    link.read(5)
    assert link.idle()
    link.close()
    assert not link.idle()


def test_a_link_without_a_file_tells_too_whether_it_is_idle() -> None:
    link = SerialLink("loop://")
    assert link.idle()
    link.write(b"x")
    assert not link.idle()
    link.close()


def test_what_is_not_open_is_not_idle() -> None:
    def missing() -> SerialLink:
        raise Failure("no port", Exit.MISSING_INPUT)

    link = ReopeningLink(missing)
    link.read(0.01)
    assert not link.idle()


@pytest.mark.parametrize("call", [lambda link: link.read(1), lambda link: link.write(b"x")])
def test_an_unplugged_device_is_lost_and_leaves_no_file_open(
    board: Board, call: Callable[[SerialLink], object]
) -> None:
    before = open_files()
    link = SerialLink(str(board.path))
    os.close(board.slave)
    os.close(board.master)
    board.path.unlink()
    with pytest.raises(LinkLost, match=str(board.path)):
        call(link)
    assert len(open_files()) == len(before) - 2
    link.close()


def test_a_missing_port_is_one_failure(path: Path) -> None:
    with pytest.raises(Failure, match=f"no port {path}") as caught:
        SerialLink(str(path))
    assert caught.value.code == Exit.MISSING_INPUT


def test_a_file_or_folder_is_no_port(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no port")
    for path in (tmp_path / "file", tmp_path):
        with pytest.raises(Failure, match="no serial port") as caught:
            SerialLink(str(path))
        assert caught.value.code == Exit.MISSING_INPUT


def test_a_device_that_is_no_terminal_does_not_open() -> None:
    before = open_files()
    with pytest.raises(Failure, match="/dev/null") as caught:
        SerialLink("/dev/null")
    assert caught.value.code == Exit.MISSING_INPUT
    assert open_files() == before


def test_a_busy_port_is_one_failure_and_stays_with_its_owner(board: Board) -> None:
    owner = SerialLink(str(board.path))
    before = open_files()
    with pytest.raises(Failure, match="busy") as caught:
        SerialLink(str(board.path))
    assert caught.value.code == Exit.PORT_BUSY
    assert open_files() == before
    os.write(board.master, b"mine")
    assert owner.read(5) == b"mine"
    owner.close()


def test_a_port_without_permission_is_one_failure_that_names_dialout(board: Board) -> None:
    """In a child with an unprivileged user, as root may open everything."""
    if os.geteuid() != 0:
        os.chmod(board.path, 0)
    else:
        os.chmod(board.path, 0o600)
    child = textwrap.dedent("""
        import os, sys
        from firmware_bridge.errors import Failure
        from firmware_bridge.link import SerialLink
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        try:
            SerialLink(sys.argv[1])
        except Failure as failure:
            print(failure)
            sys.exit(failure.code)
    """)
    device = os.path.realpath(board.path)
    done = subprocess.run([sys.executable, "-c", child, device], capture_output=True, text=True, check=False)
    assert done.returncode == Exit.PERMISSION, done.stderr
    assert device in done.stdout
    assert "dialout" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_a_scheme_that_does_not_exist_is_a_usage_error() -> None:
    with pytest.raises(Failure, match="teapot://x") as caught:
        SerialLink("teapot://x")
    assert caught.value.code == Exit.USAGE


def test_a_pyserial_url_without_a_file_works() -> None:
    link = SerialLink("loop://")
    link.write(b"round")
    assert link.read(5) == b"round"
    assert link.read(0.01) == b""
    link.close()


def test_a_socket_works_and_its_end_is_a_loss_that_leaves_no_file_open() -> None:
    before = open_files()
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = SerialLink(f"socket://127.0.0.1:{server.getsockname()[1]}")
        connection, _ = server.accept()
        connection.sendall(bytes(5000))
        got = b""
        while len(got) < 5000:
            got += link.read(5)
        assert got == bytes(5000)
        connection.close()
        with pytest.raises(LinkLost):
            link.read(5)
    assert open_files() == before


def test_a_socket_that_nobody_serves_is_one_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Failure, match="does not open") as caught:
        SerialLink(f"socket://127.0.0.1:{port}")
    assert caught.value.code == Exit.MISSING_INPUT


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.sleeps.append(seconds)
        self.now_s += seconds


class TestReopening:
    """A ReopeningLink outlives its device."""

    def test_a_device_torn_away_and_replaced_is_found_again_by_its_path(self, path: Path) -> None:
        clock = Clock()
        link = ReopeningLink(lambda: SerialLink(str(path)), clock, clock.sleep, lambda: 0.5)
        for name in (b"one", b"two", b"three"):
            found = [link.read(1.0) for _ in range(3)]
            assert any(isinstance(report, LinkDown) and report.code == Exit.MISSING_INPUT for report in found)
            board = Board(path)
            while not isinstance(report := link.read(1.0), LinkUp):
                assert report == b""
            assert link.down is None
            os.write(board.master, name)
            assert link.read(5) == name
            files = open_files()
            board.unplug()
            lost = link.read(1.0)
            assert isinstance(lost, LinkDown)
            assert lost.code == Exit.DEVICE_LOST
            assert str(path) in lost.reason
            assert len(open_files()) < len(files) - 2
        link.close()

    def test_it_waits_longer_each_time_up_to_a_bound_and_reports_once(self, path: Path) -> None:
        tries: list[float] = []
        clock = Clock()

        def open_link() -> SerialLink:
            tries.append(clock.now_s)
            return SerialLink(str(path))

        link = ReopeningLink(open_link, clock, clock.sleep, lambda: 1.0)
        reports = [link.read(0.5) for _ in range(400)]
        assert [type(report) for report in reports if report] == [LinkDown]
        waits = [after - before for before, after in pairwise(tries)]
        assert len(waits) > 6
        assert waits == pytest.approx([min(FIRST_WAIT_S * 2**i, LONGEST_WAIT_S) for i in range(len(waits))])
        assert max(clock.sleeps) <= 0.5

    def test_jitter_shortens_the_wait_by_up_to_half(self, path: Path) -> None:
        clock = Clock()
        link = ReopeningLink(lambda: SerialLink(str(path)), clock, clock.sleep, lambda: 0.0)
        link.read(10)
        link.read(10)
        assert clock.sleeps == pytest.approx([FIRST_WAIT_S / 2])

    def test_a_port_that_opens_and_dies_at_once_is_not_hammered(self) -> None:
        clock, opened = Clock(), []

        class Dead:
            def read(self, timeout_s: float) -> bytes:
                raise LinkLost("dead")

            def idle(self) -> bool:
                return False

            def write(self, data: bytes) -> None:
                raise LinkLost("dead")

            def close(self) -> None: ...

        link = ReopeningLink(lambda: opened.append(clock()) or Dead(), clock, clock.sleep, lambda: 1.0)  # type: ignore[func-returns-value]
        start_s = clock.now_s
        while clock.now_s < start_s + 100:
            link.read(1.0)
        assert len(opened) < 100 / LONGEST_WAIT_S + 6

    def test_each_new_reason_is_reported_with_its_time(self, board: Board, path: Path) -> None:
        clock = Clock()
        owner = SerialLink(str(path))
        link = ReopeningLink(lambda: SerialLink(str(path)), clock, clock.sleep, lambda: 1.0)
        codes = []
        for step in range(12):
            report = link.read(1.0)
            if isinstance(report, LinkDown):
                codes.append(report.code)
                assert report.since_s == clock.now_s
                assert link.down == report
            if step == 5:
                board.unplug()
                owner.close()
        assert codes == [Exit.PORT_BUSY, Exit.MISSING_INPUT]

    def test_a_port_that_stays_silent_is_opened_anew_ever_more_rarely(self, board: Board, path: Path) -> None:
        clock = Clock()
        link = ReopeningLink(lambda: SerialLink(str(path)), clock, clock.sleep, lambda: 1.0)
        silences_s = []
        for _ in range(7):
            while not isinstance(link.read(10), LinkUp):
                pass
            opened_s = clock.now_s
            while not (lost := link.read(0)):
                clock.now_s += 1
            assert isinstance(lost, LinkDown)
            assert lost.code == Exit.DEVICE_LOST
            assert "not a byte came for" in lost.reason
            silences_s.append(clock.now_s - opened_s)
        assert silences_s == [30, 60, 120, 240, 480, 600, 600]
        while not isinstance(link.read(10), LinkUp):
            pass
        os.write(board.master, b"x")
        assert link.read(5) == b"x"
        clock.now_s += 29
        assert link.read(0) == b""
        clock.now_s += 1
        assert isinstance(link.read(0), LinkDown)
        link.close()

    def test_a_loss_while_writing_is_reported_by_the_next_read(self, board: Board) -> None:
        link = ReopeningLink(lambda: SerialLink(str(board.path)))
        assert isinstance(link.read(1), LinkUp)
        assert link.write(b"x")
        board.unplug()
        assert not link.write(b"x")
        report = link.read(0.01)
        assert isinstance(report, LinkDown)
        assert report.code == Exit.DEVICE_LOST
        assert not link.write(b"x")
        link.close()

    def test_the_time_without_link_is_told(self, path: Path) -> None:
        clock = Clock()
        link = ReopeningLink(lambda: SerialLink(str(path)), clock, clock.sleep, lambda: 1.0)
        for _ in range(5):
            link.read(1.0)
        board = Board(path)
        while not isinstance(up := link.read(1.0), LinkUp):
            pass
        assert up.down_s == clock.now_s - 100.0 > 0
        link.close()
        board.unplug()

    def test_a_port_that_can_never_open_is_raised(self) -> None:
        with pytest.raises(Failure, match="teapot"):
            ReopeningLink(lambda: SerialLink("teapot://x")).read(0.1)


def test_a_reader_that_waits_is_woken_by_the_first_byte(board: Board) -> None:
    link = SerialLink(str(board.path))
    writer = threading.Timer(0.05, os.write, (board.master, b"x"))
    writer.start()
    assert link.read(60) == b"x"
    writer.join()
    link.close()
