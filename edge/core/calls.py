"""What Python calls of the core, with all constants at hand.

Arrays go in as bytes and come out in fresh memory: that is cheaper than asking an array for its address, and what was
handed out is nobody's scratch.
"""

import ctypes
import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.core import structs
from edge.core.library import CORE, Library
from firmware_bridge.header import SampleFormat
from firmware_bridge.samples import Unpack, unpack
from firmware_bridge.skeleton import JOINTS, MIRRORED

NUMBER: Final = 0x10
"""CORE_NUMBER of core.h, which no text in JSON has in it."""
NUMBER_CHARACTERS: Final = 20
_NUMBERS: Final = range(NUMBER, NUMBER + 10)
_NUMBER: Final = re.compile(r"%(?:%|d|\.(\d)f)")


class Kept:
    """What the core has addresses of, kept alive."""

    def __init__(self) -> None:
        self._kept: list[Any] = []

    def array(self, values: Any, kind: type[np.generic]) -> int:
        """The address of the values as C has them."""
        array = np.ascontiguousarray(values, kind)
        self._kept.append(array)
        return int(array.ctypes.data)

    def struct(self, struct: ctypes.Structure) -> int:
        self._kept.append(struct)
        return ctypes.addressof(struct)

    def scratch(self, n_bytes: int) -> int:
        scratch = (ctypes.c_double * (n_bytes // 8 + 1))()
        self._kept.append(scratch)
        return ctypes.addressof(scratch)


class UnpackCall:
    """firmware_bridge.samples.unpack."""

    def __init__(self, library: Library) -> None:
        self._call = library.core_unpack_u12
        self._kinds: dict[int, Any] = {}

    def __call__(self, payload: bytes, sample_format: SampleFormat, shape: tuple[int, int]) -> NDArray[np.uint16]:
        if sample_format is not SampleFormat.U12:
            return unpack(payload, sample_format, shape)
        n = shape[0] * shape[1]
        _check_size(len(payload), SampleFormat.U12.payload_bytes(n))
        if n not in self._kinds:
            self._kinds[n] = ctypes.c_uint16 * n
        counts = self._kinds[n]()
        self._call(payload, n, counts)
        return np.frombuffer(counts, np.uint16).reshape(shape)


UNPACK: Final[Unpack] = UnpackCall(CORE) if CORE else unpack
"""By the core where there is one."""


class SmoothCall:
    """edge.smoothing: the filter of one mat's joints."""

    def __init__(self, library: Library, **settings: float) -> None:
        kept = self._kept = Kept()
        self._settings = kept.struct(structs.Smoothing(joint_of_image=kept.array(MIRRORED, np.int32), **settings))
        self._state = kept.scratch(3 * 2 * len(JOINTS) * 8)
        self._smooth: Any = ctypes.c_double * (3 * len(JOINTS))
        self._call = library.core_smooth

    def __call__(self, joints: NDArray[np.float64], dt_s: float) -> NDArray[np.float64]:
        smooth, sent = self._smooth(), joints.tobytes()
        _check_size(len(sent), ctypes.sizeof(smooth))
        self._call(self._settings, self._state, sent, dt_s, smooth)
        return np.frombuffer(smooth, np.float64).reshape(-1, 3)


class FillCall:
    """A text with the places of numbers in it, spelled as for Python's `%`: %d or %.2f."""

    def __init__(self, library: Library, form: str) -> None:
        self._form = _NUMBER.sub(_byte_of, form).encode()
        n = sum(byte in _NUMBERS for byte in self._form)
        self._n_bytes = 8 * n
        self._text: Any = ctypes.c_char * (len(self._form) + n * NUMBER_CHARACTERS)
        self._call = library.core_fill

    def __call__(self, numbers: bytes) -> str | None:
        """float64, one for each place. None where one of them is no number, or one whose decimals C may get wrong."""
        text = self._text()
        _check_size(len(numbers), self._n_bytes)
        n: int = self._call(self._form, numbers, text)
        return None if n < 0 else str(memoryview(text)[:n], "utf-8")


def _check_size(n_bytes: int, expected: int) -> None:
    """Raises ValueError where C would read beyond the end."""
    if n_bytes != expected:
        raise ValueError(f"{n_bytes} bytes in place of {expected}")


def _byte_of(place: re.Match[str]) -> str:
    return "%" if place[0] == "%%" else chr(NUMBER + int(place[1] or 0))
