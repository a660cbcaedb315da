"""`<base>/<mat>/request/<action>`: JSON -> a command."""

from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from edge.control import Command
from edge.outputs.mqtt.topics import Request

MOST_BYTES: Final = 1024


class Plain(BaseModel):
    """A request that says nothing but its name: {}."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Tare(Plain):
    """{} or {"force": true}."""

    force: bool = False


def command(mat: str, action: Request, payload: bytes) -> Command:
    """Raises ValueError, one line, for anything else than what is expected."""
    form = Tare if action == "tare" else Plain
    if len(payload) > MOST_BYTES:
        raise ValueError(f"request {action}: {len(payload)} bytes, at most {MOST_BYTES}")
    try:
        asked = form.model_validate_json(payload)
    except ValidationError as error:
        first = error.errors()[0]
        key = "".join(f"{part}: " for part in first["loc"])
        expected = '{} or {"force": true}' if form is Tare else "{}"
        raise ValueError(f"request {action}: {key}{first['msg']}; expected {expected}") from None
    return Command(mat, action, force=isinstance(asked, Tare) and asked.force)
