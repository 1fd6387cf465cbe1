"""The frame of all pages in a browser: the column is right, by keyboard and on a phone; little is loaded twice."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from playwright.sync_api import expect
from server import Server
from test_layout import inside, phone
from test_pages import loads, long, waits
from test_quality import violations

PASSWORD = "correct horse battery 9"

Person = requests.Session


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, driver: Any, port: int) -> Iterator[Server]:
    """One server for all, with two people and a visitor; each test has rooms of its own."""
    data = tmp_path_factory.mktemp("frame") / "data"
    data.mkdir()
    running = Server(data, port)
    running.start()
    yield running
    running.kill()


@pytest.fixture(scope="module")
def people(server: Server) -> dict[str, Person]:
    from quotechat.cli.users import new_setup_code
    from quotechat.config import Settings

    found = {name: requests.Session() for name in ("Azin", "Bo")}
    for session in found.values():
        session.headers["Origin"] = server.url
        session.headers["Connection"] = "close"  # the server ends one that rests, perhaps as the next request is sent
    code = new_setup_code(Settings(data=server.data))
    asked(server, found["Azin"], "POST", "/setup", {"code": code, "name": "Azin", "password": PASSWORD})
    link = asked(server, found["Azin"], "POST", "/invitations", {})["link"]
    joins = {"code": link.partition("#")[2], "name": "Bo", "password": PASSWORD}
    asked(server, found["Bo"], "POST", "/joins", joins)
    return found


def asked(server: Server, person: Person, method: str, path: str, body: Any = None) -> Any:
    answer = person.request(method, f"{server.url}/api/v1{path}", json=body, timeout=60)
    assert answer.status_code < 400, answer.text
    return answer.json() if answer.content else None


def state(server: Server, person: Person) -> dict[str, Any]:
    """The storage of a browser in which that person is signed in."""
    cookies = [{"name": each.name, "value": each.value, "url": server.url} for each in person.cookies]
    return {"cookies": cookies, "origins": []}


def room_of(server: Server, people: dict[str, Person]) -> str:
    """A new room with both people in it."""
    name = f"r-{secrets.token_hex(4)}"
    asked(server, people["Bo"], "POST", "/rooms", {"name": name})
    for person in people.values():
        asked(server, person, "PUT", f"/rooms/{name}/members/me", {})
    return name


def signed_in(open_page: Callable[..., Any], server: Server, person: Person, path: str, **options: Any) -> Any:
    page = open_page("/sign-in", live=False, **options)
    page.context.add_cookies(state(server, person)["cookies"])
    page.goto(server.url + path)
    return page


@pytest.mark.parametrize("path", ["/rooms/lobby", "/quotes"], ids=["room", "another-page"])
def test_the_column_follows_the_inbox(
    path: str, server: Server, people: dict[str, Person], open_page: Callable[..., Any]
) -> None:
    """A message elsewhere is counted at once, a mention too, and reading on another device takes it away."""
    name = room_of(server, people)
    page = signed_in(open_page, server, people["Azin"], path)
    row = page.locator(f"#room-list [data-room={name}] a")
    expect(row).to_have_accessible_name(name)
    asked(server, people["Bo"], "POST", f"/rooms/{name}/messages", {"message": "hello"})
    expect(row).to_have_accessible_name(f"{name} 1 unread")
    asked(server, people["Bo"], "POST", f"/rooms/{name}/messages", {"message": "@Azin, look"})
    expect(row).to_have_accessible_name(f"{name} 2 unread, 1 mention")
    assert violations(page) == []
    asked(server, people["Azin"], "PUT", f"/rooms/{name}/read", {"id": 10**6})
    expect(row).to_have_accessible_name(name)
    new = room_of(server, people)
    made = page.locator(f"#room-list [data-room={new}] a")
    expect(made).to_have_attribute("href", f"/rooms/{new}")
    asked(server, people["Bo"], "PATCH", f"/rooms/{new}", {"title": "Another title"})
    expect(made).to_have_attribute("title", "Another title")


def test_the_column_goes_on_over_a_change_of_rooms(
    server: Server, people: dict[str, Person], open_page: Callable[..., Any]
) -> None:
    """The room that was left is read up to there; what is said there then is counted, over the same socket, and the
    room that is shown has no number. Somebody else's page is loaded, not put in place of this one."""
    one, other = (room_of(server, people) for _ in range(2))
    page = signed_in(open_page, server, people["Azin"], f"/rooms/{one}")
    page.wait_for_selector("#rooms[data-keeps-page]", state="attached")
    page.evaluate("window.isKept = true")
    rows = {name: page.locator(f"#room-list [data-room={name}] a") for name in (one, other)}
    asked(server, people["Bo"], "POST", f"/rooms/{one}/messages", {"message": "read"})
    expect(page.locator("#log article")).to_have_count(1)
    asked(server, people["Bo"], "POST", f"/rooms/{other}/messages", {"message": "not yet"})
    expect(rows[other]).to_have_accessible_name(f"{other} 1 unread")
    rows[other].click()
    # Rows move: one that comes to lie below a resting pointer is fetched ahead, as the person of that moment.
    page.locator("#composer").hover()
    expect(page.locator("#chat")).to_have_attribute("data-room", other)
    for row, name in ((rows[other], other), (rows[one], one)):
        expect(row).to_have_accessible_name(name)
    asked(server, people["Bo"], "POST", f"/rooms/{one}/messages", {"message": "@Azin, look"})
    expect(rows[one]).to_have_accessible_name(f"{one} 1 unread, 1 mention")
    new = room_of(server, people)
    expect(page.locator(f"#room-list [data-room={new}] a")).to_be_visible()
    assert page.evaluate("window.isKept")
    page.context.add_cookies(state(server, people["Bo"])["cookies"])
    rows[one].click()
    expect(page.locator(".side-foot summary")).to_contain_text("Bo")
    assert not page.evaluate("window.isKept")


def test_members_who_wrote_nothing_are_called(
    server: Server, people: dict[str, Person], open_page: Callable[..., Any]
) -> None:
    """Behind an @ in a room where nothing was said yet, and by Ctrl+K."""
    page = signed_in(open_page, server, people["Azin"], f"/rooms/{room_of(server, people)}")
    page.locator("#composer [name=message]").press_sequentially("@b")
    expect(page.locator("#mentions [role=option]")).to_have_text(["Bo"])
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.locator("#switcher input").fill("bo")
    expect(page.locator("#switcher [role=option]").filter(has_text="person")).to_have_text(["Boperson"])


def test_a_visitor_sees_what_is_new_in_rooms_that_were_read(
    server: Server, people: dict[str, Person], open_page: Callable[..., Any]
) -> None:
    """By what this browser has read; a room that it never showed is not new."""
    read, other, empty = (room_of(server, people) for _ in range(3))
    page = open_page(f"/rooms/{read}")
    for name in (read, other):
        asked(server, people["Bo"], "POST", f"/rooms/{name}/messages", {"message": "hello"})
    page.wait_for_selector("#m1, #log article")
    page.goto(f"{server.url}/quotes")
    asked(server, people["Bo"], "POST", f"/rooms/{read}/messages", {"message": "more"})
    page.reload()
    expect(page.locator(f"[data-room={read}] a")).to_have_accessible_name(f"{read} new messages")
    for name in (other, empty):
        expect(page.locator(f"[data-room={name}] a")).to_have_accessible_name(name)


@pytest.mark.parametrize("width", [320, long(390)])
def test_the_column_is_a_drawer_on_a_phone(
    width: int, server: Server, people: dict[str, Person], open_page: Callable[..., Any]
) -> None:
    """A dot on its button says that there is news; it opens and closes by keyboard, and all of it is in the window."""
    name = room_of(server, people)
    page = signed_in(open_page, server, people["Azin"], "/quotes", **phone(width))
    asked(server, people["Bo"], "POST", f"/rooms/{name}/messages", {"message": "@Azin, look"})
    expect(page.get_by_title("Something is new")).to_be_visible()
    page.focus(".drawer")
    page.keyboard.press("Enter")
    expect(page.locator("#rooms")).to_be_visible()
    waits(page, lambda: inside(page, "#rooms"), "the drawer in the window")
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(page.locator("#rooms")).to_be_hidden()
    expect(page.locator(".drawer")).to_be_focused()
    page.click(".drawer")
    page.click(f"[data-room={name}] a")
    page.wait_for_url(f"**/rooms/{name}")


def test_the_column_can_be_skipped(server: Server, open_page: Callable[..., Any]) -> None:
    """The first Tab is at a link that leads behind it."""
    page = open_page("/quotes", live=False)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator(".skip")).not_to_be_focused()  # with the next frame
    page.keyboard.press("Tab")
    expect(page.locator("main :focus")).to_have_count(1)


def test_a_page_that_was_seen_loads_little(server: Server, open_page: Callable[..., Any]) -> None:
    """At most five requests leave a browser that has been here: the page, what is live, and the API."""
    page = open_page("/")
    # What follows a moment after the page, too.
    loads(page, "menu", "panel", "field", "upload", "time_field", "moment")
    page.wait_for_load_state("networkidle")
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.goto(f"{server.url}/rooms/lobby")
    page.wait_for_selector("#pill[data-state=live]")
    page.wait_for_load_state("networkidle")
    sent = page.evaluate(
        "performance.getEntriesByType('resource').filter((each) => each.transferSize > 0).map((each) => each.name)"
    )
    assert len(sent) + len(sockets) + 1 <= 5, (sent, sockets)
    assert not [each for each in sent if "/static/" in each]


def test_an_empty_room_says_who_can_come_in(server: Server, open_page: Callable[..., Any]) -> None:
    """With a line for curl that can be copied, and that works; then it goes."""
    page = open_page("/", viewport={"width": 390, "height": 800}, permissions=["clipboard-read", "clipboard-write"])
    expect(page.locator(".first-minute")).to_contain_text("Only this computer")
    page.locator(".first-minute button").last.click()
    expect(page.locator("#copied")).to_have_text("Copied.")
    line = page.evaluate("navigator.clipboard.readText()")
    address = re.search(r"'(http[^']+)'", line)
    assert address is not None
    requests.post(address[1], data="Hello", headers={"Content-Type": "text/plain"}, timeout=60).raise_for_status()
    expect(page.locator("#log")).to_contain_text("Hello")
    expect(page.locator(".first-minute")).to_be_hidden()


def test_calls_are_found_by_words(server: Server, open_page: Callable[..., Any]) -> None:
    """The list and the entries below it have those alone; a link to a hidden one shows it."""
    page = open_page("/reference", live=False)
    all_of_them = page.locator("#call-list li").count()
    page.fill("#filter", "webhooks post")
    expect(page.locator("#filtered")).to_have_text(re.compile(rf"^\d+ of {all_of_them} calls$"))
    shown = page.locator("#call-list li:visible")
    assert 0 < shown.count() < 10 and page.locator("#calls .entry:visible").count() == shown.count()
    hidden = page.locator("#call-list li[hidden]").first.get_attribute("data-entry")
    page.evaluate("anchor => { location.hash = anchor; }", hidden)
    expect(page.locator(f"[id='{hidden}']")).to_be_in_viewport()
    expect(page.locator("#filter")).to_have_value("")


def test_the_next_account_has_no_words_of_the_last(
    server: Server, people: dict[str, Person], open_page: Callable[..., Any]
) -> None:
    """In the same tab: neither the draft nor what was not sent; both are there again for the one who wrote them."""
    path = f"/rooms/{room_of(server, people)}"
    page = signed_in(open_page, server, people["Azin"], path)
    page.wait_for_selector("#pill[data-state=live]")
    field = page.locator("[name=message]")
    field.fill("a control\u000bcharacter")
    field.press("Enter")
    expect(page.locator("#outbox [data-state=failed]")).to_have_count(1)
    field.fill("half a thou")
    for name, draft, rows in [("Bo", "", 0), ("Azin", "half a thou", 1)]:
        page.goto(f"{server.url}/sign-in")
        page.context.clear_cookies()
        page.context.add_cookies(state(server, people[name])["cookies"])
        page.goto(server.url + path)
        page.wait_for_selector("#pill[data-state=live]")
        expect(field).to_have_value(draft)
        expect(page.locator("#outbox article")).to_have_count(rows)
