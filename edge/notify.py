"""What the daemon tells systemd (sd_notify(3)): started, stopping, alive, and one line for `systemctl status`."""

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Final

log = logging.getLogger(__name__)

SEND_TIMEOUT_S: Final = 1.0
"""A service manager that does not read must not stop the processing loop."""


class Notifier:
    """Does nothing where no service manager listens. Never raises.

    `environment` holds NOTIFY_SOCKET (a path, or @name for an abstract socket), WATCHDOG_USEC and WATCHDOG_PID.
    """

    def __init__(
        self, environment: Mapping[str, str] = os.environ, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self.watchdog_every_s = _watchdog_every_s(environment)
        """Between two pings: half of WatchdogSec; None where no watchdog waits for this process."""
        self._clock_s = clock_s
        self._pinged_s: float | None = None
        self._status = ""

    def ready(self) -> None:
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Sent when it changes; line breaks become blanks."""
        line = " ".join(text.split())
        if line != self._status and self._send(f"STATUS={line}"):
            self._status = line

    def watchdog(self) -> None:
        """To be called at every turn of the processing loop; sent no more often than needed."""
        if self.watchdog_every_s is None:
            return
        now_s = self._clock_s()
        if self._pinged_s is None or now_s - self._pinged_s >= self.watchdog_every_s:
            self._pinged_s = now_s
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def _send(self, message: str) -> bool:
        if self._address is None:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(SEND_TIMEOUT_S)
                sender.sendto(message.encode(), self._address)
        except OSError as error:
            log.warning("systemd does not hear %s: %s", message.partition("=")[0], error)
            return False
        return True


def _address(name: str) -> str | None:
    """A socket of another family (vsock:, of virtual machines) counts as none."""
    if name.startswith("@"):
        return "\0" + name[1:]
    return name if name.startswith("/") else None


def _watchdog_every_s(environment: Mapping[str, str]) -> float | None:
    usec, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not usec.isdecimal() or int(usec) == 0 or pid not in ("", str(os.getpid())):
        return None
    return int(usec) / 2e6
