"""`json:-`: every line on stdout as JSON."""

import os
import sys
from typing import TextIO

from edge.outputs.sink import Item, OutputClosed


class JsonLines:
    """One JSON object a line, flushed. Raises OutputClosed when the reader has gone."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream

    def open(self) -> None:
        if self._stream is None:  # so Python calls a stdout that was closed before the start
            raise OutputClosed

    def write(self, item: Item) -> None:
        try:
            self._stream.write(item.line.json_line())
            self._stream.flush()
        except BrokenPipeError:
            self._silence()
            raise OutputClosed from None

    def close(self) -> None:
        """Stays open: it is the process's."""

    def _silence(self) -> None:
        """The interpreter flushes stdout once more at its end, and would complain."""
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), self._stream.fileno())
