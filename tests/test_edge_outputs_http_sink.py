"""The live view as an output: opens, says why it cannot, and closes whoever still looks."""

import socket
import threading

import pytest
from live_items import Live, LiveMat

from edge.control import Control
from edge.outputs.http.access import HttpSettings
from edge.outputs.http.sink import HttpSink
from firmware_bridge.errors import Exit, Failure


def test_a_port_that_is_taken_may_become_free() -> None:
    with Live() as first:
        second = HttpSink(HttpSettings(port=first.sink.port), Control(["bed"]))
        with pytest.raises(OSError, match=rf"cannot listen at http://127.0.0.1:{first.sink.port}/: .*in use") as error:
            second.open()
        assert not isinstance(error.value, Failure)
        second.close()
    second.open()
    second.close()


def test_an_address_of_another_machine_may_come_later() -> None:
    sink = HttpSink(HttpSettings(host="192.0.2.1", token="x" * 16), Control(["bed"]))
    with pytest.raises(OSError, match=r"cannot listen at http://192\.0\.2\.1:8765/"):
        sink.open()
    sink.close()


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("x" * 80, 8765)])
def test_an_address_that_is_none_never_will_be(host: str, port: int) -> None:
    sink = HttpSink(HttpSettings(host=host, port=port, token="x" * 16), Control(["bed"]))
    with pytest.raises(Failure, match="cannot listen at") as failure:
        sink.open()
    assert failure.value.code == Exit.BAD_CONFIG


def test_ipv6_is_written_in_brackets() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    sink = HttpSink(HttpSettings(host="::1", port=0), Control(["bed"]))
    sink.open()
    assert sink.url == f"http://[::1]:{sink.port}/"
    sink.close()


def test_closing_ends_streams_and_the_thread() -> None:
    before = threading.active_count()
    live = Live()
    with live:
        live.show(LiveMat().meet())
        with socket.create_connection(("127.0.0.1", live.sink.port)) as stream:
            stream.sendall(f"GET /events HTTP/1.1\r\nHost: {live.host}\r\n\r\n".encode())
            stream.recv(1)
            live.sink.close()
            while stream.recv(4096):
                pass
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", live.sink.port))


def test_the_same_sink_opens_again_after_closing() -> None:
    live = Live()
    for _ in range(2):
        with live:
            assert live.ask("GET", "/")[0] == 200
