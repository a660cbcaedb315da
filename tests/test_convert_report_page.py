"""The page of convert-check in a real Chromium: its pictures load, and the network is left alone."""

import os
from pathlib import Path

import pytest
from browser import chromium, missing
from examined import examined, maps_of, with_frames

from convert.document import page
from convert.report import Report
from convert.sections import pictures, sections, title

if (reason := missing()) and not os.environ.get("CI"):
    pytest.skip(reason, allow_module_level=True)


def test_the_pictures_load_and_nothing_else_is_asked_for(tmp_path: Path) -> None:
    maps = maps_of(5)
    report = Report([with_frames(examined(maps, 1.0, 1.05), maps, 1.0, 1.05)], 0.1, 2.0)
    first, *rest = sections(report)
    file = tmp_path / "check.html"
    file.write_text(page(title(report), [first, pictures(report), *rest]))
    asked: list[str] = []
    wrong: list[str] = []
    with chromium() as browser:
        shown = browser.new_page(viewport={"width": 1000, "height": 800})
        shown.on("request", lambda request: asked.append(request.url))
        shown.on("console", lambda message: wrong.append(message.text))
        shown.on("pageerror", lambda error: wrong.append(str(error)))
        shown.goto(file.as_uri(), wait_until="networkidle")
        widths = shown.eval_on_selector_all("img", "all => all.map(i => i.complete ? i.naturalWidth : 0)")
        boxes = [image.bounding_box() for image in shown.locator("img").all()]
        verdict = shown.locator("p.good").first.inner_text()
        tables = shown.locator("table").count()
        scrolls = shown.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    assert len(widths) == 2
    assert min(widths) > 300
    assert all(box is not None and box["width"] > 200 and box["height"] > 100 for box in boxes)
    assert (verdict, tables) == ("passed", 10)
    assert not scrolls
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
    assert wrong == []
