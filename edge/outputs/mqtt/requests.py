"""`<base>/<mat>/request/<action>`: JSON -> a command."""

from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from edge.control import Command
from edge.outputs.calibrate import Calibrate
from edge.outputs.mqtt.topics import Request

MOST_BYTES: Final = 1024
EXPECTED: Final[dict[Request, str]] = {
    "tare": '{} or {"force": true}',
    "calibrate": '{"even": true} or {"mass_kg": 80}',
}
"""Of all others: {}."""


class Plain(BaseModel):
    """A request that says nothing but its name: {}."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Tare(Plain):
    """{} or {"force": true}."""

    force: bool = False


def command(mat: str, action: Request, payload: bytes) -> Command:
    """Raises ValueError, one line, for anything else than what is expected."""
    if len(payload) > MOST_BYTES:
        raise ValueError(f"request {action}: {len(payload)} bytes, at most {MOST_BYTES}")
    try:
        match action:
            case "tare":
                return Command(mat, action, force=Tare.model_validate_json(payload).force)
            case "calibrate":
                return Calibrate.model_validate_json(payload).command(mat)
            case _:
                Plain.model_validate_json(payload)
                return Command(mat, action)
    except ValidationError as error:
        first = error.errors()[0]
        key = "".join(f"{part}: " for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"request {action}: {key}{reason}; expected {EXPECTED.get(action, '{}')}") from None
