"""Who looks on during a soak: edge-run's own output, a subscriber, browsers, and somebody who takes recordings away."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

import aiohttp
from daemon_process import PROGRAM
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from soak_report import NO_BROKER, Truth, fingerprint, said

from firmware_bridge.header import MessageType
from firmware_bridge.messages import Info
from firmware_bridge.recording import read_recording

ASK_EVERY_S: Final = 2.0
SLOW_FOR_S: Final = 40.0
"""A client that never reads is let go after 30 s; then the next one comes."""
TAKE_EVERY_S: Final = 0.2
LATE_S: Final = 1.0
"""Two mats fill the rest of 1 MB in 1.6 s."""


def in_background(work: Callable[..., None], *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread


class Mat:
    """soak_mats.py as a process, and what it tells."""

    def __init__(self, name: str, link: Path, seed: int) -> None:
        self.name, self.link, self.truth = name, link, Truth()
        self.tears = self.reboots = 0
        command = [
            sys.executable,
            str(Path(__file__).with_name("soak_mats.py")),
            "--link",
            str(link),
            "--seed",
            str(seed),
        ]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        assert "ready" in self.process.stdout.readline(), "the mat does not start"
        self._listening = in_background(self._listen, self.process.stdout)

    def tear(self, command: str, away_s: float) -> None:
        assert self.process.stdin
        self.tears += 1
        self.reboots += command == "reboot"
        print(command, away_s, file=self.process.stdin, flush=True)

    def stop(self) -> None:
        assert self.process.stdin
        with suppress(OSError):  # it has ended already
            self.process.stdin.close()
        self.process.wait()
        self._listening.join()

    def _listen(self, stdout: IO[str]) -> None:
        for line in stdout:
            self.truth.take(json.loads(line))


class EdgeRun:
    """edge-run as a process; poses are counted, all other lines kept."""

    def __init__(self, config: Path) -> None:
        command = [sys.executable, "-c", PROGRAM, "--config", str(config)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.errors: list[str] = []
        self.poses = 0
        self.full: set[str] = set()
        """Mats for whose recordings there is no room."""
        self._threads = [in_background(self._listen), in_background(self._listen_to_errors)]

    def memory_mb(self) -> float:
        """Anonymous memory, swapped out or not: what a leak takes. Pages of files come and go as the kernel likes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        values = dict(line.split(":", 1) for line in status)
        return sum(int(values[key].split()[0]) for key in ("RssAnon", "VmSwap")) * 1024 / 1e6

    def complained(self, words: str) -> bool:
        """Whether stderr has said so."""
        return any(words in line for line in list(self.errors))

    def terminate(self, timeout_s: float) -> int | None:
        """Its exit code; None where it had ended before, or does not end."""
        if self.process.poll() is not None:
            return None
        self.process.terminate()
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return None
        for thread in self._threads:
            thread.join()
        return code

    def _listen(self) -> None:
        assert self.process.stdout
        for text in self.process.stdout:
            if text.startswith('{"type":"pose"'):
                self.poses += 1
            else:
                line = json.loads(text)
                self.lines[line["mat"]].append(line)
                if said(line) == "recording_stopped":
                    self.full.add(line["mat"])
                elif said(line) == "recording_started":
                    self.full.discard(line["mat"])

    def _listen_to_errors(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.errors.append(line.rstrip())


class Subscriber:
    """What MQTT says of availability, and when. `listen` again after each start of the broker."""

    def __init__(self, port: int, topics: dict[str, str]) -> None:
        self.views: dict[str, list[tuple[float, Any]]] = {name: [] for name in topics.values()}
        self._port, self._topics = port, topics
        self._client: Client | None = None

    def listen(self) -> None:
        self._all(None)
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe([(topic, 1) for topic in self._topics])
        self._client.on_message = self._heard
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()

    def broker_stops(self) -> None:
        """To be called just before."""
        if self._client:
            self._client.disconnect()
            self._client.loop_stop()
        self._all(NO_BROKER)

    def _all(self, value: Any) -> None:
        for view in self.views.values():
            view.append((time.monotonic(), value))

    def _heard(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self.views[self._topics[message.topic]].append((time.monotonic(), message.payload == b"online"))


class Browsers:
    """One that shows all there is, one that follows events, one that asks now and then, and one that never reads."""

    def __init__(self, port: int) -> None:
        self.pictures = self.answers = 0
        self.longest_silence_s = 0.0
        self.failures: list[str] = []
        self._port = port
        self._ending = threading.Event()
        self._expecting = False
        self._heard_s: float | None = None
        self._threads = [in_background(asyncio.run, self._look()), in_background(self._never_read)]

    def expect_end(self) -> None:
        """What fails from now on is no failure."""
        self._expecting = True
        if self._heard_s is not None:
            self.longest_silence_s = max(self.longest_silence_s, time.monotonic() - self._heard_s)

    def stop(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    async def _look(self) -> None:
        url = f"http://127.0.0.1:{self._port}"
        async with aiohttp.ClientSession(url, headers={"Origin": url}) as session:
            lookers = [
                asyncio.create_task(self._again(look, session)) for look in (self._watch, self._follow, self._ask)
            ]
            await asyncio.to_thread(self._ending.wait)
            for looker in lookers:
                looker.cancel()

    async def _again(self, look: Callable[[aiohttp.ClientSession], Any], session: aiohttp.ClientSession) -> None:
        while True:
            try:
                await look(session)
            except aiohttp.ClientError as error:
                if self._expecting:
                    return
                self.failures.append(f"{look.__name__.strip('_')}: {error!r}")
                await asyncio.sleep(1)

    async def _watch(self, session: aiohttp.ClientSession) -> None:
        async with session.ws_connect("/ws", protocols=["mat-view"]) as web_socket:
            async for message in web_socket:
                now_s = time.monotonic()
                if self._heard_s is not None and not self._expecting:
                    self.longest_silence_s = max(self.longest_silence_s, now_s - self._heard_s)
                self._heard_s = now_s
                self.pictures += message.type == aiohttp.WSMsgType.BINARY
        raise aiohttp.ClientError("the server closed it")

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        async with session.get("/events", timeout=aiohttp.ClientTimeout(total=None)) as response:
            async for _ in response.content:
                pass
        raise aiohttp.ClientError("the server closed it")

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        for path, good in (("/healthz", (200, 503)), ("/metrics", (200,)), ("/api/state", (200,)), ("/", (200,))):
            async with session.get(path) as response:
                await response.read()
                self.answers += response.status in good
                if response.status not in good:
                    self.failures.append(f"{path}: {response.status}")
        await asyncio.sleep(ASK_EVERY_S)

    def _never_read(self) -> None:
        while not self._ending.wait(0.1):
            with suppress(ConnectionError), socket.create_connection(("127.0.0.1", self._port)) as slow:
                slow.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                self._ending.wait(SLOW_FOR_S)


class Remover:
    """Takes finished recordings off the small disk, so that it has room for the next, and notes what they hold."""

    def __init__(self, folder: Path, mats: list[str]) -> None:
        self.messages: dict[str, list[tuple[str, int, int]]] = {mat: [] for mat in mats}
        self.paused = False
        self.late = 0
        """Rounds that came so late, this machine being busy, that the disk may have been full once more."""
        self.folder = folder
        self._ending = threading.Event()
        self._thread = in_background(self._run)

    def stop(self) -> None:
        """After edge-run has ended: takes the rest."""
        self._ending.set()
        self._thread.join()
        for mat in self.messages:
            self._take(mat, self._files(mat))

    def _run(self) -> None:
        ended_s = time.monotonic()
        while not self._ending.wait(TAKE_EVERY_S):
            for mat in () if self.paused else self.messages:
                self._take(mat, self._files(mat)[:-1])
            self.late += time.monotonic() - ended_s > LATE_S
            ended_s = time.monotonic()

    def _files(self, mat: str) -> list[Path]:
        """The oldest first; the last is being written."""
        return sorted(self.folder.glob(f"{mat}-*.matlog"), key=lambda path: path.stat().st_ctime_ns)

    def _take(self, mat: str, files: list[Path]) -> None:
        for path in files:
            for recorded in read_recording(path):
                if isinstance(recorded.event, Info):
                    self.messages[mat].append(("info", recorded.event.boot_id, 0))
                elif recorded.header and recorded.header.type == MessageType.FRAME:
                    self.messages[mat].append(("frame", recorded.header.seq, fingerprint(recorded.raw)))
            path.unlink()
