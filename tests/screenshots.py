"""Draws docs/live-view-*.png: the live view in Chromium, of a simulated person. Run: python tests/screenshots.py"""

import time
from typing import Final

from browser import chromium
from conftest import REPOSITORY
from live_items import Live, LiveMat

SHOTS: Final = (("light", "light", 1440, 900), ("dark", "dark", 1440, 900), ("phone", "dark", 375, 812))
SEED: Final = 4
RATE_HZ: Final = 10
SECONDS_BEFORE: Final = 25
SECONDS_SHOWN: Final = 4

with chromium() as browser:
    for name, scheme, width, height in SHOTS:
        mat = LiveMat(seed=SEED, rate_hz=RATE_HZ)
        with Live() as live:
            live.show(mat.meet())
            live.show(item for _ in range(SECONDS_BEFORE * RATE_HZ) for item in mat.frame())
            page = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=scheme,
                device_scale_factor=2 if width < 400 else 1,
            ).new_page()
            page.goto(live.sink.url)
            page.locator("#upright-yes").click()
            page.evaluate("() => document.activeElement.blur()")
            for _ in range(SECONDS_SHOWN * RATE_HZ):
                live.show(mat.frame())
                time.sleep(1 / RATE_HZ)
            time.sleep(1)  # until easing has ended
            page.screenshot(path=REPOSITORY / "docs" / f"live-view-{name}.png")
