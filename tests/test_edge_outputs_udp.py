"""JSON lines as datagrams, to sockets of both families that come, go and refuse."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from output_items import LONG_S, event, pose, wait_until

from edge.outputs.queue import QueuedOutput, Unsendable
from edge.outputs.udp import MOST_BYTES, UdpLines


@contextmanager
def listening(host: str = "127.0.0.1", port: int = 0) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as listener:
        listener.bind((host, port))
        listener.settimeout(LONG_S)
        yield listener


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


@contextmanager
def opened(host: str, port: int) -> Iterator[UdpLines]:
    output = UdpLines(host, port)
    output.open()
    yield output
    output.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_each_line_is_a_datagram_of_one_json_object(host: str) -> None:
    with listening(host) as listener, opened(host, port_of(listener)) as output:
        for item in (pose(1), event("Bett für Zoë")):
            output.write(item)
            datagram = listener.recv(1 << 16)
            assert datagram == item.line.json_line().encode()
            assert json.loads(datagram)["mat"] == "bed"


def test_a_line_larger_than_a_datagram_cannot_be_sent_and_the_next_can() -> None:
    with listening() as listener, opened("127.0.0.1", port_of(listener)) as output:
        longest = MOST_BYTES - len(event("").line.json_line())
        with pytest.raises(Unsendable, match=f"{MOST_BYTES + 1} bytes is larger than a datagram"):
            output.write(event("x" * (longest + 1)))
        output.write(event("x" * longest))
        assert len(listener.recv(1 << 17)) == MOST_BYTES


def test_a_line_that_this_network_does_not_send_cannot_be_sent_and_the_next_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where IPv4's limit is not the network's."""
    monkeypatch.setattr("edge.outputs.udp.MOST_BYTES", 1 << 20)
    with listening() as listener, opened("127.0.0.1", port_of(listener)) as output:
        with pytest.raises(Unsendable, match="larger than this network sends"):
            output.write(event("x" * MOST_BYTES))
        output.write(event("next"))
        assert json.loads(listener.recv(1 << 16))["detail"] == "next"


def test_larger_lines_are_left_out_and_counted_behind_the_queue() -> None:
    with listening() as listener:
        output = QueuedOutput(UdpLines("127.0.0.1", port_of(listener)), "udp:")
        output.start()
        for item in (event("x" * MOST_BYTES), event("a"), event("x" * MOST_BYTES), event("b")):
            output.put(item)
        assert [json.loads(listener.recv(1 << 16))["detail"] for _ in range(2)] == ["a", "b"]
        output.close(LONG_S)
    counts = output.counts()
    assert (counts.written, counts.dropped, counts.failures) == (2, 2, 0)


def test_a_listener_that_goes_and_comes_back_gets_lines_again(caplog: pytest.LogCaptureFixture) -> None:
    waits: list[float] = []
    with listening() as listener:
        port = port_of(listener)
        output = QueuedOutput(UdpLines("127.0.0.1", port), "udp:", sleep=waits.append)
        output.start()
        output.put(event("first"))
        assert json.loads(listener.recv(1 << 16))["detail"] == "first"

    def refused() -> bool:
        output.put(pose(0))
        return len(waits) >= 3

    wait_until(refused)
    with listening(port=port) as listener:
        output.put(event("again"))
        received = {}
        while received.get("detail") != "again":
            received = json.loads(listener.recv(1 << 16))
        output.close(LONG_S)
    assert [record.message for record in caplog.records] == [
        "output udp: fails: Connection refused; it goes on when that is over"
    ]


def test_a_name_with_an_address_that_refuses_is_tried_at_its_next_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """As localhost, where something listens at 127.0.0.1 alone. The resolver's answer is given; all else is real."""
    asked = []

    def both(host: str, port: int, **settings: object) -> list[tuple[object, ...]]:
        asked.append(host)
        kind, protocol = socket.SOCK_DGRAM, socket.IPPROTO_UDP
        return [
            (socket.AF_INET6, kind, protocol, "", ("::1", port, 0, 0)),
            (socket.AF_INET, kind, protocol, "", ("127.0.0.1", port)),
        ]

    monkeypatch.setattr("edge.outputs.udp.socket.getaddrinfo", both)
    with listening() as listener, opened("bed.local", port_of(listener)) as output:
        output.write(pose(0))
        with pytest.raises(ConnectionRefusedError):
            output.write(pose(1))
        output.write(pose(2))
        assert json.loads(listener.recv(1 << 16))["seq"] == 2
    assert asked == ["bed.local", "bed.local"]


def test_a_name_that_nobody_knows_is_asked_for_again() -> None:
    waits: list[float] = []
    output = QueuedOutput(UdpLines("nobody.invalid", 9), "udp:", sleep=waits.append)
    output.start()
    output.put(event("kept"))
    wait_until(lambda: len(waits) >= 2)
    output.close(LONG_S)
    assert output.counts().failures >= 2


def test_a_broadcast_address_may_be_sent_to() -> None:
    with opened("127.255.255.255", 9) as output:
        output.write(event("to all"))
