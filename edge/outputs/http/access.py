"""Who may look and who may ask: pages of other origins never, and with a token only those who know it."""

import hmac
import ipaddress
from base64 import urlsafe_b64decode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from firmware_bridge.errors import Exit, Failure

TOKEN_LEAST_CHARS: Final = 16
SUBPROTOCOL: Final = "mat-view"
TOKEN_SUBPROTOCOL: Final = "bearer."
"""Before the token in base64url without padding: a browser's WebSocket sends no other header of a page's choice."""
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Where to listen, and for whom. Raises Failure (2) where people in bed would be shown to the whole network."""

    host: str = "127.0.0.1"
    port: int = 8765
    """0 takes a free one."""
    token: str | None = None
    names: tuple[str, ...] = ()
    """Host names by which browsers reach it, beside localhost and the address that they connect to."""

    def __post_init__(self) -> None:
        where = f"http://{self.host}:{self.port}"
        if self.token is None and not _is_this_machine(self.host):
            message = f"{where} would show people in bed to all who reach this machine: give --token-file, or 127.0.0.1"
            raise Failure(message, Exit.USAGE)
        if self.token is not None and len(self.token) < TOKEN_LEAST_CHARS:
            message = f"{where}: the token has {len(self.token)} characters: write at least {TOKEN_LEAST_CHARS}"
            raise Failure(message, Exit.USAGE)
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and " " not in self.token):
            raise Failure(f"{where}: the token is not plain ASCII without spaces: write another", Exit.USAGE)


def guard(settings: HttpSettings, open_paths: Iterable[str]) -> Middleware:
    """Every request passes here first; `open_paths` hold nothing of anybody and need no token."""
    open_to_all = frozenset(open_paths)

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            _check_host(request, settings)
            _check_origin(request)
            if settings.token is not None and request.path not in open_to_all:
                _check_token(request, settings.token)
            return await handler(request)
        except web.HTTPException as error:
            headers = {name: error.headers[name] for name in ("Allow", "WWW-Authenticate") if name in error.headers}
            text = error.text if error.text and error.status in _EXPLAINED else error.reason
            return web.Response(status=error.status, text=f"{text}\n", headers=headers)

    return check


_EXPLAINED: Final = (400, 401, 403, 415, 421, 503)


async def secure(_: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: every response carries HEADERS."""
    response.headers.update(HEADERS)


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_host(request: web.Request, settings: HttpSettings) -> None:
    """A name of theirs that points to this machine (DNS rebinding) would make another page one of this origin."""
    sent = request.headers.getall(hdrs.HOST, [])
    local = request.transport.get_extra_info("sockname")[0] if request.transport else ""
    allowed = {"localhost", "127.0.0.1", "::1", settings.host, local.removeprefix("::ffff:"), *settings.names}
    if len(sent) != 1 or _name(sent[0]) not in {name.lower() for name in allowed}:
        text = "this is not the host that you asked for: open it by its address, or add the name to the configuration"
        raise web.HTTPMisdirectedRequest(text=text)


def _name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _check_origin(request: web.Request) -> None:
    """Whoever changes something or opens a WebSocket must be a page of this origin; browsers always say what it is."""
    origin = request.headers.get(hdrs.ORIGIN)
    asks = request.method not in (hdrs.METH_GET, hdrs.METH_HEAD) or hdrs.UPGRADE in request.headers
    host = request.headers[hdrs.HOST].lower()
    foreign = origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}")
    embedded = (
        request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
        and request.headers.get("Sec-Fetch-Mode") != "navigate"
    )
    if foreign or embedded or (asks and origin is None):
        raise web.HTTPForbidden(text="only the live view's own page may ask this (header Origin)")


def _check_token(request: web.Request, token: str) -> None:
    kind, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    known = [given] if kind.lower() == "bearer" else _tokens(request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, ""))
    if not any(hmac.compare_digest(one.encode(errors="surrogateescape"), token.encode()) for one in known):
        text = "a token is needed: header Authorization: Bearer TOKEN, in a browser /#token=TOKEN"
        raise web.HTTPUnauthorized(text=text, headers={"WWW-Authenticate": "Bearer"})


def _tokens(protocols: str) -> list[str]:
    encoded = [
        name.strip().removeprefix(TOKEN_SUBPROTOCOL) for name in protocols.split(",") if TOKEN_SUBPROTOCOL in name
    ]
    try:
        return [urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode() for text in encoded]
    except ValueError:
        return []
