"""Whether a page with MESSAGES messages still types and scrolls: `make bench-frames`, or `python -m bench.frames`.

The reader has gone up a little, so that what comes stays on the page: new messages come until so many are loaded.
Then somebody types for SECONDS, a key each 50 ms, and scrolls as long, as a wheel does. Told are frames a second and
the longest pauses between two frames, and the processor time of the page's main thread for each frame, which other
load leaves as it is: below 16 ms 60 frames a second are possible. Of typing also how long a key took until it was
painted (browsers tell of those that took 16 ms and more).
"""

from __future__ import annotations

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from playwright.sync_api import CDPSession, Page, sync_playwright

from bench.__main__ import LOBBY, QUOTECHAT, running
from bench.pages import CHROMIUM

MESSAGES = int(os.environ.get("MESSAGES", "5000"))
SECONDS = float(os.environ.get("SECONDS", "6"))
WORDS = "word **{}** of many, so many that it fills a line and `more`"

RECORD = """() => {
  const record = (window.recorded = { frames: [], keys: [] });
  let last = performance.now();
  const frame = (now) => { record.frames.push(now - last); last = now; requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
  new PerformanceObserver((list) => {
    for (const { name, duration } of list.getEntries()) if (name === "keydown") record.keys.push(duration);
  }).observe({ type: "event", durationThreshold: 16 });
}"""


def fill(port: int, count: int) -> None:
    """Send so many messages, sixteen at a time, so that they share commits."""

    def send(share: range) -> None:
        with requests.Session() as session:
            for number in share:
                body = {"user": ("Ada", "Bo", "Cy")[number % 3], "message": WORDS.format(number)}
                session.post(f"http://127.0.0.1:{port}{LOBBY}/messages", json=body, timeout=60).raise_for_status()

    with ThreadPoolExecutor(16) as senders:
        list(senders.map(send, [range(start, count, 16) for start in range(16)]))


def loaded(page: Page, port: int) -> None:
    """Bring all messages onto the page."""
    page.eval_on_selector("#scroller", "(element) => { element.scrollTop = element.scrollHeight / 2; }")
    fill(port, MESSAGES)
    page.locator(f"#m{MESSAGES + 60}").wait_for(timeout=120_000)


def worked(session: CDPSession) -> float:
    """Return the processor time of the main thread so far, in seconds."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))


def recorded(page: Page, what: str, took: float, work: float) -> str:
    """Return a row of the table, and begin anew."""
    found: dict[str, Any] = page.evaluate("() => structuredClone(window.recorded)")
    page.evaluate("() => { window.recorded.frames.length = window.recorded.keys.length = 0; }")
    frames, keys = sorted(found["frames"]), sorted(found["keys"])
    p95 = frames[int(0.95 * (len(frames) - 1))]
    slow = f"{keys[-1]:.0f}" if keys else "under 16"
    key = slow if what == "typing" else "–"
    cpu = 1000 * work / len(frames)
    return f"| {what} | {len(frames) / took:.0f} | {p95:.0f} | {frames[-1]:.0f} | {cpu:.1f} | {key} |"


def typing(page: Page) -> float:
    page.focus("#composer [name=message]")
    began = time.monotonic()
    while time.monotonic() - began < SECONDS:
        page.keyboard.press("a")
        page.wait_for_timeout(50)
    return time.monotonic() - began


def scrolling(page: Page) -> float:
    page.mouse.move(600, 300)
    began = time.monotonic()
    for step in range(10**6):
        if time.monotonic() - began >= SECONDS:
            break
        # Down and up again, through messages that were not in view before.
        page.mouse.wheel(0, 400 if step % 100 < 70 else -400)
        page.wait_for_timeout(16)
    return time.monotonic() - began


def main() -> None:
    executable = next(filter(None, map(shutil.which, CHROMIUM)))
    with running(QUOTECHAT) as server, sync_playwright() as playwright:
        fill(server.port, 60)
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"http://127.0.0.1:{server.port}/")
        page.wait_for_selector("#pill[data-state=live]")
        loaded(page, server.port)
        count = page.locator("#log article").count()
        page.evaluate(RECORD)
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        rows = []
        for what, do in (("nothing", lambda page: page.wait_for_timeout(SECONDS * 1000)), ("typing", typing),
                         ("scrolling", scrolling)):  # fmt: skip
            before = worked(session)
            took = do(page) or SECONDS
            rows.append(recorded(page, what, took, worked(session) - before))
        browser.close()
    print(f"{count:,} messages on the page, load average {os.getloadavg()[0]:.1f}")
    print("| | frames a second | p95 between frames, ms | longest, ms | CPU a frame, ms | slowest key, ms |")
    print("|---|--:|--:|--:|--:|--:|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
