"""NumPy files of foreign data sets: never unpickled, and bad ones named with path and reason."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Orientation

Shape = tuple[int | None, ...]
"""None stands for any length."""
CANONICAL: Final = Orientation()


def load_array(path: Path, shape: Shape, *, mapped: bool = False) -> NDArray[Any]:
    """The numbers of a .npy file; `mapped` leaves them on disk until they are used.

    Raises Failure (66) for a missing file, (65) for one that holds anything but numbers of that shape.
    """
    try:
        if mapped:
            return _checked(np.lib.format.open_memmap(path, mode="r"), shape, path, "")
        with path.open("rb") as file:
            return _checked(np.lib.format.read_array(file, allow_pickle=False), shape, path, "")
    except FileNotFoundError:
        raise missing_file(path) from None
    except (ValueError, EOFError, OSError) as error:
        raise foreign(path, f"is no NumPy array of numbers ({error})") from None


def load_member(path: Path, names: Sequence[str], shape: Shape) -> NDArray[Any]:
    """The first of `names` that a .npz file holds; the other members are not touched."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as members:
            held = [name for name in names if name in members]
            if not held:
                raise foreign(path, f"has no {' or '.join(names)}, but {', '.join(members)}")
            array = members[held[0]]
    except FileNotFoundError:
        raise missing_file(path) from None
    except (ValueError, EOFError, OSError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise foreign(path, f"is no NumPy archive of numbers ({error})") from None
    return _checked(array, shape, path, f" in {held[0]}")


def require_finite(values: NDArray[Any], path: Path) -> None:
    """Raises Failure (65) for NaN and infinity."""
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        raise foreign(path, f"holds {bad} values that are no finite numbers")


def chosen_subjects(present: Sequence[int], subjects: Sequence[int] | None, folder: Path) -> list[int]:
    """`subjects`, or all present ones in order. Raises Failure (66) for one that is not there."""
    if not present:
        raise Failure(f"no subjects in {folder}: not the layout of this data set", Exit.MISSING_INPUT)
    wanted = sorted(present) if subjects is None else list(subjects)
    missing = [s for s in wanted if s not in present]
    if missing:
        has = ", ".join(map(str, sorted(present)))
        raise Failure(f"no subject {missing[0]} in {folder}: it has {has}", Exit.MISSING_INPUT)
    return wanted


def missing_file(path: Path) -> Failure:
    return Failure(f"no {path}: the data set's copy is incomplete", Exit.MISSING_INPUT)


def foreign(path: Path, reason: str) -> Failure:
    """`reason` continues the sentence that the path begins; line breaks of other libraries are taken out."""
    return Failure(f"{path} {' '.join(reason.split())}", Exit.FOREIGN_DATA)


def _checked(array: Any, shape: Shape, path: Path, where: str) -> NDArray[Any]:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        raise foreign(path, f"holds no array of numbers{where}")
    fits = array.ndim == len(shape) and all(s in (None, n) for s, n in zip(shape, array.shape, strict=True))
    if not fits:
        wanted = " x ".join("any" if s is None else str(s) for s in shape)
        raise foreign(path, f"holds {' x '.join(map(str, array.shape))} numbers{where}, not {wanted}")
    return array
