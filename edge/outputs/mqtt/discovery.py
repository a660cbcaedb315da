"""What Home Assistant reads of a mat: one device, its entities as components.

Source of all keys: https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
"""

from collections.abc import Sequence
from typing import Any, Final

from edge.messages import Hello
from edge.outputs.mqtt.topics import MatTopics, bridge_state, distinct

Component = dict[str, Any]
MEASURED: Final = {"p": "sensor", "stat_cla": "measurement"}
COUNTED: Final = {"p": "sensor", "stat_cla": "total_increasing"}
DIAGNOSTIC: Final = {"ent_cat": "diagnostic"}


def device_key(hello: Hello, topics: MatTopics) -> str:
    """The same after every restart; another for another mat, another name, another daemon (which has its own base)."""
    return f"{distinct(topics.base)}-{topics.slug}-{hello.device_id:04x}"


def config_topic(prefix: str, key: str) -> str:
    return f"{prefix}/device/{key}/config"


def config(hello: Hello, topics: MatTopics, postures: Sequence[str]) -> dict[str, Any]:
    """The payload of `config_topic`. Without `postures`, which the model names, there is no posture entity."""
    key = device_key(hello, topics)
    components = _components(hello.units.pressure, topics, postures)
    return {
        "dev": {
            "ids": [key],
            "name": hello.mat,
            "mdl": f"{hello.firmware.name}, {hello.grid.rows} x {hello.grid.cols}",
            "sw": hello.firmware.version,
            "sn": f"{hello.device_id:04x}",
        },
        "o": {"name": "edge-run", "sw": hello.software},
        "avty": [{"t": bridge_state(topics.base)}, {"t": topics.availability}],
        "avty_mode": "all",
        "stat_t": topics.state,
        "cmps": {name: component | {"unique_id": f"{key}-{name}"} for name, component in components.items()},
    }


def _components(pressure_unit: str, topics: MatTopics, postures: Sequence[str]) -> dict[str, Component]:
    classed = {"dev_cla": "pressure"} if pressure_unit == "kPa" else {}
    posture: dict[str, Component] = {}
    if postures:
        enum = {"p": "sensor", "dev_cla": "enum", "ops": list(postures)}
        posture = {"posture": enum | {"name": "Posture", "val_tpl": "{{ value_json.posture }}"}}
    return {
        "occupancy": {"p": "binary_sensor", "dev_cla": "occupancy", "name": "Occupancy", "val_tpl": _on("occupied")},
        **posture,
        "cop_x": MEASURED | {"name": "Centre of pressure x", "dev_cla": "distance", **_value(_cop(0), "cm")},
        "cop_y": MEASURED | {"name": "Centre of pressure y", "dev_cla": "distance", **_value(_cop(1), "cm")},
        "contact_area": MEASURED | {"name": "Contact area", "dev_cla": "area", **_value("contact_area_cm2", "cm²")},
        "peak_pressure": MEASURED | classed | {"name": "Peak pressure", **_value("peak_pressure", pressure_unit)},
        "turns": COUNTED | {"name": "Turns", "val_tpl": "{{ value_json.turns }}"},
        "frame_rate": MEASURED | DIAGNOSTIC | {"name": "Frame rate", "dev_cla": "frequency", **_value("fps", "Hz")},
        "lost": COUNTED | DIAGNOSTIC | {"name": "Lost frames", "val_tpl": "{{ value_json.lost }}"},
        "corrupt": COUNTED | DIAGNOSTIC | {"name": "Corrupt messages", "val_tpl": "{{ value_json.corrupt }}"},
        "recording": {"p": "binary_sensor", "dev_cla": "running", "name": "Recording", "val_tpl": _on("recording")}
        | DIAGNOSTIC,
        "tare": _button("Tare", topics.request("tare")),
        "record": _button("Start recording", topics.request("record")),
        "stop_recording": _button("Stop recording", topics.request("stop_recording")),
    }


def _value(key: str, unit: str) -> Component:
    return {"unit_of_meas": unit, "val_tpl": f"{{{{ value_json.{key} }}}}"}


def _cop(axis: int) -> str:
    return f"cop_cm[{axis}] if value_json.cop_cm else None"


def _on(key: str) -> str:
    return f"{{{{ 'ON' if value_json.{key} else 'OFF' }}}}"


def _button(name: str, topic: str) -> Component:
    return {"p": "button", "name": name, "cmd_t": topic, "pl_prs": "{}"}
