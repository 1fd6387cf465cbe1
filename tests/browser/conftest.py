"""Browser tests need Chromium and playwright; without them they are skipped, and in CI an error.

Install: `apt-get install chromium-headless-shell` (or `chromium`) and `pip install playwright==1.64.1` (never
`playwright install`: the distribution's browser is driven, so that no second one is downloaded).
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from needed import missing  # after the path, so that it works from any directory
from server import Server, free_port, proxy
from visitors import SECONDS, People

CHROMIUM = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")

FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--mute-audio",
    "--hide-scrollbars",
    # Pages of one person share a process: to start one costs as much as to load a page.
    "--renderer-process-limit=1",
]

FIREFOX = {
    # A mouse, which a machine without a screen lacks: it is exact (2), and it hovers (4).
    "ui.primaryPointerCapabilities": 6,
    "ui.allPointerCapabilities": 6,
    # Pages share a process, and none is started in advance.
    "fission.autostart": False,
    "dom.ipc.processCount": 1,
    "dom.ipc.processPrelaunch.enabled": False,
}


@pytest.fixture(scope="session")
def driver() -> Iterator[Any]:
    """What drives browsers; one for all, since a thread can have only one."""
    try:
        from playwright.sync_api import expect, sync_playwright
    except ImportError:
        missing("playwright")
    expect.set_options(timeout=SECONDS * 1000)  # the usual 5 s are short on a busy machine
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def chromium(driver: Any) -> Iterator[Any]:
    # The same engine without windows and menus first: a page takes 0.7 s of CPU in it, and 1.7 s in the whole browser.
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        missing("Chromium")
    browser = driver.chromium.launch(executable_path=path, args=FLAGS)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def firefox(driver: Any) -> Iterator[Any]:
    """Where it is installed: `apt-get install firefox-esr`."""
    path = shutil.which("firefox-esr")
    if path is None:
        pytest.skip("Firefox is not installed")
    from playwright.sync_api import Error

    # The distribution's own, over WebDriver BiDi: playwright's usual way needs a browser of its own build.
    try:
        browser = driver.firefox.launch(
            executable_path=path, channel="moz-firefox", firefox_user_prefs=FIREFOX, timeout=5 * SECONDS * 1000
        )
        browser.new_context().close()
    except Error as error:
        # Debian renews its Firefox, and a release of playwright drives a range of versions.
        pytest.skip(f"this playwright does not drive this Firefox: {error.message.splitlines()[0]}")
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def port() -> int:
    """Of the servers of all tests, one after the other: the browser loads modules and styles from it once."""
    return free_port()


@pytest.fixture
def server(tmp_path: Path, driver: Any, port: int) -> Iterator[Server]:
    """A fresh server on a fresh store for every test: shared history hides faults."""
    data = tmp_path / "data"
    data.mkdir()
    running = Server(data, port)
    running.start()
    yield running
    running.kill()


@pytest.fixture
def no_websockets(server: Server) -> Iterator[str]:
    with proxy(server.port) as url:
        yield url


@pytest.fixture(scope="session")
def everybody(chromium: Any) -> Iterator[People]:
    found = People(chromium)
    yield found
    found.close()


@pytest.fixture
def open_page(everybody: People, server: Server) -> Iterator[Callable[..., Any]]:
    """Opens a page as a person of its own. Nothing may break the content-security policy in it.

    With `clock`, the test says how time passes in it: `page.clock`. It hides what the browser tells of loading: where
    that is asked, the test installs the clock itself, in a `fresh` page.
    """
    violations: list[str] = []

    def opened(
        path: str = "/", *, base: str = "", live: bool = True, clock: bool = False, fresh: bool = False, **options: Any
    ) -> Any:
        page = everybody.page(server.url, fresh=fresh or clock or bool(base), **options)
        if clock:
            page.clock.install()
        page.on(
            "console", lambda message: "Content Security" in message.text and violations.append(message.text)
        )
        page.on("pageerror", lambda error: violations.append(str(error)))
        page.goto((base or server.url) + path)
        if live:
            page.wait_for_selector("#pill[data-state=live]")
        return page

    yield opened
    everybody.leave()
    assert violations == []
