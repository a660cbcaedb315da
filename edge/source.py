"""The port's side of a live run: a thread that reads, decodes and records, and the mailbox it fills.

Recording is lossless; the pipeline is handed the newest frame only. It may take a frame in the reader's own thread:
waking another one for it takes as long as half an inference.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from edge.core.calls import UNPACK
from edge.recorder import Recorder, RecordingChange
from firmware_bridge.decoder import Decoder, Event, Frame
from firmware_bridge.encoder import encode
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.link import LinkDown, LinkUp, ReopeningLink
from firmware_bridge.messages import GetInfo, Info

READ_S: Final = 0.2
"""Longest wait for bytes, and so for noticing that the run ends."""
ASK_INFO_EVERY_S: Final = 2.0
PERMISSION_GRACE_S: Final = 10.0
"""A port without permission becomes an error only after so long: udev sets its group late."""
MAX_NOTICES: Final = 64
"""Link changes that wait for the main loop; the oldest go first, their losses stay counted."""


class Arrival(NamedTuple):
    """A frame and the INFO it came under."""

    frame: Frame
    info: Info
    unix_s: float
    steady_s: float
    """When its last byte had been read."""


Notice = LinkDown | LinkUp | RecordingChange
AtOnce = Callable[[Arrival], bool]
"""Takes a frame in the reader's thread, or returns False where the loop has something else to do."""


class Mailbox:
    """Between the reader and the main loop: notices in order, and the newest of INFO and frame.

    What comes notifies `changed`: mailboxes that share it can be waited for together.
    """

    def __init__(self, changed: threading.Condition | None = None) -> None:
        self.dropped = 0
        """Frames that no one took: a newer one came, or the mat was not known yet."""
        self._notices: deque[Notice] = deque(maxlen=MAX_NOTICES)
        self._info: Info | None = None
        self._frame: Arrival | None = None
        self._error: BaseException | None = None
        self._changed = changed or threading.Condition()

    @property
    def has_news(self) -> bool:
        return bool(self._notices or self._info or self._frame or self._error)

    def put(self, item: Arrival | Info | Notice) -> None:
        with self._changed:
            if isinstance(item, Arrival):
                self.dropped += self._frame is not None
                self._frame = item
            elif isinstance(item, Info):
                self._info = item
            else:
                self._notices.append(item)
            self._changed.notify()

    def drop(self) -> None:
        with self._changed:
            self.dropped += 1

    def discard(self) -> None:
        """The run ends: the frame that still waits counts as dropped."""
        with self._changed:
            self.dropped += self._frame is not None
            self._frame = None

    def fail(self, error: BaseException) -> None:
        """The reader ends with `error`: the next `take` raises it."""
        with self._changed:
            self._error = error
            self._changed.notify()

    def take(self) -> tuple[list[Notice], Info | None, Arrival | None]:
        """All that came since the last call."""
        with self._changed:
            notices, info, frame = list(self._notices), self._info, self._frame
            self._notices.clear()
            self._info = self._frame = None
            if self._error and not (notices or info or frame):
                raise self._error
            return notices, info, frame


class PortReader:
    """link -> decoder -> mailbox and recorder, in a thread of its own between `start` and `stop`.

    `corrected` puts right what the mat says of itself.
    """

    def __init__(
        self,
        link: ReopeningLink,
        recorder: Recorder | None = None,
        mailbox: Mailbox | None = None,
        *,
        corrected: Callable[[Info], Info] = lambda info: info,
        permission_grace_s: float = PERMISSION_GRACE_S,
        steady_s: Callable[[], float] = time.monotonic,
        unix_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self.mailbox = mailbox or Mailbox()
        self._decoder = Decoder(corrected, UNPACK)
        self.counts = self._decoder.counts
        self.at_once: AtOnce | None = None
        """Offered each frame after which nothing waits in the port: while it takes one nobody reads there."""
        self._link, self._recorder = link, recorder
        self._permission_grace_s, self._steady_s, self._unix_us = permission_grace_s, steady_s, unix_us
        self._info: Info | None = None
        self._asked_s: float | None = None
        self._questions = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="port-reader", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and closes the link; what was read before has been recorded."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._ending.is_set():
                self.read_once(READ_S)
        except BaseException as error:
            self.mailbox.fail(error)
        finally:
            self._link.close()

    def read_once(self, timeout_s: float) -> None:
        """One turn of the thread. Raises Failure for ports that no waiting mends, and what `at_once` raises."""
        match self._link.read(timeout_s):
            case LinkUp() as up:
                self._asked_s = None
                self.mailbox.put(up)
            case LinkDown() as down:
                self._info = None  # a mat that comes back may be another: its frames wait for its INFO
                if down.code == Exit.DEVICE_LOST:
                    self._decoder.interrupted()
                self.mailbox.put(down)
            case bytes() as data:
                self._receive(data)
        if self._link.down is None and self._info is None:
            self._ask_info()
        self._check_permission()

    def _receive(self, data: bytes) -> None:
        steady_s, unix_us = self._steady_s(), self._unix_us()
        messages = self._decoder.feed(data)
        if self.at_once and len(messages) == 1 and isinstance(messages[0].event, Frame) and self._link.idle():
            self._record(messages[0].raw, unix_us)  # first: no line is to tell of a frame that a crash takes away
            self._hand_over(messages[0].event, steady_s, unix_us, self.at_once)
            return
        for received in messages:
            self._hand_over(received.event, steady_s, unix_us)
            self._record(received.raw, unix_us)  # last: a disk takes its time

    def _hand_over(self, event: Event, steady_s: float, unix_us: int, at_once: AtOnce | None = None) -> None:
        match event:
            case Info() as info:
                self._info = info
                self.mailbox.put(self._info)
            case Frame() as frame if self._info and frame.counts.shape == (self._info.rows, self._info.cols):
                arrival = Arrival(frame, self._info, unix_us / 1e6, steady_s)
                if not (at_once and at_once(arrival)):
                    self.mailbox.put(arrival)
            case Frame():
                self.mailbox.drop()

    def _record(self, raw: bytes, unix_us: int) -> None:
        if self._recorder:
            self._recorder.write(raw, unix_us)

    def _ask_info(self) -> None:
        now_s = self._steady_s()
        if self._asked_s is None or now_s - self._asked_s >= ASK_INFO_EVERY_S:
            self._asked_s = now_s
            self._link.write(encode(GetInfo(), seq=self._questions))
            self._questions += 1

    def _check_permission(self) -> None:
        down = self._link.down
        if down and down.code == Exit.PERMISSION and self._steady_s() - down.since_s >= self._permission_grace_s:
            raise Failure(down.reason, Exit.PERMISSION)
