"""The system's Chromium for tests of pages."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def missing() -> str | None:
    """What to install; for skipping where that may be."""
    if CHROMIUM is None:
        return "no Chromium: apt-get install chromium"
    try:
        import playwright.sync_api  # noqa: F401 - whether it is there
    except ModuleNotFoundError:
        return "no playwright: pip install playwright (it drives the Chromium of the system)"
    return None


@contextmanager
def chromium() -> "Iterator[Browser]":
    if reason := missing():
        pytest.fail(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()
