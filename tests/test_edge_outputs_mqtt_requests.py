"""Requests: a small JSON object, and a line that says what is wrong with anything else."""

import pytest

from edge.control import Command
from edge.outputs.mqtt.requests import MOST_BYTES, command


def test_requests_become_commands() -> None:
    assert command("bed", "tare", b"{}") == Command("bed", "tare")
    assert command("bed", "tare", b' {"force": true}\n') == Command("bed", "tare", force=True)
    assert command("bed", "record", b"{}") == Command("bed", "record")
    assert command("bed", "stop_recording", b"{}") == Command("bed", "stop_recording")
    assert command("bed", "calibrate", b'{"even": true}') == Command("bed", "even")
    assert command("bed", "calibrate", b'{"mass_kg": 80}') == Command("bed", "weigh", mass_kg=80.0)


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"", "Invalid JSON"),
        (b"PRESS", "Invalid JSON"),
        (b"\xff\xfe", "Invalid JSON"),
        (b"[]", "object"),
        (b"null", "object"),
        (b'{"force": "yes"}', "force: .*boolean"),
        (b'{"force": 1}', "force: .*boolean"),
        (b'{"Force": true}', "Force: "),
        (b"{} {}", "Invalid JSON"),
        (b"[" * 1000, "Invalid JSON"),
        (b" " * MOST_BYTES + b"{}", f"at most {MOST_BYTES}"),
    ],
)
def test_anything_else_is_named_on_one_line(payload: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=f"^request tare: .*{says}") as error:
        command("bed", "tare", payload)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"{}", "even or mass_kg is needed, not both"),
        (b'{"even": true, "mass_kg": 80}', "even or mass_kg is needed, not both"),
        (b'{"mass_kg": -1}', "mass_kg: .*greater than or equal to 1"),
        (b'{"force": true}', "force: "),
    ],
)
def test_a_load_that_makes_no_sense_is_named_on_one_line(payload: bytes, says: str) -> None:
    expected = '; expected {"even": true} or {"mass_kg": 80}'
    with pytest.raises(ValueError, match=f"^request calibrate: {says}.*{expected}$") as error:
        command("bed", "calibrate", payload)
    assert "\n" not in str(error.value)


def test_only_a_tare_can_be_forced() -> None:
    with pytest.raises(ValueError, match="request record: force"):
        command("bed", "record", b'{"force": true}')
