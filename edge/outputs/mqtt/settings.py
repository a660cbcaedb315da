"""Where the broker is, who asks, and what is published there."""

import os
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from firmware_bridge.errors import Exit, Failure

USER_VARIABLE: Final = "EDGE_RUN_MQTT_USER"
PASSWORD_VARIABLE: Final = "EDGE_RUN_MQTT_PASSWORD"
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
DEFAULT_BASE: Final = "edge-run"
PLAIN_PORT: Final = 1883
TLS_PORT: Final = 8883


def _host(name: str) -> str:
    try:
        encoded = name.encode("idna")
    except UnicodeError:
        encoded = b""
    if not encoded or encoded.startswith(b".") or any(character.isspace() for character in name):
        raise ValueError("is no host name")
    return name


def _topic(name: str) -> str:
    """One that may be published to, and that is not the broker's own."""
    if not name or name[0] in "/$" or name[-1] == "/" or any(character in "+#\0" for character in name):
        raise ValueError("is no topic: one or more names with / between them, without + and #, not beginning with $")
    return name


Host = Annotated[str, AfterValidator(_host)]
Topic = Annotated[str, AfterValidator(_topic)]


def _password() -> SecretStr | None:
    return SecretStr(os.environ[PASSWORD_VARIABLE]) if PASSWORD_VARIABLE in os.environ else None


class MqttSettings(BaseModel):
    """One broker. A certificate is always checked: one that nobody signed is trusted by giving it as `cafile`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    host: Host
    port: int | None = Field(None, ge=1, le=65535, description="null: 1883, with TLS 8883")
    tls: bool = False
    cafile: Path | None = Field(None, description="PEM of the CA, or of the broker itself; null: those of the system")
    username: str | None = Field(default_factory=lambda: os.environ.get(USER_VARIABLE))
    password: SecretStr | None = Field(default_factory=_password)
    base: Topic = Field(DEFAULT_BASE, description="topic of this daemon, and of no other")
    discovery: Topic | None = Field("homeassistant", description="Home Assistant's discovery prefix; null: off")
    keypoints_hz: float = Field(0.0, ge=0, description="joints a second and mat, at most; 0: none")
    state_every_s: float = Field(30.0, gt=0, description="between states that say nothing new")

    @model_validator(mode="after")
    def _password_is_somebodys(self) -> Self:
        if self.password is not None and self.username is None:
            raise ValueError(f"a password without a user: write user@host or set {USER_VARIABLE}")
        return self

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port or (TLS_PORT if self.tls else PLAIN_PORT)

    @property
    def where(self) -> str:
        """For messages."""
        host, port = self.address
        return f"{'mqtts' if self.tls else 'mqtt'}://{f'[{host}]' if ':' in host else host}:{port}"

    @property
    def tells_its_password(self) -> bool:
        """Whether people on the way to the broker can read the password."""
        return self.password is not None and not self.tls and self.host not in LOOPBACK

    @classmethod
    def of(cls, **given: object) -> Self:
        """What is given and not None; `discovery` may be "off". Raises Failure (2) that names what is wrong."""
        values = {name: value for name, value in given.items() if value is not None}
        if values.get("discovery") == "off":
            values["discovery"] = None
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            key = "".join(f"{part} {values.get(str(part), '')} " for part in first["loc"])
            raise Failure(f"mqtt: {key}{first['msg'].removeprefix('Value error, ')}", Exit.USAGE) from None
