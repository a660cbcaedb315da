"""Where lines go: stdout as JSON lines."""

import os
import sys
from typing import Protocol, TextIO

from edge.messages import Line


class Output(Protocol):
    """Takes one line after the other."""

    def __call__(self, line: Line) -> None: ...


class OutputClosed(Exception):
    """Nobody reads any more: the clean end of a run."""


class JsonLines:
    """One JSON object a line, flushed. Raises OutputClosed when the reader has gone."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream

    def __call__(self, line: Line) -> None:
        if self._stream is None:  # so Python calls a stdout that was closed before the start
            raise OutputClosed
        try:
            self._stream.write(line.json_line())
            self._stream.flush()
        except BrokenPipeError:
            self._silence()
            raise OutputClosed from None

    def _silence(self) -> None:
        """The interpreter flushes stdout once more at its end, and would complain."""
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), self._stream.fileno())
