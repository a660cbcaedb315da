"""Line numbers of TOML keys, against tomllib."""

import tomllib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config.lines import KeyPath, key_lines

EVERYTHING = '''\
# a comment [not.a.table] = "x"
title = "a # no comment"  # one
"quoted.key" = 1
'literal "key"' = 2
dotted . "a.b".c = 3

[[mat]]
name = """
two lines, a quote at the end""""
ports = [
    1,  # one ]
    [2, 3], "]",
    { deep = 4, deeper.still = 5 },
]

[mat.extra]
x = 1979-05-27 07:32:00

[[mat]]
text = \'\'\'
' " [[mat]]
\'\'\'
empty = ""
[[mat.taxel]]
row = 1
[[mat.taxel]]
row = 2
[ last . table ]
end = true'''


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_way_to_write_a_key_has_its_line(newline: str) -> None:
    lines = key_lines(EVERYTHING.replace("\n", newline))
    expected: dict[KeyPath, int] = {
        ("title",): 2,
        ("quoted.key",): 3,
        ('literal "key"',): 4,
        ("dotted", "a.b", "c"): 5,
        ("mat",): 7,
        ("mat", 0): 7,
        ("mat", 0, "name"): 8,
        ("mat", 0, "ports"): 10,
        ("mat", 0, "ports", 0): 11,
        ("mat", 0, "ports", 1, 1): 12,
        ("mat", 0, "ports", 3, "deep"): 13,
        ("mat", 0, "ports", 3, "deeper", "still"): 13,
        ("mat", 0, "extra"): 16,
        ("mat", 0, "extra", "x"): 17,
        ("mat", 1): 19,
        ("mat", 1, "text"): 20,
        ("mat", 1, "empty"): 23,
        ("mat", 1, "taxel", 0, "row"): 25,
        ("mat", 1, "taxel", 1): 26,
        ("mat", 1, "taxel", 1, "row"): 27,
        ("last",): 28,
        ("last", "table", "end"): 29,
    }
    assert {path: lines.get(path) for path in expected} == expected
    assert set(lines) == set(paths(tomllib.loads(EVERYTHING)))


def test_an_empty_document_has_no_lines() -> None:
    assert key_lines("") == key_lines("# nothing\n\n") == {}


def paths(value: Any, above: KeyPath = ()) -> Iterator[KeyPath]:
    """Of everything below `value`, as tomllib read it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        yield (*above, key)
        yield from paths(below, (*above, key))


class Markers:
    """Numbers that occur once in a document, so that a value tells where it was written."""

    def __init__(self) -> None:
        self.last = 1000

    def next(self) -> str:
        self.last += 1
        return str(self.last)


BLANKS = st.sampled_from(["", " ", "\t"])
GAPS = st.sampled_from(["", " ", "\n", "  # ] } = \"'\n", "\n\n# [x]\n\t"])
KEYS = st.text("ab-_. \"'#=[]{}é\\", min_size=0, max_size=4)


def written(draw: st.DrawFn, key: str) -> str:
    """`key` in one of the ways in which it can be written."""
    ways = ['"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"']
    if key and set(key) <= set("ab-_"):
        ways.append(key)
    if "'" not in key:
        ways.append(f"'{key}'")
    return draw(st.sampled_from(ways))


def dotted(draw: st.DrawFn, keys: list[str]) -> str:
    return f"{draw(BLANKS)}.{draw(BLANKS)}".join(written(draw, key) for key in keys)


def value(draw: st.DrawFn, markers: Markers, depth: int, gaps: st.SearchStrategy[str]) -> str:
    kinds = ["int", "float", "basic", "literal", "multi", "multi literal", "date"] + ["array", "table"] * (depth < 3)
    match draw(st.sampled_from(kinds)):
        case "int":
            return markers.next()
        case "float":
            return f"{markers.next()}.5e-3"
        case "date":
            return f"{markers.next()}-05-27 07:32:00Z"
        case "basic":
            return f'"{markers.next()} # \\" ]"'
        case "literal":
            return f"'{markers.next()} }} \\'"
        case "multi":
            return f'"""{markers.next()} \n[x]\n"" \\""" = 1"""' + draw(st.sampled_from(["", '"', '""']))
        case "multi literal":
            return f"'''{markers.next()} \n[[x]]\n'' \\'''" + draw(st.sampled_from(["", "'", "''"]))
        case "array":
            parts = ["["]
            for _ in range(draw(st.integers(0, 3))):
                parts += [draw(GAPS), value(draw, markers, depth + 1, GAPS), draw(GAPS), ","]
            return "".join([*parts, draw(GAPS), "]"])
    names = draw(st.lists(KEYS, max_size=3, unique=True))
    pairs = [f"{written(draw, name)} = {value(draw, markers, depth + 1, BLANKS)}" for name in names]
    return "{" + ", ".join(pairs) + "}"


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Valid TOML: keys of every kind below tables and arrays of tables."""
    markers = Markers()
    arrays = draw(st.lists(KEYS, max_size=2, unique=True))
    tables = [[name] for name in draw(st.lists(KEYS, max_size=3, unique=True)) if name not in arrays]
    headers: list[tuple[str, str, list[str]]] = [("", "", [])]
    headers += [("[[", "]]", [name]) for name in arrays for _ in range(draw(st.integers(1, 3)))]
    headers += [("[", "]", [*table, *draw(st.lists(KEYS, max_size=2))]) for table in tables]
    parts = []
    for opening, closing, path in headers:
        if path:
            parts.append(f"{opening}{draw(BLANKS)}{dotted(draw, path)}{draw(BLANKS)}{closing} # here\n")
        for name in draw(st.lists(KEYS, max_size=3, unique=True)):
            if path or (name not in arrays and [name] not in tables):
                below = draw(st.lists(KEYS, max_size=2))
                line = f"{draw(BLANKS)}{dotted(draw, [name, *below])}{draw(BLANKS)}="
                parts.append(f"{line}{draw(BLANKS)}{value(draw, markers, 0, GAPS)} {draw(GAPS)}\n")
    return "".join(parts)


def marker(found: Any) -> str | None:
    """What `value` wrote first into a scalar."""
    if isinstance(found, str):
        return found[:4]
    if isinstance(found, int):
        return str(found)
    if isinstance(found, float):
        return str(round((found - 0.0005) * 1000))
    return str(found.year) if isinstance(found, datetime) else None


@given(documents())
def test_generated_documents(text: str) -> None:
    """Every path that tomllib finds has a line, no other has one, and each scalar stands on the line of its path."""
    document = tomllib.loads(text)
    lines = key_lines(text)
    assert set(lines) == set(paths(document))
    for path, line in lines.items():
        found: Any = document
        for key in path:
            found = found[key]
        assert (marker(found) or "") in text.splitlines()[line - 1]
