"""Python 2 pickles of plain data: containers, numbers, text and NumPy arrays, and nothing that could run."""

import pickle
import struct
from pathlib import Path
from typing import Any, Final

import numpy as np

from train.formats.arrays import foreign, missing_file


class _Refused(pickle.UnpicklingError):
    pass


def _latin1_bytes(text: str, encoding: str) -> bytes:
    """`_codecs.encode` as Python 3 uses it to write bytes in protocol 2; other codecs are refused."""
    if encoding != "latin1":
        raise _Refused(f"the codec {encoding}")
    return text.encode("latin1")


_RECONSTRUCT: Final[Any] = np.zeros(0).__reduce__()[0]
_SCALAR: Final[Any] = np.float64(0).__reduce__()[0]
_ALLOWED: Final[dict[tuple[str, str], Any]] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1_bytes,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _RECONSTRUCT for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _SCALAR for core in ("core", "_core")},
}
"""By name, so that nothing is imported for a file's sake."""


class _DataUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise _Refused(f"{module}.{name}")
        return _ALLOWED[module, name]


def load_pickle(path: Path) -> Any:
    """What the pickle holds, text of Python 2 read as latin-1.

    Raises Failure (66) for a missing file, (65) for one that is no pickle or asks for anything but plain data.
    """
    try:
        with path.open("rb") as file:
            return _DataUnpickler(file, fix_imports=False, encoding="latin1").load()
    except FileNotFoundError:
        raise missing_file(path) from None
    except _Refused as refused:
        raise foreign(path, f"asks for {refused}, which could run code: refused, nothing of it was run") from None
    except (
        pickle.UnpicklingError, EOFError, ValueError, TypeError, IndexError, KeyError, AttributeError, MemoryError,
        OverflowError, OSError, struct.error,
    ) as error:  # fmt: skip
        raise foreign(path, f"is no readable pickle ({type(error).__name__}: {error})") from None
