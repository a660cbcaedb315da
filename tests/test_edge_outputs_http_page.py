"""The page in a real Chromium: what counts are the canvas' pixels, the words, and what reaches the daemon's Control."""

import importlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from browser import chromium, missing
from live_items import GRID, Live, LiveMat
from live_page import at, drawn, hostile, is_live, joints_are_drawn_at, pages

from edge.calibration.values import Calibration, PowerLaw
from edge.control import Reply
from edge.messages import Pose
from edge.outputs.http.access import HttpSettings
from edge.outputs.sink import Item
from edge.recorder import RecordingStopped
from firmware_bridge.geometry import ORIENTATIONS

if (reason := missing()) and not os.environ.get("CI"):
    pytest.skip(reason, allow_module_level=True)
playwright = importlib.import_module("playwright.sync_api")
Browser, Page, expect = playwright.Browser, playwright.Page, playwright.expect

TOKEN = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with chromium() as browser:
        yield browser


@pytest.fixture
def mat() -> LiveMat:
    return LiveMat()


@pytest.fixture
def live(mat: LiveMat) -> Iterator[Live]:
    with Live() as live:
        live.show([*mat.meet(), *mat.lying()])
        yield live


@pytest.fixture
def new_page(browser: "Browser") -> "Iterator[Callable[..., Page]]":
    with pages(browser) as make:
        yield make


@pytest.fixture
def page(new_page: "Callable[..., Page]", live: Live, mat: LiveMat) -> "Page":
    """Looks at somebody in bed, without easing; the first-run check is done."""
    return looking(new_page(reduced_motion="reduce"), live)


def looking(page: "Page", live: Live) -> "Page":
    page.goto(live.sink.url)
    page.locator("#upright-yes").click()
    is_live(page)
    page.locator("h1").click()  # else the button that leads back to the question has the keyboard
    return page


def pose_of(mat: LiveMat) -> Item:
    return next(item for item in mat.poses() if isinstance(item.line, Pose) and item.line.joints)


def reach(page: "Page", live: Live, item: Item) -> None:
    """Shows a pose, and waits until it is in the page's history."""
    before = page.locator("#scrub").get_attribute("max")
    live.show([item])
    expect(page.locator("#scrub")).not_to_have_attribute("max", before or "")


def weighed() -> Calibration:
    """A mat that shows kPa."""
    ones = np.ones((GRID.rows, GRID.cols))
    return Calibration(
        device_id=7,
        rows=GRID.rows,
        cols=GRID.cols,
        made_unix_s=1.7e9,
        curve=PowerLaw(counts_per_kpa=60.0),
        baseline_counts=(0 * ones).tolist(),
        noise_counts=ones.tolist(),
    )


def test_frames_arrive_with_their_figures(page: "Page", live: Live, mat: LiveMat) -> None:
    item = pose_of(mat)
    live.show([item])
    line = item.line
    assert isinstance(line, Pose)
    assert line.cop_cm
    expect(page.locator("#centre")).to_have_text(f"{line.cop_cm[0]:.0f}, {line.cop_cm[1]:.0f} cm")
    expect(page.locator("#posture")).to_have_text(line.posture or "somebody")
    expect(page.locator("#connection span")).to_have_text("live")
    expect(page.locator("#latency tbody tr").last).to_contain_text("whole")
    assert "inference" in page.locator("#latency tbody").inner_text()


def test_the_map_has_its_true_shape_and_shows_pressure_where_it_is(page: "Page", live: Live, mat: LiveMat) -> None:
    box = page.locator("#map").bounding_box()
    assert box is not None
    assert box["height"] / box["width"] == pytest.approx(2, rel=0.01)
    page.locator("#smooth").click()
    page.locator("#skeleton").click()
    item = pose_of(mat)
    reach(page, live, item)
    assert item.picture
    x_cm, y_cm = np.meshgrid((np.arange(32) + 0.5) * 2.54, (np.arange(64) + 0.5) * 2.54)
    colours = at(drawn(page), np.column_stack([x_cm.ravel(), y_cm.ravel()]))
    by_pressure = colours[np.argsort(item.picture.pressure, axis=None, kind="stable")].sum(1)
    full = page.locator("#full").inner_text()
    assert full.endswith("counts")
    assert (np.diff(by_pressure) <= 0).all()  # the light scheme: the heavier, the darker
    assert by_pressure[0] > 700 > 150 > by_pressure[-1]


def test_the_skeleton_is_drawn_at_the_right_taxels(page: "Page", live: Live, mat: LiveMat) -> None:
    """Raw and smooth, against edge's own pipeline, not against what the page was told."""
    item = pose_of(mat)
    reach(page, live, item)
    assert isinstance(item.line, Pose)
    assert item.line.joints
    assert item.picture
    assert item.picture.raw_joints is not None
    smooth = np.array([[joint.x_cm, joint.y_cm, joint.confidence] for joint in item.line.joints.values()])
    assert np.abs(smooth - item.picture.raw_joints).max() > 0.05
    joints_are_drawn_at(page, smooth)
    page.keyboard.press("r")
    joints_are_drawn_at(page, item.picture.raw_joints)


def test_raw_shows_taxels_as_squares_and_smooth_does_not(page: "Page") -> None:
    page.locator("#skeleton").click()
    smooth = drawn(page)
    page.locator("#smooth").click()
    raw = drawn(page)
    assert len(np.unique(raw.reshape(-1, 3), axis=0)) < len(np.unique(smooth.reshape(-1, 3), axis=0))
    steps_x = (raw[:, 1:] != raw[:, :-1]).any(2).any(0).sum()
    assert steps_x <= 2 * 31


def test_tare_reaches_the_daemon_and_a_refusal_may_be_overruled(page: "Page", live: Live) -> None:
    page.locator("#tare").click()
    assert live.answered(Reply(False, "somebody lies there")).force is False
    expect(page.locator("#reply")).to_have_text("somebody lies there")
    page.locator("#force").click()
    command = live.answered(Reply(True, "the mat is tared"))
    assert (command.mat, command.action, command.force) == ("bed", "tare", True)
    expect(page.locator("#reply")).to_have_text("the mat is tared")
    expect(page.locator("#force")).to_be_hidden()


def test_a_mat_is_calibrated_by_keyboard_alone(page: "Page", live: Live) -> None:
    """An even load, then a weight; only what can be one is asked for."""
    page.locator("#calibrate summary").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    asked = live.answered(Reply(False, "the load covers 40 % of the mat"))
    assert (asked.mat, asked.action, asked.mass_kg) == ("bed", "even", None)
    expect(page.locator("#reply")).to_have_text("the load covers 40 % of the mat")
    expect(page.locator("#force")).to_be_hidden()
    page.keyboard.press("Tab")
    mass = page.get_by_label("Weight")
    expect(mass).to_be_focused()
    for wrong in ("", "0", "-5", "501"):
        mass.fill(wrong)
        page.keyboard.press("Enter")
        assert mass.evaluate("(field) => field.matches(':invalid')")
    mass.fill("")
    page.keyboard.type("72.5")
    expect(page.locator("#pause")).to_have_text("Pause")  # digits and space are its own here, not the page's keys
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Weigh")).to_be_focused()
    page.keyboard.press("Enter")
    asked = live.answered(Reply(True, "calibrated: 61.2 counts are 1 kPa"))
    assert (asked.mat, asked.action, asked.mass_kg) == ("bed", "weigh", 72.5)
    expect(page.locator("#reply")).to_have_text("calibrated: 61.2 counts are 1 kPa")
    assert live.control.take() == []
    assert page.url == live.sink.url


def test_the_scale_begins_anew_when_the_unit_becomes_kpa(page: "Page", live: Live, mat: LiveMat) -> None:
    """And nothing of before is left to be looked back at, which no scale of kPa fits."""
    for _ in range(3):
        reach(page, live, pose_of(mat))
    page.locator("#coarser").click()
    assert page.locator("#full").inner_text().endswith("counts")
    page.keyboard.press("ArrowLeft")
    live.show(mat.session.use(weighed(), mat._now))
    live.show([pose_of(mat)])
    expect(page.locator("#full")).to_have_text("≥ 10 kPa")
    expect(page.locator("#peak")).to_contain_text("kPa")
    expect(page.locator("#scrub")).to_have_attribute("max", "0")
    is_live(page)


def test_record_starts_and_stops(page: "Page", live: Live, mat: LiveMat) -> None:
    page.locator("#record").click()
    assert live.answered(Reply(True, "recording to night.matlog")).action == "record"
    expect(page.locator("#reply")).to_have_text("recording to night.matlog")
    mat.session.recording = True
    live.show(mat.stale())
    expect(page.locator("#record")).to_have_text("Stop recording")
    page.locator("#record").click()
    assert live.answered(Reply(True, "stopped")).action == "stop_recording"


def test_the_first_run_asks_whether_this_is_the_head_and_turns_the_mat(
    new_page: "Callable[..., Page]", live: Live, mat: LiveMat
) -> None:
    page = new_page()
    page.goto(live.sink.url)
    live.show([*mat.turn("0"), pose_of(mat)])
    expect(page.locator("#upright")).to_be_visible()
    page.locator("[data-turn='90']").click()
    assert live.answered(Reply(True, "turned")).orientation == "90"
    live.show([*mat.turn("90"), *mat.frame()])
    page.wait_for_function("() => { const map = document.getElementById('map'); return map.width > map.height }")
    page.locator("[data-turn='mirror']").click()
    assert live.answered(Reply(True, "turned")).orientation == "mirrored-270"
    page.locator("#upright-yes").click()
    expect(page.locator("#upright")).to_be_hidden()
    page.reload()
    expect(page.locator("#about")).not_to_be_empty()
    expect(page.locator("#upright")).to_be_hidden()
    page.locator("#turn").click()
    expect(page.locator("#upright")).to_be_visible()


def test_turns_and_mirrors_add_up_as_firmware_bridge_defines_them(page: "Page") -> None:
    frame = np.arange(6).reshape(2, 3)
    asked = page.evaluate(
        "async (names) => { const { turned } = await import('/orientation.js');"
        " return names.map((n) => ['90', '180', '270', 'mirror'].map((how) => turned(n, how))) }",
        list(ORIENTATIONS),
    )
    for orientation, answers in zip(ORIENTATIONS.values(), asked, strict=True):
        seen = orientation.to_canonical(frame)
        wanted = [np.rot90(seen), np.rot90(seen, 2), np.rot90(seen, 3), seen[:, ::-1]]
        for answer, picture in zip(answers, wanted, strict=True):
            np.testing.assert_array_equal(ORIENTATIONS[answer].to_canonical(frame), picture)


def test_looking_back_by_keyboard_shows_that_it_is_not_live(page: "Page", live: Live, mat: LiveMat) -> None:
    for _ in range(12):
        reach(page, live, pose_of(mat))
    page.keyboard.press("Space")
    expect(page.locator("#connection")).to_have_attribute("data-state", "past")
    newest = drawn(page)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    expect(page.locator("#notice")).to_contain_text("looking back: ")
    past = page.locator("#scrub").get_attribute("aria-valuetext")
    assert past is not None
    assert float(past.removesuffix(" s ago")) >= 0.5
    before = drawn(page)
    assert (before != newest).any()
    reach(page, live, pose_of(mat))
    assert (drawn(page) == before).all()  # new frames do not move it
    page.keyboard.press("l")
    is_live(page)
    expect(page.locator("#notice")).to_be_hidden()
    assert (drawn(page) != before).any()


def test_the_history_is_bounded(page: "Page") -> None:
    kept = page.evaluate(
        "async () => { const { History } = await import('/history.js'); const history = new History(2);"
        " for (let ts = 0; ts < 10000; ts++) { history.push({ pose: { ts } }); if (ts === 10) history.look(0); }"
        " return [history.length, history.newest.pose.ts, history.frame.pose.ts, history.behind] }"
    )
    assert kept == [1500, 9999, 8500, 1499]


def test_stale_frames_are_shown_as_such(page: "Page", live: Live, mat: LiveMat) -> None:
    live.show(mat.stale())
    expect(page.locator("#connection")).to_have_attribute("data-state", "stale")
    expect(page.locator("#notice")).to_have_text("no fresh frames")
    expect(page.locator("#events li").first).to_contain_text("stale")
    live.show(mat.frame())
    is_live(page)


def test_the_page_reconnects_after_a_restart_of_the_daemon(page: "Page", live: Live, mat: LiveMat) -> None:
    live.sink.close()
    expect(page.locator("#connection")).to_have_attribute("data-state", "waiting")
    expect(page.locator("#notice")).to_contain_text("trying again")
    again = LiveMat()
    with Live(settings=HttpSettings(port=live.sink.port)) as restarted:
        restarted.show([*again.meet(), *again.lying()])
        expect(page.locator("#notice")).to_be_hidden(timeout=30_000)
        item = pose_of(again)
        restarted.show([item])
        is_live(page)
        assert isinstance(item.line, Pose)
        assert item.line.cop_cm
        expect(page.locator("#centre")).to_have_text(f"{item.line.cop_cm[0]:.0f}, {item.line.cop_cm[1]:.0f} cm")
        page.locator("#tare").click()
        assert restarted.answered(Reply(True, "tared")).action == "tare"


def test_each_of_several_mats_has_a_tab_and_a_key(new_page: "Callable[..., Page]") -> None:
    bed, couch = LiveMat("bed"), LiveMat("couch", scene="empty")
    with Live("bed", "couch") as live:
        live.show([*bed.meet(), *couch.meet(), *bed.lying(), *couch.frame()])
        page = new_page()
        page.goto(live.sink.url)
        live.show([pose_of(bed), *couch.frame()])
        is_live(page)
        expect(page.locator("#mats button")).to_have_text(["bed", "couch"])
        page.keyboard.press("2")
        expect(page.locator("#posture")).to_have_text("nobody")
        assert page.locator("#mats [aria-current]").inner_text() == "couch"
        page.locator("#tare").click()
        assert live.answered(Reply(True, "tared")).mat == "couch"
        page.locator("#mats button").first.click()
        expect(page.locator("#posture")).not_to_have_text("nobody")


def test_with_a_token_the_page_asks_for_it_or_reads_it_from_its_address(new_page: "Callable[..., Page]") -> None:
    mat = LiveMat()
    with Live(settings=HttpSettings(port=0, token=TOKEN)) as live:
        live.show([*mat.meet(), *mat.lying()])
        page = new_page()
        page.goto(live.sink.url)
        expect(page.locator("#ask")).to_be_visible()
        assert page.locator("#posture").inner_text() == "…"
        page.locator("#token").fill("wrong" * 5)
        page.keyboard.press("Enter")
        expect(page.locator("#connection")).to_have_attribute("data-state", "refused")
        expect(page.locator("#ask")).to_be_visible()
        page.locator("#token").fill(TOKEN)
        page.keyboard.press("Enter")
        expect(page.locator("#ask")).to_be_hidden()
        live.show([pose_of(mat)])
        is_live(page)
        other = new_page()
        other.goto(f"{live.sink.url}#token={TOKEN}")
        expect(other.locator("#about")).to_contain_text("64 × 32 taxels")
        live.show([pose_of(mat)])
        is_live(other)
        assert other.url == live.sink.url  # not to be shown, nor kept in the history
        other.locator("#tare").click()
        assert live.answered(Reply(True, "tared")).action == "tare"


HOSTILE = """async (url) => {
    const seen = [];
    const tried = async (what) => { try { seen.push(await what()); } catch { seen.push("blocked"); } };
    const text = async (path, how) => { const r = await fetch(url + path, how); return r.type + (await r.text()); };
    for (const path of ["api/state", "healthz", "metrics", "events"]) await tried(() => text(path));
    await tried(() => text("api/state", { mode: "no-cors" }));
    for (const action of ["tare", "calibrate", "record", "stop_recording", "turn", "pause", "seek"]) {
        const more = action === "calibrate" ? { even: true } : { orientation: "90", at_s: 0 };
        const body = JSON.stringify({ mat: "bed", ...more });
        await tried(() => text("api/" + action, { method: "POST", body }));
        await tried(() => text("api/" + action, { method: "POST", body, mode: "no-cors" }));
        const headers = { "Content-Type": "application/json" };
        await tried(() => text("api/" + action, { method: "POST", body, headers }));
    }
    const socket = (made, event) => new Promise((done, failed) => {
        made.onmessage = ({ data }) => done("saw " + data);
        made.onerror = made.onclose = () => failed();
    });
    await tried(() => socket(new WebSocket(url.replace("http", "ws") + "ws", ["mat-view"])));
    await tried(() => socket(new EventSource(url + "events")));
    await tried(() => new Promise((done, failed) => {
        const script = Object.assign(document.createElement("script"), { src: url + "api/state" });
        script.onload = () => done("ran"); script.onerror = failed;
        document.head.append(script);
    }));
    await tried(() => new Promise((done) => {
        const frame = Object.assign(document.createElement("iframe"), { src: url });
        frame.onload = () => done(frame.contentDocument?.body.innerText ?? "blocked");
        document.body.append(frame);
    }));
    await tried(() => {
        const how = { action: url + "api/tare", method: "post", enctype: "text/plain", target: "frame" };
        const form = Object.assign(document.createElement("form"), how);
        form.append(Object.assign(document.createElement("input"), { name: '{"mat":"bed","a":"', value: '"}' }));
        document.body.append(Object.assign(document.createElement("iframe"), { name: "frame" }), form);
        form.submit();
        return new Promise((done) => setTimeout(() => done("blocked"), 300));
    });
    return seen;
}"""


@pytest.fixture(scope="module")
def hostile_port() -> Iterator[int]:
    with hostile() as port:
        yield port


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_hostile_page_in_the_same_browser_can_neither_look_nor_tare_nor_record(
    new_page: "Callable[..., Page]", page: "Page", live: Live, hostile_port: int, host: str
) -> None:
    """Of another port of this machine, while the live view is open beside it; its requests are the browser's own."""
    evil = page.context.new_page()
    evil.goto(f"http://{host}:{hostile_port}/")
    seen = evil.evaluate(HOSTILE, live.sink.url)
    assert set(seen) <= {"blocked", "opaque"}
    assert live.control.take() == []
    page.locator("#tare").click()  # which the page itself can
    assert live.answered(Reply(True, "tared")).action == "tare"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_in_dark(new_page: "Callable[..., Page]", live: Live, scheme: str) -> None:
    """WCAG's contrast of 4.5 for body text, quiet text, both sides' colours and the states of the connection."""
    page = new_page(color_scheme=scheme)
    page.goto(live.sink.url)
    expect(page.locator("#about")).not_to_be_empty()
    ratios = page.evaluate(
        """() => {
            const channels = (text) => text.match(/[\\d.]+/g).slice(0, 3).map((c) => c / 255);
            const light = (text) => channels(text)
                .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
                .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
            const contrast = (selector, ground) => {
                const [a, b] = [getComputedStyle(document.querySelector(selector)).color, ground].map(light);
                return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            };
            const ground = (selector) => getComputedStyle(document.querySelector(selector)).backgroundColor;
            const connection = document.getElementById("connection");
            const states = ["live", "stale", "past", "waiting"].map((state) => {
                connection.dataset.state = state;
                return contrast("#connection", ground("header"));
            });
            return [
                ...["h1", "#person h2", "#posture", ".tiles dt", "#about"].map((s) => contrast(s, ground("#person"))),
                ...["#scale", ".key.right", ".key.left"].map((one) => contrast(one, ground("body"))),
                contrast("button.main", ground("button.main")),
                ...states,
            ];
        }"""
    )
    assert min(ratios) >= 4.5


def test_a_phone_shows_everything_in_one_column(new_page: "Callable[..., Page]", live: Live, mat: LiveMat) -> None:
    page = new_page(viewport={"width": 375, "height": 812}, has_touch=True)
    page.goto(live.sink.url)
    page.locator("#upright-yes").click()
    live.show([pose_of(mat)])
    is_live(page)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 375
    box = page.locator("#map").bounding_box()
    assert box is not None
    assert box["width"] > 200
    assert box["y"] + box["height"] < 812
    for button in ("#pause", "#tare", "#record"):
        size = page.locator(button).bounding_box()
        assert size is not None
        assert size["height"] >= 36
    page.locator("#tare").tap()
    assert live.answered(Reply(True, "tared")).action == "tare"


def test_every_control_is_reached_by_tab_in_order_and_has_a_name(page: "Page") -> None:
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "() => { const e = document.activeElement; return e === document.body ? null :"
            " [e.id || e.tagName, (e.ariaLabel || e.textContent).trim()] }"
        )
        if focused is None:
            break
        reached.append(focused)
    assert all(name for _, name in reached)
    order = [control for control, _ in reached]
    wanted = ["coarser", "finer", "pause", "scrub", "smooth", "skeleton", "tare", "record", "SUMMARY", "SUMMARY"]
    assert [control for control in order if control in wanted] == wanted
    page.locator("#machine summary").press("Enter")
    expect(page.locator(".keys")).to_contain_text("one frame back, on")


def test_the_posture_is_spoken_only_when_it_changes(page: "Page", live: Live, mat: LiveMat) -> None:
    posture = page.locator("#posture")
    assert (posture.get_attribute("role"), posture.get_attribute("aria-live")) == ("status", "polite")
    item = pose_of(mat)

    def show(seq: int, lies: str) -> None:
        reach(page, live, Item(item.line.model_copy(update={"seq": seq, "posture": lies}), item.picture))

    show(0, "right")
    expect(posture).to_have_text("right")
    page.evaluate(
        "() => { window.spoken = 0; new MutationObserver(() => window.spoken++)"
        ".observe(document.getElementById('posture'), { childList: true, characterData: true, subtree: true }) }"
    )
    for seq in range(20):
        show(seq, "right" if seq < 10 else "left")
        page.wait_for_timeout(40)
    expect(posture).to_have_text("left")
    assert page.evaluate("() => window.spoken") == 1


def test_the_skeleton_moves_smoothly_to_where_it_belongs(
    new_page: "Callable[..., Page]", page: "Page", live: Live, mat: LiveMat
) -> None:
    eased = looking(new_page(), live)
    live.show([mat.lying()[-1]])
    items = [pose_of(mat) for _ in range(40)]
    reach(page, live, items[-1])
    eased.wait_for_timeout(100)
    eased.evaluate(
        "() => { window.seen = new Set(); const look = () => {"
        " window.seen.add(document.getElementById('map').toDataURL()); requestAnimationFrame(look) }; look() }"
    )
    reach(eased, live, items[0])
    eased.wait_for_timeout(1000)
    assert eased.evaluate("() => window.seen.size") > 5
    assert (drawn(eased) == drawn(page)).all()


def test_who_wants_no_motion_sees_each_frame_at_once(page: "Page", live: Live, mat: LiveMat) -> None:
    for _ in range(3):
        reach(page, live, pose_of(mat))
    at_once = drawn(page)
    page.wait_for_timeout(300)
    assert (drawn(page) == at_once).all()
    assert page.evaluate("() => getComputedStyle(document.querySelector('#connection i')).animationName") == "none"


def test_whoever_lay_there_before_a_restart_is_not_shown_as_live(page: "Page", live: Live) -> None:
    """The daemon is there again, the mat is not: nobody knows who lies there."""
    expect(page.locator("#posture")).not_to_have_text("…")
    live.sink.close()
    expect(page.locator("#connection")).to_have_attribute("data-state", "waiting")
    with Live(settings=HttpSettings(port=live.sink.port)) as restarted:
        expect(page.locator("#notice")).to_have_text("no frame since edge-run started", timeout=30_000)
        expect(page.locator("#connection")).to_have_text("waiting for frames")
        again = LiveMat()
        restarted.show([*again.meet(), pose_of(again)])
        is_live(page)


def test_a_mat_that_a_restarted_daemon_no_longer_has_is_gone(page: "Page", live: Live) -> None:
    """It was renamed in the configuration."""
    live.sink.close()
    expect(page.locator("#connection")).to_have_attribute("data-state", "waiting")
    couch = LiveMat("couch")
    with Live("couch", settings=HttpSettings(port=live.sink.port)) as restarted:
        restarted.show([*couch.meet(), pose_of(couch)])
        expect(page.locator("#tare")).to_be_visible(timeout=30_000)
        is_live(page)
        expect(page.locator("#mats button")).to_have_count(0)
        page.locator("#tare").click()
        assert restarted.answered(Reply(True, "tared")).mat == "couch"


def test_nothing_of_one_mat_stands_beside_another_that_sends_nothing(new_page: "Callable[..., Page]") -> None:
    bed = LiveMat("bed")
    with Live("bed", "couch") as live:
        live.show([*bed.meet(), *bed.lying()])
        page = new_page()
        page.goto(live.sink.url)
        live.show([pose_of(bed)])
        is_live(page)
        expect(page.locator("#posture")).not_to_have_text("…")
        expect(page.locator("#latency tbody tr")).not_to_have_count(0)
        page.keyboard.press("2")
        expect(page.locator("#connection")).to_have_text("waiting for frames")
        expect(page.locator("#posture")).to_have_text("…")
        for figure in ("area", "peak", "centre", "sureness"):
            expect(page.locator(f"#{figure}")).to_have_text("–")
        expect(page.locator("#about")).to_be_empty()
        expect(page.locator("#latency tbody tr")).to_have_count(0)


def test_the_scale_says_the_unit_also_where_its_figure_stays(page: "Page", live: Live, mat: LiveMat) -> None:
    """Down to 10 counts by hand; weighed, the scale begins at 10 kPa."""
    for _ in range(12):
        if page.locator("#full").inner_text() == "≥ 10 counts":
            break
        page.keyboard.press("-")
    expect(page.locator("#full")).to_have_text("≥ 10 counts")
    live.show([*mat.session.use(weighed(), mat._now), pose_of(mat)])
    expect(page.locator("#peak")).to_contain_text("kPa")
    expect(page.locator("#full")).to_have_text("≥ 10 kPa")


def test_a_recording_that_the_disk_holds_up_can_be_stopped(page: "Page", live: Live, mat: LiveMat) -> None:
    """It would go on by itself once there is room."""
    held_up = RecordingStopped(Path("/recordings"), "the disk has little more than 500 MB free", waits=True)
    live.show(mat.session.record(held_up, mat._now))
    expect(page.locator("#record")).to_have_text("Stop recording")
    page.locator("#record").click()
    assert live.answered(Reply(True, "recording has stopped")).action == "stop_recording"
    live.show(mat.session.given_up(mat._now))
    expect(page.locator("#record")).to_have_text("Record")


def test_escape_leads_to_no_page_without_a_way_on(new_page: "Callable[..., Page]") -> None:
    """The browser closes a dialog at the second Escape whatever its page says."""
    mat = LiveMat()
    with Live(settings=HttpSettings(port=0, token=TOKEN)) as live:
        live.show([*mat.meet(), *mat.lying()])
        page = new_page()
        page.goto(live.sink.url)
        expect(page.locator("#ask")).to_be_visible()
        for _ in range(3):
            page.keyboard.press("Escape")
        expect(page.locator("#ask")).to_be_visible()
        page.locator("#token").fill(TOKEN)
        page.keyboard.press("Enter")
        expect(page.locator("#ask")).to_be_hidden()
        expect(page.locator("#about")).not_to_be_empty()


def test_a_token_in_the_address_may_hold_any_character(new_page: "Callable[..., Page]") -> None:
    """As `openssl rand -base64 24` writes it."""
    mat, token = LiveMat(), "q+/Zk1+mJ0w5e==AbC+dEf%41"
    with Live(settings=HttpSettings(port=0, token=token.removesuffix("%41"))) as live:
        live.show([*mat.meet(), *mat.lying()])
        page = new_page()
        page.goto(f"{live.sink.url}#token={live.settings.token}")
        expect(page.locator("#about")).to_contain_text("64 × 32 taxels")
        expect(page.locator("#ask")).to_be_hidden()


@pytest.mark.parametrize("size", [(1024, 768), (812, 375)])
def test_a_tablet_and_a_phone_held_sideways_show_all_figures(
    new_page: "Callable[..., Page]", live: Live, mat: LiveMat, size: tuple[int, int]
) -> None:
    """In the page, not in a strip of it that has to be scrolled by itself; the map can be seen whole."""
    page = new_page(viewport={"width": size[0], "height": size[1]})
    page.goto(live.sink.url)
    page.locator("#upright-yes").click()
    live.show([pose_of(mat)])
    is_live(page)
    shown, all_of_it = page.evaluate("() => [machine.clientHeight, machine.scrollHeight]")
    assert shown >= all_of_it
    assert page.evaluate("() => document.documentElement.scrollWidth") <= size[0]
    box = page.locator("#map").bounding_box()
    assert box is not None
    assert 150 < box["height"] < size[1]


def test_what_is_remembered_of_a_mat_that_is_not_looked_at_is_bounded(page: "Page") -> None:
    kept = page.evaluate(
        "async () => { const { Speed } = await import('/figures.js'); const speed = new Speed();"
        " const real = performance.now; let now = 0; performance.now = () => now;"
        " for (; now < 3.6e6; now += 100) speed.add({ pose: { latency_ms: 1 }, picture: null });"
        " performance.now = real; return [speed.arrivals_s.length, speed.latencies.length] }"
    )
    assert kept == [50, 300]


@contextmanager
def wire(port: int) -> "Iterator[tuple[int, threading.Event]]":
    """A port that leads to `port`, and what cuts the wire: nothing goes through any more, and nobody is told."""
    cut, ends = threading.Event(), list[socket.socket]()

    def carry(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if cut.is_set():
                    return
                target.sendall(data)

    def accept() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", port))
                ends.extend((near, far))
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=carry, args=pair, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield listener.getsockname()[1], cut
        for one in (listener, *ends):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        accepting.join()
    for one in ends:
        one.close()


def test_a_wire_that_is_cut_is_told_after_half_a_minute(
    new_page: "Callable[..., Page]", live: Live, mat: LiveMat
) -> None:
    """The page waits for no answer to its goodbye: Chromium does, for a minute in which it would look live."""
    with wire(live.sink.port) as (port, cut):
        page = new_page()
        page.clock.install()
        page.goto(f"http://127.0.0.1:{port}/")
        live.show([pose_of(mat)])
        is_live(page)
        cut.set()
        page.clock.fast_forward(26_000)
        expect(page.locator("#notice")).to_contain_text("trying again", timeout=10_000)
        expect(page.locator("#connection")).not_to_have_attribute("data-state", "live")
