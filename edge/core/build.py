"""Compiles the C core. Standard library only: the build hook runs this file before anything is installed."""

import os
import shlex
import subprocess
import zlib
from pathlib import Path

FOLDER = Path(__file__).parent
LIBRARY = "core.compiled"  # not .so: Python would take it for a module of its own
FLAGS = ["-O3", "-std=c99", "-Wall", "-Wextra", "-Werror=implicit", "-fno-math-errno", "-fPIC", "-shared"]


def sources_crc() -> int:
    """Of the C sources, so that a library of other sources is not taken for theirs."""
    crc = 0
    for path in sorted(FOLDER.glob("*.[ch]")):
        crc = zlib.crc32(path.read_bytes(), crc)
    return crc


def compile_core(library: Path) -> str | None:
    """Writes `library` with $CC or cc; returns why there is none."""
    compiler = shlex.split(os.environ.get("CC") or "cc")
    partial = library.with_name(f"{library.name}.{os.getpid()}")
    sources = sorted(str(path) for path in FOLDER.glob("*.c"))
    command = [*compiler, *FLAGS, f"-DCORE_SOURCES={sources_crc()}u", *sources, "-o", str(partial), "-lm"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            partial.replace(library)  # a running program keeps the one that it has open
            return None
        return next((line for line in done.stderr.splitlines() if "error" in line), f"{compiler[0]} failed")
    except OSError as error:
        return f"{compiler[0]}: {error.strerror}"
    finally:
        partial.unlink(missing_ok=True)


if __name__ == "__main__":
    if problem := compile_core(FOLDER / LIBRARY):
        raise SystemExit(problem)
