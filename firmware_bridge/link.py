"""Byte links to a mat: serial ports and pyserial URLs, and a link that reopens itself."""

import errno
import os
import select
import stat
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from random import random as uniform
from typing import Final, Protocol

import serial

from firmware_bridge.errors import Exit, Failure

DEFAULT_BAUD: Final = 921_600
READ_BYTES: Final = 1 << 16
WRITE_TIMEOUT_S: Final = 1.0
FIRST_WAIT_S: Final = 0.25
LONGEST_WAIT_S: Final = 3.0
"""So that a mat that is back is read again before anybody has to call it missing for long."""
FIRST_SILENCE_S: Final = 30.0
"""Three frame periods of the slowest mats."""
LONGEST_SILENCE_S: Final = 600.0

_GONE: Final = (serial.SerialException, OSError, termios.error)
"""All that a port raises when it is unplugged: which one depends on the call."""


class LinkLost(Exception):
    """The device went away. Its link is closed."""


class Link(Protocol):
    """A stream of bytes to and from a mat."""

    def read(self, timeout_s: float) -> bytes:
        """What has come, waiting up to `timeout_s` for the first byte; empty if none came. Raises LinkLost."""

    def idle(self) -> bool:
        """Whether `read` would have to wait now. Never raises."""

    def write(self, data: bytes) -> None:
        """Raises LinkLost."""

    def close(self) -> None:
        """Never raises."""


class SerialLink:
    """A serial port (device, by-id path) or a pyserial URL (socket://, rfc2217://, loop://), opened exclusively.

    `dtr`: level of the DTR line, None for pyserial's choice (boards that reset on DTR do so when it rises).
    Raises Failure: 66 no such port, 69 busy, 77 permission, 2 for a port that can never be opened.
    """

    def __init__(self, port: str, baud: int = DEFAULT_BAUD, dtr: bool | None = None) -> None:
        self.port = port
        if "://" not in port:
            _check_is_device(port)
        try:
            self._serial = serial.serial_for_url(
                port, baudrate=baud, timeout=0, write_timeout=WRITE_TIMEOUT_S, exclusive=True, do_not_open=True
            )
            if dtr is not None:
                self._serial.dtr = dtr
            self._serial.open()
        except _GONE as error:
            raise _failure(port, error) from None
        except ValueError as error:
            raise Failure(f"port {port} at {baud} baud cannot be: {error}", Exit.USAGE) from None
        self._fd = _fileno(self._serial)

    def read(self, timeout_s: float) -> bytes:
        with self._lost():
            if self._fd is None:
                self._serial.timeout = timeout_s
                return bytes(self._serial.read(max(1, self._serial.in_waiting)))
            ready, _, _ = select.select([self._fd], [], [], timeout_s)
            return bytes(self._serial.read(READ_BYTES)) if ready else b""

    def idle(self) -> bool:
        try:
            if self._fd is None:
                return not self._serial.in_waiting
            return not select.select([self._fd], [], [], 0)[0]
        except (*_GONE, ValueError):
            return False

    def write(self, data: bytes) -> None:
        with self._lost():
            self._serial.write(data)

    def close(self) -> None:
        # pyserial forgets a socket whose shutdown fails, as it does once the other side is gone
        socket = getattr(self._serial, "_socket", None)
        with suppress(*_GONE):
            self._serial.close()
        if socket:
            with suppress(OSError):
                socket.close()

    @contextmanager
    def _lost(self) -> Iterator[None]:
        try:
            yield
        except _GONE as error:
            self.close()
            raise LinkLost(f"port {self.port} was lost: {error}") from None


def _check_is_device(port: str) -> None:
    try:
        mode = os.stat(port).st_mode
    except OSError as error:
        raise _failure(port, error) from None
    if not stat.S_ISCHR(mode):
        raise Failure(f"{port} is no serial port: give a device such as /dev/ttyUSB0", Exit.MISSING_INPUT)


def _failure(port: str, error: Exception) -> Failure:
    number = getattr(error, "errno", None)
    if number in (errno.EACCES, errno.EPERM):
        remedy = "add the user to the group dialout (sudo usermod -aG dialout $USER) and log in again"
        return Failure(f"no permission to open port {port}: {remedy}", Exit.PERMISSION)
    if number in (errno.EBUSY, errno.EAGAIN):
        return Failure(f"port {port} is busy: stop the other program that has it open", Exit.PORT_BUSY)
    if number == errno.ENOENT:
        return Failure(f"no port {port}: plug the mat in or check the name", Exit.MISSING_INPUT)
    return Failure(f"port {port} does not open ({error}): plug the mat in or check the name", Exit.MISSING_INPUT)


def _fileno(port: serial.SerialBase) -> int | None:
    """To wait on, or None for links without a file, such as loop://."""
    try:
        return port.fileno()
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The link was lost or does not open; tried again until it does."""

    reason: str
    code: Exit
    since_s: float
    """On the clock of the ReopeningLink."""


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The link is open, for the first time or again: ask for INFO."""

    down_s: float


class ReopeningLink:
    """A link that is opened again whenever it is lost, after waits that double, with jitter.

    So is one that stays silent: a board that hangs starts anew by it, a TCP connection whose other end is long gone
    is noticed. Nothing but a byte ends the doubling of the silence that is borne.

    `open_link` is called for every try, so that a path is resolved anew each time. Its Failures are waited
    out, but for Exit.USAGE, which no waiting mends and which is raised.
    """

    def __init__(
        self,
        open_link: Callable[[], Link],
        clock_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = uniform,
    ) -> None:
        self.down: LinkDown | None = None
        """Why the link is not open, if a try has failed."""
        self._open_link, self._clock_s, self._sleep, self._random = open_link, clock_s, sleep, random
        self._link: Link | None = None
        self._report: LinkDown | None = None
        self._tries = self._silences = 0
        self._heard_s = clock_s()
        self._next_try_s = self._down_since_s = clock_s()

    def read(self, timeout_s: float) -> bytes | LinkDown | LinkUp:
        """Bytes, or what became of the link since the last call; takes no longer than `timeout_s` and opening.

        A loss, each new reason why the link does not open, and each opening are reported once.
        """
        if self._report:
            report, self._report = self._report, None
            return report
        if self._link is None:
            return self._try_to_open(timeout_s)
        try:
            data = self._link.read(timeout_s)
        except LinkLost as lost:
            return self._lose(lost)
        if data:
            self._tries = self._silences = 0
            self._heard_s = self._clock_s()
        elif (silent_s := self._clock_s() - self._heard_s) >= self._longest_silence_s:
            self._silences += 1
            return self._lose(LinkLost(f"not a byte came for {silent_s:.0f} s: it is opened anew"))
        return data

    def idle(self) -> bool:
        """Whether the link is open and has no byte to read."""
        return self._link is not None and self._link.idle()

    def write(self, data: bytes) -> bool:
        """False where the link is not open; a loss is reported by the next `read`."""
        if self._link is None:
            return False
        try:
            self._link.write(data)
        except LinkLost as lost:
            self._report = self._lose(lost)
            return False
        return True

    def close(self) -> None:
        if self._link:
            self._link.close()
            self._link = None

    @property
    def _longest_silence_s(self) -> float:
        return _doubled(FIRST_SILENCE_S, self._silences, LONGEST_SILENCE_S)

    def _lose(self, lost: LinkLost) -> LinkDown:
        self.close()
        self._down_since_s = self._clock_s()
        self._wait()
        self.down = LinkDown(str(lost), Exit.DEVICE_LOST, self._down_since_s)
        return self.down

    def _try_to_open(self, timeout_s: float) -> bytes | LinkDown | LinkUp:
        wait_s = self._next_try_s - self._clock_s()
        if wait_s > 0:
            self._sleep(min(wait_s, timeout_s))
            return b""
        try:
            self._link = self._open_link()
        except Failure as failure:
            if failure.code == Exit.USAGE:
                raise
            self._wait()
            known = self.down and (self.down.reason, self.down.code) == (str(failure), failure.code)
            if known:
                return b""
            self.down = LinkDown(str(failure), failure.code, self._clock_s())
            return self.down
        self.down, self._heard_s = None, self._clock_s()
        return LinkUp(self._clock_s() - self._down_since_s)

    def _wait(self) -> None:
        longest_s = _doubled(FIRST_WAIT_S, self._tries, LONGEST_WAIT_S)
        self._tries += 1
        self._next_try_s = self._clock_s() + longest_s * (0.5 + 0.5 * self._random())


def _doubled(first_s: float, times: int, longest_s: float) -> float:
    return min(longest_s, first_s * 2.0 ** min(times, 16))
