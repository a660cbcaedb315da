"""Where the broker is and who asks: what is given, and the environment."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from edge.outputs.mqtt.settings import MqttSettings
from firmware_bridge.errors import Exit, Failure


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGE_RUN_MQTT_USER", raising=False)
    monkeypatch.delenv("EDGE_RUN_MQTT_PASSWORD", raising=False)


def test_a_host_is_enough() -> None:
    settings = MqttSettings.of(host="broker.lan", port=None, username=None, base=None, cafile=None)
    assert settings.address == ("broker.lan", 1883)
    assert (settings.base, settings.discovery, settings.keypoints_hz) == ("edge-run", "homeassistant", 0)
    assert (settings.username, settings.password, settings.tls) == (None, None, False)


def test_tls_has_a_port_of_its_own() -> None:
    settings = MqttSettings.of(host="broker.lan", tls=True)
    assert settings.address == ("broker.lan", 8883)
    assert settings.where == "mqtts://broker.lan:8883"


def test_text_as_it_stands_in_a_uri_will_do() -> None:
    settings = MqttSettings.of(host="fd00::1", port="99", keypoints_hz="5", state_every_s="60", cafile="/etc/ca.pem")
    assert settings.address == ("fd00::1", 99)
    assert settings.where == "mqtt://[fd00::1]:99"
    assert (settings.cafile, settings.keypoints_hz, settings.state_every_s) == (Path("/etc/ca.pem"), 5, 60)


def test_discovery_can_be_off_and_elsewhere() -> None:
    assert MqttSettings.of(host="h", discovery="off").discovery is None
    assert MqttSettings.of(host="h", discovery="ha").discovery == "ha"


def test_user_and_password_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_RUN_MQTT_USER", "bed")
    monkeypatch.setenv("EDGE_RUN_MQTT_PASSWORD", "geheim")
    settings = MqttSettings.of(host="h", username=None)
    assert settings.username == "bed"
    assert settings.password == SecretStr("geheim")
    assert MqttSettings.of(host="h", username="eve").username == "eve"
    assert "geheim" not in repr(settings)


def test_a_password_that_crosses_the_network_in_the_clear_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not MqttSettings.of(host="h", username="bed").tells_its_password
    monkeypatch.setenv("EDGE_RUN_MQTT_PASSWORD", "geheim")
    assert MqttSettings.of(host="h", username="bed").tells_its_password
    assert not MqttSettings.of(host="localhost", username="bed").tells_its_password
    assert not MqttSettings.of(host="h", username="bed", tls=True).tells_its_password


def test_a_password_needs_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_RUN_MQTT_PASSWORD", "geheim")
    with pytest.raises(Failure, match="EDGE_RUN_MQTT_USER") as failure:
        MqttSettings.of(host="h")
    assert "geheim" not in str(failure.value)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "host"),
        ({"host": ""}, "host .*no host name"),
        ({"host": "a b"}, "host a b is no host name"),
        ({"host": "a" * 70 + ".lan"}, "is no host name"),
        ({"port": 70000}, "port 70000"),
        ({"base": "a/+/b"}, r"base a/\+/b is no topic"),
        ({"base": "#"}, "base # is no topic"),
        ({"base": "$SYS"}, "is no topic"),
        ({"base": "/a"}, "base /a is no topic"),
        ({"base": "a/"}, "base a/ is no topic"),
        ({"discovery": ""}, "discovery .*is no topic"),
        ({"keypoints_hz": -1}, "keypoints_hz -1"),
        ({"keypoints_hz": "nan"}, "keypoints_hz nan"),
        ({"state_every_s": 0}, "state_every_s 0"),
        ({"kepyoints_hz": 1}, "kepyoints_hz"),
    ],
)
def test_what_cannot_be_is_named_on_one_line(given: dict[str, object], says: str) -> None:
    with pytest.raises(Failure, match=says) as failure:
        MqttSettings.of(**({"host": "h"} if given else {}) | given)
    assert failure.value.code == Exit.USAGE
    assert "\n" not in str(failure.value)
