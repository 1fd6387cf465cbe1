"""What was missed: the page opens at the first of it, says how much it is, and can be done with it."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from playwright.sync_api import expect
from server import Server
from test_pages import post, waits
from test_quality import violations

Open = Callable[..., Any]


def visited(server: Server, open_page: Open, missed: int, **options: Any) -> Any:
    """A page that is opened again after so many messages."""
    for number in range(1, 4):
        post(server, f"word {number}")
    page = open_page("/", **options)
    address = page.url
    page.goto("about:blank")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: post(server, f"news {number}"), range(missed)))
    page.goto(address)
    page.wait_for_selector("#pill[data-state=live]")
    return page


def test_seventy_were_missed(server: Server, open_page: Open) -> None:
    """The page opens at the first of them, says how many and since when, and one can be done with them."""
    page = visited(server, open_page, 70)
    expect(page.locator("#m4")).to_have_class(re.compile("first-new"))
    expect(page.locator("#m4")).to_be_in_viewport()
    expect(page.locator("#missed")).to_have_text(re.compile(r"\s70 new since \d\d:\d\d"))
    assert violations(page) == []
    page.click("#missed [data-done]")
    expect(page.locator("#m73")).to_be_in_viewport()
    expect(page.locator(".first-new")).to_have_count(0)
    expect(page.locator("#missed")).to_be_hidden()
    page.reload()
    page.wait_for_selector("#pill[data-state=live]")
    expect(page.locator("#missed")).to_be_hidden()


def test_many_more_than_a_page_were_missed(server: Server, open_page: Open) -> None:
    """The line stands above the first that is loaded, and a button leads to the first of all that is new; a link to
    one that is far away leads to a page of the past."""
    page = visited(server, open_page, 700)
    expect(page.locator("#log article").first).to_have_class(re.compile("first-new"))
    expect(page.locator(".first-new")).to_be_in_viewport()
    expect(page.locator("#missed")).to_have_text(re.compile(r"\s700 new since \d\d:\d\d"))
    page.click("#missed [data-go]")
    expect(page.locator("#m4")).to_have_class(re.compile("first-new"))
    expect(page.locator("#m4")).to_be_in_viewport()
    expect(page.locator("#m3")).to_have_count(1)
    page.goto("about:blank")
    page.goto(f"{server.url}/#m5")
    page.wait_for_url("**/?before=30#m5")
    expect(page.locator("#m5")).to_be_in_viewport()


def test_the_page_opens_at_the_first_that_is_new(server: Server, open_page: Open) -> None:
    """And what was not looked at is new at the next visit too; at the bottom all is read."""
    page = visited(server, open_page, 40, viewport={"width": 800, "height": 500})
    for _ in range(2):
        expect(page.locator("#m4.first-new")).to_be_in_viewport()
        expect(page.locator("#newer")).to_have_text("40 new ↓")
        expect(page.locator("#missed")).to_contain_text("40 new since")
        page.reload()
        page.wait_for_selector("#pill[data-state=live]")
    page.click("#newer")
    expect(page.locator("#m43")).to_be_in_viewport()
    expect(page.locator("#newer")).to_be_hidden()
    # What is read is kept with the next frame.
    waits(page, lambda: page.evaluate("localStorage.getItem('quotechat:read:lobby')") == "43", "all is read")
    page.reload()
    page.wait_for_selector("#pill[data-state=live]")
    expect(page.locator("#m43")).to_be_in_viewport()
    expect(page.locator(".first-new")).to_have_count(0)
