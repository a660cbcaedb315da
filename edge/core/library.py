"""The compiled core, where there is one."""

import ctypes
from ctypes import c_double, c_float, c_int32, c_size_t, c_uint32, c_void_p
from pathlib import Path
from typing import Any, Final

from edge.core.build import FOLDER, LIBRARY, sources_crc

Library = ctypes.PyDLL
"""Keeps the interpreter's lock: calls are shorter than handing it over, and scratch is nobody else's meanwhile."""

_FUNCTIONS: Final[dict[str, tuple[Any, ...]]] = {
    "core_sources": (c_uint32,),
    "core_unpack_u12": (None, c_void_p, c_int32, c_void_p),
    "core_sort": (None, c_void_p, c_int32, c_void_p, c_void_p),
    "core_quantise": (None, c_void_p, c_int32, c_float, c_int32, c_void_p),
    "core_body_scratch_bytes": (c_size_t,),
    "core_body": (None, *[c_void_p] * 4),
    "core_see_scratch_bytes": (c_size_t, c_void_p),
    "core_see": (None, c_void_p, c_void_p, c_int32, *[c_void_p] * 5),
    "core_find_scratch_bytes": (c_size_t, c_void_p),
    "core_find": (c_int32, *[c_void_p] * 6, c_int32, c_void_p, c_void_p),
    "core_fill": (c_int32, c_void_p, c_void_p, c_void_p),
    "core_smooth": (None, c_void_p, c_void_p, c_void_p, c_double, c_void_p),
}
"""What each returns and takes."""


def load(path: Path) -> Library | None:
    """None where nothing is built, where it does not load, or was built from other sources than these."""
    try:
        library = ctypes.PyDLL(str(path))
        for name, (returns, *takes) in _FUNCTIONS.items():
            function = library[name]
            setattr(library, name, function)
            function.restype, function.argtypes = returns, takes
    except (OSError, AttributeError):
        return None
    return library if library.core_sources() == sources_crc() else None


CORE: Final = load(FOLDER / LIBRARY)
