"""Home Assistant's device discovery, field by field.

Facts, read on 2026-11-23, from:
- https://www.home-assistant.io/integrations/mqtt/ ("Device discovery payload", "Supported abbreviations in MQTT
  discovery messages", "... for device registry configuration", "... for origin info", "Using Availability topics")
- https://www.home-assistant.io/integrations/sensor/ and /binary_sensor/ ("Device class"), and homeassistant/components/
  sensor/const.py (DEVICE_CLASS_UNITS: cm² among the units of `area`, a device class since 2025.1)
"""

import json
import re
from typing import Any

import pytest
from broker import HEALTH, HELLO, NOBODY, POSE
from jinja2 import Environment, StrictUndefined

from edge.messages import Health, Pose
from edge.outputs.mqtt.discovery import config, config_topic, device_key
from edge.outputs.mqtt.state import StateOfMat
from edge.outputs.mqtt.topics import MatTopics

POSTURES = ("left", "right", "supine")
TOPICS = MatTopics("edge-run", "bed")

ABBREVIATIONS = {
    "avty": "availability",
    "avty_mode": "availability_mode",
    "cmd_t": "command_topic",
    "cmps": "components",
    "dev": "device",
    "dev_cla": "device_class",
    "ent_cat": "entity_category",
    "name": "name",
    "o": "origin",
    "ops": "options",
    "p": "platform",
    "pl_prs": "payload_press",
    "stat_cla": "state_class",
    "stat_t": "state_topic",
    "t": "topic",
    "unique_id": "unique_id",
    "unit_of_meas": "unit_of_measurement",
    "val_tpl": "value_template",
}
DEVICE = {"ids": "identifiers", "name": "name", "mdl": "model", "sw": "sw_version", "sn": "serial_number"}
ORIGIN = {"name": "name", "sw": "sw_version"}
SHARED = {"device", "origin", "components", "availability", "availability_mode", "state_topic"}
OPTIONS = {
    "sensor": {"device_class", "state_class", "unit_of_measurement", "value_template", "options"},
    "binary_sensor": {"device_class", "value_template"},
    "button": {"command_topic", "payload_press"},
}
EVERYWHERE = {"platform", "unique_id", "name", "entity_category"}
UNITS = {"distance": "cm", "area": "cm²", "frequency": "Hz", "pressure": "kPa", "enum": None}
STATE_CLASSES = {"measurement", "total_increasing"}


def long(payload: dict[str, Any], names: dict[str, str] = ABBREVIATIONS) -> dict[str, Any]:
    """`payload` as Home Assistant reads it; KeyError for what it does not know."""
    return {names[key]: value for key, value in payload.items()}


@pytest.fixture
def payload() -> dict[str, Any]:
    return long(config(HELLO, TOPICS, POSTURES))


@pytest.fixture
def components(payload: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: long(component) for name, component in payload["components"].items()}


def test_the_payload_has_what_a_device_must_have(payload: dict[str, Any]) -> None:
    assert set(payload) == SHARED
    assert long(payload["device"], DEVICE) == {
        "identifiers": ["edge-run-bed-0bed"],
        "name": "bed",
        "model": "test-mat, 64 x 32",
        "sw_version": "1.2",
        "serial_number": "0bed",
    }
    assert long(payload["origin"], ORIGIN) == {"name": "edge-run", "sw_version": HELLO.software}
    assert payload["state_topic"] == "edge-run/bed/state"


def test_the_device_is_there_when_the_daemon_is_and_frames_come(payload: dict[str, Any]) -> None:
    topics = [long(entry)["topic"] for entry in payload["availability"]]
    assert topics == ["edge-run/bridge/state", "edge-run/bed/availability"]
    assert payload["availability_mode"] == "all"


def test_every_component_has_only_options_of_its_platform(components: dict[str, dict[str, Any]]) -> None:
    for component in components.values():
        assert {"platform", "unique_id", "name"} <= set(component)
        assert set(component) <= EVERYWHERE | OPTIONS[component["platform"]]
        assert component.get("entity_category", "diagnostic") == "diagnostic"
    assert len({component["unique_id"] for component in components.values()}) == len(components)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", component["unique_id"]) for component in components.values())


def test_every_entity_of_the_issue_is_there(components: dict[str, dict[str, Any]]) -> None:
    assert {name: (part["platform"], part.get("device_class")) for name, part in components.items()} == {
        "occupancy": ("binary_sensor", "occupancy"),
        "posture": ("sensor", "enum"),
        "cop_x": ("sensor", "distance"),
        "cop_y": ("sensor", "distance"),
        "contact_area": ("sensor", "area"),
        "peak_pressure": ("sensor", None),
        "turns": ("sensor", None),
        "frame_rate": ("sensor", "frequency"),
        "lost": ("sensor", None),
        "corrupt": ("sensor", None),
        "recording": ("binary_sensor", "running"),
        "tare": ("button", None),
        "record": ("button", None),
        "stop_recording": ("button", None),
    }
    assert {name for name, part in components.items() if "entity_category" in part} == {
        "frame_rate", "lost", "corrupt", "recording",
    }  # fmt: skip


def test_units_are_those_of_the_device_class(components: dict[str, dict[str, Any]]) -> None:
    sensors = [part for part in components.values() if part["platform"] == "sensor"]
    for part in sensors:
        if "device_class" in part:
            assert part.get("unit_of_measurement") == UNITS[part["device_class"]]
        if part.get("device_class") != "enum":
            assert part["state_class"] in STATE_CLASSES
    assert components["posture"]["options"] == list(POSTURES)
    assert "state_class" not in components["posture"]  # Home Assistant refuses it with enum
    assert {name for name, part in components.items() if part.get("state_class") == "total_increasing"} == {
        "turns", "lost", "corrupt",
    }  # fmt: skip


def test_peak_pressure_has_a_device_class_where_it_is_a_pressure(components: dict[str, dict[str, Any]]) -> None:
    assert components["peak_pressure"]["unit_of_measurement"] == "counts"
    units = HELLO.units.model_copy(update={"pressure": "kPa"})
    calibrated = long(config(HELLO.model_copy(update={"units": units}), TOPICS, ())["cmps"]["peak_pressure"])
    assert (calibrated["unit_of_measurement"], calibrated["device_class"]) == ("kPa", "pressure")


def test_buttons_send_the_requests(components: dict[str, dict[str, Any]]) -> None:
    for action in ("tare", "record", "stop_recording"):
        assert components[action]["command_topic"] == f"edge-run/bed/request/{action}"
        assert components[action]["payload_press"] == "{}"


def rendered(components: dict[str, dict[str, Any]], health: Health, pose: Pose) -> dict[str, str]:
    """What Home Assistant's entities show; its templates are Jinja's, and None is an unknown state."""
    mat = StateOfMat(30)
    mat.take(health, 0.0)
    state = mat.take(pose, 0.0)
    assert state
    strict = Environment(undefined=StrictUndefined, autoescape=False)
    values = {"value_json": json.loads(state.model_dump_json())}
    texts = {name: part["value_template"] for name, part in components.items() if "value_template" in part}
    return {name: strict.from_string(text).render(values) for name, text in texts.items()}


def test_every_entity_shows_its_part_of_the_state(components: dict[str, dict[str, Any]]) -> None:
    assert rendered(components, HEALTH, POSE) == {
        "occupancy": "ON", "posture": "supine", "cop_x": "40.1", "cop_y": "80.0", "contact_area": "4567.9",
        "peak_pressure": "900.0", "turns": "1", "frame_rate": "40.0", "lost": "3", "corrupt": "2", "recording": "OFF",
    }  # fmt: skip


def test_what_is_unknown_of_an_empty_bed_is_none(components: dict[str, dict[str, Any]]) -> None:
    shown = rendered(components, HEALTH.model_copy(update={"occupied": False, "posture": None, "fps": None}), NOBODY)
    assert {name for name, text in shown.items() if text == "None"} == {"posture", "cop_x", "cop_y", "frame_rate"}
    assert shown["occupancy"] == "OFF"


def test_a_model_without_postures_has_no_posture_entity() -> None:
    assert "posture" not in config(HELLO, TOPICS, ())["cmps"]


@pytest.mark.parametrize("bases", [["спальня", "кухня"], ["a/b", "a-b", "a b"], ["mat", "床"]])
def test_daemons_whose_bases_are_alike_in_ascii_have_ids_of_their_own(bases: list[str]) -> None:
    keys = [device_key(HELLO, MatTopics(base, "bed")) for base in bases]
    assert len(set(keys)) == len(bases)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", key) for key in keys)


def test_the_id_is_the_same_after_a_restart_and_another_for_another_mat_name_or_daemon() -> None:
    again = HELLO.model_copy(update={"boot_id": 8, "ts": 99.0, "software": "9"})
    assert device_key(again, TOPICS) == device_key(HELLO, TOPICS)
    others = {
        device_key(HELLO.model_copy(update={"device_id": 1}), TOPICS),
        device_key(HELLO, MatTopics("edge-run", "sofa")),
        device_key(HELLO, MatTopics("home/beds", "bed")),
        device_key(HELLO, TOPICS),
    }
    assert len(others) == 4
    assert all(
        re.fullmatch(r"homeassistant/device/[A-Za-z0-9_-]+/config", config_topic("homeassistant", key))
        for key in others
    )
