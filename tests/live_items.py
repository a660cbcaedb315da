"""What the daemon hands its outputs, made of the simulated mat by the real session, pipeline and shipped model."""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from http.client import HTTPConnection
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self

from edge.control import Command, Control, Reply
from edge.latency import Stopwatch
from edge.messages import EventName
from edge.model import DEFAULT_MODEL, KeypointModel
from edge.outputs.http.access import HttpSettings
from edge.outputs.http.sink import HttpSink
from edge.outputs.sink import Item
from edge.replay import Player, run_replay
from edge.session import Instant, Session
from edge.smoothing import Smoothing
from firmware_bridge.decoder import Decoder, Frame, StreamCounts
from firmware_bridge.encoder import encode, encode_frame
from firmware_bridge.geometry import ORIENTATIONS, Grid
from firmware_bridge.header import Flag
from firmware_bridge.messages import Info
from firmware_bridge.recording import RecordingWriter, read_recording
from firmware_bridge.scans import simulated_info, simulated_scans
from firmware_bridge.timeline import Timeline

GRID = Grid(64, 32, 2.54, 2.54)
START_S: Final = 1_700_000_000.0
"""Of a recording."""


def session(stream: StreamCounts, name: str = "bed") -> Session:
    """With a model of its own: no model may be asked by two threads at once."""
    return Session(KeypointModel.from_files(DEFAULT_MODEL), name, stream, smoothing=Smoothing())


class LiveMat:
    """One mat with a simulated person. Its time moves on by a frame with each pose and began in the past."""

    def __init__(self, name: str = "bed", seed: int = 7, rate_hz: float = 10, scene: str = "night") -> None:
        self.name = name
        self.stream = StreamCounts()
        self.session = session(self.stream, name)
        self._info = simulated_info(seed, GRID, round(1000 * rate_hz))
        self._scans = simulated_scans(seed, GRID, rate_hz, scene)
        self._period_s = 1 / rate_hz
        self._now = Instant(time.time(), 0.0)
        self._seq = 0

    def meet(self) -> list[Item]:
        """hello and health."""
        return list(self.session.meet(self._info, self._now))

    def frame(self) -> list[Item]:
        """All items of the next frame."""
        self._now = Instant(self._now.unix_s + self._period_s, self._now.steady_s + self._period_s)
        counts = next(self._scans).counts
        frame = Frame(counts, self._seq & 0xFFFF, round(self._now.steady_s * 1e6), Flag.SIMULATED, 12, 0)
        self._seq += 1
        self.stream.received += 1
        watch = Stopwatch(time.monotonic())
        return [*self.session.frame(frame, self._info, self._now, watch), *self.session.tick(self._now)]

    def poses(self) -> Iterator[Item]:
        """Without end."""
        while True:
            yield from (item for item in self.frame() if item.picture)

    def lying(self, frames: int = 30) -> list[Item]:
        """All items of so many frames; in the last somebody lies there, with joints."""
        items = [item for _ in range(frames) for item in self.frame()]
        while not self.session.occupied:
            items += self.frame()
        return items

    def event(self, event: EventName, detail: str) -> Item:
        (item,) = self.session._event(self._now, event, detail, logged=False)
        return item

    def stale(self) -> list[Item]:
        """No frame comes any more."""
        self._now = Instant(self._now.unix_s + 60, self._now.steady_s + 60)
        return list(self.session.tick(self._now))

    def turn(self, orientation: str) -> list[Item]:
        return list(self.session.turn(ORIENTATIONS[orientation], self._now))


def record(path: Path, frames: int, seed: int = 7, rate_hz: float = 10) -> Path:
    """A person's night from START_S on."""
    scans = simulated_scans(seed, GRID, rate_hz)
    info = simulated_info(seed, GRID, round(1000 * rate_hz))
    with RecordingWriter(path) as recording:
        recording.write(encode(info), round(START_S * 1e6))
        for seq, scan in enumerate(islice(scans, frames)):
            since_us = round(seq / rate_hz * 1e6)
            recording.write(encode_frame(scan.counts, seq=seq, t_us=since_us), round(START_S * 1e6) + since_us)
    return path


def pose_at(path: Path, time_s: float) -> Item:
    """What a session that begins with the frame of that time makes of it."""
    now = Instant(START_S + time_s, START_S + time_s)
    seen_by = session(StreamCounts())
    for recorded in read_recording(path):
        if isinstance(recorded.event, Info):
            list(seen_by.meet(info := recorded.event, now))
        elif isinstance(recorded.event, Frame) and recorded.unix_us >= now.unix_s * 1e6 - 1:
            (pose, *_) = (item for item in seen_by.frame(recorded.event, info, now) if item.picture)
            return pose
    raise AssertionError(f"no frame at {time_s} s")


class Live:
    """The live view of `mats` on a free port, or on `settings`' port; the test is the processing loop."""

    def __init__(self, *mats: str, settings: HttpSettings = HttpSettings(port=0), **more: Any) -> None:  # noqa: B008 - frozen
        self.settings = settings
        self.control = Control(mats or ("bed",))
        self.sink = HttpSink(settings, self.control, **more)

    def __enter__(self) -> Self:
        self.sink.open()
        self.host = f"127.0.0.1:{self.sink.port}"
        return self

    def __exit__(self, *_: object) -> None:
        self.sink.close()

    @contextmanager
    def playing(self, path: Path, speed: float = 1.0) -> Iterator[threading.Thread]:
        """By the real loop, in a thread that is stopped in the end."""
        leaving = threading.Event()
        player = Player(speed, control=self.control, timeline=Timeline(path))
        decoder = Decoder()

        def play() -> None:
            run_replay(
                path, decoder, session(decoder.counts), self.sink.write, leaving.is_set, player=player, anew=session
            )

        loop = threading.Thread(target=play)
        loop.start()
        try:
            yield loop
        finally:
            leaving.set()
            loop.join()

    def show(self, items: Iterable[Item]) -> None:
        for item in items:
            self.sink.write(item)

    def ask(self, method: str, path: str, body: Any = None, **headers: str | None) -> tuple[int, str, dict[str, str]]:
        """Status, body and headers of one request, as the page sends it unless `headers` say otherwise."""
        sent = {"Host": self.host, "Authorization": self.settings.token and f"Bearer {self.settings.token}"}
        if method == "POST":
            sent |= {"Origin": f"http://{self.host}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = HTTPConnection("127.0.0.1", self.sink.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True)
            content = b"" if body is None else json.dumps(body).encode()
            for name, value in (sent | {"Content-Length": str(len(content))}).items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders(content)
            response = connection.getresponse()
            return response.status, response.read().decode(), dict(response.getheaders())
        finally:
            connection.close()

    def get_json(self, path: str) -> Any:
        return json.loads(self.ask("GET", path)[1])

    def asked(self) -> tuple[Command, "Future[Reply]"]:
        """The next command, which somebody is about to send."""
        deadline_s = time.monotonic() + 30
        while time.monotonic() < deadline_s:
            if taken := self.control.take():
                (only,) = taken
                return only
            time.sleep(0.01)
        raise AssertionError("nobody asked for anything")

    def answered(self, reply: Reply) -> Command:
        command, answer = self.asked()
        answer.set_result(reply)
        return command

    def upgrade(self, **headers: str | None) -> int:
        """Status of a WebSocket's first request."""
        sent: dict[str, str | None] = {"Origin": f"http://{self.host}", "Authorization": None}
        sent |= {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        sent |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "mat-view"}
        return self.ask("GET", "/ws", **(sent | headers))[0]
