"""Makes the pictures of the documentation: `python tests/browser/screenshots.py [DIRECTORY]`.

Starts a server of its own on an empty store, lets a few people talk, and takes what Chromium shows.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import requests
from conftest import FLAGS
from playwright.sync_api import Browser, Page, expect, sync_playwright
from server import ROOT, Server
from visitors import SECONDS

PASSWORD = "correct horse battery 9"
TALK = [
    ("Ada", "teal", "Good morning! Who has seen the **analytical engine**?"),
    ("Grace", "purple", "In the server room. There was a *moth* in it."),
    ("Barbara", "pink", "The log is whole, though: `quotechat verify` says so."),
    ("Edsger", "brown", "Simplicity is prerequisite for reliability."),
    ("Linus", "blue", "Talk is cheap. https://www.rfc-editor.org/rfc/rfc6455"),
]


def speak(page: Page, user: str, color: str, text: str) -> None:
    sign(page, user, color)
    say(page, text)


def sign(page: Page, user: str, color: str) -> None:
    page.fill("[name=user]", user)
    page.press("[name=user]", "Enter")
    page.click("[popovertarget=format]")
    page.select_option("[name=color]", color)
    page.keyboard.press("Escape")


def say(page: Page, text: str) -> None:
    before = page.locator("#log article").count()
    page.fill("[name=message]", text)
    page.click("#composer .primary")
    page.locator("#log article").nth(before).wait_for()


def choose(page: Page, user: str, action: str) -> None:
    page.hover(f"#log article[data-user={user}]")
    page.click(f"#log article[data-user={user}] [data-action=more]")
    page.click(f"#message-menu [data-action={action}]")


def live(browser: Browser, url: str, **options: object) -> Page:
    page = browser.new_page(**options)  # type: ignore[arg-type]  # playwright's own keywords
    page.set_default_timeout(SECONDS * 1000)
    page.goto(url)
    page.wait_for_selector("#pill[data-state=live]")
    return page


def take(browser: Browser, server: Server, into: Path) -> None:
    wide = {"viewport": {"width": 1080, "height": 680}}
    dark = {**wide, "color_scheme": "dark"}
    phone = {"viewport": {"width": 390, "height": 760}, "has_touch": True, "is_mobile": True}
    for name in ("design", "team", "watercooler"):
        requests.post(f"{server.url}/api/v1/rooms", json={"name": name}, timeout=30).raise_for_status()
    live(browser, server.url, **wide).screenshot(path=into / "chat-empty.png")
    for user, color, text in TALK:
        page = live(browser, server.url)
        speak(page, user, color, text)
        page.context.close()
    page = live(browser, server.url, **wide)
    sign(page, "Margaret", "red")
    choose(page, "Edsger", "like")
    choose(page, "Ada", "reply")
    say(page, "Found it, thank you. __Do not__ press the priority display.")
    choose(page, "Edsger", "quote")
    page.wait_for_selector("#log .quote-card")
    page.wait_for_selector("#toast:empty", state="attached")
    page.mouse.move(0, 0)
    page.screenshot(path=into / "chat.png")
    live(browser, server.url, **dark).screenshot(path=into / "chat-dark.png")
    live(browser, f"{server.url}/polling", **phone).screenshot(path=into / "chat-phone.png")
    plain(browser, f"{server.url}/rooms/tea", **wide).screenshot(path=into / "room-unknown.png")
    plain(browser, f"{server.url}/quotes?id=24", **wide).screenshot(path=into / "quotes.png")
    plain(browser, f"{server.url}/quotes?id=24", **phone).screenshot(path=into / "quotes-phone.png")
    for name, path in (
        ("search", "/search?q=engine"), ("rooms", "/rooms"), ("new-room", "/new-room"), ("reference", "/reference"),
    ):  # fmt: skip
        plain(browser, f"{server.url}{path}", **wide).screenshot(path=into / f"{name}.png")
    teach(browser, server, into)
    # The last, since it ends the server.
    server.kill()
    page.fill("[name=message]", "Written while the server is away: it waits, and is sent once.")
    page.press("[name=message]", "Enter")
    page.wait_for_selector("#pill[data-state=waiting]")
    page.screenshot(path=into / "chat-offline.png")


def plain(browser: Browser, url: str, **options: object) -> Page:
    page = browser.new_page(**options)  # type: ignore[arg-type]  # playwright's own keywords
    page.set_default_timeout(SECONDS * 1000)
    page.goto(url)
    return page


def teach(browser: Browser, server: Server, into: Path) -> None:
    """The lab within a cut and after it, and a step that is broken; on a desk, and in the dark on a phone."""
    desk = {"viewport": {"width": 1280, "height": 1010}}
    phone = {
        "viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "color_scheme": "dark",
    }  # fmt: skip
    lab(browser, server, into, "", **desk)
    lab(browser, server, into, "-phone", **phone)
    for suffix, options in (("", desk), ("-phone", phone)):
        page = plain(browser, f"{server.url}/learn/4-websocket", reduced_motion="reduce", **options)
        page.click("#toy [value=break]")
        expect(page.locator("#stage figure")).to_be_visible()
        page.locator("#stage").screenshot(path=into / f"learn{suffix}.png")


def lab(browser: Browser, server: Server, into: Path, suffix: str, **options: object) -> None:
    page = plain(browser, f"{server.url}/lab?rate=2&poll=1000", **options)
    top = "document.getElementById('controls').scrollIntoView()"
    page.click("#start")
    expect(page.locator("#progress")).to_contain_text("7 probes sent", timeout=30_000)
    page.click("#cut")
    page.evaluate(top)
    expect(page.locator(".lane").first).to_contain_text(re.compile("server: [4-9] wait"), timeout=30_000)
    if not suffix:
        page.screenshot(path=into / "lab-cut.png")
    expect(page.locator("#cuts li")).to_contain_text("lost", timeout=30_000)
    # Until what silence costs is known of the last of them.
    expect(page.locator("#team")).to_contain_text("Server-sent events", timeout=90_000)
    expect(page.locator("#team")).to_contain_text("WebSocket", timeout=90_000)
    page.click("#start")
    expect(page.locator("#told")).to_contain_text("Done", timeout=60_000)
    page.evaluate("document.getElementById('lanes').scrollIntoView()")
    page.screenshot(path=into / f"lab{suffix}.png")


def come_in(page: Page, link: str, name: str) -> None:
    """Use the link of a setup or an invitation."""
    page.goto(link)
    page.fill("input[name=name]", name)
    page.fill("input[name=password]", PASSWORD)
    page.click("button.primary")
    page.wait_for_selector("#composer")


def rooms(boss: Page, guest: Page, server: Server, into: Path) -> None:
    """Two rooms and a conversation: the page about one, and the column of the other person on a phone."""
    for name, title in (("design", "Design"), ("team", "The team")):
        boss.goto(f"{server.url}/new-room")
        boss.fill("#name", name)
        boss.fill("#title", title)
        boss.click("button.primary")
        boss.wait_for_selector("#pill[data-state=live]")
        guest.goto(f"{server.url}/rooms/{name}/about")
        guest.click("text=Join the room")
    for room, text in (("team", "@Grace, the build is green again."), ("design", "Two drafts are on the wall.")):
        boss.goto(f"{server.url}/rooms/{room}")
        boss.fill("textarea[name=message]", text)
        boss.press("textarea[name=message]", "Enter")
        boss.wait_for_selector("#log article")
    boss.goto(f"{server.url}/directs")
    boss.check("text=Grace")
    boss.click("button.primary")
    boss.wait_for_selector("#composer")
    boss.goto(f"{server.url}/rooms/team/about")
    boss.screenshot(path=into / "room-about.png")
    guest.goto(server.url)
    guest.click(".drawer")
    guest.screenshot(path=into / "column-phone.png")


def accounts(browser: Browser, server: Server, into: Path) -> None:
    """The pages of accounts: to join on a phone, one's own, people, administration, what was done."""
    log = (server.data.parent / "server.log").read_text()
    setup = re.search(r"http://\S+/setup#\S+", log)
    assert setup is not None, "no setup link was printed"
    desk = browser.new_context(viewport={"width": 1080, "height": 680})
    desk.set_default_timeout(SECONDS * 1000)
    boss = desk.new_page()
    come_in(boss, setup[0], "Ada")
    boss.fill("textarea[name=message]", "Good morning! Who has seen the **analytical engine**?")
    boss.press("textarea[name=message]", "Enter")
    boss.wait_for_selector("#m1")
    boss.goto(f"{server.url}/admin")
    boss.fill("#note", "The second floor")
    boss.click("text=Make a link")
    link = boss.inner_text(".account-link code")
    phone = browser.new_context(viewport={"width": 390, "height": 760}, has_touch=True, is_mobile=True)
    guest = phone.new_page()
    guest.goto(link)
    guest.fill("input[name=name]", "Grace")
    guest.screenshot(path=into / "join-phone.png")
    come_in(guest, link, "Grace")
    rooms(boss, guest, server, into)
    guest.goto(f"{server.url}/rooms/lobby/messages/1/report")
    guest.fill("[name=reason]", "There was a moth in it.")
    guest.click("button.primary")
    guest.wait_for_selector("#composer")
    boss.goto(f"{server.url}/me")
    boss.fill("#bot-name", "tea-timer")
    boss.fill("#bot-password", PASSWORD)
    boss.click("text=Make a bot")
    boss.wait_for_selector(".account-link")
    size = {"width": 1080, "height": 680}
    plain(browser, f"{server.url}/sign-in", viewport=size).screenshot(path=into / "sign-in.png")
    guest.set_viewport_size(size)
    for name, path in (("inbox", "/inbox"), ("directs", "/directs")):
        guest.goto(f"{server.url}{path}")
        guest.screenshot(path=into / f"{name}.png")
    for name, path in (
        ("me", "/me"), ("people", "/people"), ("admin", "/admin"), ("audit", "/admin/audit"),
        ("webhooks", "/admin/webhooks"),
    ):  # fmt: skip
        boss.goto(f"{server.url}{path}")
        if name == "people":
            boss.click("li:has-text('Grace') summary")
        boss.screenshot(path=into / f"{name}.png")
    desk.close()
    phone.close()


def main() -> None:
    """Take all pictures, or with ``--accounts`` those of accounts alone."""
    given = [each for each in sys.argv[1:] if each != "--accounts"]
    into = Path(given[0]) if given else ROOT / "docs" / "images"
    into.mkdir(parents=True, exist_ok=True)
    shows = ((accounts, {"QUOTECHAT_ACCESS": "invite"}), (take, {}))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for show, settings in shows[:1] if "--accounts" in sys.argv else shows:
            with tempfile.TemporaryDirectory() as directory:
                data = Path(directory, "data")
                data.mkdir()
                server = Server(data, **settings)
                server.start()
                try:
                    show(browser, server, into)
                finally:
                    server.kill()


if __name__ == "__main__":
    main()
