"""A real Mosquitto for tests, a client that hears all of it, and lines to publish."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from edge.messages import Counts, EventLine, Firmware, GridLine, Health, Hello, Joint, ModelLine, Pose, Units

DEADLINE_S = 30.0
COUNTS = Counts(
    received=100, lost=3, corrupt=2, skipped=0, repeated=0, reboots=0, unknown=0, dropped=0, poses=100, port_losses=0
)
HELLO = Hello(
    ts=1.0,
    seq=None,
    mat="bed",
    model=ModelLine(name="m", version="1", sha256="0" * 64, runtime="litert"),
    grid=GridLine(rows=64, cols=32, pitch_x_cm=2.54, pitch_y_cm=2.54),
    units=Units(),
    firmware=Firmware(name="test-mat", version="1.2"),
    orientation="0",
    device_id=0xBED,
    boot_id=7,
    frame_rate_hz=40.0,
)
POSE = Pose(
    ts=2.0,
    seq=5,
    mat="bed",
    boot_id=7,
    t_us=5_000_000,
    occupied=True,
    joints={"head": Joint(x_cm=40.0, y_cm=12.0, confidence=0.9)},
    keypoints=[],
    cop_cm=(40.13, 80.0),
    contact_area_cm2=4567.9,
    peak_pressure=900.0,
    posture="supine",
)
NOBODY = POSE.model_copy(update={"occupied": False, "joints": None, "cop_cm": None, "posture": None})
HEALTH = Health(
    ts=2.5,
    seq=5,
    mat="bed",
    status="ok",
    reason=None,
    counts=COUNTS,
    fps=39.96,
    occupied=True,
    posture="supine",
    turns=1,
)
PORT_LOST = EventLine(ts=3.0, seq=5, mat="bed", event="port_lost", detail="port /dev/ttyUSB0 was lost: unplugged")
PROGRAM = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


def until(condition: Callable[[], Any], what: str) -> Any:
    """What `condition` returns as soon as it is true; fails after a generous time."""
    end_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < end_s:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError(f"waited {DEADLINE_S:g} s in vain for {what}")


class Broker:
    """Mosquitto on a free port of 127.0.0.1, without persistence: what was retained is lost at a restart.

    `user`: name and password, without which nobody is let in. `certificate`: its PEM and that of its key: TLS.
    """

    def __init__(
        self,
        folder: Path,
        user: tuple[str, str] | None = None,
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        if PROGRAM is None:
            message = "no mosquitto: apt-get install mosquitto"
            pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        lines = [f"listener {self.port} 127.0.0.1", "user root", "persistence false"]
        if user:
            self.passwords = folder / "passwords"
            self.let_in(user)
            lines += ["allow_anonymous false", f"password_file {self.passwords}"]
        else:
            lines += ["allow_anonymous true"]
        if certificate:
            lines += [f"certfile {certificate[0]}", f"keyfile {certificate[1]}"]
        self._config = folder / "mosquitto.conf"
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def let_in(self, user: tuple[str, str]) -> None:
        """From the next start on, and nobody else."""
        subprocess.run(["mosquitto_passwd", "-b", "-c", self.passwords, *user], check=True, capture_output=True)

    def start(self) -> None:
        assert PROGRAM
        self._process = subprocess.Popen([PROGRAM, "-c", self._config], stderr=subprocess.DEVNULL)
        until(self._answers, f"mosquitto on port {self.port}")

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Connections stay open and nobody answers."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        assert self._process
        assert self._process.poll() is None, f"mosquitto ended: see {self._config}"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Listener:
    """Subscribed to everything; must come anew after a restart of the broker."""

    def __init__(self, broker: Broker, user: tuple[str, str] | None = None, cafile: Path | None = None) -> None:
        self.messages: list[MQTTMessage] = []
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        if user:
            self._client.username_pw_set(*user)
        if cafile:
            self._client.tls_set(str(cafile))
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _data, message: self.messages.append(message)
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        assert self._subscribed.wait(DEADLINE_S)

    def say(self, topic: str, payload: str | bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(DEADLINE_S)

    def heard(self, topic: str) -> list[str]:
        """All payloads of `topic` so far."""
        return [message.payload.decode() for message in list(self.messages) if message.topic == topic]

    def retained(self, topic: str) -> list[str]:
        """What the broker kept of `topic` when this listener came."""
        return [m.payload.decode() for m in list(self.messages) if m.topic == topic and m.retain]

    def wait(self, topic: str, payload: str) -> None:
        """Until the latest of `topic` is `payload`."""
        until(lambda: self.heard(topic)[-1:] == [payload], f"{payload} on {topic}")

    def wait_json(self, topic: str, good: Callable[[dict[str, Any]], bool] = lambda value: True) -> dict[str, Any]:
        """The first of `topic` that is `good`."""

        def found() -> dict[str, Any]:
            values = [json.loads(text) for text in self.heard(topic) if text]
            return next((dict(value) for value in values if good(value)), {})

        return dict(until(found, topic))

    def topics(self) -> set[str]:
        return {message.topic for message in list(self.messages)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def certificate(folder: Path, name: str, host: str) -> tuple[Path, Path]:
    """A self-signed certificate for `host` and its key, both PEM."""
    pem, key = folder / f"{name}.pem", folder / f"{name}.key"
    alternative = f"subjectAltName=IP:{host}" if host[0].isdigit() else f"subjectAltName=DNS:{host}"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", f"/CN={host}", "-addext", alternative, "-keyout", str(key), "-out", str(pem)]
    subprocess.run(command, check=True, capture_output=True)
    return pem, key
