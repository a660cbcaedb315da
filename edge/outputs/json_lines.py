"""`json:-`: every line on stdout as JSON."""

import os
import select
import stat
import sys
from contextlib import suppress
from typing import TextIO

from edge.outputs.sink import Item, OutputClosed


class JsonLines:
    """One JSON object a line, in UTF-8, past the buffer of `stream`. Raises OutputClosed when the reader has gone.

    Nothing is known beforehand of how long a disk or a terminal takes, but of a pipe the kernel tells: a line of up to
    PIPE_BUF bytes goes into it as a whole or not at all (pipe(7)).
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._fd = -1
        self._unblocking_fd: int | None = None

    def open(self) -> None:
        if self._stream is None:  # so Python calls a stdout that was closed before the start
            raise OutputClosed
        self._fd = self._stream.fileno()
        self._unblocking_fd = _unblocking(self._fd)

    def write(self, item: Item) -> None:
        rest = _encoded(item)
        try:
            while rest:
                rest = rest[self._write_some(rest) :]
        except BrokenPipeError:
            raise OutputClosed from None

    def write_at_once(self, item: Item) -> bool:
        if self._unblocking_fd is None:
            return False
        line = _encoded(item)
        if len(line) > select.PIPE_BUF:
            return False
        os.write(self._unblocking_fd, line)
        return True

    def close(self) -> None:
        """`stream` stays open: it is the process's."""
        if self._unblocking_fd is not None:
            os.close(self._unblocking_fd)
            self._unblocking_fd = None

    def _write_some(self, data: bytes) -> int:
        """So many bytes. Waits also where whoever shares the stream has made it one that does not."""
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            select.select((), (self._fd,), ())
            return 0


def _encoded(item: Item) -> bytes:
    return item.json_line().encode()


def _unblocking(fd: int) -> int | None:
    """The pipe `fd` opened once more, so that this one does not wait and all others that share the pipe still do."""
    if not stat.S_ISFIFO(os.fstat(fd).st_mode):
        return None
    with suppress(OSError):  # no /proc, a pipe of another user, no reader
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK)
    return None
