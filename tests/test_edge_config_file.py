"""Configuration files before their settings are looked at."""

from pathlib import Path

import pytest

from edge.config.file import MOST_BYTES, ConfigFile, read_file
from firmware_bridge.errors import Exit, Failure


def write(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "bed.toml"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        b'version = 1\n\n[[mat]]\nport = "M\xc3\xbcller"\n',
        b'\xef\xbb\xbfversion = 1\n\n[[mat]]\nport = "M\xc3\xbcller"\n',
        b'version = 1\r\n\r\n[[mat]]\r\nport = "M\xc3\xbcller"',
    ],
    ids=["plain", "byte order mark", "CRLF"],
)
def test_utf8_with_any_line_ends_is_read(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, content)
    file = read_file(path)
    assert file.settings == {"version": 1, "mat": [{"port": "Müller"}]}
    assert file.where(("mat", 0, "port")) == f"{path}:4: "


def test_what_is_missing_is_where_its_table_begins(tmp_path: Path) -> None:
    file = read_file(write(tmp_path, b"version = 1\n[[mat]]\nport = 'a'\n[[mat]]\n"))
    assert file.line(("mat", 1, "port")) == 4
    assert file.line(("model",)) == 1
    assert ConfigFile().where(("model",)) == ""


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"version = 1\nmodel = \n", 2, "no TOML: invalid value"),
        (b"version = 1\r\n\r\nmodel\r\n", 3, "no TOML"),
        (b"version = 1\nversion = 1\n", 2, "no TOML: cannot overwrite a value"),
        (b'version = 1\noutput = ["json:-",\n', 2, "no TOML"),
        (b"version = 1\n# caf\xe9\n", 2, "UTF-8"),
        ("version = 1\n".encode("utf-16"), 1, "UTF-8"),
        (b"a=" + b"[" * 5000, None, "nested too deeply"),
        (b"#" * (MOST_BYTES + 1), None, "larger than 256 kB"),
    ],
)
def test_broken_files_are_named_with_their_line(tmp_path: Path, content: bytes, line: int | None, words: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(Failure, match=words) as failure:
        read_file(path)
    assert failure.value.code == Exit.BAD_CONFIG
    assert str(failure.value).startswith(f"{path}:{line}: " if line else str(path))
    assert "\n" not in str(failure.value)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="--print-config") as failure:
        read_file(tmp_path / "none.toml")
    assert failure.value.code == Exit.MISSING_INPUT
    with pytest.raises(Failure, match="Is a directory") as failure:
        read_file(tmp_path)
    assert failure.value.code == Exit.BAD_CONFIG
