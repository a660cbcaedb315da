"""`udp://host:port`: one JSON line a datagram."""

import errno
import socket
from typing import Final

from edge.outputs.queue import Unsendable
from edge.outputs.sink import Item

MOST_BYTES: Final = 65_507
"""What an IPv4 datagram holds: 65535 less the headers of IP and UDP."""
SEND_S: Final = 1.0
"""Longest wait for room in the socket's buffer."""


class UdpLines:
    """Broadcast addresses too. After each failure the name is resolved again and its next address taken.

    A machine where nobody listens refuses datagrams, which the next one is told of: a failure as others.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._socket: socket.socket | None = None
        self._failures = 0

    def open(self) -> None:
        self._connected()

    def write(self, item: Item) -> None:
        data = item.json_line().encode()
        if len(data) > MOST_BYTES:
            raise Unsendable(f"a line of {len(data)} bytes is larger than a datagram, which holds {MOST_BYTES}")
        try:
            self._connected().send(data)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                raise Unsendable(f"a line of {len(data)} bytes is larger than this network sends") from None
            if self._socket:
                self._failures += 1
            self.close()
            raise

    def close(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        if self._socket is None:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)
            family, kind, protocol, _, address = found[self._failures % len(found)]
            made = socket.socket(family, kind, protocol)
            try:
                made.settimeout(SEND_S)
                made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                made.connect(address)
            except OSError:
                self._failures += 1
                made.close()
                raise
            self._socket = made
        return self._socket
