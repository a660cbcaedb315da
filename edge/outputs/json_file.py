"""`json:PATH`: every line as JSON in a file; and the file itself, which also `csv:` writes."""

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from edge.outputs.sink import Item
from firmware_bridge.errors import Exit, Failure

BYTES_PER_MB: Final = 1_000_000
DEFAULT_KEEP: Final = 5
_NO_PERMISSION: Final = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_PLACE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


class RotatingFile:
    """Whole lines at the end of a file, each handed to the operating system at once.

    Before a line would make it larger than `rotate_mb` (10^6 bytes; None: never), `path` becomes `path`.1,
    that `path`.2 and so on to `path`.`keep`, and a new file begins with `header`. A line that was torn, by
    a power cut or a full disk, is taken back or ended. A file that was moved or deleted is made anew.
    """

    def __init__(
        self, path: Path, rotate_mb: float | None = None, keep: int = DEFAULT_KEEP, header: bytes = b""
    ) -> None:
        self.path = path
        self._rotate_bytes = None if rotate_mb is None else rotate_mb * BYTES_PER_MB
        self._keep, self._header = keep, header
        self._end = b"\r\n" if header.endswith(b"\r\n") else b"\n"
        self._fd: int | None = None

    def open(self) -> None:
        """Raises Failure for a path that cannot be written or a file that begins otherwise, OSError for a full disk."""
        self.path = self.path.resolve()  # a link is followed once, so that not the link is rotated
        try:
            self._open()
        except BlockingIOError:
            message = f"file {self.path} is being written by another program: choose another name"
            raise Failure(message, Exit.USAGE) from None
        except OSError as error:
            if error.errno in _NO_PLACE:
                message = f"no folder {self.path.parent} for the file {self.path.name}: make it first"
                raise Failure(message, Exit.MISSING_INPUT) from None
            if error.errno in _NO_PERMISSION:
                message = f"cannot write file {self.path}: {error.strerror}: choose another place"
                raise Failure(message, Exit.PERMISSION) from None
            raise

    def write(self, line: bytes) -> None:
        """`line` ends as the header does. Raises OSError where it is not written, and then no part of it is."""
        fd = self._current()
        size = os.fstat(fd).st_size
        if self._rotate_bytes is not None and len(self._header) < size and size + len(line) > self._rotate_bytes:
            self._rotate()
            fd = self._current()
        self._append(fd, line)

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _current(self) -> int:
        """The file that `path` names, which may have been deleted or moved away since the last line."""
        if self._fd is not None:
            try:
                same = os.path.samestat(os.fstat(self._fd), os.stat(self.path))
            except FileNotFoundError:
                same = False
            if not same:
                self.close()
        return self._open() if self._fd is None else self._fd

    def _open(self) -> int:
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(os.stat(self.path).st_mode):  # a pipe would block, a device must not be renamed
                message = f"{self.path} is no regular file: give the name of one (json:- writes to stdout)"
                raise Failure(message, Exit.USAGE)
        self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._begin(self._fd)
        except BaseException:
            self.close()
            raise
        return self._fd

    def _begin(self, fd: int) -> None:
        start, size = os.pread(fd, len(self._header), 0), os.fstat(fd).st_size
        if size < len(self._header) and self._header.startswith(start):  # empty, or torn within the header
            os.ftruncate(fd, 0)
            self._append(fd, self._header)
        elif start != self._header:
            message = f"file {self.path} begins with other columns than this version writes: choose another name"
            raise Failure(message, Exit.USAGE)
        elif size and os.pread(fd, 1, size - 1) != b"\n":
            self._append(fd, self._end)

    def _append(self, fd: int, data: bytes) -> None:
        size = os.fstat(fd).st_size
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(fd, rest) :]
        except OSError:
            with suppress(OSError):  # where that fails too, opening it again ends the torn line
                os.ftruncate(fd, size)
            self.close()
            raise

    def _rotate(self) -> None:
        self.close()
        for number in range(self._keep - 1, 0, -1):
            with suppress(FileNotFoundError):
                os.replace(self._numbered(number), self._numbered(number + 1))
        os.replace(self.path, self._numbered(1))

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


class JsonFile:
    """One JSON object a line."""

    def __init__(self, path: Path, rotate_mb: float | None = None, keep: int = DEFAULT_KEEP) -> None:
        self._file = RotatingFile(path, rotate_mb, keep)

    def open(self) -> None:
        self._file.open()

    def write(self, item: Item) -> None:
        self._file.write(item.json_line().encode())

    def close(self) -> None:
        self._file.close()
