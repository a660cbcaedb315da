"""Whom a connection in secret trusts: `cafile`, or what the system trusts."""

import ssl
from pathlib import Path

from firmware_bridge.errors import Exit, Failure


class _TlsSocket(ssl.SSLSocket):
    """Closed when its handshake fails: paho forgets it then."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def tls_context(cafile: Path | None) -> ssl.SSLContext:
    """Certificates are checked, and the host's name in them. Raises Failure (78) for a `cafile` that is none."""
    try:
        context = ssl.create_default_context(cafile=cafile)
        context.sslsocket_class = _TlsSocket
        return context
    except (OSError, ssl.SSLError) as error:
        reason = "no certificate in it" if isinstance(error, ssl.SSLError) else error.strerror
        raise Failure(f"cafile {cafile}: {reason}: give a PEM file", Exit.BAD_CONFIG) from None
