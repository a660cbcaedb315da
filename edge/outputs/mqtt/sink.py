"""The output `mqtt://`: lines -> topics, requests -> the daemon's control.

Availability follows fresh frames: online with the first pose, offline with the line that says that frames are missing
(the port lost: that instant; no frames: when the session calls the mat stale) and with the end. When the process dies
the broker's will takes the bridge offline: at once when its connection is closed, else see KEEPALIVE_S.
"""

import json
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Final

from edge.control import Control, Reply
from edge.messages import End, EventLine, Health, Hello, Line, Pose
from edge.outputs.mqtt.connection import Connection
from edge.outputs.mqtt.discovery import config, config_topic, device_key
from edge.outputs.mqtt.requests import command
from edge.outputs.mqtt.settings import MqttSettings
from edge.outputs.mqtt.state import StateOfMat
from edge.outputs.mqtt.topics import OFFLINE, ONLINE, REQUESTS, MatTopics, Request, bridge_state, slugs
from edge.outputs.sink import Item

log = logging.getLogger(__name__)

FRAMES_MISSING: Final[frozenset[str]] = frozenset({"port_lost", "port_waiting", "stale"})
"""Events."""


class _Mat:
    """What is remembered of one mat."""

    def __init__(self, topics: MatTopics, every_s: float) -> None:
        self.topics = topics
        self.state = StateOfMat(every_s)
        self.available = False
        self.config_topic: str | None = None
        self.keypoints_due_s = 0.0


class MqttSink:
    """`postures`: all that the model can name. `clock_s`: steady."""

    def __init__(
        self,
        settings: MqttSettings,
        control: Control,
        postures: Sequence[str] = (),
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._control, self._postures, self._clock_s = settings, control, tuple(postures), clock_s
        self._closing = False
        self._bridge = bridge_state(settings.base)
        self._mats = {
            name: _Mat(MatTopics(settings.base, slug), settings.state_every_s)
            for name, slug in slugs(control.mats).items()
        }
        self._requests: dict[str, tuple[str, Request]] = {
            mat.topics.request(action): (name, action) for name, mat in self._mats.items() for action in REQUESTS
        }
        self._birth = f"{settings.discovery}/status" if settings.discovery else None
        subscriptions = [*self._requests, self._bridge, *([self._birth] if self._birth else [])]
        self._connection = Connection(settings, (self._bridge, OFFLINE), subscriptions, self._received)

    def open(self) -> None:
        for mat in self._mats.values():
            self._connection.keep(mat.topics.availability, OFFLINE)
        self._connection.keep(self._bridge, ONLINE)
        self._connection.open()

    def write(self, item: Item) -> None:
        line = item.line
        mat = self._mats[line.mat]
        match line:
            case Hello():
                self._discover(mat, line)
            case Pose():
                self._set_available(mat, True)
                self._keypoints(mat, line)
            case EventLine(event=event):
                if event in FRAMES_MISSING:
                    self._set_available(mat, False)
                self._connection.send(mat.topics.event, line.model_dump_json())
            case Health(status=status):
                if status == "stale":
                    self._set_available(mat, False)
                self._connection.send(mat.topics.health, line.model_dump_json())
            case End():
                self._set_available(mat, False)
        self._state(mat, line)

    def close(self) -> None:
        self._closing = True
        for mat in self._mats.values():
            self._connection.keep(mat.topics.availability, OFFLINE)
        self._connection.keep(self._bridge, OFFLINE)
        self._connection.close()

    def _set_available(self, mat: _Mat, available: bool) -> None:
        if available != mat.available:
            mat.available = available
            self._connection.keep(mat.topics.availability, ONLINE if available else OFFLINE)

    def _state(self, mat: _Mat, line: Line) -> None:
        state = mat.state.take(line, self._clock_s())
        if state:
            self._connection.keep(mat.topics.state, state.model_dump_json())

    def _keypoints(self, mat: _Mat, pose: Pose) -> None:
        now_s = self._clock_s()
        if self._settings.keypoints_hz and now_s >= mat.keypoints_due_s:
            period_s = 1 / self._settings.keypoints_hz
            mat.keypoints_due_s += period_s
            if mat.keypoints_due_s <= now_s:
                mat.keypoints_due_s = now_s + period_s
            self._connection.flash(mat.topics.keypoints, pose.model_dump_json(include={"ts", "seq", "joints"}))

    def _discover(self, mat: _Mat, hello: Hello) -> None:
        if self._settings.discovery is None:
            return
        topic = config_topic(self._settings.discovery, device_key(hello, mat.topics))
        if mat.config_topic not in (None, topic):
            self._connection.keep(str(mat.config_topic), "")  # another mat: the one before is gone
        mat.config_topic = topic
        self._connection.keep(topic, json.dumps(config(hello, mat.topics, self._postures), ensure_ascii=False))

    def _received(self, topic: str, payload: bytes, retained: bool) -> None:
        if topic in self._requests:
            self._requested(*self._requests[topic], topic, payload, retained)
        elif retained:
            return
        elif topic == self._birth and payload == ONLINE.encode():
            self._connection.tell_again()
        elif topic == self._bridge and payload == OFFLINE.encode() and not self._closing:
            self._connection.tell_again()  # the will of a connection of before, that comes late

    def _requested(self, mat: str, action: Request, topic: str, payload: bytes, retained: bool) -> None:
        if retained:  # it would be obeyed anew at every connection
            log.warning("retained request on %s ignored: send it without the retain flag", topic)
            return
        answer = partial(self._answer, self._mats[mat].topics.response(action))
        try:
            asked = command(mat, action, payload)
        except ValueError as error:
            answer(Reply(False, str(error)))
            return
        self._control.ask(asked).add_done_callback(lambda done: answer(_reply(done)))

    def _answer(self, topic: str, reply: Reply) -> None:
        self._connection.send(topic, json.dumps({"ok": reply.ok, "text": reply.text}, ensure_ascii=False))


def _reply(done: Future[Reply]) -> Reply:
    return Reply(False, "the daemon ends") if done.cancelled() else done.result()
