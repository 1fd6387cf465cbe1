"""Makes the pictures of the documentation: `python tests/browser/screenshots.py [DIRECTORY]`.

Starts a server of its own on an empty store, lets a few people talk, and takes what Chromium shows.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from conftest import FLAGS
from playwright.sync_api import Browser, Page, sync_playwright
from server import ROOT, Server

TALK = [
    ("Ada", "teal", "Good morning! Who has seen the **analytical engine**?"),
    ("Grace", "purple", "In the server room. There was a *moth* in it."),
    ("Barbara", "pink", "The log is whole, though: `quotechat verify` says so."),
    ("Edsger", "brown", "Simplicity is prerequisite for reliability."),
    ("Linus", "blue", "Talk is cheap. https://www.rfc-editor.org/rfc/rfc6455"),
]


def speak(page: Page, user: str, color: str, text: str) -> None:
    before = page.locator("#log article").count()
    page.fill("[name=user]", user)
    page.select_option("[name=color]", color)
    page.fill("[name=message]", text)
    page.click("#composer .primary")
    page.locator("#log article").nth(before).wait_for()


def live(browser: Browser, url: str, **options: object) -> Page:
    page = browser.new_page(**options)  # type: ignore[arg-type]  # playwright's own keywords
    page.goto(url)
    page.wait_for_selector("#pill[data-state=live]")
    return page


def take(browser: Browser, server: Server, into: Path) -> None:
    for user, color, text in TALK:
        page = live(browser, server.url)
        speak(page, user, color, text)
        page.context.close()
    wide = {"viewport": {"width": 960, "height": 640}}
    page = live(browser, server.url, **wide)
    page.hover("#log article[data-user=Edsger]")
    page.click("#log article[data-user=Edsger] [data-action=like]")
    page.hover("#log article[data-user=Ada]")
    page.click("#log article[data-user=Ada] [data-action=reply]")
    speak(page, "Margaret", "red", "Found it, thank you. __Do not__ press the priority display.")
    page.hover("#log article[data-user=Edsger]")
    page.click("#log article[data-user=Edsger] [data-action=quote]")
    page.wait_for_selector("#log .quote-card")
    page.mouse.move(0, 0)
    page.screenshot(path=into / "chat.png")
    live(browser, server.url, color_scheme="dark", **wide).screenshot(path=into / "chat-dark.png")
    phone = {"viewport": {"width": 390, "height": 760}, "has_touch": True, "is_mobile": True}
    live(browser, f"{server.url}/polling", **phone).screenshot(path=into / "chat-phone.png")


def main() -> None:
    into = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        data = Path(directory, "data")
        data.mkdir()
        server = Server(data)
        server.start()
        try:
            take(
                playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS), server, into
            )
        finally:
            server.kill()


if __name__ == "__main__":
    main()
