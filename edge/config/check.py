"""What a configuration names and this machine does not have: for `--check-config`, before a service finds out."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
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
CREDENTIALS: Final = Path("/run/credentials")
RUNTIME: Final = Path("/run/edge-run")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a setting."""

    keys: KeyPath
    text: str
    lacks: Path | None = None
    """What is not there, or not for whoever checks."""


def missing(config: DaemonConfig, file: ConfigFile) -> Iterator[str]:
    """One line for each. Serial ports are not looked for: they come and go.

    What systemd makes when a service starts is no more than told of, on stderr.
    """
    for finding in _findings(config):
        where = file.where(finding.keys) if finding.keys in file.lines else ""
        if finding.lacks and (setting := _made_by(finding.lacks)):
            told = f"{finding.lacks} cannot be checked: systemd has to make it when the service starts, by {setting}"
            print(f"edge-run: {where}{told}", file=sys.stderr)
        else:
            yield where + finding.text


def read_token(path: Path) -> str:
    """Without blanks around it. Raises Failure: 66 where the file is missing, 78 where it holds no token."""
    try:
        token = path.read_text().strip()
    except FileNotFoundError:
        setting = _made_by(path)
        remedy = f"systemd makes it by {setting}" if setting else f"openssl rand -hex 16 > {path} makes one"
        raise Failure(f"no token file {path}: {remedy}", Exit.MISSING_INPUT) from None
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
        yield Finding(("model",), str(failure))
    token = None
    if config.token_file:
        try:
            token = read_token(config.token_file)
        except Failure as failure:
            lacks = None if os.access(config.token_file, os.R_OK) else config.token_file
            yield Finding(("token_file",), str(failure), lacks)
            token = TOLD_OF
    for number, output in enumerate(config.output):
        yield from _of_output(("output", number), parse(output), token, config)
    if config.recording.path:
        yield from _of_recording(("recording", "path"), config.recording.path)
    state_dir = config.state_dir.absolute()
    existing = next(folder for folder in (state_dir, *state_dir.parents) if folder.exists())
    if not _is_writable(existing):
        problem = f"cannot write into {existing}, where state_dir {config.state_dir} is: choose another"
        yield Finding(("state_dir",), problem)
    if not config.mat:
        yield Finding(("mat",), NO_MAT)
    for number, mat in enumerate(config.mat):
        if mat.port.startswith("sim:"):
            try:
                open_port(mat.port).close()
            except Failure as failure:
                yield Finding(("mat", number, "port"), str(failure))


def _of_output(keys: KeyPath, uri: OutputUri, token: str | None, config: DaemonConfig) -> Iterator[Finding]:
    if isinstance(uri.options, MqttOptions):
        from edge.outputs.mqtt.tls import tls_context

        try:
            if mqtt_settings(uri).tls:
                tls_context(uri.options.cafile)
        except Failure as failure:
            yield Finding(keys, f"output {uri.text}: {failure}")
    if isinstance(uri.target, Path) and not (folder := uri.target.parent).is_dir():
        yield Finding(keys, f"output {uri.text}: no folder {folder}: make it first", folder)
    if uri.scheme == "http" and isinstance(uri.target, Address):
        from edge.outputs.http.access import HttpSettings

        try:
            HttpSettings(uri.target.host, uri.target.port, token, tuple(config.http.allowed_hosts))
        except Failure as failure:
            yield Finding(keys, str(failure))


def _of_recording(keys: KeyPath, path: Path) -> Iterator[Finding]:
    folder = path.parent if path.suffix == ENDING else path
    if not folder.is_dir():
        yield Finding(keys, f"no folder {folder} for recordings: make it first", folder)
    elif not _is_writable(folder):
        yield Finding(keys, f"cannot write recordings into {folder}: choose another place", folder)
    elif folder is not path and path.exists():
        yield Finding(keys, f"recording {path} exists and is never overwritten: choose another name")


def _made_by(path: Path) -> str | None:
    """The setting of a service by which systemd makes `path`, where that is its place."""
    if path.is_relative_to(CREDENTIALS):
        return f"LoadCredential={path.name}:FILE"
    if path.is_relative_to(RUNTIME):
        return f"RuntimeDirectory={path.relative_to(RUNTIME.parent)}"
    return None


def _is_writable(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
