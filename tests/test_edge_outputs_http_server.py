"""The routes, over real connections; the test plays the processing loop."""

import asyncio
import json
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from aiohttp import ClientSession, WSMsgType
from live_items import Live, LiveMat

from edge.control import Command, Playing, Reply
from edge.outputs.http import server
from edge.outputs.http.state import SILENT_S
from firmware_bridge.skeleton import BONES, JOINTS

FLOOD = 10_000
GROWTH_MOST_BYTES = 2_000_000
PLAYING = Playing(1_700_000_000.0, 12.5, 60.0, paused=False)


def waits(do: Callable[[], None], until: Callable[[], bool]) -> bool:
    """Whether it comes true within half a minute of doing."""
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s:
        do()
        if until():
            return True
        time.sleep(0.002)
    return False


@pytest.fixture
def live() -> Iterator[Live]:
    with Live() as live:
        yield live


@pytest.fixture
def caller() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as caller:
        yield caller


def test_healthz_says_why_each_mat_is_not_fresh(live: Live) -> None:
    mat = LiveMat()
    assert live.ask("GET", "/healthz")[0] == 503
    live.show([*mat.meet(), *mat.frame()])
    status, text, _ = live.ask("GET", "/healthz")
    assert status == 200
    assert json.loads(text)["mats"]["bed"]["fresh"]
    live.show(mat.stale())
    status, text, _ = live.ask("GET", "/healthz")
    assert status == 503
    assert json.loads(text)["mats"]["bed"]["reason"] == "no fresh frames"


def test_state_holds_the_latest_lines_as_they_are_on_stdout(live: Live) -> None:
    mat = LiveMat()
    items = [*mat.meet(), *mat.lying()]
    live.show(items)
    state = live.get_json("/api/state")
    assert state["skeleton"] == {"joints": list(JOINTS), "bones": [list(bone) for bone in BONES]}
    latest = {item.line.type: json.loads(item.line.json_line()) for item in items}
    for kind in ("hello", "pose", "health"):
        assert state["mats"]["bed"][kind] == latest[kind]


def test_metrics_are_served(live: Live) -> None:
    mat = LiveMat()
    live.show([*mat.meet(), *mat.frame()])
    status, text, headers = live.ask("GET", "/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=")
    assert 'mat_frames_received_total{mat="bed"} ' in text


@pytest.mark.parametrize(
    ("action", "body", "command"),
    [
        ("tare", {"mat": "bed"}, Command("bed", "tare")),
        ("tare", {"mat": "bed", "force": True}, Command("bed", "tare", force=True)),
        ("calibrate", {"mat": "bed", "even": True}, Command("bed", "even")),
        ("calibrate", {"mat": "bed", "mass_kg": 80}, Command("bed", "weigh", mass_kg=80.0)),
        ("record", {"mat": "bed"}, Command("bed", "record")),
        ("stop_recording", {"mat": "bed"}, Command("bed", "stop_recording")),
        ("turn", {"mat": "bed", "orientation": "mirrored-90"}, Command("bed", "turn", orientation="mirrored-90")),
        ("pause", {"mat": "bed"}, Command("bed", "pause")),
        ("resume", {"mat": "bed"}, Command("bed", "resume")),
        ("seek", {"mat": "bed", "at_s": 12.5}, Command("bed", "seek", at_s=12.5)),
    ],
)
@pytest.mark.parametrize("reply", [Reply(True, "done"), Reply(False, "somebody lies there")])
def test_what_is_asked_goes_to_the_loop_and_its_reply_comes_back(
    live: Live, caller: ThreadPoolExecutor, action: str, body: dict[str, object], command: Command, reply: Reply
) -> None:
    live.control.playing = PLAYING
    response = caller.submit(live.ask, "POST", f"/api/{action}", body)
    assert live.answered(reply) == command
    status, text, _ = response.result()
    assert status == (200 if reply.ok else 409)
    assert json.loads(text) == {"ok": reply.ok, "text": reply.text}


def test_a_loop_that_does_not_answer_is_told_of_and_may_answer_later(
    live: Live, caller: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ANSWER_S", 0.05)
    response = caller.submit(live.ask, "POST", "/api/tare", {"mat": "bed"})
    _, answer = live.asked()
    status, text, _ = response.result()
    assert status == 504
    assert json.loads(text)["ok"] is False
    answer.set_result(Reply(True, "late"))  # raises nothing


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        (None, "body"),
        ([], "body"),
        ({}, "mat"),
        ({"mat": 5}, "mat"),
        ({"mat": "bed", "force": "yes"}, "force"),
        ({"mat": "bed", "now": True}, "now"),
        ({"mat": "bed", "at_s": -1}, "at_s"),
        ({"mat": "bed", "at_s": "0:12"}, "at_s"),
    ],
)
def test_a_body_that_is_not_understood_is_named(live: Live, body: object, wrong: str) -> None:
    status, text, _ = live.ask("POST", "/api/tare", body)
    assert status == 400
    assert text.startswith(f"{wrong}: ")
    assert text.count("\n") == 1
    assert live.control.take() == []


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"mass_kg": 80}, "mat: Field required"),
        ({"mat": "bed"}, "body: even or mass_kg is needed, not both"),
        ({"mat": "bed", "even": True, "mass_kg": 80}, "body: even or mass_kg is needed, not both"),
        ({"mat": "bed", "mass_kg": 0}, "mass_kg: Input should be greater than or equal to 1"),
        ({"mat": "bed", "mass_kg": "80"}, "mass_kg: Input should be a valid number"),
        ({"mat": "bed", "force": True}, "force: Extra inputs are not permitted"),
    ],
)
def test_a_load_that_is_not_understood_is_named(live: Live, body: object, wrong: str) -> None:
    status, text, _ = live.ask("POST", "/api/calibrate", body)
    assert (status, text) == (400, f"{wrong}\n")
    assert live.control.take() == []


def test_a_known_load_has_one_route(live: Live) -> None:
    for action in ("even", "weigh"):
        assert live.ask("POST", f"/api/{action}", {"mat": "bed"})[0] == 404


def test_a_paused_replay_is_healthy_however_long_and_one_that_hangs_is_not(
    live: Live, caller: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock_s = [1000.0]
    monkeypatch.setattr(live.sink._server.state, "_clock_s", lambda: clock_s[0])
    mat = LiveMat()
    live.control.playing = PLAYING
    live.show([*mat.meet(), *mat.frame()])

    def ask(action: str, paused: bool) -> None:
        response = caller.submit(live.ask, "POST", f"/api/{action}", {"mat": "bed"})
        _, answer = live.asked()
        live.control.playing = replace(PLAYING, paused=paused)
        answer.set_result(Reply(True, "done"))
        response.result()

    ask("pause", paused=True)
    clock_s[0] += 10_000
    assert live.ask("GET", "/healthz")[0] == 200
    ask("resume", paused=False)
    clock_s[0] += SILENT_S
    assert live.ask("GET", "/healthz")[0] == 200
    clock_s[0] += 1
    status, text, _ = live.ask("GET", "/healthz")
    assert status == 503
    assert "the daemon has said nothing for 31 s" in text


def test_what_is_too_large_unknown_or_of_another_method_is_refused(live: Live) -> None:
    assert live.ask("POST", "/api/tare", {"mat": "x" * 10_000})[0] == 413
    assert live.ask("POST", "/api/shutdown", {"mat": "bed"})[0] == 404
    status, _, headers = live.ask("GET", "/api/tare")
    assert (status, headers["Allow"]) == (405, "POST")
    assert live.ask("GET", "/../server.py")[0] == 404
    assert live.control.take() == []


def test_a_mat_that_is_none_is_refused_at_once(live: Live) -> None:
    status, text, _ = live.ask("POST", "/api/tare", {"mat": "bath"})
    assert status == 409
    assert json.loads(text)["text"] == "no mat bath: this daemon has bed"


@pytest.mark.parametrize("action", ["pause", "resume", "seek"])
def test_where_nothing_is_replayed_there_is_nothing_to_pause(live: Live, action: str) -> None:
    status, text, _ = live.ask("POST", f"/api/{action}", {"mat": "bed", "at_s": 1.0})
    assert status == 409
    assert json.loads(text)["text"].startswith("no recording is played")
    assert live.get_json("/api/state")["replay"] is None


def test_who_watches_a_replay_is_told_of_each_change_and_who_comes_where_it_is(
    live: Live, caller: ThreadPoolExecutor
) -> None:
    """In the state, first of all on the WebSocket, with each pose, and after each answer."""
    mat = LiveMat()
    live.control.playing = PLAYING
    told = {"type": "replay", "v": 1, "ts": 1_700_000_012.5, "seq": None, "mat": "bed", "position_s": 12.5}
    told |= {"length_s": 60.0, "paused": False}
    assert live.get_json("/api/state")["replay"] == told

    async def received() -> list[dict[str, object]]:
        async with ClientSession() as session:
            headers = {"Origin": live.sink.url.rstrip("/")}
            async with session.ws_connect(f"{live.sink.url}ws", headers=headers) as web_socket:

                async def next_replay() -> dict[str, object]:
                    while True:
                        message = await web_socket.receive(timeout=30)
                        if message.type == WSMsgType.TEXT and '"replay"' in message.data:
                            return dict(json.loads(message.data))

                first = await next_replay()
                live.control.playing = replace(PLAYING, position_s=13.0)
                live.show([*mat.meet(), *mat.frame()][-1:])
                second = await next_replay()
                answer = caller.submit(live.ask, "POST", "/api/pause", {"mat": "bed"})
                _, asked = await asyncio.to_thread(live.asked)
                live.control.playing = replace(PLAYING, position_s=13.0, paused=True)
                asked.set_result(Reply(True, "paused"))
                third = await next_replay()
                await asyncio.to_thread(answer.result)
                return [first, second, third]

    later = told | {"ts": 1_700_000_013.0, "position_s": 13.0}
    assert asyncio.run(received()) == [told, later, later | {"paused": True}]


def test_events_are_the_json_lines_from_hello_on(live: Live) -> None:
    mat = LiveMat()
    first = [*mat.meet(), *mat.frame()]
    live.show(first)

    async def lines(count: int) -> list[dict[str, object]]:
        async with ClientSession() as session, session.get(f"{live.sink.url}events") as response:
            assert response.content_type == "text/event-stream"
            live.show(mat.frame())
            found = []
            while len(found) < count:
                line = await response.content.readline()
                if line.strip():
                    found.append(json.loads(line.removeprefix(b"data: ")))
            return found

    *latest, pose = asyncio.run(lines(4))
    assert latest == [json.loads(item.line.json_line()) for item in first]
    assert pose["type"] == "pose"
    assert "pressure" not in pose


def test_a_web_socket_brings_each_pose_after_its_picture(live: Live) -> None:
    mat = LiveMat()
    live.show(mat.meet())

    async def received() -> list[bytes | str]:
        async with ClientSession() as session:
            headers = {"Origin": live.sink.url.rstrip("/")}
            async with session.ws_connect(f"{live.sink.url}ws", headers=headers, protocols=["mat-view"]) as web_socket:
                assert web_socket.protocol == "mat-view"
                messages = [(await web_socket.receive()).data for _ in range(2)]
                live.show(mat.lying()[-1:])
                return messages + [(await web_socket.receive()).data for _ in range(2)]

    hello, health, picture, pose = asyncio.run(received())
    assert [json.loads(text)["type"] for text in (hello, health, pose)] == ["hello", "health", "pose"]
    assert isinstance(picture, bytes)
    head = json.loads(picture[4 : 4 + int.from_bytes(picture[:4], "little")])
    assert head["seq"] == json.loads(pose)["seq"]


def test_a_web_socket_that_never_reads_gets_the_newest_and_holds_nothing_up(live: Live) -> None:
    """10,000 items: what waits for it stays bounded, others go on, and it resumes with the newest pose."""
    mat = LiveMat()
    live.show(mat.meet())
    items = [item for item in mat.lying() if item.picture]

    async def flood() -> tuple[int, int]:
        async with ClientSession() as session:
            headers = {"Origin": live.sink.url.rstrip("/")}
            async with session.ws_connect(f"{live.sink.url}ws", headers=headers, max_msg_size=0) as web_socket:
                await web_socket.receive()
                web_socket._reader._protocol.pause_reading()  # type: ignore[union-attr] - nothing public stops it
                tracemalloc.start()
                await asyncio.to_thread(show_flood)
                assert tracemalloc.get_traced_memory()[1] < GROWTH_MOST_BYTES
                tracemalloc.stop()
                (client,) = live.sink._server._clients
                assert len(client) <= 3
                web_socket._reader._protocol.resume_reading()  # type: ignore[union-attr]
                poses, seq = 0, -1
                while seq != FLOOD - 1:
                    message = await web_socket.receive(timeout=30)
                    if message.type == WSMsgType.TEXT and '"type":"pose"' in message.data:
                        poses, seq = poses + 1, json.loads(message.data)["seq"]
                return poses, seq

    def show_flood() -> None:
        for number in range(FLOOD):
            item = items[number % len(items)]
            line = item.line.model_copy(update={"seq": number})
            live.sink.write(type(item)(line, item.picture))

    poses, seq = asyncio.run(flood())
    assert seq == FLOOD - 1
    assert poses < FLOOD / 4
    assert live.get_json("/api/state")["mats"]["bed"]["pose"]["seq"] == FLOOD - 1


def test_a_client_that_takes_nothing_for_long_is_let_go(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STUCK_S", 0.1)
    mat = LiveMat()
    live.show(mat.meet())
    item = next(mat.poses())
    with socket.create_connection(("127.0.0.1", live.sink.port)) as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.sendall(f"GET /events HTTP/1.1\r\nHost: {live.host}\r\n\r\n".encode())
        stuck.recv(1)
        assert waits(lambda: live.sink.write(item), lambda: not live.sink._server._clients)


def test_more_clients_than_the_bound_are_turned_away_until_one_goes(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has gone leaves its place at once, though no line comes that it could fail to take."""
    monkeypatch.setattr(server, "MOST_CLIENTS", 2)
    mat = LiveMat()
    live.show(mat.meet())
    connections = [socket.create_connection(("127.0.0.1", live.sink.port)) for _ in range(2)]
    for connection in connections:
        connection.sendall(f"GET /events HTTP/1.1\r\nHost: {live.host}\r\n\r\n".encode())
        connection.recv(1)
    status, text, _ = live.ask("GET", "/events")
    assert status == 503
    assert text == "2 look already: close a page\n"
    assert live.upgrade() == 503
    for connection in connections:
        connection.close()
    assert waits(lambda: None, lambda: live.upgrade() == 101)
