"""What people and Home Assistant see on a real Mosquitto, and what they can ask of the daemon there."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from broker import HEALTH, HELLO, NOBODY, PORT_LOST, POSE, Broker, Listener, until
from edge_packages import frame, info

from edge.control import Command, Control, Reply
from edge.messages import End, Line
from edge.model import DEFAULT_MODEL, KeypointModel
from edge.outputs.mqtt.settings import MqttSettings
from edge.outputs.mqtt.sink import MqttSink
from edge.outputs.sink import Item
from edge.session import Instant, Session
from firmware_bridge.decoder import StreamCounts
from train.pmd import read_pmd

PROCESS = """
import sys, time
from broker import HEALTH, HELLO, POSE
from edge.control import Control
from edge.outputs.mqtt.settings import MqttSettings
from edge.outputs.mqtt.sink import MqttSink
from edge.outputs.sink import Item
sink = MqttSink(MqttSettings(host="127.0.0.1", port=int(sys.argv[1])), Control(["bed"]))
sink.open()
for line in (HELLO, HEALTH):
    sink.write(Item(line))
while True:
    sink.write(Item(POSE))
    time.sleep(0.05)
"""


class Clock:
    s = 0.0

    def __call__(self) -> float:
        return self.s


@contextmanager
def publishing(
    broker: Broker, control: Control | None = None, clock: Clock | None = None, **settings: object
) -> Iterator[MqttSink]:
    values = MqttSettings.model_validate({"host": "127.0.0.1", "port": broker.port} | settings)
    sink = MqttSink(values, control or Control(["bed"]), ("left", "right", "supine"), clock or Clock())
    sink.open()
    try:
        yield sink
    finally:
        sink.close()


def write(sink: MqttSink, *lines: Line) -> None:
    for line in lines:
        sink.write(Item(line))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path) as running:
        yield running


@pytest.fixture
def heard(broker: Broker) -> Iterator[Listener]:
    with Listener(broker) as listener:
        yield listener


@contextmanager
def answering(control: Control, reply: Reply) -> Iterator[list[Command]]:
    """The processing loop: what was asked of it."""
    asked: list[Command] = []
    ending = threading.Event()

    def loop() -> None:
        while not ending.wait(0.01):
            for command, answer in control.take():
                asked.append(command)
                answer.set_result(reply)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield asked
    finally:
        ending.set()
        thread.join()


def test_a_mat_is_available_from_its_first_pose_until_its_frames_are_missing(broker: Broker, heard: Listener) -> None:
    endings = [
        PORT_LOST,
        PORT_LOST.model_copy(update={"event": "port_waiting"}),
        PORT_LOST.model_copy(update={"event": "stale"}),
        HEALTH.model_copy(update={"status": "stale"}),
        End(ts=9.0, seq=5, mat="bed", counts=HEALTH.counts),
    ]
    with publishing(broker) as sink:
        heard.wait("edge-run/bridge/state", "online")
        write(sink, HELLO, HEALTH)
        heard.wait("edge-run/bed/availability", "offline")
        for line in endings:
            write(sink, POSE, HEALTH, POSE)
            heard.wait("edge-run/bed/availability", "online")
            write(sink, line)
            heard.wait("edge-run/bed/availability", "offline")
    assert heard.heard("edge-run/bed/availability")[:-1] == ["offline"] + ["online", "offline"] * len(endings)


def test_state_is_retained_and_news_is_not(broker: Broker, heard: Listener) -> None:
    with publishing(broker) as sink:
        heard.wait("edge-run/bridge/state", "online")
        write(sink, HELLO, HEALTH, POSE, PORT_LOST)
        assert heard.wait_json("edge-run/bed/state")["posture"] == "supine"
        assert heard.wait_json("edge-run/bed/health") == json.loads(HEALTH.json_line())
        assert heard.wait_json("edge-run/bed/event") == json.loads(PORT_LOST.json_line())
        with Listener(broker) as later:
            later.wait_json("edge-run/bed/state")
            kept = {topic for topic in later.topics() if later.retained(topic)}
        assert kept == {
            "edge-run/bridge/state", "edge-run/bed/availability", "edge-run/bed/state",
            "homeassistant/device/edge-run-bed-0bed/config",
        }  # fmt: skip


def test_states_keep_their_distance(broker: Broker, heard: Listener) -> None:
    clock = Clock()
    with publishing(broker, clock=clock) as sink:
        heard.wait("edge-run/bridge/state", "online")
        write(sink, HELLO, HEALTH)
        for clock.s in (0.0, 0.1, 0.2, 29.0, 31.0):
            write(sink, POSE)
            until(lambda: heard.heard("edge-run/bed/state"), "a state")
        until(lambda: len(heard.heard("edge-run/bed/state")) == 2, "the next state")


def test_every_mat_has_its_own_topics_whatever_its_name(broker: Broker, heard: Listener) -> None:
    names = ["Bett für Zoë", "Bett/fur+Zoe", "#"]
    with publishing(broker, Control(names)) as sink:
        for name in names:
            write(sink, *(line.model_copy(update={"mat": name}) for line in (HELLO, HEALTH, POSE)))
        for topic in ("Bett-fur-Zoe-7ef5da", "Bett-fur-Zoe-90f148", "mat-334359"):
            heard.wait(f"edge-run/{topic}/availability", "online")
            config = heard.wait_json(f"homeassistant/device/edge-run-{topic}-0bed/config")
            assert config["stat_t"] == f"edge-run/{topic}/state"


def test_daemons_with_bases_in_other_letters_do_not_take_each_other_s_device(broker: Broker, heard: Listener) -> None:
    bases = ["спальня", "кухня"]
    for base in bases:
        with publishing(broker, base=base) as sink:
            heard.wait(f"{base}/bridge/state", "online")
            write(sink, HELLO)
        heard.wait(f"{base}/bridge/state", "offline")
    topics = [topic for topic in heard.topics() if topic.startswith("homeassistant/device/")]
    assert sorted(heard.wait_json(topic)["stat_t"] for topic in topics) == ["кухня/bed/state", "спальня/bed/state"]


def test_keypoints_come_at_the_rate_that_was_asked_for(broker: Broker, heard: Listener) -> None:
    clock = Clock()
    with publishing(broker, clock=clock, keypoints_hz=4) as sink:
        heard.wait("edge-run/bridge/state", "online")
        for tick in range(41):
            clock.s = 1000 + tick / 40
            write(sink, POSE.model_copy(update={"seq": tick}))
            until(lambda due=tick // 10 + 1: len(heard.heard("edge-run/bed/keypoints")) >= due, "keypoints")
    heard.wait("edge-run/bridge/state", "offline")
    points = [message for message in heard.messages if message.topic == "edge-run/bed/keypoints"]
    assert {(message.qos, message.retain) for message in points} == {(0, False)}
    values = [json.loads(message.payload) for message in points]
    assert [value["seq"] for value in values] == [0, 10, 20, 30, 40]
    assert values[0] == {"ts": 2.0, "seq": 0, "joints": {"head": {"x_cm": 40.0, "y_cm": 12.0, "confidence": 0.9}}}


def test_nobody_gets_keypoints_unasked(broker: Broker, heard: Listener) -> None:
    with publishing(broker) as sink:
        heard.wait("edge-run/bridge/state", "online")
        write(sink, POSE)
    heard.wait("edge-run/bridge/state", "offline")
    assert "edge-run/bed/keypoints" not in heard.topics()


def test_a_tare_is_asked_for_and_answered(broker: Broker, heard: Listener) -> None:
    control = Control(["bed"])
    with publishing(broker, control), answering(control, Reply(True, "tared, für alle")) as asked:
        heard.wait("edge-run/bridge/state", "online")
        heard.say("edge-run/bed/request/tare", "{}")
        assert heard.wait_json("edge-run/bed/response/tare") == {"ok": True, "text": "tared, für alle"}
        heard.say("edge-run/bed/request/tare", '{"force": true}')
        heard.say("edge-run/bed/request/record", "{}")
        heard.say("edge-run/bed/request/stop_recording", "{}")
        heard.wait_json("edge-run/bed/response/stop_recording")
    assert asked == [
        Command("bed", "tare"),
        Command("bed", "tare", force=True),
        Command("bed", "record"),
        Command("bed", "stop_recording"),
    ]


def test_a_calibration_by_a_known_load_is_asked_for_and_answered(broker: Broker, heard: Listener) -> None:
    control = Control(["bed"])
    with publishing(broker, control), answering(control, Reply(True, "calibrated: 60.0 counts are 1 kPa")) as asked:
        heard.wait("edge-run/bridge/state", "online")
        heard.say("edge-run/bed/request/calibrate", '{"even": true}')
        answer = heard.wait_json("edge-run/bed/response/calibrate")
        assert answer == {"ok": True, "text": "calibrated: 60.0 counts are 1 kPa"}
        heard.say("edge-run/bed/request/calibrate", "{}")
        refused = heard.wait_json("edge-run/bed/response/calibrate", lambda value: not value["ok"])
        assert refused["text"].endswith('expected {"even": true} or {"mass_kg": 80}')
        heard.say("edge-run/bed/request/calibrate", '{"mass_kg": 80}')
        until(lambda: len(heard.heard("edge-run/bed/response/calibrate")) == 3, "the third answer")
    assert asked == [Command("bed", "even"), Command("bed", "weigh", mass_kg=80.0)]


def test_a_request_that_makes_no_sense_is_answered_and_not_passed_on(broker: Broker, heard: Listener) -> None:
    control = Control(["bed"])
    with publishing(broker, control):
        heard.wait("edge-run/bridge/state", "online")
        heard.say("edge-run/bed/request/tare", "please")
        answer = heard.wait_json("edge-run/bed/response/tare")
        assert not answer["ok"]
        assert answer["text"].endswith('expected {} or {"force": true}')
        heard.say("edge-run/bed/request/record", b"\xff" * 5000)
        assert not heard.wait_json("edge-run/bed/response/record")["ok"]
        assert control.take() == []


def test_a_flood_of_requests_is_answered_too(broker: Broker, heard: Listener) -> None:
    control = Control(["bed"])
    with publishing(broker, control):
        heard.wait("edge-run/bridge/state", "online")
        for _ in range(100):
            heard.say("edge-run/bed/request/tare", "{}")
        text = heard.wait_json("edge-run/bed/response/tare")["text"]
        assert "try again" in text
        assert len(control.take()) == 32


def test_a_retained_request_is_not_obeyed_at_every_connection(
    broker: Broker, heard: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    control = Control(["bed"])
    heard.say("edge-run/bed/request/tare", "{}", retain=True)
    with publishing(broker, control):
        said = "retained request on edge-run/bed/request/tare ignored: send it without the retain flag"
        until(lambda: said in caplog.messages, "the warning")
        heard.say("edge-run/bed/request/record", "nonsense")
        heard.wait_json("edge-run/bed/response/record")
        assert control.take() == []
        assert heard.heard("edge-run/bed/response/tare") == []


def test_home_assistant_is_told_again_when_it_starts(broker: Broker, heard: Listener) -> None:
    topic = "homeassistant/device/edge-run-bed-0bed/config"
    with publishing(broker) as sink:
        heard.wait("edge-run/bridge/state", "online")
        assert topic not in heard.topics()
        write(sink, HELLO, HEALTH, POSE)
        heard.wait_json(topic)
        heard.wait_json("edge-run/bed/state")
        heard.say("homeassistant/status", "offline")
        heard.say("homeassistant/status", "online")
        until(lambda: len(heard.heard(topic)) == 2, "the second discovery")
        until(lambda: len(heard.heard("edge-run/bed/state")) == 2, "the second state")
        assert len(set(heard.heard(topic))) == 1


def test_discovery_can_be_elsewhere_or_off(broker: Broker, heard: Listener) -> None:
    for discovery in ("ha", None):
        with publishing(broker, discovery=discovery) as sink:
            write(sink, HELLO, HEALTH, POSE)
            heard.wait("edge-run/bed/availability", "online")
        heard.wait("edge-run/bridge/state", "offline")
    assert {topic for topic in heard.topics() if "device" in topic} == {"ha/device/edge-run-bed-0bed/config"}
    assert len(heard.heard("ha/device/edge-run-bed-0bed/config")) == 1


def test_a_mat_that_is_replaced_leaves_no_ghost(broker: Broker, heard: Listener) -> None:
    with publishing(broker) as sink:
        write(sink, HELLO, HELLO.model_copy(update={"device_id": 1}))
        heard.wait_json("homeassistant/device/edge-run-bed-0001/config")
        heard.wait("homeassistant/device/edge-run-bed-0bed/config", "")


def test_a_broker_that_restarts_learns_everything_again(broker: Broker) -> None:
    with publishing(broker) as sink:
        write(sink, HELLO, HEALTH, POSE)
        with Listener(broker) as heard:
            heard.wait_json("edge-run/bed/state")
        broker.stop()
        write(sink, NOBODY, HEALTH.model_copy(update={"occupied": False, "posture": None}))
        broker.start()
        with Listener(broker) as heard:
            heard.wait("edge-run/bridge/state", "online")
            heard.wait("edge-run/bed/availability", "online")
            assert not heard.wait_json("edge-run/bed/state")["occupied"]
            assert len(heard.heard("edge-run/bed/state")) == 1
            assert heard.wait_json("homeassistant/device/edge-run-bed-0bed/config")["dev"]["name"] == "bed"


def test_the_first_posture_reaches_the_state_before_the_next_regular_health(
    broker: Broker, heard: Listener, pmd: Path
) -> None:
    session, mat = Session(KeypointModel.from_files(DEFAULT_MODEL), "bed", StreamCounts()), info()
    counts = read_pmd(pmd, [2]).medians().pressure[0].astype(np.uint16)
    with publishing(broker) as sink:
        for half in range(20):
            now = Instant(1e9 + half / 2, half / 2)
            for item in session.frame(frame(counts, half), mat, now):
                sink.write(item)
        assert heard.wait_json("edge-run/bed/state", lambda state: state["posture"] is not None)["occupied"]


def test_a_mat_that_is_lost_during_an_outage_is_offline_after_it(broker: Broker) -> None:
    with publishing(broker) as sink:
        write(sink, HELLO, HEALTH, POSE)
        with Listener(broker) as heard:
            heard.wait("edge-run/bed/availability", "online")
        broker.stop()
        write(sink, PORT_LOST)
        broker.start()
        with Listener(broker) as heard:
            heard.wait("edge-run/bed/availability", "offline")
            assert heard.heard("edge-run/bed/availability") == ["offline"]


def test_a_clean_end_takes_everything_offline(broker: Broker, heard: Listener) -> None:
    with publishing(broker) as sink:
        write(sink, HELLO, HEALTH, POSE)
        heard.wait("edge-run/bed/availability", "online")
    heard.wait("edge-run/bridge/state", "offline")
    heard.wait("edge-run/bed/availability", "offline")
    with Listener(broker) as later:
        later.wait("edge-run/bed/availability", "offline")
        later.wait("edge-run/bridge/state", "offline")
        assert later.retained("edge-run/bridge/state") == ["offline"]
    assert heard.heard("edge-run/bridge/state") == ["online", "offline"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_the_broker_knows_when_the_process_is_gone(broker: Broker, heard: Listener, how: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(broker.port)], cwd=Path(__file__).parent, stderr=subprocess.PIPE
    ) as process:
        try:
            heard.wait("edge-run/bed/availability", "online")
            process.send_signal(how)
            heard.wait("edge-run/bridge/state", "offline")
        finally:
            process.kill()
    with Listener(broker) as later:
        later.wait("edge-run/bridge/state", "offline")
        later.wait("edge-run/bed/availability", "online")  # so docs/install.md says to watch both


def test_a_will_that_comes_late_does_not_last(broker: Broker, heard: Listener) -> None:
    """As when power was cut: the broker buries the connection of before once the daemon is back already."""
    with publishing(broker):
        heard.wait("edge-run/bridge/state", "online")
        heard.say("edge-run/bridge/state", "offline", retain=True)
        until(lambda: heard.heard("edge-run/bridge/state") == ["online", "offline", "online"], "online again")


def test_lines_and_keys_of_later_versions_are_passed_over(broker: Broker, heard: Listener) -> None:
    later: dict[str, Any] = {"event": "levitated"}
    with publishing(broker) as sink:
        heard.wait("edge-run/bridge/state", "online")
        write(sink, Line(type="riddle", ts=1.0, seq=None, mat="bed"), PORT_LOST.model_copy(update=later))
        assert heard.wait_json("edge-run/bed/event")["event"] == "levitated"
