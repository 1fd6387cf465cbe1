"""The list of rooms of a page that is open, and the field for a time of one's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import requests
from playwright.sync_api import Browser, expect
from server import Server
from test_pages import sign, waits

Open = Callable[..., Any]


def test_a_room_that_another_made_comes_into_the_list(open_page: Open, server: Server) -> None:
    """When the drawer is opened, in its place, and its link leads there."""
    page = open_page("/rooms/lobby", viewport={"width": 390, "height": 800})
    names = page.locator("#room-list .label")
    for name in ("zebra", "apes"):
        made = requests.post(f"{server.url}/api/v1/rooms", json={"name": name, "title": f"All {name}"}, timeout=60)
        assert made.status_code == 201
    page.click(".drawer")
    expect(names).to_have_text(["apes", "lobby", "zebra"])
    expect(page.locator("#room-list a").first).to_have_attribute("title", "All apes")
    names.first.click()
    page.wait_for_url("**/rooms/apes")


def test_a_wide_window_follows_the_list_of_rooms(open_page: Open, server: Server) -> None:
    """Within a minute, by a clock of the test: a room that another made, that there is news, and how many messages."""

    def asks(method: str, path: str, body: dict[str, str]) -> None:
        requests.request(method, f"{server.url}/api/v1/rooms{path}", json=body, timeout=60).raise_for_status()

    def after_a_minute(told: str) -> bool:
        page.clock.fast_forward(60_000)
        return row.count() == 1 and re.search(told, row.inner_text()) is not None

    page = open_page("/rooms/lobby", viewport={"width": 1280, "height": 800}, clock=True)
    row = page.locator("#room-list [data-room=apes] a")
    asks("POST", "", {"name": "apes", "title": "All apes"})
    waits(page, lambda: after_a_minute("apes"), "the new room")
    expect(row).to_have_attribute("title", "All apes")
    there, here = row, page.locator("#room-list [data-room=lobby] a")
    counted = "localStorage.getItem('quotechat:counted:apes')"  # of a room in which everything was read
    for known, told in ((None, "new messages"), ("1", "1 unread")):
        for link, name in ((there, "apes"), (here, "lobby")):
            link.click()
            page.wait_for_selector(f"#chat[data-room={name}]")
            page.wait_for_selector("#pill[data-state=live]")
        waits(page, lambda known=known: after_a_minute("apes") and page.evaluate(counted) == known, "the count")
        asks("POST", "/apes/messages", {"user": "Bo", "message": "hello"})
        waits(page, lambda told=told: after_a_minute(told), "what is new")


def test_an_hour_ahead_in_the_hour_that_comes_twice(chromium: Browser, server: Server) -> None:
    """At 02:10 summer time in Berlin, an hour ahead is 02:10 winter time, and the field says which one it means."""
    context = chromium.new_context(timezone_id="Europe/Berlin")
    page = context.new_page()
    page.clock.set_fixed_time("2027-10-31T02:10:30+02:00")
    page.goto(f"{server.url}/polling")
    sign(page, "Ada")
    page.click("[popovertarget=when]")
    page.select_option("[name=send_at]", "at")
    offset = page.locator("#at-offset")
    expect(page.locator("#at-time input")).to_have_value("2027-10-31T02:10")
    expect(offset).to_have_text("UTC+1")
    page.click("#when-done")
    page.fill("[name=message]", "later")
    with page.expect_request(lambda request: "send_at" in (request.post_data or "")) as asked:
        page.click("#composer [type=submit]")
    assert "2027-10-31T01:10:00.000Z" in (asked.value.post_data or "")
    context.close()
