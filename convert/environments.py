"""Virtual environments that hold the daemon on another TFLite runtime than ours, made with uv and kept."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from edge.runtime import RUNTIMES
from firmware_bridge.errors import Exit, Failure

PYTHON: Final = "3.11"
"""The last one that tflite-runtime has a wheel for."""
SOURCE: Final = Path(__file__).resolve().parent.parent


def environments_folder() -> Path:
    """Where they are kept unless the user says otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spmkd" / "crosscheck"


def runtime_requirements(extra: str) -> list[str]:
    """What the daemon needs, with the runtime that `extra` names in the place of its own."""
    wanted = []
    for line in requires("spmkd") or []:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None:
            chosen = requirement.name != RUNTIMES[0][0]
        else:
            chosen = marker.evaluate({"extra": extra, "python_version": PYTHON})
        if chosen:
            wanted.append(f"{requirement.name}{requirement.specifier}")
    return wanted


def environment(extra: str, folder: Path) -> Path:
    """The Python of the environment `folder`/`extra`, made or completed. Raises Failure (66) with uv's reason."""
    if not (SOURCE / "pyproject.toml").is_file():
        raise Failure(f"{SOURCE} is no source tree of spmkd: run this in a checkout", Exit.MISSING_INPUT)
    path = folder.resolve() / extra
    path.mkdir(parents=True, exist_ok=True)
    python = path / "bin" / "python"
    _uv(path, "venv", "--quiet", "--allow-existing", "--python", PYTHON, ".")
    _uv(path, "pip", "install", "--python", str(python), *runtime_requirements(extra))
    _uv(path, "pip", "install", "--quiet", "--python", str(python), "--no-deps", "--editable", str(SOURCE))
    return python


def _uv(folder: Path, *arguments: str) -> None:
    """In `folder`: in a checkout uv would obey the settings of its pyproject.toml."""
    beside = str(Path(sys.executable).parent)
    uv = shutil.which("uv", path=os.pathsep.join([beside, os.environ.get("PATH", "")]))
    if uv is None:
        raise Failure("uv is not installed: pip install uv", Exit.MISSING_INPUT)
    done = subprocess.run([uv, *arguments], cwd=folder)  # its progress and its reasons go to our stderr
    if done.returncode:
        raise Failure(f"uv {' '.join(arguments)} failed: see above; the network may be missing", Exit.MISSING_INPUT)
