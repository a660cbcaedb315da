"""Raw requests, as hostile pages and scripts send them: who may look and who may ask."""

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from live_items import Live, LiveMat

from edge.control import Playing
from edge.outputs.http.access import HEADERS, HttpSettings
from firmware_bridge.errors import Exit, Failure

TOKEN = "correct-horse-battery-staple"
LOOKING = ("/healthz", "/metrics", "/api/state", "/events", "/nowhere")
ASKING = (
    *("/api/tare", "/api/calibrate", "/api/record", "/api/stop_recording", "/api/turn"),
    *("/api/pause", "/api/resume", "/api/seek"),
)
PLAYING = Playing(0.0, 1.0, 60.0, paused=False)
"""So that pausing and seeking would get through."""
PAGE = ("/", "/view.js", "/style.css")


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with Live() as live:
        live.control.playing = PLAYING
        live.show(LiveMat().meet())
        yield live


@pytest.fixture(scope="module")
def guarded() -> Iterator[Live]:
    with Live(settings=HttpSettings(port=0, token=TOKEN, names=("Bed.Example",))) as live:
        live.control.playing = PLAYING
        live.show(LiveMat().meet())
        yield live


@pytest.mark.parametrize("host", ["0.0.0.0", "", "0", "::", "192.168.1.20", "bed.local", "::ffff:127.0.0.1"])
def test_wider_than_this_machine_without_a_token_is_refused_in_one_line_with_the_remedy(host: str) -> None:
    with pytest.raises(Failure, match=r"people in bed .*--token-file") as failure:
        HttpSettings(host=host)
    assert failure.value.code == Exit.USAGE
    assert "\n" not in str(failure.value)
    assert HttpSettings(host=host, token=TOKEN).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_this_machine_needs_no_token(host: str) -> None:
    assert HttpSettings(host=host).token is None


@pytest.mark.parametrize(
    ("token", "wrong"), [("", "0 characters"), ("short", "5 characters"), ("x" * 20 + "\n", "ASCII")]
)
def test_a_token_that_protects_nothing_is_refused(token: str, wrong: str) -> None:
    with pytest.raises(Failure, match=wrong) as failure:
        HttpSettings(token=token)
    assert failure.value.code == Exit.USAGE
    assert token == "" or token.strip() not in str(failure.value)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "[::1", "", "localhost.", None]
)
@pytest.mark.parametrize("path", ["/", "/api/state", "/events", "/ws"])
def test_another_host_name_sees_nothing(live: Live, host: str | None, path: str) -> None:
    """DNS rebinding: a name of theirs that points to this machine."""
    status, text, _ = live.ask("GET", path, Host=host)
    assert status in (400, 421)
    assert "bed" not in text


@pytest.mark.parametrize("path", ASKING)
def test_another_host_name_changes_nothing(live: Live, path: str) -> None:
    sent = {"Host": "evil.example", "Origin": "http://evil.example"}
    assert live.ask("POST", path, {"mat": "bed"}, **sent)[0] == 421
    assert live.control.take() == []


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
@pytest.mark.parametrize("port", ["", ":8765", ":80"])
def test_this_machine_s_names_are_good_on_every_port_that_is_forwarded(live: Live, name: str, port: str) -> None:
    assert live.ask("GET", "/api/state", Host=name + port)[0] == 200


def test_a_configured_name_is_good(guarded: Live) -> None:
    assert guarded.ask("GET", "/api/state", Host="bed.example")[0] == 200
    assert guarded.ask("GET", "/api/state", Host="bath.example")[0] == 421


def test_bound_to_all_addresses_the_one_that_was_connected_to_is_good() -> None:
    with Live(settings=HttpSettings(host="0.0.0.0", port=0, token=TOKEN)) as wide:
        for address, status in (("127.0.0.2", 200), ("127.0.0.3", 421)):
            connection = HTTPConnection("127.0.0.2", wide.sink.port, timeout=30)
            headers = {"Host": f"{address}:{wide.sink.port}", "Authorization": f"Bearer {TOKEN}"}
            connection.request("GET", "/api/state", headers=headers)
            assert connection.getresponse().status == status
            connection.close()


def foreign(live: Live) -> list[str]:
    return ["http://evil.example", "null", "http://127.0.0.1:1", f"http://localhost:{live.sink.port}", "", "file://"]


@pytest.mark.parametrize("number", range(6))
def test_a_page_of_another_origin_can_neither_ask_nor_look(live: Live, number: int) -> None:
    origin = foreign(live)[number]
    for path in ASKING:
        assert live.ask("POST", path, {"mat": "bed"}, Origin=origin)[0] == 403
    assert live.control.take() == []
    assert live.upgrade(Origin=origin) == 403
    assert live.ask("GET", "/api/state", Origin=origin)[0] == 403
    assert live.ask("GET", "/events", Origin=origin)[0] == 403


def test_who_does_not_say_its_origin_may_look_but_not_ask(live: Live) -> None:
    assert live.ask("GET", "/api/state")[0] == 200
    assert live.ask("POST", "/api/tare", {"mat": "bed"}, Origin=None)[0] == 403
    assert live.upgrade(Origin=None) == 403
    assert live.control.take() == []


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_page_embeds_is_not_given_out_but_a_link_to_the_page_works(live: Live, site: str) -> None:
    embedded = {"Sec_Fetch_Site": site, "Sec_Fetch_Mode": "no-cors"}
    assert live.ask("GET", "/api/state", **embedded)[0] == 403
    assert live.ask("GET", "/", **(embedded | {"Sec_Fetch_Mode": "navigate"}))[0] == 200


def test_a_form_of_another_page_is_no_json(live: Live) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None):
        assert live.ask("POST", "/api/tare", {"mat": "bed"}, Content_Type=kind)[0] == 415
    assert live.control.take() == []


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/api/state", "/nowhere", *PAGE])
def test_every_answer_forbids_framing_sniffing_and_referring(live: Live, path: str) -> None:
    headers = live.ask("GET", path)[2]
    assert {name: headers[name] for name in HEADERS} == HEADERS


def test_refusals_carry_the_same_headers(live: Live) -> None:
    headers = live.ask("GET", "/", Host="evil.example")[2]
    assert {name: headers[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize(
    "given", [None, "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer ü"]
)
def test_with_a_token_nobody_looks_or_asks_without_it(guarded: Live, given: str | None) -> None:
    for path in LOOKING:
        status, text, headers = guarded.ask("GET", path, Authorization=given)
        assert status == 401
        assert headers["WWW-Authenticate"] == "Bearer"
        assert "hello" not in text
    for path in ASKING:
        assert guarded.ask("POST", path, {"mat": "bed"}, Authorization=given)[0] == 401
    assert guarded.upgrade(Authorization=given) == 401
    assert guarded.control.take() == []


@pytest.mark.parametrize("path", PAGE)
def test_the_page_itself_is_open_so_that_it_can_read_the_token_from_its_address(guarded: Live, path: str) -> None:
    status, text, _ = guarded.ask("GET", path, Authorization=None)
    assert status == 200
    assert TOKEN not in text


def test_a_token_in_the_query_is_not_taken(guarded: Live) -> None:
    """It would stand in logs and histories."""
    assert guarded.ask("GET", f"/api/state?token={TOKEN}", Authorization=None)[0] == 401


def test_the_right_token_opens_all(guarded: Live) -> None:
    assert guarded.ask("GET", "/api/state")[0] == 200
    assert guarded.ask("GET", "/nowhere")[0] == 404
    assert guarded.ask("POST", "/api/tare", {"mat": "bath"})[0] == 409


@pytest.mark.parametrize(("token", "status"), [(TOKEN, 101), ("wrong" * 5, 401), ("", 401)])
def test_a_web_socket_brings_the_token_as_a_subprotocol(guarded: Live, token: str, status: int) -> None:
    encoded = urlsafe_b64encode(token.encode()).decode().rstrip("=")
    assert upgraded(guarded, f"mat-view, bearer.{encoded}") == status


@pytest.mark.parametrize(
    "protocol", ["bearer.%%%", "bearer.", "bearer", "mat-view", f"bearer.{TOKEN}", "bearer.AAAAA", "bearer._w"]
)
def test_a_subprotocol_that_is_no_token_is_refused(guarded: Live, protocol: str) -> None:
    assert upgraded(guarded, protocol) == 401


def upgraded(live: Live, protocol: str) -> int:
    return live.upgrade(Sec_WebSocket_Protocol=protocol)
