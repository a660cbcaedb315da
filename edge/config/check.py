"""What a configuration names and this machine does not have: for `--check-config`, before a service finds out."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge.config.file import ConfigFile
from edge.config.lines import KeyPath
from edge.config.settings import DaemonConfig
from edge.model import KeypointModel
from edge.outputs.opening import mqtt_settings
from edge.outputs.uri import Address, MqttOptions, OutputUri, parse
from edge.recorded_files import ENDING
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.virtual_mat import open_port

NO_MAT: Final = "no mat: add [[mat]] with its port, or give --port"
TOLD_OF: Final = "a-token-whose-file-was-complained-of"
Finding = tuple[KeyPath, str]


def missing(config: DaemonConfig, file: ConfigFile) -> Iterator[str]:
    """One line for each. Serial ports are not looked for: they come and go."""
    for keys, text in _findings(config):
        yield (file.where(keys) if keys in file.lines else "") + text


def read_token(path: Path) -> str:
    """Without blanks around it. Raises Failure: 66 where the file is missing, 78 where it holds no token."""
    try:
        token = path.read_text().strip()
    except FileNotFoundError:
        raise Failure(f"no token file {path}: openssl rand -hex 16 > {path} makes one", Exit.MISSING_INPUT) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise Failure(f"cannot read the token file {path}: {reason}", Exit.BAD_CONFIG) from None
    if not token:
        raise Failure(f"token file {path} is empty: openssl rand -hex 16 > {path} fills it", Exit.BAD_CONFIG)
    return token


def _findings(config: DaemonConfig) -> Iterator[Finding]:
    try:
        KeypointModel.from_files(config.model)
    except Failure as failure:
        yield ("model",), str(failure)
    token = None
    if config.token_file:
        try:
            token = read_token(config.token_file)
        except Failure as failure:
            yield ("token_file",), str(failure)
            token = TOLD_OF
    for number, output in enumerate(config.output):
        for text in _of_output(parse(output), token, config):
            yield ("output", number), text
    if problem := _of_recording(config.recording.path):
        yield ("recording", "path"), problem
    state_dir = config.state_dir.absolute()
    existing = next(folder for folder in (state_dir, *state_dir.parents) if folder.exists())
    if not _is_writable(existing):
        yield ("state_dir",), f"cannot write into {existing}, where state_dir {config.state_dir} is: choose another"
    if not config.mat:
        yield ("mat",), NO_MAT
    for number, mat in enumerate(config.mat):
        if mat.port.startswith("sim:"):
            try:
                open_port(mat.port).close()
            except Failure as failure:
                yield ("mat", number, "port"), str(failure)


def _of_output(uri: OutputUri, token: str | None, config: DaemonConfig) -> Iterator[str]:
    if isinstance(uri.options, MqttOptions):
        from edge.outputs.mqtt.tls import tls_context

        try:
            if mqtt_settings(uri).tls:
                tls_context(uri.options.cafile)
        except Failure as failure:
            yield f"output {uri.text}: {failure}"
    if isinstance(uri.target, Path) and not uri.target.parent.is_dir():
        yield f"output {uri.text}: no folder {uri.target.parent}: make it first"
    if uri.scheme == "http" and isinstance(uri.target, Address):
        from edge.outputs.http.access import HttpSettings

        try:
            HttpSettings(uri.target.host, uri.target.port, token, tuple(config.http.allowed_hosts))
        except Failure as failure:
            yield str(failure)


def _of_recording(path: Path | None) -> str | None:
    if path is None:
        return None
    folder = path.parent if path.suffix == ENDING else path
    if not folder.is_dir():
        return f"no folder {folder} for recordings: make it first"
    if not _is_writable(folder):
        return f"cannot write recordings into {folder}: choose another place"
    if folder is not path and path.exists():
        return f"recording {path} exists and is never overwritten: choose another name"
    return None


def _is_writable(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
