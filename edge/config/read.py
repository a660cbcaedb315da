"""Command line over environment over file over defaults -> one DaemonConfig, or all that is wrong."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError

from edge.config.file import ConfigFile
from edge.config.lines import KeyPath
from edge.config.mats import merged_mats
from edge.config.settings import VERSION, DaemonConfig
from edge.config.wording import field_at, sections, sentence
from firmware_bridge.errors import Exit, Failure

PREFIX: Final = "EDGE_RUN_"
CONFIG_VARIABLE: Final = f"{PREFIX}CONFIG"
SECRETS: Final = (f"{PREFIX}MQTT_USER", f"{PREFIX}MQTT_PASSWORD")
"""Read by the output itself."""
FINITE: Final = ConfigDict(allow_inf_nan=False)
Keys = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Given:
    """A setting from outside the file, as text (a list of texts where the setting is a list, or repeated)."""

    value: str | list[str] | bool
    origin: str
    """For messages: `--baud`, `EDGE_RUN_BAUD`."""
    code: Exit


@dataclass(frozen=True, slots=True)
class Problem:
    """One line for people, and how a run ends over it."""

    text: str
    code: Exit


def read(
    file: ConfigFile, environ: Mapping[str, str], options: Mapping[Keys, Given], replay: Path | None = None
) -> DaemonConfig:
    """Raises Failure with the first problem: 2 for an option, else 78."""
    config, problems = examine(file, environ, options, replay)
    if config is None:
        more = f" (and {len(problems) - 1} more: --check-config lists them)" if len(problems) > 1 else ""
        raise Failure(problems[0].text + more, problems[0].code)
    return config


def examine(
    file: ConfigFile, environ: Mapping[str, str], options: Mapping[Keys, Given], replay: Path | None = None
) -> tuple[DaemonConfig | None, list[Problem]]:
    """The configuration, or everything that is wrong with it."""
    variables, problems = environment(environ)
    if replay:
        variables.pop(("mat", "port"), None)
    given = variables | dict(options)
    ports_come = replay is not None or ("mat", "port") in given
    problems += _file_problems(file, ports_come)
    values: dict[Keys, Any] = {}
    for keys, setting in given.items():
        try:
            values[keys] = _typed(keys, setting.value)
        except ValidationError as error:
            problems.append(_problem_of(setting, keys, error))
    if problems:
        return None, problems
    settings = file.settings
    for keys, value in values.items():
        if keys[0] != "mat":
            settings = _laid_over(settings, keys, value)
    try:
        mats = merged_mats(settings.get("mat", []), values, replay)
        return DaemonConfig.model_validate({**settings, "mat": mats}, strict=True), []
    except Failure as failure:
        return None, [Problem(str(failure), failure.code)]
    except ValidationError as error:
        return None, [_conflict(details, given, file) for details in error.errors()]


def environment(environ: Mapping[str, str]) -> tuple[dict[Keys, Given], list[Problem]]:
    """EDGE_RUN_<KEY>, EDGE_RUN_<SECTION>__<KEY>; the keys of [[mat]] without a section. Empty ones count as unset.

    Problems are variables that begin so and mean nothing.
    """
    known = dict(_variables())
    given: dict[Keys, Given] = {}
    problems = []
    for name, text in sorted(environ.items()):
        if not name.startswith(PREFIX) or name in (CONFIG_VARIABLE, *SECRETS):
            continue
        if name not in known:
            endings = [other.removeprefix(PREFIX) for other in (*known, CONFIG_VARIABLE, *SECRETS)]
            close = get_close_matches(name.removeprefix(PREFIX), endings, 1)
            remedy = f"did you mean {PREFIX}{close[0]}?" if close else "edge-run --help explains them"
            problems.append(Problem(f"the environment variable {name} is not known ({remedy})", Exit.BAD_CONFIG))
        elif text.strip():
            try:
                value = shlex.split(text) if _is_list(known[name]) else text
                given[known[name]] = Given(value, name, Exit.BAD_CONFIG)
            except ValueError as error:
                told = f"{name} is {text!r}, expected words as a shell reads them ({error})"
                problems.append(Problem(told, Exit.BAD_CONFIG))
    return given, problems


def _variables() -> Iterator[tuple[str, Keys]]:
    for name, section in sections().items():
        for key in section.model_fields:
            if key not in sections():
                keys = (name, key) if name else (key,)
                yield PREFIX + "__".join(keys if name != "mat" else (key,)).upper(), keys


def _is_list(keys: Keys) -> bool:
    field = field_at(keys)
    return keys == ("mat", "port") or (field is not None and get_origin(field.annotation) is list)


def _typed(keys: Keys, value: str | list[str] | bool) -> Any:
    """What `value` says, as its setting's type. Raises ValidationError."""
    field = field_at(keys)
    assert field
    kind: TypeAdapter[Any] = TypeAdapter(Annotated[field.annotation, field], config=FINITE)
    if isinstance(value, list) and keys == ("mat", "port"):
        return [kind.validate_python(port) for port in value]
    return kind.validate_python(value)


def _file_problems(file: ConfigFile, ports_come: bool) -> Iterator[Problem]:
    if file.path is None:
        return
    version = file.settings.get("version")
    if version != VERSION or isinstance(version, bool):
        found = "version is missing: write version = 1" if version is None else f"version is {version!r}"
        remedy = "" if version is None else f", this edge-run reads {VERSION}: update edge-run, or write the file anew"
        yield Problem(f"{file.where(('version',))}{found}{remedy}", Exit.BAD_CONFIG)
        return
    try:
        DaemonConfig.model_validate(file.settings, strict=True)
    except ValidationError as error:
        for details in sorted(error.errors(), key=lambda details: file.line(details["loc"])):
            if not (ports_come and details["type"] == "missing" and details["loc"][-1] == "port"):
                yield Problem(file.where(details["loc"]) + sentence(details), Exit.BAD_CONFIG)


def _problem_of(setting: Given, keys: Keys, error: ValidationError) -> Problem:
    details = error.errors()[0]
    details["loc"] = keys
    text, key = sentence(details), ".".join(keys)
    told = text.removeprefix(key) if text.startswith(f"{key} is ") else f": {text}"
    return Problem(setting.origin + told, setting.code)


def _conflict(details: Any, given: Mapping[Keys, Given], file: ConfigFile) -> Problem:
    """Settings that are right each, but not together."""
    keys: KeyPath = details["loc"]
    origin = next((f"{setting.origin}: " for name, setting in given.items() if name[:1] == keys[:1]), file.where(keys))
    by_option = any(setting.code == Exit.USAGE for setting in given.values())
    return Problem(origin + sentence(details), Exit.USAGE if by_option else Exit.BAD_CONFIG)


def _laid_over(settings: Mapping[str, Any], keys: Keys, value: Any) -> dict[str, Any]:
    if len(keys) == 1:
        return {**settings, keys[0]: value}
    return {**settings, keys[0]: {**settings.get(keys[0], {}), keys[1]: value}}
