"""The live view as an output: a web server in a thread and an event loop of its own."""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Final

from aiohttp import web

from edge.control import Control
from edge.outputs.http.access import HttpSettings
from edge.outputs.http.server import CLOSE_S, Server
from edge.outputs.sink import Item
from firmware_bridge.errors import Exit, Failure

log = logging.getLogger(__name__)

HANDED_OVER_MOST: Final = 64
"""Items on their way into the event loop; `write` waits while there are more."""


class HttpSink:
    """Serves from `open` to `close`; `dropped` says for each output how many items it lost, for /metrics."""

    def __init__(
        self, settings: HttpSettings, control: Control, dropped: Callable[[], Mapping[str, int]] = lambda: {}
    ) -> None:
        self._settings = settings
        self._server = Server(settings, control, dropped)
        self._room = threading.BoundedSemaphore(HANDED_OVER_MOST)
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._thread: threading.Thread | None = None
        self.port = settings.port
        """Where it listens; once open, never 0."""

    @property
    def url(self) -> str:
        host = self._settings.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    def open(self) -> None:
        """Raises Failure (77) for a port that is not this user's, OSError for one that is taken or not there yet."""
        listening: Future[None] = Future()
        thread = threading.Thread(target=lambda: asyncio.run(self._serve(listening)), name="http", daemon=True)
        thread.start()
        error = listening.exception()
        if error is not None:
            thread.join()
            raise self._told(error)
        self._thread = thread
        log.info("live view at %s", self.url)

    def write(self, item: Item) -> None:
        self._room.acquire()
        self._loop.call_soon_threadsafe(self._publish, item)

    def close(self) -> None:
        if self._thread:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._thread = None

    def _told(self, error: BaseException) -> BaseException:
        match error:
            case PermissionError():
                message = f"cannot listen at {self.url}: permission denied: choose a port from 1024 on"
                return Failure(message, Exit.PERMISSION)
            case OSError():
                return OSError(error.errno, f"cannot listen at {self.url}: {error.strerror or error}")
            case UnicodeError() | OverflowError():
                return Failure(f"cannot listen at {self.url}: {error}: write http://127.0.0.1:8765", Exit.BAD_CONFIG)
        return error

    def _publish(self, item: Item) -> None:
        self._room.release()
        self._server.publish(item)

    async def _serve(self, listening: Future[None]) -> None:
        runner = web.AppRunner(
            self._server.application(),
            access_log=None,
            shutdown_timeout=CLOSE_S,
            handler_cancellation=True,  # else a stream of events that has gone keeps its place until the next line
        )
        await runner.setup()
        try:
            try:
                await web.TCPSite(runner, self._settings.host, self._settings.port).start()
            except Exception as error:
                listening.set_exception(error)
                return
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            self.port = runner.addresses[0][1]
            listening.set_result(None)
            await self._stop.wait()
        finally:
            await runner.cleanup()
