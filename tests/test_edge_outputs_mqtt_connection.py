"""The connection to a real Mosquitto: waits for it, comes back, says once what is wrong, holds no more than it may."""

import logging
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from broker import DEADLINE_S, Broker, Listener, certificate, until
from pydantic import SecretStr

from edge.outputs.mqtt import connection as connection_module
from edge.outputs.mqtt.connection import (
    FIRST_WAIT_S,
    KEEPALIVE_S,
    LONGEST_WAIT_S,
    MOST_UNANSWERED,
    MOST_WAITING,
    REMEDY_WAIT_S,
    Connection,
    Trouble,
    wait_s,
)
from edge.outputs.mqtt.settings import MqttSettings
from firmware_bridge.errors import Exit, Failure

BED = ("bed", "geheim")
CONNACK, PINGREQ, PINGRESP = b"\x20\x02\x00\x00", b"\xc0\x00", b"\xd0\x00"


@contextmanager
def connected(broker: Broker | int, *subscriptions: str, **settings: object) -> Iterator[Connection]:
    """A connection that is open, though perhaps to nobody."""
    port = broker if isinstance(broker, int) else broker.port
    values = MqttSettings.model_validate({"host": "127.0.0.1", "port": port} | settings)
    connection = Connection(values, ("will", "gone"), subscriptions or ("ask",), lambda *_: None)
    connection.open()
    try:
        yield connection
    finally:
        connection.close()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(connection_module, "REMEDY_WAIT_S", 0.3)
    caplog.set_level(logging.INFO, connection_module.__name__)


def test_waits_double_up_to_a_bound_and_are_jittered() -> None:
    longest = [wait_s(tries, Trouble.LOST, lambda: 1.0) for tries in range(100)]
    assert longest[:3] == [FIRST_WAIT_S, 2 * FIRST_WAIT_S, 4 * FIRST_WAIT_S]
    assert max(longest) == longest[-1] == LONGEST_WAIT_S
    assert wait_s(0, Trouble.SILENT, lambda: 0.0) == FIRST_WAIT_S / 2


def test_what_somebody_has_to_mend_is_tried_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for trouble in (Trouble.REFUSED, Trouble.UNTRUSTED):
        assert wait_s(0, trouble, lambda: 1.0) == REMEDY_WAIT_S > LONGEST_WAIT_S


def test_a_broker_that_is_not_there_yet_is_waited_for_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(tmp_path)
    with connected(broker) as connection:
        connection.keep("a", "1")
        until(lambda: caplog.messages, "a line")
        connection.keep("a", "2")
        with broker, Listener(broker) as heard:
            heard.wait("a", "2")
            assert heard.heard("a") == ["2"]
            told = list(caplog.messages)  # before the broker stops, which is told of as well
    assert told == [
        f"no broker at mqtt://127.0.0.1:{broker.port} (Connection refused): waiting for it",
        f"connected to mqtt://127.0.0.1:{broker.port}",
    ]


def test_a_broker_that_lost_all_it_knew_is_told_everything_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Broker(tmp_path) as broker, connected(broker) as connection:
        connection.keep("a", "1")
        connection.keep("b", "1")
        with Listener(broker) as heard:
            heard.wait("b", "1")
        broker.stop()
        until(lambda: len(caplog.messages) == 2, "the loss")
        connection.keep("b", "2")
        broker.start()
        with Listener(broker) as heard:
            heard.wait("a", "1")
            heard.wait("b", "2")
        with Listener(broker) as heard:
            heard.wait("b", "2")
            assert (heard.retained("a"), heard.retained("b")) == (["1"], ["2"])
    said = [message.split(" mqtt")[0] for message in caplog.messages]
    assert said == ["connected to", "connection to", "connected to"]


def test_a_broker_found_gone_while_publishing_is_a_lost_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Broker(tmp_path) as broker, connected(broker) as connection:
        until(lambda: len(caplog.messages) == 1, "the connection")
        with connection._lock:  # so that the connection's thread comes to publish when the broker is gone already
            connection._ring()
            until(lambda: not select.select([connection._bell], [], [], 0)[0], "the thread to come to the lock")
            broker.stop()
            for number in range(10):
                connection._kept[f"topic{number}"] = "1"
                connection._untold[f"topic{number}"] = None
        until(lambda: len(caplog.messages) == 2, "the loss")
    assert caplog.messages[1] == f"connection to mqtt://127.0.0.1:{broker.port} lost: connecting again"


def test_news_from_an_outage_is_not_told_after_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Broker(tmp_path) as broker, connected(broker) as connection:
        until(lambda: len(caplog.messages) == 1, "the connection")
        broker.stop()
        until(lambda: len(caplog.messages) == 2, "the loss")
        for number in range(10 * MOST_WAITING):
            connection.send("news", str(number))
            connection.flash("flash", str(number))
        broker.start()
        until(lambda: len(caplog.messages) == 3, "the connection")
        with Listener(broker) as heard:
            connection.send("news", "fresh")
            heard.wait("news", "fresh")
            assert heard.heard("news") == ["fresh"]
            assert heard.heard("flash") == []


def test_a_broker_that_does_not_take_news_is_flooded_in_vain(tmp_path: Path) -> None:
    """The oldest that still waits makes room; what is retained is not lost."""
    total = 10 * MOST_WAITING
    with Broker(tmp_path) as broker, connected(broker) as connection, Listener(broker) as heard:
        connection.keep("state", "first")
        heard.wait("state", "first")
        with broker.frozen():
            for number in range(total):
                connection.send("news", str(number))
                connection.keep("state", str(number))
        heard.wait("state", str(total - 1))
        heard.wait("news", str(total - 1))
        assert len(heard.heard("news")) <= MOST_WAITING + MOST_UNANSWERED
        assert len(heard.heard("state")) <= MOST_UNANSWERED + 2


def test_what_is_fleeting_never_waits_behind_what_is_older(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker, connected(broker) as connection, Listener(broker) as heard:
        connection.keep("state", "first")
        heard.wait("state", "first")
        total, large = 300, "x" * 200_000
        with broker.frozen():
            for number in range(total):
                connection.flash("keypoints", f"{number}{large}")
        last = f"{total - 1}{large}"
        until(lambda: last in heard.heard("keypoints"), "the latest")
        assert len(heard.heard("keypoints")) < total / 2
        assert heard.heard("keypoints")[-1] == last


def test_a_wrong_password_is_one_line_with_the_remedy_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        Broker(tmp_path, user=(BED[0], "other")) as broker,
        connected(broker, username=BED[0], password=SecretStr(BED[1])) as connection,
    ):
        connection.keep("a", "1")
        until(lambda: caplog.messages, "a line")
        assert caplog.messages == [
            f"mqtt://127.0.0.1:{broker.port} refuses bed (Not authorized): "
            "set EDGE_RUN_MQTT_USER and EDGE_RUN_MQTT_PASSWORD"
        ]
        broker.stop()
        broker.let_in(BED)
        broker.start()
        with Listener(broker, user=BED) as heard:
            heard.wait("a", "1")
    assert len(caplog.messages) == 2
    assert BED[1] not in caplog.text


def test_a_broker_whose_certificate_is_trusted_is_spoken_to_in_secret(tmp_path: Path) -> None:
    pem, key = certificate(tmp_path, "broker", "127.0.0.1")
    with (
        Broker(tmp_path, certificate=(pem, key)) as broker,
        connected(broker, tls=True, cafile=pem) as connection,
        Listener(broker, cafile=pem) as heard,
    ):
        connection.keep("a", "x" * 100_000)
        heard.wait("a", "x" * 100_000)


def test_a_certificate_that_nobody_vouches_for_is_one_line_with_the_remedy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        Broker(tmp_path, certificate=certificate(tmp_path, "broker", "127.0.0.1")) as broker,
        connected(broker, tls=True),
    ):
        until(lambda: caplog.messages, "a line")
        tries = threading.Event()
        tries.wait(1.0)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"no trusted broker at mqtts://127.0.0.1:{broker.port} (self")
    assert "?cafile=FILE" in caplog.messages[0]


def test_a_certificate_of_another_host_is_not_trusted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pem, key = certificate(tmp_path, "broker", "elsewhere.lan")
    with Broker(tmp_path, certificate=(pem, key)) as broker, connected(broker, tls=True, cafile=pem):
        until(lambda: caplog.messages, "a line")
    assert "IP address mismatch" in caplog.messages[0]


def test_a_cafile_that_is_none_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "text.pem").write_text("no certificate")
    for name, says in (("missing.pem", "No such file"), ("text.pem", "no certificate in it")):
        with (
            pytest.raises(Failure, match=f"cafile .*{name}: {says}.*: give a PEM file") as failure,
            connected(1, tls=True, cafile=tmp_path / name),
        ):
            pass
        assert failure.value.code == Exit.BAD_CONFIG


def test_tls_on_one_side_only_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Broker(tmp_path, certificate=certificate(tmp_path, "broker", "127.0.0.1")) as broker, connected(broker):
        until(lambda: caplog.messages, "a line")
    assert "TLS is on one side only" in caplog.messages[0]


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 100, b"\x20\x00", b"\x20\x02\x00"],
    ids=["http", "noise", "empty CONNACK", "half a CONNACK"],
)
def test_whatever_else_answers_at_the_port_is_waited_out(answer: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        calls: list[None] = []

        def serve() -> None:
            while not closing.is_set():
                try:
                    client, _ = server.accept()
                except TimeoutError:
                    continue
                with client, suppress(ConnectionError):  # whose end may come before the answer
                    client.sendall(answer)
                    calls.append(None)

        closing = threading.Event()
        server.settimeout(0.1)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with connected(server.getsockname()[1]):
                until(lambda: len(calls) >= 3, "three tries")
        finally:
            closing.set()
            thread.join()
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("no broker at")


def test_the_broker_is_pinged_while_the_processing_loop_is_busy(caplog: pytest.LogCaptureFixture) -> None:
    """As often as was promised, so that brokers notice a frozen process soon, and no busy one."""
    pinged = threading.Semaphore(0)
    promised_s: list[int] = []

    def serve() -> None:
        client, _ = server.accept()
        with client, suppress(ConnectionError):  # a client that ends with an answer unread resets
            promised_s.append(int.from_bytes(client.recv(1000)[10:12], "big"))
            client.sendall(CONNACK)
            while data := client.recv(1000):
                if data.endswith(PINGREQ):
                    pinged.release()
                    client.sendall(PINGRESP)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        with connected(server.getsockname()[1]):
            end_s = time.monotonic() + DEADLINE_S
            pings = 0
            while pings < 2 and time.monotonic() < end_s:
                sum(range(1_000_000))
                pings += pinged.acquire(blocking=False)
            assert pings == 2
            assert promised_s == [KEEPALIVE_S]
            assert len(caplog.messages) == 1, "the connection was lost"
        thread.join()


def test_a_password_in_the_clear_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with connected(9, host="broker.invalid", username="bed", password=SecretStr("geheim")):
        pass
    assert caplog.messages[0] == "the password goes to mqtt://broker.invalid:9 unencrypted: use mqtts://"


def test_closing_tells_the_broker_all_that_waits_and_no_will(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Broker(tmp_path) as broker, Listener(broker) as heard:
        with connected(broker) as connection:
            until(lambda: caplog.messages, "the connection")
            for number in range(MOST_WAITING):
                connection.send("news", str(number))
            connection.keep("a", "last")
        heard.wait("news", str(MOST_WAITING - 1))
        assert heard.heard("a") == ["last"]
        assert heard.heard("will") == []


def test_a_frozen_broker_does_not_hold_up_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Broker(tmp_path) as broker, connected(broker) as connection:
        until(lambda: caplog.messages, "the connection")
        with broker.frozen():
            connection.keep("a", "1")
            connection.close()


def test_what_was_never_opened_can_be_closed() -> None:
    Connection(MqttSettings(host="h"), ("will", "gone"), (), lambda *_: None).close()
