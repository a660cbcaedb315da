"""The live view's page in Chromium, and what is drawn on it."""

import io
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np
from live_items import GRID
from PIL import Image

from firmware_bridge.skeleton import JOINTS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LEFT_ON_RIGHT = {"r_": "--right", "l_": "--left"}


@contextmanager
def pages(browser: "Browser") -> "Iterator[Callable[..., Page]]":
    """Makes pages of a new browser profile each; whatever goes wrong in their scripts fails the test."""
    contexts, wrong = [], list[str]()

    def make(**how: Any) -> "Page":
        context = browser.new_context(**({"viewport": {"width": 1440, "height": 900}} | how))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if "Content Security" in message.text else None)
        return page

    yield make
    for context in contexts:
        context.close()
    assert wrong == []


@contextmanager
def hostile() -> Iterator[int]:
    """The port of somebody else's page on this machine."""
    with HTTPServer(("127.0.0.1", 0), _HostilePage) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


class _HostilePage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>evil</title><p>evil")

    def log_message(self, format: str, *args: object) -> None:
        pass


def is_live(page: "Page") -> None:
    page.locator("#connection[data-state=live]").wait_for()


def drawn(page: "Page") -> np.ndarray:
    """(height, width, 3) pixels of the canvas, once what was asked for is drawn (easing aside)."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    url = page.evaluate("() => document.getElementById('map').toDataURL()")
    picture = Image.open(io.BytesIO(b64decode(url.partition(",")[2])))
    return np.asarray(picture.convert("RGB")).astype(float)


def at(pixels: np.ndarray, xy_cm: np.ndarray) -> np.ndarray:
    """(N, 3) colours at (N, 2) places on the mat."""
    height, width, _ = pixels.shape
    place = (xy_cm / [GRID.width_cm, GRID.height_cm] * [width, height]).astype(int)
    return pixels[np.clip(place[:, 1], 0, height - 1), np.clip(place[:, 0], 0, width - 1)]


def colour(page: "Page", name: str) -> np.ndarray:
    text = page.evaluate("(name) => getComputedStyle(document.getElementById('map')).getPropertyValue(name)", name)
    return np.array([float(c) for c in text.removeprefix("rgb(").removesuffix(")").split(",")])


def joints_are_drawn_at(page: "Page", joints: np.ndarray) -> None:
    """Each in its side's colour, blended by its confidence with the map or a bone of any strength, and nowhere else."""
    with_skeleton = drawn(page)
    page.keyboard.press("s")
    without = drawn(page)
    page.keyboard.press("s")
    inside = (joints[:, :2] > 1).all(1) & (joints[:, :2] < [GRID.width_cm - 1, GRID.height_cm - 1]).all(1)
    assert inside.sum() >= 10
    for name, (x_cm, y_cm, confidence) in zip(np.array(JOINTS)[inside], joints[inside], strict=True):
        apart = np.hypot(*(joints[:, :2] - [x_cm, y_cm]).T)
        if np.sort(apart)[1] < 4:  # covered by another
            continue
        place = np.array([[x_cm, y_cm]])
        alpha = 0.4 + 0.6 * confidence
        side = colour(page, LEFT_ON_RIGHT.get(name[:2], "--middle"))
        shown, below = at(with_skeleton, place)[0], at(without, place)[0]
        bones = (side, colour(page, "--halo"), colour(page, "--middle"))
        beneath = [below + share * (bone - below) for bone in bones for share in np.linspace(0, 1, 11)]
        off = min(np.abs(shown - (alpha * side + (1 - alpha) * under)).max() for under in beneath)
        assert off < 40, (name, shown, side)
        assert np.abs(shown - below).max() > 40, name
    ys, xs = np.nonzero((with_skeleton != without).any(2))
    height, width, _ = without.shape
    far = np.array([xs, ys]).T / [width, height] * [GRID.width_cm, GRID.height_cm]
    low, high = joints[:, :2].min(0) - 5, joints[:, :2].max(0) + 5
    assert (far >= low).all()
    assert (far <= high).all()
