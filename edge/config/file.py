"""A configuration file as it stands: its settings unchecked, and where each of them is."""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edge.config.lines import KeyPath, key_lines
from firmware_bridge.errors import Exit, Failure

MOST_BYTES: Final = 1 << 18
_AT_LINE: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """Valid TOML. Without a path: no file, no settings."""

    path: Path | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    lines: dict[KeyPath, int] = field(default_factory=dict)

    def line(self, keys: KeyPath) -> int:
        """Of `keys`, or of the table that they are missing in."""
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return self.lines.get(keys, 1)

    def where(self, keys: KeyPath) -> str:
        """`FILE:LINE: `"""
        return f"{self.path}:{self.line(keys)}: " if self.path else ""


def read_file(path: Path) -> ConfigFile:
    """UTF-8, with or without a byte order mark. Raises Failure: 66 where it is missing, else 78 with the line."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise Failure(
            f"no configuration {path}: edge-run --print-config > {path} writes one", Exit.MISSING_INPUT
        ) from None
    except OSError as error:
        raise Failure(f"cannot read configuration {path}: {error.strerror}", Exit.BAD_CONFIG) from None
    if len(content) > MOST_BYTES:
        raise Failure(f"{path} is larger than {MOST_BYTES >> 10} kB: that is no configuration", Exit.BAD_CONFIG)
    try:
        text = content.decode("utf-8-sig")
        return ConfigFile(path, tomllib.loads(text), key_lines(text))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Failure(f"{path}:{line}: this is no UTF-8: save the file as UTF-8", Exit.BAD_CONFIG) from None
    except tomllib.TOMLDecodeError as error:
        found = _AT_LINE.search(str(error))
        line = int(found[1]) if found and found[1] else len(text.splitlines())
        reason = _AT_LINE.sub("", str(error))
        raise Failure(f"{path}:{line}: this is no TOML: {_lower(reason)}", Exit.BAD_CONFIG) from None
    except RecursionError:
        raise Failure(f"{path}: tables and lists are nested too deeply for a configuration", Exit.BAD_CONFIG) from None


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
