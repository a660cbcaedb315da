"""What pydantic says of a wrong setting, in the words of the file: key, value, what was expected."""

import json
import re
from difflib import get_close_matches
from typing import Any, Final, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from edge.config.kinds import Expected
from edge.config.lines import KeyPath
from edge.config.settings import DaemonConfig

LONGEST_VALUE: Final = 80
_EXPECTED: Final = {
    "bool": "true or false",
    "float": "a number",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number from {ge:g} on",
    "int": "a whole number",
    "less_than_equal": "a number up to {le:g}",
    "list": "a list in brackets",
    "model": "a table",
    "string": "text in quotes",
    "string_too_short": "text that is not empty",
    "too_short": "at least one",
    "finite_number": "a finite number",
}
"""By pydantic's type of error, or by what stands before its first underscore."""
_PASSWORD: Final = re.compile(r"(//[^/@:]*):[^/@]*@")


def sentence(error: ErrorDetails) -> str:
    """One problem, without where it is."""
    keys: KeyPath = error["loc"]
    match error["type"]:
        case "extra_forbidden":
            return _unknown(keys)
        case "missing":
            return f"{spelled(keys)} is missing: write {keys[-1]} = {shown(example(field_at(keys)))}"
        case "value_error" if not isinstance(cause(error), Expected):
            return str(cause(error))
        case "model_type" | "list_type" if keys[0] == "mat" and len(keys) <= 2:
            return f"{spelled(keys)} is {shown(error['input'])}, expected tables that begin with [[mat]]"
    return f"{spelled(keys)} is {shown(error['input'])}, expected {expected(error, field_at(keys))}"


def expected(error: ErrorDetails, field: FieldInfo | None) -> str:
    """`a whole number such as 921600`."""
    if error["type"] == "value_error":
        return str(cause(error))
    kind = error["type"].partition("_")[0]
    if kind == "literal":
        return str(error["ctx"]["expected"])
    words = (_EXPECTED.get(error["type"]) or _EXPECTED.get(kind) or error["msg"]).format(**error.get("ctx", {}))
    such_as = example(field) if kind != "bool" else None
    if isinstance(such_as, list) and isinstance(error["loc"][-1], int):
        such_as = such_as[0]
    return words if such_as is None else f"{words} such as {shown(such_as)}"


def cause(error: ErrorDetails) -> Any:
    """The exception behind a `value_error`."""
    return error.get("ctx", {}).get("error", error["msg"])


def example(field: FieldInfo | None) -> Any:
    """A value that shows what `field` takes; None where there is none."""
    if field is None:
        return None
    if field.examples:
        return field.examples[0]
    return field.default if isinstance(field.default, int | float | str | list) else None


def shown(value: Any) -> str:
    """As TOML has it, on one line, shortened, without a password in an URI."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    text = _PASSWORD.sub(r"\1:...@", text)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def spelled(keys: KeyPath) -> str:
    """("mat", 1, "baud") -> `mat[1].baud`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The settings of a table, or of each table of a list."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def field_at(keys: KeyPath) -> FieldInfo | None:
    """None where `keys` lead nowhere, or to an element of a list."""
    section: type[BaseModel] | None = DaemonConfig
    field = None
    for key in keys:
        if isinstance(key, str):
            field = section.model_fields.get(key) if section else None
            section = section_of(field) if field else None
    return field


def sections() -> dict[str, type[BaseModel]]:
    """Name of each section -> its settings; the top of a file has no name."""
    found = {name: section_of(field) for name, field in DaemonConfig.model_fields.items()}
    return {"": DaemonConfig} | {name: section for name, section in found.items() if section}


def _unknown(keys: KeyPath) -> str:
    """With the key that was meant, here or in another section."""
    *above, key = keys
    told = f"key `{spelled(keys)}` is not known"
    known = sections()
    here = list(known[".".join(part for part in above if isinstance(part, str))].model_fields)
    if close := get_close_matches(str(key), here, 1):
        return f"{told} (did you mean {close[0]}?)"
    elsewhere = next((name for name, section in known.items() if key in section.model_fields), None)
    if elsewhere is None:
        return f"{told}: there are {', '.join(here)}"
    if not elsewhere:
        return f"{told}: {key} goes to the top of the file, before the first ["
    return f"{told}: {key} goes below {'[[mat]]' if elsewhere == 'mat' else f'[{elsewhere}]'}"
