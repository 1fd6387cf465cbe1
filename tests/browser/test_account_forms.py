"""The pages of accounts in a browser: from the setup link to two people who chat, by keyboard, on a phone, and out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from server import Server
from test_pages import waits
from test_quality import violations

PASSWORD = "correct horse battery 9"
RENAME = """name => fetch("/api/v1/me", {
  method: "PATCH", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ name }),
})"""
Open = Callable[..., Any]


@pytest.fixture
def invite(tmp_path: Path, driver: Any) -> Iterator[Server]:
    """A fresh server for people with accounts."""
    data = tmp_path / "data"
    data.mkdir()
    running = Server(data, QUOTECHAT_ACCESS="invite")
    running.start()
    yield running
    running.kill()


def setup_link(server: Server) -> str:
    """What the server printed when it started."""
    log = (server.data.parent / "server.log").read_text()
    return re.search(r"http://\S+/setup#\S+", log)[0]  # type: ignore[index]


def fill(page: Any, **fields: str) -> None:
    for name, value in fields.items():
        page.fill(f"input[name={name}]", value)
    page.click("button.primary")


def test_two_people_from_a_link(invite: Server, chromium: Any) -> None:
    """The code is filled in out of the fragment and leaves the address; the guest joins on a phone; both chat live."""
    desk = chromium.new_context()
    boss = desk.new_page()
    boss.goto(setup_link(invite))
    expect(boss.locator("input[name=code]")).not_to_have_value("")
    assert "#" not in boss.url
    fill(boss, name="Azin", password=PASSWORD)
    boss.wait_for_selector("#composer")
    boss.goto(f"{invite.url}/admin")
    boss.click("text=Make a link")
    link = boss.inner_text(".account-link code")
    picture = "document.querySelector('.account-link img').naturalWidth"
    waits(boss, lambda: boss.evaluate(picture) > 0, "the picture of the link")
    phone = chromium.new_context(viewport={"width": 360, "height": 640})
    guest = phone.new_page()
    guest.goto(link)
    fill(guest, name="Bo", password=PASSWORD)
    guest.wait_for_selector("#composer")
    boss.goto(invite.url)
    guest.fill("textarea[name=message]", "Hello from the phone")
    guest.press("textarea[name=message]", "Enter")
    boss.wait_for_selector("text=Hello from the phone")
    expect(boss.locator("#log")).to_contain_text("Bo")
    # What somebody else said can be reported; the owner finds it.
    guest.hover("#m1")
    guest.click("#m1 [data-action=more]")
    expect(guest.locator("#message-menu [data-action=reply]")).to_be_visible()
    expect(guest.locator("#message-menu [data-action=report]")).to_be_hidden()
    boss.hover("#m1")
    boss.click("#m1 [data-action=more]")
    boss.click("#message-menu [data-action=report]")
    boss.fill("[name=reason]", "Too short")
    boss.click("button.primary")
    boss.wait_for_selector("#composer")
    boss.goto(f"{invite.url}/admin")
    expect(boss.locator("main")).to_contain_text("Too short")
    # A name that was changed elsewhere: what is sent under the old one is refused, and can be sent under the new one.
    guest.goto(f"{invite.url}/polling")
    guest.wait_for_selector("#pill[data-state=live]")
    guest.evaluate(RENAME, "Bob")
    guest.fill("textarea[name=message]", "Who am I?")
    guest.press("textarea[name=message]", "Enter")
    expect(guest.locator("#outbox .why")).to_contain_text("signed in as")
    expect(guest.locator("[name=user]")).to_have_value("Bob")
    guest.click("#outbox >> text=Retry")
    expect(guest.locator("#log article .user").last).to_have_text("Bob")
    # Signed out by the owner: the page goes to the sign-in, and from there back to its room.
    guest.goto(f"{invite.url}/rooms/lobby")
    guest.wait_for_selector("#pill[data-state=live]")
    boss.goto(f"{invite.url}/people")
    boss.click("li:has-text('Bo') button:has-text('Sign out')")
    guest.wait_for_url(f"{invite.url}/sign-in?next=%2Frooms%2Flobby")
    for context in (desk, phone):
        context.close()


def test_the_pages_are_accessible_and_fit(invite: Server, chromium: Any) -> None:
    """axe finds nothing, and nothing is wider than the window, in both themes, on a phone and a desk."""
    context = chromium.new_context()
    page = context.new_page()

    def check(path: str) -> None:
        page.goto(invite.url + path)
        for width, scheme in [(360, "light"), (1280, "dark")]:
            page.set_viewport_size({"width": width, "height": 740})
            page.emulate_media(color_scheme=scheme)
            assert violations(page) == [], (path, scheme)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path

    for path in ("/sign-in", "/join", "/reset", "/setup"):
        check(path)
    page.goto(setup_link(invite))
    fill(page, name="Azin", password=PASSWORD)
    page.wait_for_selector("#composer")
    for path in ("/me", "/people", "/admin", "/admin/webhooks", "/rooms/lobby/about"):
        check(path)
    context.close()


def test_a_refused_form_keeps_what_was_typed(invite: Server, chromium: Any) -> None:
    """Without a script, too: the name stays, the password does not, and the reason stands beside its field."""
    for scripts in (True, False):
        context = chromium.new_context(java_script_enabled=scripts)
        page = context.new_page()
        page.goto(f"{invite.url}/rooms/tea")
        assert page.url == f"{invite.url}/sign-in?next=%2Frooms%2Ftea"
        fill(page, name="Azin", password="wrong password")
        expect(page.locator("main")).to_contain_text("Name or password is wrong.")
        expect(page.locator("input[name=name]")).to_have_value("Azin")
        expect(page.locator("input[name=password]")).to_have_value("")
        context.close()
