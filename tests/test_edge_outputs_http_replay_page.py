"""The page of a replay in a real Chromium: the real loop plays, and whoever looks pauses it and seeks in it."""

import importlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import chromium, missing
from live_items import START_S, Live, pose_at, record
from live_page import drawn, hostile, joints_are_drawn_at, pages

from edge.control import Playing
from edge.messages import Pose

if (reason := missing()) and not os.environ.get("CI"):
    pytest.skip(reason, allow_module_level=True)
playwright = importlib.import_module("playwright.sync_api")
Browser, Page, expect = playwright.Browser, playwright.Page, playwright.expect

RATE_HZ = 2
LENGTH_S = 60.0


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with chromium() as browser:
        yield browser


@pytest.fixture
def new_page(browser: "Browser") -> "Iterator[Callable[..., Page]]":
    with pages(browser) as make:
        yield make


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute; the person comes after some seconds and stays."""
    path = tmp_path_factory.mktemp("recording") / "night.matlog"
    return record(path, round(LENGTH_S * RATE_HZ) + 1, rate_hz=RATE_HZ)


@dataclass
class Watching:
    """A page, and what the loop says of itself."""

    page: Any
    live: Live
    loop: threading.Thread

    def stands_at(self, time_s: float, paused: bool) -> None:
        """In the loop and on the page."""
        expect(self.page.locator("#time")).to_have_text(f"{int(time_s) // 60}:{int(time_s) % 60:02d} / 1:00")
        expect(self.page.locator("#pause")).to_have_text("Go on" if paused else "Pause")
        wanted = Playing(START_S, pytest.approx(time_s, abs=1e-5), LENGTH_S, paused)
        deadline_s = time.monotonic() + 20
        while self.live.control.playing != wanted and time.monotonic() < deadline_s:
            self.page.wait_for_timeout(20)
        assert self.live.control.playing == wanted

    def loop_stands(self) -> float:
        """Where it stays for half a second."""
        seen = [self.live.control.playing]
        while len(seen) < 2 or seen[-1] != seen[-2] or not (seen[-1] and seen[-1].paused):
            self.page.wait_for_timeout(500)
            seen.append(self.live.control.playing)
        return seen[-1].position_s

    def pause(self) -> None:
        self.page.locator("#pause").click()
        expect(self.page.locator("#connection")).to_have_text("paused")

    def along(self, share: float) -> tuple[float, float]:
        """Where on the scrubber that share of the recording is."""
        box = self.page.locator("#scrub").bounding_box()
        thumb = 16
        x = box["x"] + thumb / 2 + share * (box["width"] - thumb)
        return x, box["y"] + box["height"] / 2


@pytest.fixture
def watching(new_page: "Callable[..., Page]", recording: Path) -> Iterator[Watching]:
    with Live() as live, live.playing(recording) as loop:
        page = new_page(reduced_motion="reduce")
        page.goto(live.sink.url)
        expect(page.locator("#connection")).to_have_text("replay")
        expect(page.locator("#time")).to_have_text(re.compile("0:0. / 1:00"))
        yield Watching(page, live, loop)


def shows_the_pose_of(page: "Page", recording: Path, time_s: float) -> None:
    line = pose_at(recording, time_s).line
    assert isinstance(line, Pose)
    assert line.joints
    assert line.cop_cm
    expect(page.locator("#centre")).to_have_text(f"{line.cop_cm[0]:.0f}, {line.cop_cm[1]:.0f} cm")
    joints = np.array([[one.x_cm, one.y_cm, one.confidence] for one in line.joints.values()])
    eventually(page, lambda: joints_are_drawn_at(page, joints))


def eventually(page: "Page", check: Callable[[], None]) -> None:
    """What the daemon has answered is not yet drawn."""
    deadline_s = time.monotonic() + 20
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > deadline_s:
                raise
        page.wait_for_timeout(100)


def test_dragging_seeks_and_the_skeleton_of_that_moment_is_drawn(watching: Watching, recording: Path) -> None:
    """Held, it stands; let go, it goes on from there."""
    page = watching.page
    page.mouse.move(*watching.along(0.1))
    page.mouse.down()
    for share in (0.3, 0.9, 0.5, 0.7):
        page.mouse.move(*watching.along(share), steps=4)
    expect(page.locator("#time")).to_have_text(re.compile("0:4[12] / 1:00"))
    time_s = watching.loop_stands()
    assert 41 <= time_s <= 43
    shows_the_pose_of(page, recording, round(time_s * RATE_HZ) / RATE_HZ)
    held = drawn(page)
    page.wait_for_timeout(1500)
    assert (drawn(page) == held).all()
    expect(page.locator("#pause")).to_have_text("Pause")
    page.mouse.up()
    expect(page.locator("#time")).to_have_text(re.compile("0:4[3-9] / 1:00"))
    assert (drawn(page) != held).any()


def test_let_go_at_the_end_it_stays_there(watching: Watching) -> None:
    """For the run would end, and with it all that could be looked at."""
    page = watching.page
    page.mouse.move(*watching.along(0.1))
    page.mouse.down()
    page.mouse.move(*watching.along(1.2), steps=4)
    page.mouse.up()
    watching.stands_at(60, paused=True)
    page.mouse.click(*watching.along(0.5))
    assert 29 <= watching.loop_stands() <= 31
    assert watching.loop.is_alive()


def test_touching_the_scrubber_seeks(new_page: "Callable[..., Page]", recording: Path) -> None:
    with Live() as live, live.playing(recording) as loop:
        page = new_page(viewport={"width": 375, "height": 812}, has_touch=True, is_mobile=True)
        page.goto(live.sink.url)
        expect(page.locator("#connection")).to_have_text("replay")
        watching = Watching(page, live, loop)
        touch = page.context.new_cdp_session(page)

        def finger(kind: str, *places: tuple[float, float]) -> None:
            points = [{"x": x, "y": y} for x, y in places]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        finger("touchStart", watching.along(0.05))
        for share in (0.2, 0.5, 0.75):
            finger("touchMove", watching.along(share))
        finger("touchEnd")
        expect(page.locator("#time")).to_have_text(re.compile("0:4[4-9] / 1:00"))
        expect(page.locator("#pause")).to_have_text("Pause")
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 375
        for control in ("#pause", "#scrub", "#time"):
            expect(page.locator(control)).to_be_in_viewport()


def test_a_pause_holds_also_for_others_and_goes_on_by_the_space_bar(
    watching: Watching, new_page: "Callable[..., Page]"
) -> None:
    page = watching.page
    watching.pause()
    assert watching.live.control.playing
    time_s = watching.live.control.playing.position_s
    held = drawn(page)
    other = new_page()
    other.goto(watching.live.sink.url)
    expect(other.locator("#connection")).to_have_text("paused")
    page.wait_for_timeout(1500)
    watching.stands_at(time_s, paused=True)
    assert (drawn(page) == held).all()
    page.locator("h1").click()
    page.keyboard.press("Space")
    expect(page.locator("#connection")).to_have_text("replay")
    expect(other.locator("#connection")).to_have_text("replay")
    page.wait_for_function(f"() => Number(document.getElementById('scrub').value) > {time_s}")
    page.keyboard.press("Space")
    expect(other.locator("#pause")).to_have_text("Go on")


def test_the_keyboard_seeks(watching: Watching, recording: Path) -> None:
    """With and without the scrubber in focus; at the end it stays, for the run would end there."""
    page = watching.page
    watching.pause()
    page.locator("#scrub").focus()
    page.keyboard.press("End")
    watching.stands_at(60, paused=True)
    page.keyboard.press("Shift+ArrowLeft")
    watching.stands_at(30, paused=True)
    page.locator("h1").click()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    watching.stands_at(40, paused=True)
    shows_the_pose_of(page, recording, 40)
    page.keyboard.press("ArrowLeft")
    watching.stands_at(35, paused=True)
    shows_the_pose_of(page, recording, 35)
    page.locator("#scrub").press("Home")
    watching.stands_at(0, paused=True)
    page.locator("#scrub").press("Space")
    expect(page.locator("#pause")).to_have_text("Pause")
    page.keyboard.press("End")
    watching.stands_at(60, paused=True)
    assert watching.loop.is_alive()


def test_whoever_cannot_see_is_told_where_it_is(watching: Watching) -> None:
    page = watching.page
    watching.pause()
    page.locator("#scrub").focus()
    page.keyboard.press("End")
    scrub = page.get_by_role("slider", name="Position in the recording")
    expect(scrub).to_have_attribute("aria-valuetext", "1:00 of 1:00")
    assert page.get_by_role("button", name="Go on").get_attribute("aria-pressed") == "true"


def test_what_only_a_mat_can_do_is_not_offered(watching: Watching) -> None:
    for control in ("#tare", "#calibrate", "#record", "#turn", "#upright", "#live"):
        expect(watching.page.locator(control)).to_be_hidden()
    expect(watching.page.locator("#person")).to_contain_text("A recording is played")


def test_at_its_end_the_page_says_so_and_looks_back_over_its_memory(watching: Watching) -> None:
    page = watching.page
    watching.pause()
    page.locator("#scrub").focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    watching.stands_at(55, paused=True)
    page.keyboard.press("Space")
    expect(page.locator("#notice")).to_have_text("the recording has ended", timeout=30_000)
    watching.loop.join()
    watching.live.sink.close()
    expect(page.locator("#connection")).to_have_text("ended")
    page.wait_for_timeout(1500)  # it tries to reconnect meanwhile
    expect(page.locator("#connection")).to_have_text("ended")
    expect(page.locator("#tare")).to_be_hidden()
    last = drawn(page)
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#notice")).to_have_text("looking back: 0.5 s ago")
    assert (drawn(page) != last).any()


def test_a_paused_replay_is_not_taken_for_a_broken_connection(new_page: "Callable[..., Page]", recording: Path) -> None:
    """Nothing comes then; after half a minute of silence the page gives up a live daemon."""
    with Live() as live, live.playing(recording):
        page = new_page()
        sockets: list[object] = []
        page.on("websocket", lambda socket: sockets.append(socket))
        page.clock.install()
        page.goto(live.sink.url)
        expect(page.locator("#connection")).to_have_text("replay")
        page.locator("#pause").click()
        expect(page.locator("#connection")).to_have_text("paused")
        page.clock.fast_forward(120_000)
        page.wait_for_timeout(500)
        expect(page.locator("#connection")).to_have_text("paused")
        assert len(sockets) == 1


HOSTILE = """async (url) => {
    const seen = [];
    for (const action of ["pause", "resume", "seek"]) {
        const body = JSON.stringify({ mat: "bed", at_s: 50 });
        const json = { "Content-Type": "application/json" };
        for (const how of [{}, { mode: "no-cors" }, { headers: json }, { headers: json, credentials: "include" }]) {
            try {
                const answer = await fetch(url + "api/" + action, { method: "POST", body, ...how });
                seen.push(answer.type + (await answer.text()));
            } catch { seen.push("blocked"); }
        }
    }
    return seen;
}"""


def test_a_hostile_page_in_the_same_browser_can_neither_pause_nor_seek(watching: Watching) -> None:
    watching.pause()
    before = watching.loop_stands()
    with hostile() as port:
        evil = watching.page.context.new_page()
        evil.goto(f"http://127.0.0.1:{port}/")
        assert set(evil.evaluate(HOSTILE, watching.live.sink.url)) <= {"blocked", "opaque"}
    watching.stands_at(before, paused=True)
    watching.page.locator("#scrub").press("End")  # which the page itself can
    watching.stands_at(60, paused=True)


def test_a_live_mat_keeps_the_page_s_own_scrubber(new_page: "Callable[..., Page]", recording: Path) -> None:
    """As does a replay without a pace."""
    with Live() as live:
        page = new_page()
        page.goto(live.sink.url)
        live.show([pose_at(recording, 40)])
        expect(page.locator("#time")).to_be_hidden()
        expect(page.locator("#tare")).to_be_visible()
        expect(page.locator("#live")).to_be_visible()
        assert page.get_by_role("slider", name="Look back").count() == 1
