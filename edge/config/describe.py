"""The configuration as TOML that explains itself: what is commented out is the default, or an example."""

import json
import textwrap
from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from edge.config.settings import DaemonConfig, MatSettings
from edge.config.wording import section_of

WIDTH: Final = 100
ANY_NUMBER: Final = 10
"""Shown where a limit has no default: there is none."""
HEAD: Final = """\
# Configuration of edge-run. What is commented out (#key = value) is the default, or an example where nothing is.
# The command line comes before the environment (EDGE_RUN_<KEY>, EDGE_RUN_<SECTION>__<KEY>), and that before this file.
# `edge-run --config FILE --check-config` says what is wrong with it. Relative paths count from the working directory.

"""


def documented_toml(config: DaemonConfig) -> str:
    """All settings of `config`, in order, each with its meaning; the sections follow."""
    return HEAD + "\n".join(_section(config)) + "\n"


def _section(settings: BaseModel) -> Iterator[str]:
    values = settings.model_dump(mode="json")
    below = []
    for name, field in type(settings).model_fields.items():
        if section_of(field):
            below.append(name)
        else:
            yield from _setting(name, field, values[name], stands=name in {*settings.model_fields_set, "version"})
    for name in below:
        value = getattr(settings, name)
        for table in value if isinstance(value, list) else [value]:
            yield from ["", *_comment(type(table).__doc__ or "")]
            yield f"[[{name}]]" if isinstance(value, list) else f"[{name}]"
            yield from _section(table)
        if value == []:
            yield from ["", *_comment(MatSettings.__doc__ or ""), f"#[[{name}]]"]
            for key, field in MatSettings.model_fields.items():
                yield from _setting(key, field, field.default, stands=False)


def _setting(name: str, field: FieldInfo, value: Any, *, stands: bool) -> Iterator[str]:
    yield from _comment(field.description or "")
    example = field.examples[0] if field.examples else ANY_NUMBER if value is None else value
    yield f"{name} = {_toml(value)}" if stands else f"#{name} = {_toml(example)}"


def _comment(text: str) -> Iterator[str]:
    for line in textwrap.wrap(" ".join(text.split()), WIDTH, break_on_hyphens=False):
        yield f"# {line}"


def _toml(value: Any) -> str:
    """A scalar or a list of scalars: JSON says these as TOML does."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
