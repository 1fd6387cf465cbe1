"""How soon the chat page is seen and live over a slow line: `make bench-pages`, or `python -m bench.pages`.

A proxy in front of a new server holds every byte back for half of DELAY milliseconds in each direction, and the first
ones of a connection for one DELAY more, as its handshake would. "Live" is when the page says so, which it does when new
messages would be shown. The figures are medians of ROUNDS loads: cold with an empty cache; warm as a reader who comes
back later, over new connections; another room since the click on it, on which the pointer rested before, whether its
page is loaded or takes the place of this one. WATERFALL=1 prints what the quickest cold load waits for, and when.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import requests
from playwright.sync_api import Browser, Page, sync_playwright

from bench.__main__ import QUOTECHAT, free_port, running

DELAY = float(os.environ.get("DELAY", "150")) / 1000
ROUNDS = int(os.environ.get("ROUNDS", "5"))
MESSAGES = 50
ROOMS = ("tea", "team")
RESTS = 400  # milliseconds of the pointer on a link
CHROMIUM = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")

WATCH = """
  const looks = new MutationObserver(() => {
    if (document.querySelector("#pill")?.dataset.state !== "live") return;
    window.liveAt = performance.now();
    looks.disconnect();
  });
  looks.observe(document, { subtree: true, childList: true, attributeFilter: ["data-state"] });
"""
CLICKED = """() => addEventListener("click", () => {
  window.clickedAt = performance.now();
  sessionStorage.setItem("clicked", performance.timeOrigin + window.clickedAt);
  window.seenAt = window.liveAt = undefined;
  const { room } = document.getElementById("chat").dataset;
  const looks = new MutationObserver(() => {
    if (document.getElementById("chat").dataset.room === room) return;
    if (!window.seenAt) requestAnimationFrame(() => { window.seenAt = performance.now(); });
    if (document.getElementById("pill").dataset.state !== "live") return;
    window.liveAt = performance.now();
    looks.disconnect();
  });
  looks.observe(document, { subtree: true, childList: true, attributeFilter: ["data-state"] });
}, { once: true, capture: true })"""
SINCE_CLICK = "() => performance.timeOrigin - Number(sessionStorage.getItem('clicked'))"
FOUND = """() => ({
  live: window.liveAt,
  since: window.clickedAt ?? 0,
  painted: window.seenAt ?? performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0,
  files: [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")].map((each) => ({
    name: new URL(each.name).pathname.replace(/.*[/]v-[0-9a-f]+[/]/, ""),
    asked: each.startTime, sent: each.requestStart, first: each.responseStart, last: each.responseEnd,
    bytes: each.transferSize,
  })),
})"""


class SlowLine:
    """Pass bytes between a browser and the server, each of them later."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = free_port()
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()

    @contextmanager
    def running(self) -> Iterator[str]:
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{self.port}"
        self._loop.call_soon_threadsafe(self._loop.stop)
        thread.join()

    def cut(self) -> None:
        """Close all connections, as time would."""
        self._loop.call_soon_threadsafe(lambda: [writer.transport.abort() for writer in self._open])

    def _run(self) -> None:
        self._loop.run_until_complete(asyncio.start_server(self._join, "127.0.0.1", self.port))
        self._loop.run_forever()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, asks = await asyncio.open_connection("127.0.0.1", self.target)
        self._open |= {writer, asks}
        await asyncio.gather(self._pass(reader, asks, DELAY), self._pass(answers, writer, 0), return_exceptions=True)
        self._open -= {writer, asks}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handshake: float) -> None:
        while data := await reader.read(65536):
            self._loop.call_later(DELAY / 2 + handshake, writer.write, data)
            handshake = 0
        self._loop.call_later(DELAY / 2, writer.close)


def filled(port: int) -> None:
    """Give the lobby and the other rooms their messages."""
    api = f"http://127.0.0.1:{port}/api/v1/rooms"
    for room in ("lobby", *ROOMS):
        requests.post(api, json={"name": room}, timeout=10)
        for number in range(MESSAGES):
            text = f"Message **{number}**, which fills a line of the log."
            body = {"user": ("Ada", "Bo", "Cy")[number % 3], "message": text}
            requests.post(f"{api}/{room}/messages", json=body, timeout=10).raise_for_status()


def load(page: Page, url: str) -> dict[str, Any]:
    """Open the page; return when it was live, when it was painted, and what it asked for until then."""
    page.goto(url, wait_until="commit")
    return watched(page)


def watched(page: Page) -> dict[str, Any]:
    page.wait_for_selector("#pill[data-state=live]", timeout=60_000)
    found: dict[str, Any] = page.evaluate(FOUND)
    found["files"] = [file for file in found["files"] if found["since"] <= file["asked"] < found["live"]]
    return found


def measured(browser: Browser, line: SlowLine, url: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Load the page cold and then warm, again and again."""
    for _ in range(ROUNDS):
        context = browser.new_context()
        context.add_init_script(WATCH)
        page = context.new_page()
        cold = load(page, url)
        page.wait_for_timeout(1_500)  # what follows the page later is kept too
        page.close()
        line.cut()
        page = context.new_page()
        yield cold, load(page, url)
        context.close()


def changed(browser: Browser, url: str) -> Iterator[dict[str, Any]]:
    """Go from room to room by the column; times are those since the click."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.add_init_script(WATCH)
    page = context.new_page()
    load(page, f"{url}/rooms/{ROOMS[-1]}")
    for number in range(ROUNDS):
        page.wait_for_timeout(1_500)
        page.evaluate(CLICKED)
        room = ROOMS[number % len(ROOMS)]
        link = page.locator(f"#room-list [data-room={room}] a")
        link.hover()
        page.wait_for_timeout(RESTS)
        link.click()
        page.wait_for_url(f"**/rooms/{room}")
        found = watched(page)
        since = page.evaluate(SINCE_CLICK)
        yield {**found, "live": found["live"] + since, "painted": found["painted"] + since}
    context.close()


def waterfall(found: dict[str, Any]) -> None:
    print("\n  asked   sent  first   last  bytes")
    for file in sorted(found["files"], key=lambda file: file["asked"]):
        times = " ".join(f"{file[key]:6.0f}" for key in ("asked", "sent", "first", "last"))
        print(f" {times} {file['bytes']:6.0f}  {file['name']}")
    print(f" live at {found['live']:.0f} ms")


def row(what: str, loads: list[dict[str, Any]]) -> None:
    def median(value: Callable[[dict[str, Any]], float]) -> float:
        return statistics.median(map(value, loads))

    live, painted = median(lambda found: found["live"]), median(lambda found: found["painted"])
    asked = median(lambda found: sum(file["bytes"] > 0 for file in found["files"]))
    size = median(lambda found: sum(file["bytes"] for file in found["files"]))
    fastest, slowest = (choose(found["live"] for found in loads) / 1000 for choose in (min, max))
    cells = [f"{painted / 1000:.2f}", f"{live / 1000:.2f}", f"{fastest:.2f} to {slowest:.2f}"]
    print("|", " | ".join([what, *cells, f"{asked:.0f}", f"{size / 1000:.1f}"]), "|")


def main(path: str = "/") -> None:
    executable = next(filter(None, map(shutil.which, CHROMIUM)))
    with running(QUOTECHAT) as server, sync_playwright() as playwright:
        filled(server.port)
        line = SlowLine(server.port)
        with line.running() as url:
            browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
            loads = list(measured(browser, line, url + path))
            changes = list(changed(browser, url))
            browser.close()
    print(f"{path}, {DELAY * 1000:.0f} ms of delay, {ROUNDS} loads each, load average {os.getloadavg()[0]:.1f}")
    print("| | first message seen, s | live, s | all of them | requests until live | kB sent until live |")
    print("|---|--:|--:|--:|--:|--:|")
    row("cold", [cold for cold, _ in loads])
    row("warm", [warm for _, warm in loads])
    row("another room", changes)
    if os.environ.get("WATERFALL"):
        waterfall(min((cold for cold, _ in loads), key=lambda found: float(found["live"])))


if __name__ == "__main__":
    main(*sys.argv[1:])
