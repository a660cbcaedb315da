"""Python 2 pickles of plain data: containers, numbers, text and NumPy arrays, and nothing that could run.

Arrays are rebuilt here from their bytes: numpy's own __setstate__ believes what a file says of its memory.
"""

import pickle
import re
import struct
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from train.formats.arrays import foreign, missing_file


class _Refused(pickle.UnpicklingError):
    pass


class _Dtype:
    """What a pickle says of a dtype: one plain kind, no fields."""

    def __init__(self, code: str, align: int = 0, copy: int = 0) -> None:
        if not re.fullmatch(r"[biufSUO]\d*", code):
            raise _Refused(f"an array of {code}")
        self.code, self.order = code, ""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if any(part is not None for part in state[2:5]):
            raise _Refused("an array of records")
        self.order = {"<": "<", ">": ">"}.get(state[1], "")

    def numbers(self, raw: str | bytes) -> NDArray[Any]:
        if self.code[0] == "O":
            raise _Refused("objects within an array")
        return np.frombuffer(raw.encode("latin1") if isinstance(raw, str) else raw, self.order + self.code)


class _Array:
    """Stands where the file has a numpy array; `np.asarray` takes it."""

    values: Any = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, by_column, raw = state
        self.values = raw if isinstance(raw, list) else dtype.numbers(raw).reshape(shape, order="FC"[not by_column])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.values, dtype)


def _reconstruct(kind: type, shape: Any, code: Any) -> _Array:
    return _Array()


def _scalar(dtype: _Dtype, raw: str | bytes) -> Any:
    return dtype.numbers(raw)[0]


def _latin1_bytes(text: str, encoding: str) -> bytes:
    """`_codecs.encode` as Python 3 uses it to write bytes in protocol 2."""
    if encoding != "latin1":
        raise _Refused(f"the codec {encoding}")
    return text.encode("latin1")


_ALLOWED: Final[dict[str, Any]] = {
    "numpy.ndarray": _Array,
    "numpy.dtype": _Dtype,
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy._core.multiarray._reconstruct": _reconstruct,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
    "_codecs.encode": _latin1_bytes,
}


class _DataUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in _ALLOWED:
            raise _Refused(f"{module}.{name}")
        return _ALLOWED[f"{module}.{name}"]


def load_pickle(path: Path) -> Any:
    """What the pickle holds, text of Python 2 read as latin-1, arrays as something that `np.asarray` takes.

    Raises Failure (66) for a missing file, (65) for one that is no pickle or asks for anything but plain data.
    """
    try:
        with path.open("rb") as file:
            return _DataUnpickler(file, fix_imports=False, encoding="latin1").load()
    except FileNotFoundError:
        raise missing_file(path) from None
    except _Refused as refused:
        raise foreign(path, f"asks for {refused}, which plain data does not need: refused, nothing was run") from None
    except (
        ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError, TypeError,
        ValueError, pickle.UnpicklingError, struct.error,
    ) as error:  # fmt: skip
        raise foreign(path, f"is no readable pickle ({type(error).__name__}: {error})") from None
