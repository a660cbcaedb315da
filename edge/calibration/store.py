"""Calibrations as files: `<state_dir>/<mat>.calibration.json`, one key a line."""

import json
import os
import tempfile
from pathlib import Path

from pydantic import ValidationError

from edge.calibration.values import Calibration
from firmware_bridge.errors import Exit, Failure


def path_of(state_dir: Path, mat: str) -> Path:
    """Raises Failure (78) for a name that is no file name."""
    if not mat or Path(mat).name != mat or not mat.isprintable():
        raise Failure(f"mat {mat!r} cannot name its calibration file: leave out / and control signs", Exit.BAD_CONFIG)
    return state_dir / f"{mat}.calibration.json"


def read(path: Path) -> Calibration | None:
    """None where there is none yet. Raises Failure (78) that names the first wrong key, (77) without permission."""
    try:
        return Calibration.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "file"
        reason = first["msg"].removeprefix("Value error, ")
        raise Failure(
            f"calibration {path}: {key}: {reason}: mend it, or move it away and tare again", Exit.BAD_CONFIG
        ) from None
    except OSError as error:
        raise _failure(path, "read", error) from None


def write(path: Path, calibration: Calibration) -> None:
    """All of it or nothing. Raises Failure as `read` does, also when what is there already cannot be read."""
    read(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, to_json(calibration))
    except OSError as error:
        raise _failure(path, "write", error) from None


def to_json(calibration: Calibration) -> str:
    values = calibration.model_dump(mode="json")
    return "{\n" + ",\n".join(f'  "{key}": {json.dumps(value)}' for key, value in values.items()) + "\n}\n"


def _replace(path: Path, text: str) -> None:
    """Through a file beside it, so that a power cut leaves the old or the new one."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _failure(path: Path, what: str, error: OSError) -> Failure:
    code = Exit.PERMISSION if isinstance(error, PermissionError) else Exit.BAD_CONFIG
    return Failure(f"cannot {what} calibration {path}: {error.strerror}: choose another state directory", code)
