"""Outputs as their URIs name them. Libraries of an output are imported only where one is opened."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.control import Control
from edge.outputs.fanout import Fanout
from edge.outputs.queue import QueuedOutput
from edge.outputs.sink import Sink
from edge.outputs.uri import Address, FileOptions, OutputUri

if TYPE_CHECKING:
    from edge.outputs.mqtt.settings import MqttSettings


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an output may need beyond its URI."""

    control: Control
    token: str | None
    allowed_hosts: tuple[str, ...]
    postures: tuple[str, ...]
    dropped: Callable[[], Mapping[str, int]]
    """Output -> lines that it lost."""


def _json(uri: OutputUri, _: Surroundings) -> Sink:
    from edge.outputs.json_file import JsonFile
    from edge.outputs.json_lines import JsonLines

    return JsonLines() if uri.target == "-" else JsonFile(*_rotated(uri))


def _csv(uri: OutputUri, _: Surroundings) -> Sink:
    from edge.outputs.csv_file import CsvFile

    return CsvFile(*_rotated(uri))


def _rotated(uri: OutputUri) -> tuple[Path, float | None, int]:
    assert isinstance(uri.target, Path)
    assert isinstance(uri.options, FileOptions)
    return uri.target, uri.options.rotate_mb, uri.options.keep


def _udp(uri: OutputUri, _: Surroundings) -> Sink:
    from edge.outputs.udp import UdpLines

    assert isinstance(uri.target, Address)
    return UdpLines(uri.target.host, uri.target.port)


def mqtt_settings(uri: OutputUri) -> "MqttSettings":
    """What `uri` and the environment say of a broker. Raises Failure (2)."""
    from edge.outputs.mqtt.settings import MqttSettings

    assert isinstance(uri.target, Address)
    where = {"host": uri.target.host, "port": uri.target.port, "username": uri.target.user, "base": uri.target.base}
    return MqttSettings.of(tls=uri.scheme == "mqtts", **where, **uri.options.model_dump(exclude={"rate"}))


def _mqtt(uri: OutputUri, around: Surroundings) -> Sink:
    from edge.outputs.mqtt.sink import MqttSink

    return MqttSink(mqtt_settings(uri), around.control, around.postures)


def _http(uri: OutputUri, around: Surroundings) -> Sink:
    from edge.outputs.http.access import HttpSettings
    from edge.outputs.http.sink import HttpSink

    assert isinstance(uri.target, Address)
    settings = HttpSettings(uri.target.host, uri.target.port, around.token, around.allowed_hosts)
    return HttpSink(settings, around.control, around.dropped)


FACTORIES: Final[Mapping[str, Callable[[OutputUri, Surroundings], Sink]]] = {
    "json": _json,
    "csv": _csv,
    "mqtt": _mqtt,
    "mqtts": _mqtt,
    "http": _http,
    "udp": _udp,
}


def open_outputs(
    uris: Sequence[OutputUri],
    control: Control,
    *,
    token: str | None = None,
    allowed_hosts: Sequence[str] = (),
    postures: Sequence[str] = (),
    lossless: bool = False,
    stopping: Callable[[], bool] = lambda: False,
) -> Fanout:
    """Started. `lossless`, for a replay: files and stdout get every line, the others what they can take.

    `token` and `allowed_hosts` (names by which browsers reach it) are for http, `postures` (all that the model
    can name) for mqtt. Raises Failure for settings that cannot be, and as Fanout.start does; then nothing is open.
    """
    outputs: list[QueuedOutput] = []

    def dropped() -> dict[str, int]:
        return {output.name: output.counts().dropped for output in outputs}

    around = Surroundings(control, token, tuple(allowed_hosts), tuple(postures), dropped)
    for uri in uris:
        sink = FACTORIES[uri.scheme](uri, around)
        waits = lossless and not isinstance(uri.target, Address)
        outputs.append(QueuedOutput(sink, uri.text, uri.options.rate, lossless=waits, stopping=stopping))
    fanout = Fanout(outputs)
    try:
        fanout.start()
    except BaseException:
        fanout.close()
        raise
    return fanout
