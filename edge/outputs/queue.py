"""A bounded queue and a thread for one output, so that a slow or failing one delays neither mats nor other outputs.

A line that need not wait for the output spares itself the way through both.
"""

import errno
import logging
import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import random as uniform
from typing import Final

from edge.outputs.backlog import QUEUE_LINES, Backlog
from edge.outputs.sink import Item, OutputClosed, PromptSink, Sink

log = logging.getLogger(__name__)

FIRST_WAIT_S: Final = 0.25
LONGEST_WAIT_S: Final = 8.0
"""Between two tries of an output that fails: doubles, with jitter."""
SETTLED_S: Final = 10.0
"""An outage is over once nothing failed for so long: a disk with a little room now and then is logged once."""
CLOSING_S: Final = 2.0
"""What a sink may take to close after its last item."""
TURN_S: Final = 0.2
"""Delay with which a lossless output heeds `stopping`."""


class Unsendable(OSError):
    """Raised by a sink's write: this item can never be written, the next may. It is dropped, without waiting."""


@dataclass(frozen=True, slots=True)
class OutputCounts:
    """Lines handed to an output = written + dropped + thinned + waiting."""

    written: int
    dropped: int
    """Lost: the output is slower than the mats, fails, or was closed."""
    thinned: int
    """Poses that the output's rate leaves out."""
    failures: int
    """Times that opening or writing raised an OSError."""
    waiting: int


class QueuedOutput:
    """`sink` in a thread of its own, between `start` and `close`. A PromptSink is also written to by who calls `put`,
    as long as nothing waits, fails or is held back by its rate.

    A sink that raises OSError is tried again until it works; one that raises OutputClosed is closed for good;
    what else it raises, `check` raises. `lossless`: `put` waits for room, a failing sink gets the same item
    again, and `rate_hz` counts in the lines' own time, so that a replay writes the same each time. `stopping`
    ends that waiting.
    """

    def __init__(
        self,
        sink: Sink,
        name: str,
        rate_hz: float | None = None,
        size: int = QUEUE_LINES,
        lossless: bool = False,
        *,
        stopping: Callable[[], bool] = lambda: False,
        clock_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
        random: Callable[[], float] = uniform,
    ) -> None:
        self.name, self.lossless = name, lossless
        self.closed = False
        """Nothing will be written any more."""
        self._sink, self._rate_hz, self._stopping = sink, rate_hz, stopping
        self._prompt_sink = sink if isinstance(sink, PromptSink) else None
        self._clock_s, self._random = clock_s, random
        self._backlog = Backlog(size, None if lossless else rate_hz)
        self._changed = threading.Condition()
        self._ending = threading.Event()
        self._sleep = sleep or self._ending.wait
        self._tried = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"output {name}", daemon=True)
        self._slots: dict[str, int] = {}
        self._written = self._failures = self._thinned = self._tries = 0
        self._opened = self._in_hand = False
        self._error: BaseException | None = None
        self._failing_since_s: float | None = None
        self._failed_s = self._deadline_s = math.inf
        self._told_unsendable = False

    def counts(self) -> OutputCounts:
        with self._changed:
            return OutputCounts(
                self._written,
                self._backlog.dropped,
                self._backlog.thinned + self._thinned,
                self._failures,
                self._waiting(),
            )

    def start(self) -> None:
        self._thread.start()

    def wait_until_tried(self, timeout_s: float) -> None:
        """Until the sink is open or has failed to open once."""
        self._tried.wait(timeout_s)

    def put(self, item: Item) -> None:
        """Raises nothing, and waits only where it is lossless."""
        with self._changed:
            if self.lossless:
                if not self._in_new_slot(item):
                    self._thinned += 1
                    return
                while self._waiting() >= self._backlog.size and not (self.closed or self._stopping()):
                    self._changed.wait(TURN_S)
            now_s = self._clock_s()
            self._backlog.put(item, now_s)
            if self.closed:
                self._backlog.discard()
            if not self._written_at_once(now_s):
                self._changed.notify_all()

    def check(self) -> None:
        """Raises what the sink raised, but for OSError and OutputClosed; Failure, for one."""
        if self._error:
            raise self._error

    def finish(self, timeout_s: float) -> None:
        """What waits is written for up to `timeout_s` more (lossless: all of it, or until stopping), then no more."""
        with self._changed:
            while self.lossless and self._waiting() and not (self.closed or self._stopping()):
                self._changed.wait(TURN_S)
            self._deadline_s = self._clock_s() + timeout_s
            self._ending.set()
            self._changed.notify_all()

    def join(self) -> None:
        """After `finish`: until the sink is closed. One that does not return is left behind, with a warning."""
        self._thread.join(max(0.0, self._deadline_s - self._clock_s()) + CLOSING_S)
        if self._thread.is_alive():
            log.warning("output %s does not take its lines: %d are lost", self.name, self.counts().waiting)

    def close(self, timeout_s: float) -> None:
        self.finish(timeout_s)
        self.join()

    def _run(self) -> None:
        try:
            self._open()
            self._opened = True
            self._tried.set()
            while item := self._next():
                self._write(item)
        except OutputClosed:
            pass
        except BaseException as error:
            self._error = error
        if self._opened:
            try:
                self._sink.close()
            except BaseException as error:
                self._error = self._error or error
        with self._changed:
            self.closed = True
            self._backlog.dropped += self._in_hand
            self._in_hand = False
            self._backlog.discard()
            self._changed.notify_all()
        self._tried.set()

    def _open(self) -> None:
        while True:
            last_try = self._ending.is_set()
            try:
                return self._sink.open()
            except OSError as error:
                self._tried.set()
                self._wait_after(error, last_try)

    def _next(self) -> Item | None:
        with self._changed:
            while True:
                now_s = self._clock_s()
                item = self._backlog.take(now_s) if now_s < self._deadline_s else None
                if item or self._ending.is_set():
                    self._in_hand = item is not None
                    return item
                self._changed.wait(min(self._backlog.due_s() - now_s, threading.TIMEOUT_MAX))

    def _written_at_once(self, now_s: float) -> bool:
        """Whether the item put last is out already. Called under the lock: the thread takes none meanwhile."""
        idle = self._opened and not (self._in_hand or self._ending.is_set()) and self._failing_since_s is None
        if self._prompt_sink is None or not idle or len(self._backlog) != 1:
            return False
        item = self._backlog.take(now_s)
        if item is None:
            return False
        written = False
        with suppress(Exception):  # it comes again in the output's own thread, which knows what to do
            written = self._prompt_sink.write_at_once(item)
        if written:
            self._written += 1
        else:
            self._backlog.put_back(item)
        return written

    def _write(self, item: Item) -> None:
        last_try = self._ending.is_set()
        try:
            self._sink.write(item)
        except Unsendable as error:
            self._done_with_item(dropped=1)
            if not self._told_unsendable:
                self._told_unsendable = True
                log.warning("output %s: %s; such lines are left out", self.name, _reason(error))
        except OSError as error:
            if self.lossless or not item.is_pose:
                self._done_with_item(put_back=item)
            else:
                self._done_with_item(dropped=1)
            self._wait_after(error, last_try)
        else:
            self._done_with_item(written=1)
            if self._failing_since_s is not None and self._clock_s() - self._failed_s >= SETTLED_S:
                log.info("output %s works again after %.0f s", self.name, self._failed_s - self._failing_since_s)
                self._failing_since_s, self._tries = None, 0

    def _done_with_item(self, written: int = 0, dropped: int = 0, put_back: Item | None = None) -> None:
        with self._changed:
            self._written += written
            self._backlog.dropped += dropped
            if put_back:
                self._backlog.put_back(put_back)
            self._in_hand = False
            self._changed.notify_all()

    def _wait_after(self, error: OSError, last_try: bool) -> None:
        """Until the next try. Raises OutputClosed where none is left: the end of a run waits for no outage."""
        self._failed_s = self._clock_s()
        with self._changed:
            self._failures += 1
        if self._failing_since_s is None:
            self._failing_since_s = self._failed_s
            log.warning("output %s fails: %s; it goes on when %s", self.name, _reason(error), _remedy(error))
        if last_try:
            raise OutputClosed
        longest_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self._tries, 16))
        self._tries += 1
        self._sleep(longest_s * (0.5 + 0.5 * self._random()))

    def _waiting(self) -> int:
        """With the item in hand, which may come back."""
        return len(self._backlog) + self._in_hand

    def _in_new_slot(self, item: Item) -> bool:
        if not self._rate_hz or not item.is_pose:
            return True
        slot = math.floor(item.line.ts * self._rate_hz)
        before, self._slots[item.mat] = self._slots.get(item.mat), slot
        return slot != before


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def _remedy(error: OSError) -> str:
    return "there is room" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "that is over"
