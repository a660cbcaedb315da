"""The routes of the live view.

GET /                 the page; its files are open to all and hold nothing of anybody
GET /healthz          200 when frames of every mat are fresh, else 503; JSON with the reason for each mat
GET /metrics          for Prometheus
GET /api/state        JSON: `mats` (name -> latest hello, pose, health, events), `skeleton` (joints, bones), `replay`
GET /events           Server-Sent Events: the JSON lines, without pressure
GET /ws               WebSocket, subprotocol mat-view: the same lines as text, each pose's picture before it as binary
POST /api/ACTION      tare, record, stop_recording, turn; in a replay pause, resume, seek; JSON {"mat": "bed",
                      "force": false, "orientation": "90", "at_s": 12.5}; answers {"ok": true, "text": "..."}, with
                      409 where ok is false, 504 where nobody answers
POST /api/calibrate   the same with JSON {"mat": "bed", "even": true}, for an even load on all of the mat, or
                      {"mat": "bed", "mass_kg": 80}, for somebody who lies wholly on it

A replay that has a pace (--speed) can be paused and sought in; `replay` is then, else null, and a line of that type
tells of every change: position_s, length_s (both since the recording's first message) and paused. After a seek comes
a `hello`, and from there on joints, behaviour, load, counts, health and end tell of what was played since.

A picture is: length of its head as u32, the head as JSON (padded by a space to an even length), rows x cols samples as
u16, row-major. All little-endian. Head: mat, seq, rows, cols, unit (counts or kPa), step (of a sample, in that unit),
raw_joints ([x_cm, y_cm, confidence] of each joint before smoothing, or null), stages_ms (stage -> ms).
A client that is too slow loses poses but the newest, and is let go when it takes nothing for STUCK_S.
"""

import asyncio
import mimetypes
import socket
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from aiohttp import WSCloseCode, hdrs, web
from aiohttp.typedefs import Handler
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.control import ACTIONS, OF_A_LOAD, Action, Command, Control, Reply
from edge.outputs.calibrate import Calibrate
from edge.outputs.http.access import SUBPROTOCOL, HttpSettings, guard, secure
from edge.outputs.http.clients import Client, Message
from edge.outputs.http.metrics import Metrics
from edge.outputs.http.state import Replay, State
from edge.outputs.sink import Item
from firmware_bridge.skeleton import BONES, JOINTS

PAGE: Final = Path(__file__).with_name("page")
MOST_CLIENTS: Final = 32
"""WebSockets and event streams."""
BODY_MOST_BYTES: Final = 4096
SEND_BUFFER_BYTES: Final = 1 << 16
"""Of the kernel, for each client: what waits there is old when it arrives."""
STUCK_S: Final = 30.0
ANSWER_S: Final = 30.0
HEARTBEAT_S: Final = 20.0
CLOSE_S: Final = 1.0


class Asked(BaseModel):
    """Body of a POST."""

    model_config = ConfigDict(extra="forbid", strict=True)

    mat: str
    force: bool = False
    orientation: str | None = None
    at_s: float | None = Field(None, ge=0, allow_inf_nan=False)

    @classmethod
    def command(cls, action: Action, body: bytes) -> Command:
        """Raises ValidationError."""
        asked = cls.model_validate_json(body)
        return Command(asked.mat, action, asked.force, asked.orientation, asked.at_s)


class AskedToCalibrate(Calibrate):
    """Body of a POST to /api/calibrate."""

    mat: str

    @classmethod
    def parsed(cls, body: bytes) -> Command:
        """Raises ValidationError."""
        asked = cls.model_validate_json(body)
        return asked.command(asked.mat)


class Server:
    """Lives in one event loop's thread."""

    def __init__(self, settings: HttpSettings, control: Control, dropped: Callable[[], Mapping[str, int]]) -> None:
        self.state = State(control.mats)
        self._settings, self._control = settings, control
        self._metrics = Metrics(self.state, dropped)
        self._clients: set[Client] = set()

    def publish(self, item: Item) -> None:
        self.state.take(item)
        self._metrics.take(item)
        self._offer(item)
        self._tell_replay()

    def application(self) -> web.Application:
        files = {"/" if path.name == "index.html" else f"/{path.name}": path for path in sorted(PAGE.iterdir())}
        app = web.Application(middlewares=[guard(self._settings, files)], client_max_size=BODY_MOST_BYTES)
        app.on_response_prepare.append(secure)
        app.on_shutdown.append(self._end_clients)
        for route, path in files.items():
            app.router.add_get(route, _file(path))
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/metrics", self._metrics_text)
        app.router.add_get("/api/state", self._latest)
        app.router.add_get("/events", self._events)
        app.router.add_get("/ws", self._websocket)
        for action in ACTIONS:
            if action not in OF_A_LOAD:
                app.router.add_post(f"/api/{action}", self._asking(partial(Asked.command, action)))
        app.router.add_post("/api/calibrate", self._asking(AskedToCalibrate.parsed))
        return app

    @property
    def _replay(self) -> Replay | None:
        playing = self._control.playing
        return Replay.of(playing, self._control.mats[0]) if playing else None

    def _tell_replay(self) -> None:
        if replay := self._replay:
            item = Item(replay)
            self.state.take(item)
            self._offer(item)

    def _offer(self, item: Item) -> None:
        message = Message(item)
        for client in self._clients:
            client.offer(message)

    async def _healthz(self, _: web.Request) -> web.Response:
        fresh, said = self.state.fresh()
        return web.json_response(said, status=200 if fresh else 503)

    async def _metrics_text(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE_LATEST})

    async def _latest(self, _: web.Request) -> web.Response:
        replay = self._replay
        state = {
            "mats": self.state.as_json(),
            "skeleton": {"joints": JOINTS, "bones": BONES},
            "replay": replay and replay.model_dump(mode="json"),
        }
        return web.json_response(state)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        self._check_room()
        response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "text/event-stream; charset=utf-8"})
        await response.prepare(request)

        async def send(message: Message) -> None:
            await response.write(f"data: {message.text}\n\n".encode())

        await self._feed(request, send)
        return response

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        self._check_room()
        web_socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            heartbeat=HEARTBEAT_S,
            compress=False,
            max_msg_size=BODY_MOST_BYTES,
            writer_limit=0,
            timeout=CLOSE_S,
        )
        await web_socket.prepare(request)

        async def send(message: Message) -> None:
            if message.picture:
                await web_socket.send_bytes(message.picture)
            await web_socket.send_str(message.text)

        async def feed() -> None:
            await self._feed(request, send)
            await web_socket.close(code=WSCloseCode.GOING_AWAY)

        async with asyncio.TaskGroup() as group:
            feeding = group.create_task(feed())
            async for _ in web_socket:
                pass  # a page says nothing here
            feeding.cancel()
        return web_socket

    def _check_room(self) -> None:
        if len(self._clients) >= MOST_CLIENTS:
            raise web.HTTPServiceUnavailable(text=f"{MOST_CLIENTS} look already: close a page")

    async def _feed(self, request: web.Request, send: Callable[[Message], Awaitable[None]]) -> None:
        """Until the client goes, takes nothing for STUCK_S, or the server ends."""
        _limit_send_buffer(request)
        client = Client()
        for mat in self.state.mats.values():
            for item in mat.latest():
                client.offer(Message(item))
        if replay := self._replay:
            client.offer(Message(Item(replay)))
        self._clients.add(client)
        try:
            while waiting := await client.take():
                for message in waiting:
                    async with asyncio.timeout(STUCK_S):
                        await send(message)
        except ConnectionError:
            pass
        except TimeoutError:
            if request.transport:
                request.transport.abort()
        finally:
            self._clients.discard(client)

    async def _end_clients(self, _: web.Application) -> None:
        for client in self._clients:
            client.end()

    def _asking(self, command: Callable[[bytes], Command]) -> Handler:
        async def ask(request: web.Request) -> web.Response:
            if request.content_type != "application/json":
                raise web.HTTPUnsupportedMediaType(text="send JSON, with Content-Type: application/json")
            try:
                asked = command(await request.read())
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"])) or "body"
                raise web.HTTPBadRequest(text=f"{where}: {first['msg'].removeprefix('Value error, ')}") from None
            answer = asyncio.wrap_future(self._control.ask(asked))
            await asyncio.wait([answer], timeout=ANSWER_S)  # which, unlike wait_for, takes no request back
            if not answer.done():
                return _reply(504, Reply(False, f"the daemon did not answer within {ANSWER_S:g} s: see its log"))
            self._tell_replay()
            reply = answer.result()
            return _reply(200 if reply.ok else 409, reply)

        return ask


def _reply(status: int, reply: Reply) -> web.Response:
    return web.json_response({"ok": reply.ok, "text": reply.text}, status=status)


def _file(path: Path) -> Handler:
    content, kind = path.read_bytes(), mimetypes.guess_type(path.name)[0]

    async def send(_: web.Request) -> web.Response:
        return web.Response(body=content, content_type=kind or "application/octet-stream", charset="utf-8")

    return send


def _limit_send_buffer(request: web.Request) -> None:
    connection = request.transport and request.transport.get_extra_info("socket")
    if connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
