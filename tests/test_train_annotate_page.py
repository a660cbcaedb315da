"""The page in a real Chromium, driven by keyboard and mouse; what counts is what stands in the file."""

import importlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotate_server import Running, simulated_night
from browser import chromium, missing

from edge.model import DEFAULT_MODEL, KeypointModel
from edge.pipeline import Pipeline
from firmware_bridge.decoder import Frame
from firmware_bridge.messages import Info
from firmware_bridge.recording import read_recording
from firmware_bridge.skeleton import JOINTS, MIRRORED
from train.annotations import Annotations, Points

if (reason := missing()) and not os.environ.get("CI"):
    pytest.skip(reason, allow_module_level=True)
playwright = importlib.import_module("playwright.sync_api")
Browser, Locator, Page, expect = playwright.Browser, playwright.Locator, playwright.Page, playwright.expect

LEFT_KNEE = JOINTS.index("l_knee")


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulated_night(tmp_path_factory.mktemp("night"))


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "joints.json"


@pytest.fixture
def server(night: Path, out: Path) -> Iterator[Running]:
    with Running(night, "--out", out, "--count", 3) as running:
        yield running


@pytest.fixture
def page(browser: "Browser", server: Running) -> Iterator["Page"]:
    """The page, loaded; whatever goes wrong in its scripts fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(20_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if "Content Security" in message.text else None)
    load(page, server)
    yield page
    context.close()
    assert wrong == []


def load(page: "Page", server: Running) -> None:
    page.goto(server.url)
    page.wait_for_selector("body[data-ready]")


def press(page: "Page", keys: str) -> None:
    for key in keys.split():
        page.keyboard.press(key)


def dot(page: "Page", joint: str) -> "Locator":
    return page.locator(f"[data-joint={joint}] .dot")


def shown(page: "Page") -> np.ndarray:
    """(14, 2): where the joints are on the screen, in taxels of the map's picture."""
    frame = page.locator("#pressure").bounding_box()
    boxes = [dot(page, joint).bounding_box() for joint in JOINTS]
    assert frame is not None
    centres = np.array([[b["x"] + b["width"] / 2, b["y"] + b["height"] / 2] for b in boxes if b])
    return (centres - [frame["x"], frame["y"]]) / [frame["width"], frame["height"]] * [32, 64]


def saved(page: "Page", out: Path) -> Annotations:
    """The file, once the page says that every change is in it."""
    expect(page.locator("#saved")).to_have_class("good")
    return Annotations.load(out)


def only(maps: dict[str, Points]) -> Points:
    (points,) = maps.values()
    return points


def guesses(server: Running) -> list[Any]:
    return [[tuple(p) for p in m["guess"]] for m in server.session()["maps"]]


def pixels_of(page: "Page", x: float, y: float) -> tuple[float, float]:
    """Where on the screen (x, y) in taxels of the map is."""
    frame = page.locator("#pressure").bounding_box()
    assert frame is not None
    return frame["x"] + x / 32 * frame["width"], frame["y"] + y / 64 * frame["height"]


def drag(page: "Page", joint: str, x: float, y: float) -> None:
    box = dot(page, joint).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(*pixels_of(page, (x + 16) / 2, y - 1), steps=3)
    page.mouse.move(*pixels_of(page, x, y), steps=3)
    page.mouse.up()


def test_the_daemons_joints_are_shown_where_they_are_on_the_map(page: "Page", night: Path) -> None:
    """Against edge's own pipeline on the frame that the page names, not against what the page was told."""
    seq = int(page.locator("#name").inner_text().partition("/")[2])
    events = [recorded.event for recorded in read_recording(night)]
    (info,) = [e for e in events if isinstance(e, Info)]
    (frame,) = [e for e in events if isinstance(e, Frame) and e.seq == seq]
    joints = Pipeline(KeypointModel.from_files(DEFAULT_MODEL), info).step(frame).joints
    assert joints is not None
    np.testing.assert_allclose(shown(page), np.clip(joints[:, :2] / 2.54, 0, [32, 64]), atol=0.1)


def test_the_map_has_its_true_shape_and_shows_pressure_where_it_is(page: "Page", night: Path) -> None:
    frame = page.locator("#pressure").bounding_box()
    assert frame is not None
    assert frame["height"] / frame["width"] == pytest.approx(2, rel=0.01)
    seq = int(page.locator("#name").inner_text().partition("/")[2])
    (counts,) = [r.event.counts for r in read_recording(night) if isinstance(r.event, Frame) and r.event.seq == seq]
    drawn = page.evaluate(
        "() => { const c = document.getElementById('pressure');"
        " return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].filter((_, i) => i % 4 === 1) }"
    )
    green = np.array(drawn).reshape(64, 32)
    order = np.argsort(counts, axis=None)
    assert (np.diff(green.ravel()[order]) >= 0).all()
    assert green.max() > 200 > 40 > green.min()


def test_left_and_right_have_two_colours_and_every_joint_its_name(page: "Page") -> None:
    fills = {
        joint: dot(page, joint).evaluate("e => getComputedStyle(e).getPropertyValue('--c').trim()") for joint in JOINTS
    }
    by_side = {side: {fills[j] for j in JOINTS if j.startswith(side)} for side in ("r_", "l_")}
    assert all(len(colours) == 1 for colours in by_side.values())
    assert by_side["r_"] != by_side["l_"]
    labels = [page.locator(f"[data-joint={joint}] text").text_content() for joint in JOINTS]
    assert labels == [joint.replace("_", " ") for joint in JOINTS]


def test_a_dragged_joint_is_saved_where_it_was_dropped(page: "Page", server: Running, out: Path) -> None:
    drag(page, "l_knee", 25.3, 41.6)
    points = only(saved(page, out).drafts)
    np.testing.assert_allclose(points[LEFT_KNEE][:2], [25.3, 41.6], atol=0.2)
    np.testing.assert_allclose(shown(page)[LEFT_KNEE], [25.3, 41.6], atol=0.2)
    guess = guesses(server)[0]
    assert [p for i, p in enumerate(points) if i != LEFT_KNEE] == [p for i, p in enumerate(guess) if i != LEFT_KNEE]


def test_a_joint_dragged_off_the_mat_stays_at_its_edge(page: "Page", out: Path) -> None:
    drag(page, "l_knee", 40, 30)
    assert only(saved(page, out).drafts)[LEFT_KNEE][0] == 32


def test_a_click_puts_the_current_joint_there_and_with_shift_also_beside_another(page: "Page", out: Path) -> None:
    press(page, "p")
    assert page.locator(".joint.current").get_attribute("data-joint") == "head"
    page.mouse.click(*pixels_of(page, 2.5, 3.5))
    np.testing.assert_allclose(only(saved(page, out).drafts)[13][:2], [2.5, 3.5], atol=0.2)
    x, y = shown(page)[LEFT_KNEE]
    page.keyboard.down("Shift")
    page.mouse.click(*pixels_of(page, x, y))
    page.keyboard.up("Shift")
    np.testing.assert_allclose(only(saved(page, out).drafts)[13][:2], [x, y], atol=0.2)


def test_a_click_on_a_joint_takes_it_up_and_moves_nothing(page: "Page", out: Path) -> None:
    page.mouse.click(*pixels_of(page, *shown(page)[LEFT_KNEE]))
    assert page.locator(".joint.current").get_attribute("data-joint") == "l_knee"
    assert not out.exists()


def test_arrows_move_by_a_tenth_or_a_whole_taxel(page: "Page", server: Running, out: Path) -> None:
    press(page, "n n Tab Shift+Tab")
    press(page, "ArrowLeft ArrowUp Shift+ArrowRight Shift+ArrowUp Shift+ArrowUp")
    x, y, _ = guesses(server)[0][2]
    np.testing.assert_allclose(only(saved(page, out).drafts)[2][:2], [x + 0.9, y - 2.1], atol=0.011)


def test_undo_and_redo_go_many_steps_over_maps(page: "Page", server: Running, out: Path) -> None:
    guess = guesses(server)
    drag(page, "l_knee", 25, 41)
    press(page, "0 m Enter Shift+ArrowDown Shift+ArrowDown")
    state = saved(page, out)
    end = (state.frames, state.drafts)
    press(page, "u Backspace u Control+z u u u u")  # two more than there are
    state = saved(page, out)
    first, second = list(server.session()["maps"])[:2]
    assert state.frames == {}
    assert state.drafts == {first["name"]: guess[0], second["name"]: guess[1]}
    assert page.locator("[data-do=undo]").is_disabled()
    press(page, "Shift+U Control+Shift+Z Control+y Shift+u Shift+U Shift+U Shift+U")
    state = saved(page, out)
    assert (state.frames, state.drafts) == end
    press(page, "u")
    press(page, "1 2")  # one of them is new to the joint
    assert page.locator("[data-do=redo]").is_disabled()


def test_a_key_held_down_is_one_step(page: "Page", server: Running, out: Path) -> None:
    for _ in range(5):
        page.keyboard.down("ArrowRight")
    page.keyboard.up("ArrowRight")
    guess = guesses(server)[0]
    assert only(saved(page, out).drafts)[0][0] == pytest.approx(guess[0][0] + 0.5, abs=0.011)
    press(page, "u")
    assert only(saved(page, out).drafts) == guess


def test_visibility_is_set_by_its_figure(page: "Page", out: Path) -> None:
    press(page, "0 n 1 n 2")
    assert [v for *_, v in only(saved(page, out).drafts)[:3]] == [0, 1, 2]
    assert [page.locator(f"[data-index='{i}']").get_attribute("data-v") for i in range(3)] == ["0", "1", "2"]


def test_mirroring_swaps_the_sides_and_leaves_the_places(page: "Page", server: Running, out: Path) -> None:
    press(page, "m")
    guess = guesses(server)[0]
    assert only(saved(page, out).drafts) == [guess[i] for i in MIRRORED]
    press(page, "m")
    assert only(saved(page, out).drafts) == guess


def test_back_to_the_guess_can_be_undone_too(page: "Page", server: Running, out: Path) -> None:
    drag(page, "head", 3, 3)
    moved = only(saved(page, out).drafts)
    press(page, "r")
    assert only(saved(page, out).drafts) == guesses(server)[0]
    press(page, "u")
    assert only(saved(page, out).drafts) == moved


def test_buttons_do_the_same_as_keys(page: "Page", server: Running, out: Path) -> None:
    page.locator("#body button[title='left knee']").click()
    page.locator("#visibility button[data-v='0']").click()
    assert only(saved(page, out).drafts)[LEFT_KNEE][2] == 0
    press(page, "Shift+ArrowUp")  # the keys act on the map again
    page.locator("[data-do=undo]").click()
    page.locator("[data-do=accept]").click()
    assert only(saved(page, out).frames)[LEFT_KNEE][:2] == guesses(server)[0][LEFT_KNEE][:2]
    page.locator("#maps button").nth(2).click()
    assert page.locator("#name").inner_text() == server.session()["maps"][2]["name"]


def test_three_maps_are_labelled_by_keyboard_alone(page: "Page", server: Running, out: Path) -> None:
    wanted = []
    for number, guess in enumerate(guesses(server)):
        points = [list(p) for p in guess]
        for joint in range(len(JOINTS)):
            press(page, f"Shift+ArrowUp ArrowRight {(joint + number) % 3} Tab")
            x, y, _ = points[joint]
            points[joint] = [min(x + 0.1, 32), max(y - 1, 0), (joint + number) % 3]
        wanted.append(points)
        press(page, ["Enter", "Space", "Enter"][number])
    state = saved(page, out)
    names = [m["name"] for m in server.session()["maps"]]
    assert list(state.frames) == names
    assert state.drafts == {}
    for name, points in zip(names, wanted, strict=True):
        np.testing.assert_allclose(state.frames[name], points, atol=0.011)
    expect(page.locator("#finished")).to_be_visible()
    assert "3 maps in " in page.locator("#summary").inner_text()
    assert "train-run --recordings" in page.locator("#use").inner_text()
    press(page, "Enter")
    expect(page.locator("#finished")).to_be_hidden()
    assert page.locator("#done").inner_text() == "3"


def test_a_reload_keeps_labels_place_time_and_the_way_back(page: "Page", server: Running, out: Path) -> None:
    press(page, "Enter n n Shift+ArrowDown 0")
    before = saved(page, out)
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert page.locator("#done").inner_text() == "1"
    assert page.locator("#name").inner_text() == server.session()["maps"][1]["name"]
    np.testing.assert_allclose(shown(page), np.array(only(before.drafts))[:, :2], atol=0.1)
    press(page, "u u")
    assert only(saved(page, out).drafts) == guesses(server)[1]
    press(page, "u")
    assert saved(page, out).frames == {}


def test_a_kill_and_a_new_start_keep_everything_even_what_was_done_between(
    page: "Page", server: Running, night: Path, out: Path
) -> None:
    drag(page, "l_knee", 25, 41)
    press(page, "Enter m")
    before = saved(page, out)
    server.kill()
    assert Annotations.load(out) == before
    press(page, "0")
    expect(page.locator("#saved")).to_contain_text("not saved")
    expect(page.locator("#saved")).to_have_class("bad")
    with Running(night, "--out", out, "--count", 3, port=server.port) as again:
        after = saved(page, out)
        assert after.frames == before.frames
        assert only(after.drafts)[0][2] == 0
        load(page, again)
        assert page.locator("#done").inner_text() == "1"
        np.testing.assert_allclose(shown(page), np.array(only(after.drafts))[:, :2], atol=0.1)


def test_another_page_in_the_same_browser_can_neither_read_nor_write(page: "Page", server: Running, out: Path) -> None:
    """From a page of another origin; the requests are real ones of the browser."""
    first = server.session()["maps"][0]
    label = {"name": first["name"], "points": first["guess"], "accepted": True, "active_s": 1}
    assert server.ask("POST", "/label", label)[0] == 200  # it is a good one
    before = out.read_bytes()
    label["points"] = [[1, 1, 1]] * 14
    page.goto("data:text/html,<p>evil</p>")
    outcome = page.evaluate(
        """async ([url, body]) => {
            const seen = [];
            for (const [path, how] of [
                ["session.json", {}],
                ["label", { method: "POST", body }],
                ["label", { method: "POST", mode: "no-cors", body }],
            ]) {
                try { const r = await fetch(url + path, how); seen.push(r.type + r.status); }
                catch { seen.push("blocked"); }
            }
            return seen;
        }""",
        [server.url, json.dumps(label)],
    )
    assert outcome[:2] == ["blocked", "blocked"]
    assert set(outcome) <= {"blocked", "opaque0"}
    assert out.read_bytes() == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_in_dark(page: "Page", scheme: str) -> None:
    """WCAG's contrast of 4.5 for body text, quiet text and both sides' colours on their panels."""
    page.emulate_media(color_scheme=scheme)
    ratios = page.evaluate(
        """() => {
            const channels = (text) => text.match(/[\\d.]+/g).slice(0, 3).map((c) => c / 255);
            const light = (text) => channels(text)
                .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
                .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
            const ground = light(getComputedStyle(document.getElementById("right")).backgroundColor);
            const texts = ["h1", "header p", ".legend .right", ".legend .left", ".keys dd", "#now b", "#now span"];
            return texts.map((selector) => {
                const text = light(getComputedStyle(document.querySelector(selector)).color);
                return (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
            });
        }"""
    )
    assert min(ratios) >= 4.5


def test_a_page_left_open_does_not_overwrite_what_was_done_on_another(
    page: "Page", server: Running, night: Path, out: Path
) -> None:
    """train-annotate was started again, which opens a page of its own."""
    server.kill()
    with Running(night, "--out", out, "--count", 3, port=server.port) as again:
        other = page.context.new_page()
        load(other, again)
        press(other, "0 Shift+ArrowDown Enter")
        done = saved(other, out)
        press(page, "Enter")
        expect(page.locator("#saved")).to_contain_text("changed on another page")
        assert Annotations.load(out) == done
        page.once("dialog", lambda dialog: dialog.accept())
        load(page, again)
        assert page.locator("#done").inner_text() == "1"
        press(page, "[ Shift+ArrowUp")
        assert only(saved(page, out).frames)[0] != only(done.frames)[0]


def test_a_page_left_open_writes_nothing_into_another_file(page: "Page", server: Running, night: Path) -> None:
    server.kill()
    other = night.with_name("other.json")
    with Running(night, "--out", other, "--count", 3, port=server.port):
        press(page, "0")
        expect(page.locator("#saved")).to_contain_text("about another file than other.json")
        assert not other.exists()


def test_a_label_that_is_refused_keeps_no_other_from_the_disk(
    page: "Page", server: Running, night: Path, out: Path
) -> None:
    """Its map is not in the session that was started again."""
    server.kill()
    page.locator("#maps button").nth(2).click()
    press(page, "0")
    page.locator("#maps button").nth(0).click()
    press(page, "0 Enter")
    with Running(night, "--out", out, "--count", 2, port=server.port) as again:
        first = again.session()["maps"][0]["name"]
        page.wait_for_timeout(4000)
        expect(page.locator("#saved")).to_have_class("bad")
        expect(page.locator("#saved")).to_contain_text("not in this session")
        assert list(Annotations.load(out).frames) == [first]


def test_what_was_kept_without_an_answer_is_no_change_of_others(page: "Page", server: Running, out: Path) -> None:
    """The answer to a label got lost, and another one follows."""
    lost = []

    def lose(route: "Any") -> None:
        lost.append(route.fetch().status)
        route.abort()

    page.route("**/label", lose, times=1)
    press(page, "0")
    expect(page.locator("#saved")).to_have_class("bad")
    press(page, "n 0")
    points = only(saved(page, out).drafts)
    assert lost == [200]
    assert [points[0][2], points[1][2]] == [0, 0]
