"""Output URIs: json:-, json:PATH, csv:PATH, mqtt://[user@]host[:port][/base], mqtts://, http://host:port, udp://host:port.

Every one takes ?rate=HZ, poses a second at most; OPTIONS has the others.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.outputs.json_file import DEFAULT_KEEP
from edge.outputs.mqtt.settings import DEFAULT_BASE, PASSWORD_VARIABLE, PLAIN_PORT, TLS_PORT
from firmware_bridge.errors import Exit, Failure

DEFAULT_PORTS: Final = {"mqtt": PLAIN_PORT, "mqtts": TLS_PORT}
EXAMPLES: Final = {
    "json": "json:PATH, or json:- for stdout",
    "csv": "csv:PATH",
    "mqtt": "mqtt://host/base",
    "mqtts": "mqtts://host/base",
    "http": "http://127.0.0.1:8765",
    "udp": "udp://host:9000",
}
_SECRETS: Final = (
    re.compile(r"(?<=//)([^/:@\[]*:)(?!\d+(?:[/?]|$)).*(?=@)"),
    re.compile(r"([?&](?:pass\w*|token)=)[^&]*"),
)
"""user:password@, also where the password holds characters that end a host (host:1883/base@home is none); ?password="""

Stdout = Literal["-"]


@dataclass(frozen=True, slots=True)
class Address:
    """Where an output sends to or listens at. `port` 0: a free one (http alone)."""

    host: str
    port: int
    user: str | None = None
    base: str | None = None
    """First levels of MQTT topics."""


class Options(BaseModel):
    """What stands behind the question mark. The description says what is expected."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rate: float | None = Field(None, gt=0, le=1000, description="poses a second at most, a number above 0 up to 1000")


class FileOptions(Options):
    rotate_mb: float | None = Field(None, gt=0, description="10^6 bytes before a new file begins, a number above 0")
    keep: int = Field(DEFAULT_KEEP, ge=1, le=999, description="older files that are kept, 1 to 999")


class MqttOptions(Options):
    """None: what the sink takes by itself."""

    cafile: Path | None = Field(None, description="a file of certificates")
    discovery: str | None = Field(None, min_length=1, description="Home Assistant's discovery prefix, or off")
    keypoints_hz: float | None = Field(None, ge=0, description="keypoints a second at most, a number, 0 for none")
    state_every_s: float | None = Field(None, gt=0, description="seconds between states, a number above 0")


OPTIONS: Final[Mapping[str, type[Options]]] = {
    "json": FileOptions,
    "csv": FileOptions,
    "mqtt": MqttOptions,
    "mqtts": MqttOptions,
    "http": Options,
    "udp": Options,
}


@dataclass(frozen=True, slots=True)
class OutputUri:
    """One output as the user wrote it; `text` holds no password."""

    text: str
    scheme: str
    target: Path | Address | Stdout
    options: Options

    @property
    def occupies(self) -> object:
        """What no other output may use at the same time."""
        match self.target:
            case Path() as path:
                return path.resolve()
            case Address(port=port) if self.scheme == "http":
                return self.scheme, port or object()
            case Address() as address if self.scheme in DEFAULT_PORTS:
                return replace(address, user=None, base=address.base or DEFAULT_BASE)
        return self.target


class _Wrong(ValueError):
    """Which part is wrong, and what was expected."""


def parse(text: str) -> OutputUri:
    """Raises Failure (2) that names the URI without its password, the wrong part and what was expected."""
    shown = text if text.isprintable() else ascii(text)
    for secret in _SECRETS:
        shown = secret.sub(r"\1***", shown)
    try:
        return _parse(text)
    except _Wrong as wrong:
        raise Failure(f"output {shown}: {wrong}", Exit.USAGE) from None


def parse_all(texts: Iterable[str]) -> list[OutputUri]:
    """Raises Failure (2) as `parse` does, and for two outputs to the same file, broker, port or stdout."""
    uris: dict[object, OutputUri] = {}
    for uri in map(parse, texts):
        if other := uris.get(uri.occupies):
            message = f"outputs {other.text} and {uri.text} would write to the same place: leave one out"
            raise Failure(message, Exit.USAGE)
        uris[uri.occupies] = uri
    return list(uris.values())


def _parse(text: str) -> OutputUri:
    scheme, colon, rest = text.partition(":")
    if not colon:
        raise _Wrong(f"no scheme: write {'; '.join(EXAMPLES.values())}")
    if scheme not in EXAMPLES:
        raise _Wrong(f"unknown scheme {scheme}{_meant(scheme, EXAMPLES)}: write {'; '.join(EXAMPLES.values())}")
    if not text.isprintable():
        raise _Wrong("it holds a line end or another character that nobody sees: leave it out")
    if any(secret.search(text) for secret in _SECRETS):
        remedy = f"the environment variable {PASSWORD_VARIABLE}" if scheme in DEFAULT_PORTS else "--token-file"
        raise _Wrong(f"everybody can see the password in a command line: leave it out and give it by {remedy}")
    place, _, query = rest.partition("?")
    target = _file(scheme, place) if OPTIONS[scheme] is FileOptions else _address(scheme, place)
    return OutputUri(text, scheme, target, _options(scheme, target, query))


def _file(scheme: str, place: str) -> Path | Stdout:
    if place == "-" and scheme == "json":
        return "-"
    if place in ("", "-"):
        raise _Wrong(f"no path: write {EXAMPLES[scheme]}")
    if place.startswith("//"):
        raise _Wrong(f"the path begins with //: write {scheme}:/{place.lstrip('/')}")
    return Path(os.path.expanduser(place))


def _address(scheme: str, place: str) -> Address:
    if not place.startswith("//") or "#" in place or " " in place:
        raise _Wrong(f"no address: write {EXAMPLES[scheme]}")
    try:
        parts = urlsplit(f"{scheme}:{place}")
        port = parts.port
    except ValueError as error:
        raise _Wrong(f"{error}: write {EXAMPLES[scheme]}") from None
    if not parts.hostname:
        raise _Wrong(f"no host: write {EXAMPLES[scheme]}")
    try:
        parts.hostname.encode("idna")
    except UnicodeError:
        raise _Wrong(f"{parts.hostname} is no host: write {EXAMPLES[scheme]}") from None
    if port is None:
        port = DEFAULT_PORTS.get(scheme)
    if port is None:
        raise _Wrong(f"no port: write {EXAMPLES[scheme]}")
    if port == 0 and scheme != "http":
        raise _Wrong(f"port 0 is none: write {EXAMPLES[scheme]}")
    base = unquote(parts.path).strip("/") or None
    if scheme not in DEFAULT_PORTS and (parts.username is not None or base):
        raise _Wrong(f"{scheme} takes host and port alone: write {EXAMPLES[scheme]}")
    if base and (base[0] == "$" or any(character in "+#\0" for character in base)):
        raise _Wrong(f"base {base} is no topic: + and # are wildcards, $ stands for the broker's own")
    return Address(parts.hostname, port, unquote(parts.username) if parts.username else None, base)


def _options(scheme: str, target: Path | Address | Stdout, query: str) -> Options:
    kind = Options if target == "-" else OPTIONS[scheme]
    pairs = parse_qsl(query, keep_blank_values=True)
    values = dict(pairs)
    for name in values:
        if name not in kind.model_fields:
            known = ", ".join(kind.model_fields)
            raise _Wrong(f"unknown option {name}{_meant(name, kind.model_fields)}: it takes {known}")
    if len(values) < len(pairs):
        raise _Wrong("an option is given twice: leave one out")
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        raise _Wrong(f"{name}={values[name]}: give {kind.model_fields[name].description}") from None


def _meant(word: str, known: Iterable[str]) -> str:
    close = get_close_matches(word, list(known), n=1)
    return f", did you mean {close[0]}?" if close else ""
