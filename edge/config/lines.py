"""On which line of a TOML file each key stands: tomllib does not say."""

import re
import tomllib
from typing import Final

KeyPath = tuple[str | int, ...]
"""Keys and positions from the top of a document down: ("mat", 1, "port")."""

_BLANK: Final = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_STRING: Final = re.compile(
    r'"""(?:\\[\s\S]|[^\\])*?"{3,5}(?!")' r"|'''[\s\S]*?'{3,5}(?!')" r'|"(?:\\.|[^"\\\n])*"' r"|'[^'\n]*'"
)
_SCALAR: Final = re.compile(r"[^,\]}#\n]+")


def key_lines(text: str) -> dict[KeyPath, int]:
    """Line (from 1) of every key, table and array element of `text`, which tomllib must have accepted."""
    return _Scanner(text.replace("\r\n", "\n")).document()


class _Scanner:
    """One pass over a document known to be valid: it only has to see where things begin and end."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._line, self._counted = 1, 0
        self._lines: dict[KeyPath, int] = {}
        self._tables: dict[KeyPath, int] = {}
        """How many elements each [[array of tables]] has so far."""

    def document(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        while self._next():
            if self._take("["):
                table = self._header()
            else:
                self._pair(table)
        return self._lines

    def _header(self) -> KeyPath:
        array = self._take("[")
        path: KeyPath = ()
        *above, name = self._key()
        for part in above:
            path = self._newest((*path, part))
            self._note(path)
        path = (*path, name)
        if array:
            self._note(path)
            self._tables[path] = self._tables.get(path, 0) + 1
            path = self._newest(path)
        self._note(path)
        self._at = self._text.index("]", self._at) + 1 + array
        return path

    def _newest(self, path: KeyPath) -> KeyPath:
        return (*path, self._tables[path] - 1) if path in self._tables else path

    def _pair(self, table: KeyPath) -> None:
        path = table
        for part in self._key():
            path = (*path, part)
            self._note(path)
        self._take("=")
        self._value(path)

    def _key(self) -> list[str]:
        parts = []
        while True:
            if self._next() in "\"'":
                parts.append(tomllib.loads(f"key = {self._match(_STRING)}")["key"])
            else:
                parts.append(self._match(_BARE))
            if not self._take("."):
                return parts

    def _value(self, path: KeyPath) -> None:
        if self._take("["):
            element = 0
            while not self._take("]"):
                self._note((*path, element))
                self._value((*path, element))
                element += 1
                self._take(",")
        elif self._take("{"):
            while not self._take("}"):
                self._pair(path)
                self._take(",")
        else:
            self._match(_STRING if self._next() in "\"'" else _SCALAR)

    def _note(self, path: KeyPath) -> None:
        self._next()
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        self._lines.setdefault(path, self._line)

    def _next(self) -> str:
        """The character that comes after blanks and comments; empty at the end."""
        self._match(_BLANK)
        return self._text[self._at : self._at + 1]

    def _take(self, mark: str) -> bool:
        found = self._next() == mark
        self._at += found
        return found

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        assert found, f"no {pattern.pattern} at {self._text[self._at :][:20]!r}"
        self._at = found.end()
        return found.group()
