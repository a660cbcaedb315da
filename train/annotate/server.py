"""The page and its two requests, for this machine and this page alone."""

import asyncio
import json
import mimetypes
import signal
import socket
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from firmware_bridge.errors import Exit, Failure
from train.annotate.session import Changed, Session
from train.annotations import Points

ADDRESS: Final = "127.0.0.1"
PAGE: Final = Path(__file__).with_name("page")
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Kept(BaseModel):
    """One map as the page knows it to be kept, or to be perhaps: what it sent and had no answer to."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    points: Points | None
    accepted: bool


class Label(BaseModel):
    """What the page sends after each change."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: str
    points: Points
    accepted: bool
    active_s: float = Field(ge=0)
    file_id: str | None = None
    """Which file the page shows; another may be served at the same port by now."""
    known: list[Kept] | None = None


def listen(port: int) -> socket.socket:
    """A socket on this machine's own address; port 0 takes a free one. Raises Failure (69) where it is taken."""
    try:
        return socket.create_server((ADDRESS, port))
    except OSError as error:
        message = f"cannot listen on {ADDRESS}:{port}: {error.strerror}: choose another --port"
        raise Failure(message, Exit.PORT_BUSY) from None


async def serve(session: Session, listener: socket.socket) -> None:
    """Until SIGINT or SIGTERM."""
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    runner = web.AppRunner(application(session, listener.getsockname()[1]), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        await ended.wait()
    finally:
        await runner.cleanup()


def application(session: Session, port: int) -> web.Application:
    """Routes: the page's files, GET /session.json, POST /label."""
    app = web.Application(middlewares=[_guard(port)], client_max_size=1 << 16)
    for path in PAGE.iterdir():
        app.router.add_get("/" if path.name == "index.html" else f"/{path.name}", _file(path))

    async def whole(_: web.Request) -> web.Response:
        return web.json_response(session.as_json())

    async def label(request: web.Request) -> web.Response:
        return _put(session, await request.read())

    app.router.add_get("/session.json", whole)
    app.router.add_post("/label", label)
    return app


def _guard(port: int) -> Middleware:
    """Other pages may neither read (a name of theirs that points to this machine: Host) nor write (Origin)."""
    hosts = {f"{name}:{port}" for name in (ADDRESS, "localhost")}
    origins = {f"http://{host}" for host in hosts}

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if request.headers.get("Host") not in hosts:
            response: web.StreamResponse = web.Response(status=403, text="this is not the host that you asked for\n")
        elif origin not in (origins if request.method == "POST" else {None, *origins}):
            response = web.Response(status=403, text="only the page of train-annotate may ask this\n")
        else:
            try:
                response = await handler(request)
            except web.HTTPException as error:
                response = web.Response(status=error.status, text=f"{error.reason}\n")
        response.headers.update(HEADERS)
        return response

    return guard


def _file(path: Path) -> Handler:
    content, kind = path.read_bytes(), mimetypes.guess_type(path.name)[0]

    async def send(_: web.Request) -> web.Response:
        return web.Response(body=content, content_type=kind or "application/octet-stream", charset="utf-8")

    return send


def _put(session: Session, body: bytes) -> web.Response:
    try:
        sent = Label.model_validate_json(body)
        if sent.file_id not in (None, session.file_id):
            raise Changed(f"this page is about another file than {session.store.path.name}: load it again")
        known = None if sent.known is None else [(one.points, one.accepted) for one in sent.known]
        session.put(sent.name, sent.points, sent.accepted, sent.active_s, known)
    except ValidationError as error:
        return _problem(400, f"no label: {error.errors()[0]['msg']}")
    except KeyError:
        return _problem(404, "this map is not in this session: load the page again")
    except ValueError as error:
        return _problem(400, str(error))
    except Changed as error:
        return _problem(409, str(error))
    except OSError as error:
        return _problem(507, f"cannot write {session.store.path.name}: {error.strerror}")
    return web.json_response({"accepted": session.accepted})


def _problem(status: int, message: str) -> web.Response:
    return web.Response(status=status, text=json.dumps({"problem": message}), content_type="application/json")
