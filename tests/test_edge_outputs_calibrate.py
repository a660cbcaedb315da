"""A request to calibrate says which load lies on the mat, and only one."""

import pytest
from pydantic import ValidationError

from edge.control import Command
from edge.outputs.calibrate import HEAVIEST_KG, Calibrate


@pytest.mark.parametrize(
    ("body", "command"),
    [
        ('{"even": true}', Command("bed", "even")),
        ('{"mass_kg": 80}', Command("bed", "weigh", mass_kg=80.0)),
        ('{"mass_kg": 3.25, "even": false}', Command("bed", "weigh", mass_kg=3.25)),
    ],
)
def test_a_load_becomes_a_command(body: str, command: Command) -> None:
    assert Calibrate.model_validate_json(body).command("bed") == command


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"even": false}',
        '{"even": 1}',
        '{"even": true, "mass_kg": 80}',
        '{"mass_kg": 0}',
        '{"mass_kg": -80}',
        '{"mass_kg": 1e-305}',
        f'{{"mass_kg": {HEAVIEST_KG + 1}}}',
        '{"mass_kg": NaN}',
        '{"mass_kg": 1e999}',
        '{"mass_kg": "80"}',
        '{"mass_kg": true}',
        '{"weight": 80}',
    ],
)
def test_anything_else_is_refused(body: str) -> None:
    with pytest.raises(ValidationError):
        Calibrate.model_validate_json(body)
