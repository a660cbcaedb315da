"""Only data comes out of a pickle; whatever else it asks for is refused before it runs."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from formats_python2 import python2_pickle
from numpy.typing import NDArray

from firmware_bridge.errors import Exit, Failure
from train.formats.pickles import load_pickle

DATA = {
    "images": [np.arange(6.0).reshape(2, 3), np.array([250, 255], np.uint8)],
    "mass": [70.5, np.float64(81.25)],
    "name": ["bl\xe4tter", ("a", None, True, -7)],
}


def read(tmp_path: Path, raw: bytes) -> Any:
    path = tmp_path / "data.p"
    path.write_bytes(raw)
    return load_pickle(path)


@pytest.mark.parametrize("write", [python2_pickle, lambda data: pickle.dumps(data, 2), pickle.dumps])
def test_plain_data_of_python_2_and_3_is_read(tmp_path: Path, write: Any) -> None:
    data = read(tmp_path, write(DATA))
    np.testing.assert_array_equal(np.asarray(data["images"][0]), DATA["images"][0])
    np.testing.assert_array_equal(np.asarray(data["images"][1], np.float64), [250, 255])
    assert data["mass"] == [70.5, 81.25]
    assert data["name"] == DATA["name"]


def test_arrays_stored_by_column_and_big_endian_are_read(tmp_path: Path) -> None:
    array: NDArray[Any] = np.asfortranarray(np.arange(6).reshape(2, 3).astype(">i2"))
    np.testing.assert_array_equal(np.asarray(read(tmp_path, pickle.dumps(array, 2))), array)


class Touch:
    """Unpickled in the ordinary way, it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_that_would_run_code_is_refused_and_nothing_is_run(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    raw = pickle.dumps({"images": [Touch(victim)]})
    pickle.loads(raw)
    assert victim.exists(), "the attack works on the ordinary unpickler"
    victim.unlink()
    with pytest.raises(Failure, match=r"data\.p asks for .*, which plain data does not need: refused") as failure:
        read(tmp_path, raw)
    assert failure.value.code == Exit.FOREIGN_DATA
    assert not victim.exists()


@pytest.mark.parametrize(
    ("raw", "asked"),
    [
        (b"\x80\x02cos\nsystem\nU\x07true  #\x85R.", "os.system"),
        (b"\x80\x02cposix\nsystem\nU\x04true\x85R.", "posix.system"),
        (b"\x80\x02c__builtin__\neval\nU\x011\x85R.", "__builtin__.eval"),
        (b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93.", "builtins.getattr"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.", "numpy.ndarray.tofile"),
        (b"\x80\x02cnumpy\nload\n.", "numpy.load"),
        (b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aU\x03zip\x86R.", "codec zip"),
        (pickle.dumps(np.zeros(2, [("a", object)]), 2), "array of V8"),
        (pickle.dumps(np.zeros(2, "M8[s]"), 2), "array of M8"),
    ],
)
def test_everything_but_plain_data_is_refused_by_name(tmp_path: Path, raw: bytes, asked: str) -> None:
    with pytest.raises(Failure, match=asked) as failure:
        read(tmp_path, raw)
    assert failure.value.code == Exit.FOREIGN_DATA


def test_an_array_that_lies_about_its_memory_is_refused(tmp_path: Path) -> None:
    raw = python2_pickle(np.arange(4.0)).replace(python2_pickle((4,))[2:-1], python2_pickle((4000,))[2:-1])
    with pytest.raises(Failure, match="no readable pickle"):
        read(tmp_path, raw)
    objects = python2_pickle(np.arange(4.0)).replace(b"T\x02\x00\x00\x00f8", b"T\x02\x00\x00\x00O8")
    with pytest.raises(Failure, match="objects within an array"):
        read(tmp_path, objects)


@pytest.mark.parametrize("length", [0, 1, 5, 40, 100, 200])
def test_truncated_and_foreign_files_are_named(tmp_path: Path, length: int) -> None:
    with pytest.raises(Failure, match=r"data\.p is no readable pickle") as failure:
        read(tmp_path, python2_pickle(DATA)[:length])
    assert failure.value.code == Exit.FOREIGN_DATA
    with pytest.raises(Failure, match=r"data\.p is no readable pickle"):
        read(tmp_path, b"just some text\n")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"none\.p: .* incomplete") as failure:
        load_pickle(tmp_path / "none.p")
    assert failure.value.code == Exit.MISSING_INPUT
