"""One connection to a broker, kept up by a thread of its own: nobody else touches paho's client.

MQTT 3.1.1: every broker speaks it, and nothing that 5 adds is needed here.
"""

import logging
import secrets
import select
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from random import random as uniform
from typing import Any, Final

from paho.mqtt.client import Client, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from edge.outputs.mqtt.settings import PASSWORD_VARIABLE, USER_VARIABLE, MqttSettings
from edge.outputs.mqtt.tls import tls_context

log = logging.getLogger(__name__)

KEEPALIVE_S: Final = 2
"""Where nobody closes the connection (power cut, frozen process) brokers send the will after 1.5 times this.

Mosquitto 2.0 looks for such clients every 6 s only (its src/keepalive.c), so it may take 10 s: 2.1 to 8.8 s in 30
trials with 2.0.11. With 1 s it would still take up to 8, and lose whoever is late once. Of a killed process brokers
know at once.
"""
CONNECT_S: Final = 5.0
TURN_S: Final = 0.25
"""A ping goes out so late at most. Brokers miss it KEEPALIVE_S / 2 after it was due."""
FIRST_WAIT_S: Final = 0.25
LONGEST_WAIT_S: Final = 3.0
"""Short: after a restart of the broker, availability is to be true within 5 s."""
REMEDY_WAIT_S: Final = 30.0
"""Between tries that fail until somebody does something."""
STEADY_S: Final = 10.0
"""A connection that lasts so long was a good one: the next try comes at once."""
CLOSE_S: Final = 2.0
MOST_WAITING: Final = 256
"""Events, health and answers that the broker has not taken yet; the oldest is dropped."""
MOST_UNANSWERED: Final = 64
"""Messages that paho holds until the broker confirms them."""
HANGS_UP: Final = "it hangs up, as brokers do where TLS is on one side only"

Received = Callable[[str, bytes, bool], None]
"""Topic, payload, whether it was retained; called by the connection's thread, and not to raise."""


class Trouble(Enum):
    LOST = "lost"
    SILENT = "silent"
    UNTRUSTED = "untrusted"
    REFUSED = "refused"

    @property
    def needs_somebody(self) -> bool:
        return self in (Trouble.UNTRUSTED, Trouble.REFUSED)


def wait_s(tries: int, trouble: Trouble, random: Callable[[], float] = uniform) -> float:
    """Before the next try: doubling, with jitter."""
    longest_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(tries, 16))
    return (REMEDY_WAIT_S if trouble.needs_somebody else longest_s) * (0.5 + 0.5 * random())


class Connection:
    """Holds what the broker has to know (`keep`) and tells it anew after each connection.

    Everything else is news: dropped while there is no connection. `will`: topic and payload, retained.
    """

    def __init__(
        self, settings: MqttSettings, will: tuple[str, str], subscriptions: Sequence[str], received: Received
    ) -> None:
        self._settings, self._will, self._subscriptions, self._received = settings, will, subscriptions, received
        # the broker sends the will of an old connection when a new one has its name, not some time after it
        self._name = f"edge-run-{secrets.token_hex(6)}"
        self._lock = threading.Lock()
        self._kept: dict[str, str] = {}
        self._untold: dict[str, None] = {}
        self._news: deque[tuple[str, str]] = deque(maxlen=MOST_WAITING)
        self._fleeting: dict[str, str] = {}
        self._online = False
        self._refusal: str | None = None
        self._last: MQTTMessageInfo | None = None
        self._said: set[Trouble] = set()
        self._closing = threading.Event()
        self._tls: ssl.SSLContext | None = None
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Does not wait for the broker. Raises Failure (78) for a `cafile` that is none."""
        if self._settings.tls:
            self._tls = tls_context(self._settings.cafile)
        if self._settings.tells_its_password:
            log.warning("the password goes to %s unencrypted: use mqtts://", self._settings.where)
        self._bell, self._bell_push = socket.socketpair()
        self._bell.setblocking(False)
        self._bell_push.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._thread.start()

    def keep(self, topic: str, payload: str) -> None:
        """Retained; the latest of a topic counts. An empty payload takes the topic off the broker."""
        with self._lock:
            self._kept[topic] = payload
            self._untold[topic] = None
        self._ring()

    def tell_again(self) -> None:
        """All that is kept."""
        with self._lock:
            self._untold = dict.fromkeys(self._kept)
        self._ring()

    def send(self, topic: str, payload: str) -> None:
        """Once, not retained, in order."""
        with self._lock:
            if self._online:
                self._news.append((topic, payload))
        self._ring()

    def flash(self, topic: str, payload: str) -> None:
        """At most once, the latest of a topic only, where the connection has room for it."""
        with self._lock:
            if self._online:
                self._fleeting[topic] = payload
        self._ring()

    def close(self) -> None:
        """Hands over what waits if the broker is there, for CLOSE_S at most."""
        self._closing.set()
        self._ring()
        if self._thread:
            self._thread.join(CLOSE_S + 2 * TURN_S)

    def _ring(self) -> None:
        if self._thread:
            with suppress(OSError):  # full: it rings already; closed: nobody listens
                self._bell_push.send(b"\0")

    def _run(self) -> None:
        tries = 0
        try:
            while not self._closing.is_set():
                start_s = time.monotonic()
                trouble, reason = self._connect_and_serve()
                if self._closing.is_set():
                    break
                self._say(trouble, reason)
                tries = 0 if time.monotonic() - start_s > STEADY_S else tries
                self._closing.wait(wait_s(tries, trouble))
                tries += 1
        finally:
            self._bell.close()
            self._bell_push.close()

    def _connect_and_serve(self) -> tuple[Trouble, str]:
        """Until the connection ends, and why it did."""
        client = self._client()  # a new one each time: the old one would send again what is out of date
        was_online = False
        try:
            client.connect(*self._settings.address, keepalive=KEEPALIVE_S)
            while (sock := client.socket()) is not None and not self._farewell(client):
                self._turn(client, sock)
                was_online = was_online or self._online
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return Trouble.SILENT, HANGS_UP
        except ssl.SSLError as error:
            return Trouble.UNTRUSTED, getattr(error, "verify_message", None) or error.reason or str(error)
        except Exception as error:  # paho raises whatever it stumbles over in what is no MQTT
            return Trouble.SILENT, getattr(error, "strerror", None) or str(error) or type(error).__name__
        finally:
            with self._lock:
                self._online = False
                self._news.clear()
                self._fleeting.clear()
            refusal, self._refusal = self._refusal, None
        if refusal:
            return Trouble.REFUSED, refusal
        return (Trouble.LOST, "") if was_online else (Trouble.SILENT, HANGS_UP)

    def _turn(self, client: Client, sock: Any) -> None:
        if self._online:
            with self._lock:
                self._hand_over(client)
            if client.socket() is None:
                return  # publishing found the connection closed
        decrypted = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        write = [sock] if client.want_write() else []
        readable, writable, _ = select.select([sock, self._bell], write, [], 0 if decrypted else TURN_S)
        if self._bell in readable:
            self._bell.recv(1 << 16)
        if sock in readable or decrypted:
            client.loop_read()
        if writable:
            client.loop_write()
        client.loop_misc()

    def _hand_over(self, client: Client) -> None:
        """What paho does not take, its own queue being full, waits on."""
        while self._untold:
            topic = next(iter(self._untold))
            if not self._publish(client, topic, self._kept[topic], retain=True):
                return
            del self._untold[topic]
            if not self._kept[topic]:
                del self._kept[topic]
        while self._news:
            if not self._publish(client, *self._news[0], retain=False):
                return
            self._news.popleft()
        if not client.want_write():  # paho's queue of what is not confirmed has no bound of its own
            for topic, payload in self._fleeting.items():
                client.publish(topic, payload)
            self._fleeting.clear()

    def _publish(self, client: Client, topic: str, payload: str, *, retain: bool) -> bool:
        sent = client.publish(topic, payload, qos=1, retain=retain)
        if sent.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        self._last = sent
        return True

    def _farewell(self, client: Client) -> bool:
        """Whether all has been said that was to be said before closing; then the broker knows that no will is due."""
        if not self._closing.is_set():
            return False
        if not self._online:
            return True
        with self._lock:
            waiting = bool(self._untold or self._news)
        if waiting or (self._last is not None and not self._last.is_published()):
            return False
        client.disconnect()
        return True

    def _client(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            self._name,
            clean_session=True,
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_S
        client.max_queued_messages = MOST_UNANSWERED
        if self._settings.username is not None:
            password = self._settings.password
            client.username_pw_set(self._settings.username, password.get_secret_value() if password else None)
        if self._tls:
            client.tls_set_context(self._tls)
        client.will_set(*self._will, qos=1, retain=True)
        client.on_connect = self._connected
        client.on_message = self._heard
        return client

    def _connected(self, client: Client, _data: object, _flags: object, code: ReasonCode, _properties: object) -> None:
        if code.is_failure:
            self._refusal = str(code)
            return
        log.info("connected to %s", self._settings.where)
        self._said.clear()
        client.subscribe([(topic, 1) for topic in self._subscriptions])
        with self._lock:
            self._untold = dict.fromkeys(self._kept)
            self._online = True

    def _heard(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self._received(message.topic, bytes(message.payload), message.retain)

    def _say(self, trouble: Trouble, reason: str) -> None:
        """One line for each outage, and one for each trouble in it that somebody has to mend."""
        if trouble in self._said or (self._said and not trouble.needs_somebody):
            return
        self._said.add(trouble)
        where = self._settings.where
        match trouble:
            case Trouble.LOST:
                log.warning("connection to %s lost: connecting again", where)
            case Trouble.SILENT:
                log.warning("no broker at %s (%s): waiting for it", where, reason)
            case Trouble.UNTRUSTED:
                remedy = "give its CA as ?cafile=FILE, and the host by the name in its certificate"
                log.warning("no trusted broker at %s (%s): %s", where, reason, remedy)
            case Trouble.REFUSED:
                who = self._settings.username or "nobody in particular"
                log.warning("%s refuses %s (%s): set %s and %s", where, who, reason, USER_VARIABLE, PASSWORD_VARIABLE)
