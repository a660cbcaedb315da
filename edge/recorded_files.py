"""The files of a folder of recordings: their names, and which of them may be deleted.

A file is called `<mat>-<UTC time>.matlog` after the moment of its first message. Only a file that is called so and
whose first HOST_TIME says the same was made here, and may be deleted: anything else is somebody's.
"""

import logging
import re
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final
from urllib.parse import quote

from firmware_bridge.decoder import Decoder
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.messages import HostTime
from firmware_bridge.recording import RecordingWriter

log = logging.getLogger(__name__)

ENDING: Final = ".matlog"
MB: Final = 1_000_000
MAX_NAME_BYTES: Final = 120
"""Of the mat's part of a file name; a longer one is cut, and told apart by a hash."""
SAME_SECOND: Final = 1000
"""Files that can begin in the same second, as the clock says: it may be set back."""
_TIME: Final = "%Y%m%dT%H%M%SZ"
_FIRST_MESSAGE_BYTES: Final = 64


def safe_name(mat: str) -> str:
    """`mat` as part of a file name on any file system; two mats never become the same."""
    name = quote(mat, safe="")
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    if len(name) > MAX_NAME_BYTES:
        name = f"{name[: MAX_NAME_BYTES - 9]}-{sha256(mat.encode()).hexdigest()[:8]}"
    return name


def new_file(folder: Path, mat: str, unix_us: int) -> RecordingWriter:
    """Raises Failure as RecordingWriter does."""
    start = f"{safe_name(mat)}-{datetime.fromtimestamp(unix_us // 1_000_000, UTC).strftime(_TIME)}"
    for n in range(1, SAME_SECOND + 1):
        path = folder / f"{start}{f'-{n}' if n > 1 else ''}{ENDING}"
        if not path.exists():
            return RecordingWriter(path)
    raise Failure(f"{folder} holds {SAME_SECOND} recordings of one second: check the clock", Exit.USAGE)


def delete_oldest(current: Path, mat: str, keep_bytes: float | None, since_unix_s: float | None) -> None:
    """Beside `current`, deletes the mat's oldest files that are beyond `keep_bytes` or began before `since_unix_s`.

    `current` counts as empty. What cannot be deleted is logged, and left.
    """
    if keep_bytes is None and since_unix_s is None:
        return
    made = sorted(_made_here(current.parent, mat))
    sizes = {path: path.stat().st_size for *_, path in made}
    total = sum(sizes.values()) - sizes.get(current, 0)
    for began_unix_s, _, path in made:
        too_old = since_unix_s is not None and began_unix_s < since_unix_s
        too_much = keep_bytes is not None and total > keep_bytes
        if path == current or not (too_old or too_much):
            continue
        try:
            path.unlink()
        except OSError as error:
            log.warning("cannot delete the old recording %s: %s", path, error.strerror)
            continue
        total -= sizes[path]
        log.info("deleted the old recording %s", path)


def _made_here(folder: Path, mat: str) -> list[tuple[float, int, Path]]:
    """When each began (Unix s), its number within that second, and the file."""
    pattern = re.compile(rf"{re.escape(safe_name(mat))}-(\d{{8}}T\d{{6}}Z)(?:-(\d+))?{re.escape(ENDING)}")
    found = []
    for path in folder.iterdir():
        name = pattern.fullmatch(path.name)
        if not name or path.is_symlink() or not path.is_file():
            continue
        try:
            began = datetime.strptime(name[1], _TIME).replace(tzinfo=UTC).timestamp()
            with path.open("rb") as file:
                first = Decoder().feed(file.read(_FIRST_MESSAGE_BYTES))
        except (OSError, ValueError):
            continue
        if first and isinstance(first[0].event, HostTime) and first[0].event.unix_us // 1_000_000 == began:
            found.append((began, int(name[2] or 1), path))
    return found
