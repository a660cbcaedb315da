"""Pickles as Python 2 wrote them (protocol 2, byte strings): today's pickle module cannot write them."""

import struct
from typing import Any

import numpy as np

PROTOCOL, STOP, MARK, NONE = b"\x80\x02", b".", b"(", b"N"


def python2_pickle(value: Any) -> bytes:
    return PROTOCOL + _opcodes(value) + STOP


def _opcodes(value: Any) -> bytes:
    match value:
        case None:
            return NONE
        case bool():
            return b"\x88" if value else b"\x89"
        case np.ndarray():
            return _array(value)
        case np.generic():
            return b"cnumpy.core.multiarray\nscalar\n" + _dtype(value.dtype) + _bytes(value.tobytes()) + b"\x86R"
        case int():
            return b"J" + struct.pack("<i", value)
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            return _bytes(value.encode("latin1"))
        case tuple():
            return MARK + b"".join(map(_opcodes, value)) + b"t"
        case list():
            return b"]" + MARK + b"".join(map(_opcodes, value)) + b"e"
        case dict():
            return b"}" + MARK + b"".join(_opcodes(k) + _opcodes(v) for k, v in value.items()) + b"u"
    raise TypeError(f"no opcodes for {type(value)}")


def _bytes(raw: bytes) -> bytes:
    return b"T" + struct.pack("<i", len(raw)) + raw


def _dtype(dtype: np.dtype[Any]) -> bytes:
    state = (3, "<" if dtype.itemsize > 1 else "|", None, None, None, -1, -1, 0)
    return b"cnumpy\ndtype\n" + _opcodes((dtype.str[1:], 0, 1)) + b"R" + _opcodes(state) + b"b"


def _array(array: np.ndarray[Any, Any]) -> bytes:
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + _opcodes((0,)) + _bytes(b"b") + b"\x87R"
    head = MARK + _opcodes(1) + _opcodes(array.shape) + _dtype(array.dtype) + _opcodes(False)
    return empty + head + _bytes(array.tobytes()) + b"tb"
