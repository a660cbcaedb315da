"""Recording while the daemon runs: into one file, or into a folder in which files follow one another.

What was handed to `write` survives the end of this process at once, and a power cut as soon as the kernel writes it
back (30 s by default) or its file is done: files are synced when they are done, in a thread of their own, for a
memory card may take seconds in which the port would overflow.
"""

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from edge.manifest import Strict
from edge.recorded_files import ENDING, MB, delete_oldest, new_file
from firmware_bridge.decoder import Decoder
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.header import MessageType
from firmware_bridge.messages import Info
from firmware_bridge.recording import RecordingWriter, holds, remembered

log = logging.getLogger(__name__)

RESUME_FACTOR: Final = 1.25
"""Recording goes on when so many times min_free_mb are free, or it would stop again at once."""
RETRY_S: Final = 60.0
"""After a write that failed."""
ROUNDING_BYTES: Final = 16_384
"""What a message may take on the disk beyond its own length: whole blocks, HOST_TIME, a repeated INFO."""
MAX_CHORES: Final = 8
"""Files that wait to be synced; while so many do, no other one is begun."""


class RecordingSettings(Strict):
    """What a folder of recordings may grow to. Limits apply to files that edge-run made of this mat, to no other."""

    rotate_mb: PositiveFloat = Field(500, description="a new file after so many MB")
    rotate_hours: PositiveFloat = Field(1, description="a new file after so many hours")
    keep_gb: PositiveFloat | None = Field(
        None, description="the oldest files are deleted beyond so many GB; none is where not given"
    )
    keep_days: PositiveFloat | None = Field(
        None, description="files that began before so many days are deleted; none is where not given"
    )
    min_free_mb: NonNegativeFloat = Field(500, description="recording stops before the disk has less than this free")

    @model_validator(mode="after")
    def _keep_holds_a_file(self) -> "RecordingSettings":
        if self.keep_gb is not None and self.keep_gb * 1000 < 2 * self.rotate_mb:
            raise ValueError(f"keep_gb {self.keep_gb:g} must hold two files of rotate_mb {self.rotate_mb:g}")
        return self


@dataclass(frozen=True, slots=True)
class RecordingStarted:
    """The first message is in the file; also when recording goes on after it had stopped by itself."""

    path: Path


@dataclass(frozen=True, slots=True)
class RecordingStopped:
    """Asked for, or because of the disk; then it `waits`, and goes on by itself when it can."""

    path: Path
    reason: str
    waits: bool = field(default=False, compare=False)


RecordingChange = RecordingStarted | RecordingStopped


class Recorder:
    """Of one mat. `write` belongs to the thread that reads the port, the rest to any other.

    `notify` is called from whichever thread caused the change: it must only hand the change on. `steady_s` times
    rotation and retries, `free_bytes` tells the free space of the disk that a path is on.
    """

    def __init__(
        self,
        mat: str,
        settings: RecordingSettings | None = None,
        notify: Callable[[RecordingChange], None] = lambda change: None,
        *,
        steady_s: Callable[[], float] = time.monotonic,
        free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    ) -> None:
        self.mat = mat
        self.settings = settings or RecordingSettings()
        self._notify, self._steady_s, self._free_bytes = notify, steady_s, free_bytes
        self._lock = threading.Lock()
        self._info: bytes | None = None
        self._target: Path | None = None
        self._is_folder = False
        self._writer: RecordingWriter | None = None
        self._begun_s = 0.0
        self._running = self._halted = False
        self._retry_s = 0.0
        self._chores: list[Future[None]] = []
        self._thread = ThreadPoolExecutor(1, "recorder")

    @property
    def running(self) -> bool:
        """Whether messages reach the disk now."""
        return self._running

    @property
    def target(self) -> Path | None:
        """The file or folder it was started with; None when nobody asked for a recording."""
        return self._target

    def start(self, target: Path) -> None:
        """Record into `target`: a folder that exists, or a new file whose name ends in .matlog.

        What comes from now on is recorded, after the latest INFO. Raises Failure.
        """
        with self._lock:
            if self._target is not None:
                raise Failure(f"{self.mat} is being recorded to {self._target} already: stop that first", Exit.USAGE)
            self._is_folder = target.is_dir()
            if self._is_folder:
                if not os.access(target, os.W_OK | os.X_OK):
                    raise Failure(f"cannot write into the folder {target}: choose another place", Exit.PERMISSION)
            elif target.suffix != ENDING:
                message = f"{target} is neither a folder nor a name that ends in {ENDING}: give one of these to record"
                raise Failure(message, Exit.USAGE)
            else:
                self._writer = RecordingWriter(target)
            self._target, self._halted, self._retry_s = target, False, 0.0

    def lacks_room(self, folder: Path) -> str | None:
        """Why nothing would be recorded into `folder` now."""
        with suppress(OSError):
            if self._free_bytes(folder) - ROUNDING_BYTES < self.settings.min_free_mb * MB:
                return self._full()
        return None

    def stop(self, reason: str = "as asked") -> None:
        """Ends the recording, if there is one."""
        with self._lock:
            if self._running:
                log.info("recording to %s stopped: %s", self._path(), reason)
                self._notify(RecordingStopped(self._path(), reason))
            self._finish()
            self._target, self._running, self._halted = None, False, False

    def close(self) -> None:
        """Stops, and waits until what was recorded is safe on the disk."""
        self.stop("edge-run ends")
        self._thread.shutdown()

    def write(self, raw: bytes, unix_us: int) -> None:
        """One message as it came (Received.raw). Raises nothing: what goes wrong, `notify` is told."""
        with self._lock:
            if holds(Info, raw):
                self._info = raw
            if self._target is None or self._info is None:
                return
            try:
                self._write(self._target, self._info, raw, unix_us)
            except OSError as error:
                self._fail(f"writing failed: {error.strerror or error}")
            except Failure as failure:
                self._fail(str(failure))

    def _write(self, target: Path, info: bytes, raw: bytes, unix_us: int) -> None:
        now_s = self._steady_s()
        needed_bytes = self.settings.min_free_mb * MB * (RESUME_FACTOR if self._halted else 1)
        folder = target if self._is_folder else target.parent
        if self._free_bytes(folder) - len(raw) - ROUNDING_BYTES < needed_bytes:
            self._halt(self._full())
            return
        if self._halted and now_s < self._retry_s:
            return
        if self._writer is None or self._is_due(self._writer, raw, now_s):
            self._next_file(target, unix_us, now_s)
        assert self._writer
        continued = not self._running or self._writer.size_bytes == 0
        if continued and raw is not info:
            self._writer.write(remembered(info), unix_us)
        self._writer.write(raw, unix_us)
        if not self._running:
            self._running, self._halted = True, False
            log.info("recording to %s", self._writer.path)
            self._notify(RecordingStarted(self._writer.path))

    def _is_due(self, writer: RecordingWriter, raw: bytes, now_s: float) -> bool:
        """Whether this message begins a new file: the chunks of a frame stay together."""
        if not self._is_folder or writer.size_bytes == 0:
            return False
        s = self.settings
        full = writer.size_bytes >= s.rotate_mb * MB or now_s - self._begun_s >= s.rotate_hours * 3600
        return full and len(self._waiting_chores()) < MAX_CHORES and not _is_later_chunk(raw)

    def _next_file(self, folder: Path, unix_us: int, now_s: float) -> None:
        done, self._writer = self._writer, None
        if done:
            self._later(partial(_sync_and_close, done), partial(_close, done))
        self._writer = new_file(folder, self.mat, unix_us)
        self._begun_s = now_s
        if done:
            log.info("recording goes on in %s", self._writer.path)
        s = self.settings
        keep_bytes = None if s.keep_gb is None else s.keep_gb * 1000 * MB - s.rotate_mb * MB
        since_unix_s = None if s.keep_days is None else unix_us / 1e6 - s.keep_days * 86_400
        self._later(partial(delete_oldest, self._writer.path, self.mat, keep_bytes, since_unix_s))

    def _fail(self, reason: str) -> None:
        self._retry_s = self._steady_s() + RETRY_S
        self._halt(f"{reason}; next try in {RETRY_S:g} s")

    def _halt(self, reason: str) -> None:
        """Not now: told once, until it runs again. A file given by name stays open, to be gone on with."""
        if not self._halted:
            log.warning("recording to %s stopped: %s", self._path(), reason)
            self._notify(RecordingStopped(self._path(), reason, waits=True))
        self._running, self._halted = False, True
        if self._is_folder:
            self._finish()

    def _full(self) -> str:
        return f"the disk has little more than {self.settings.min_free_mb:g} MB free"

    def _path(self) -> Path:
        path = self._writer.path if self._writer else self._target
        assert path
        return path

    def _finish(self) -> None:
        done, self._writer = self._writer, None
        if done is None:
            return
        if done.size_bytes == 0:
            with suppress(OSError):
                done.path.unlink()
        self._later(partial(_sync_and_close, done), partial(_close, done))

    def _later(self, chore: Callable[[], None], otherwise: Callable[[], None] = lambda: None) -> None:
        """In the background, or `otherwise` right now where too much waits already."""
        self._chores = self._waiting_chores()
        if len(self._chores) < MAX_CHORES:
            self._chores.append(self._thread.submit(_logged, chore))
        else:
            otherwise()

    def _waiting_chores(self) -> list[Future[None]]:
        return [chore for chore in self._chores if not chore.done()]


def _is_later_chunk(raw: bytes) -> bool:
    headers = [received.header for received in Decoder().feed(raw)]
    return any(header and header.type == MessageType.FRAME and header.row0 for header in headers)


def _logged(chore: Callable[[], None]) -> None:
    try:
        chore()
    except OSError as error:
        log.warning("recordings are not tidied up: %s", error)


def _sync_and_close(writer: RecordingWriter) -> None:
    try:
        writer.sync()
    except OSError as error:
        log.warning("recording %s may not survive a power cut: %s", writer.path, error.strerror)
    _close(writer)


def _close(writer: RecordingWriter) -> None:
    with suppress(OSError):
        writer.close()
