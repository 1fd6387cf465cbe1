"""The room in Firefox, where it is installed (`apt-get install firefox-esr`): one process, one server, a room each.

Here one tab at a time has the mouse and the focus, so the others in a room are clients without a browser.
`make firefox` runs all of it, `make test` the half that costs least.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from hostile_files import photo
from playwright.sync_api import expect
from server import Server, until
from test_account_forms import PASSWORD, fill, setup_link
from test_behaviour import STAYS
from test_changing_rooms import change, is_kept, seen, stays
from test_event_source import READ
from test_features import act
from test_layout import create
from test_pages import loads, long, texts, waits, write
from test_room import FIELD, say
from visitors import SECONDS


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, driver: Any, port: int) -> Iterator[Server]:
    """One for the module."""
    data = tmp_path_factory.mktemp("firefox") / "data"
    data.mkdir()
    running = Server(data, port, QUOTECHAT_GUEST_FILES="on")
    running.start()
    yield running
    running.kill()


@pytest.fixture
def page(firefox: Any) -> Iterator[Any]:
    """A person's first page; nothing may go wrong in its scripts."""
    context = firefox.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(SECONDS * 1000)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page
    context.close()
    # What it says of a connection that failed is no error of the page.
    assert [each for each in wrong if "connection" not in each] == []


def message(server: Server, room: str, number: int) -> dict[str, Any]:
    """Return a message as the server has it."""
    url = f"{server.url}/api/v1/rooms/{room}"
    found = requests.get(url, timeout=60).json()["messages"]
    return next(each for each in found if each["id"] == number)


def enter(page: Any, url: str) -> None:
    page.goto(url)
    page.wait_for_selector("#pill[data-state=live]")


def test_a_session_in_a_room(page: Any, server: Server) -> None:
    """Read, send, react, reply, edit, delete, a picture, search, another room: by mouse and by keyboard."""
    create(server, "fox")
    create(server, "goose")
    say(server, "fox", "hello")
    enter(page, f"{server.url}/rooms/fox")
    write(page, "from **Firefox**", "Ada")
    expect(page.locator("#m2 .text strong")).to_have_text("Firefox")
    say(server, "fox", "live")
    expect(page.locator("#m3 .text")).to_have_text("live")
    act(page, 1, "like")
    expect(page.locator("#m1 [data-action=like]")).to_have_text(re.compile("1"))
    act(page, 1, "emoji")
    page.click("#emoji [data-emoji='🎉']")
    expect(page.locator("#m1 .chip[data-emoji='🎉']")).to_have_text("🎉 1")
    act(page, 3, "reply")
    write(page, "an answer")
    expect(page.locator("#m6 .answers-text")).to_have_text("live")
    page.press(FIELD, "ArrowUp")
    expect(page.locator("#m6 #composer")).to_be_visible()
    write(page, "a better answer")
    expect(page.locator("#m6 .text")).to_have_text("a better answer")
    expect(page.locator("main > #composer")).to_be_visible()
    loads(page, "field", "kept", "upload")
    page.set_input_files("[name=file]", {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo()})
    expect(page.locator(".files-waiting li")).to_have_count(1)
    expect(page.locator(".files-waiting progress")).to_have_count(0)
    write(page, "a picture")
    picture = page.locator(".message .picture img")
    waits(page, lambda: picture.evaluate_all("all => all.some(each => each.naturalWidth === 20)"), "the picture")
    act(page, 6, "delete")
    page.focus(FIELD)
    page.keyboard.press("Alt+ArrowDown")
    page.wait_for_url("**/rooms/goose")
    page.wait_for_selector("#pill[data-state=live]")
    # It is sent after five seconds, or as the page is left.
    until(lambda: message(server, "fox", 6).get("deleted"), "the deletion")
    page.keyboard.press("Control+k")
    expect(page.locator("#switcher input")).to_be_focused()
    page.keyboard.type("hello")
    expect(page.locator("#switcher [role=option]")).to_have_text([re.compile("Search for “hello”")])
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=hello")
    expect(page.locator("main mark")).to_have_text(["hello"])


@pytest.mark.long
def test_rooms_change_in_one_page(page: Any, server: Server) -> None:
    """By a click, back and forward: the page stays, and shows what is said in the room of its address."""
    for room in ("hare", "hound"):
        create(server, room)
    enter(page, f"{server.url}/rooms/hare")
    stays(page)
    shown = page.locator("#log article .text")
    change(page, "hound")
    say(server, "hound", "to the hound")
    expect(shown).to_have_text(["to the hound"])
    for way, room, said in (("back", "hare", ["to the hare"]), ("forward", "hound", ["to the hound", "again"])):
        page.evaluate(f"history.{way}()")
        seen(page, room)
        assert page.evaluate("location.pathname") == f"/rooms/{room}"
        say(server, room, said[-1])
        expect(shown).to_have_text(said)
    assert is_kept(page)


def test_it_reads_and_writes_without_a_script(page: Any, server: Server) -> None:
    """As if none of its scripts had come: the form posts, and the page shows what it says."""
    create(server, "plain")
    page.route("**/*.js", lambda route: route.abort())
    page.goto(f"{server.url}/rooms/plain")
    page.fill("[name=user]", "Ada")
    page.fill(FIELD, "plain and **simple**")
    page.click("#composer button[type=submit]")
    expect(page.locator("#m1 .text")).to_have_text("plain and simple")
    expect(page.locator("#m1 .text strong")).to_have_text("simple")


@pytest.mark.parametrize("path", ["/polling?room=", long("/rooms/")])
def test_it_outlives_a_killed_server(path: str, page: Any, server: Server) -> None:
    """Messages from here and from elsewhere, through kill -9 and a restart: once and in order; streams go on too."""
    room = f"kill-{'poll' if 'poll' in path else 'socket'}"
    create(server, room)
    enter(page, f"{server.url}{path}{room}")
    page.evaluate(READ.replace("lobby", room))
    write(page, "from Firefox", "Ada")
    waits(page, lambda: texts(page) == ["from Firefox"], "its own message")
    say(server, room, "from curl")
    waits(page, lambda: len(texts(page)) == 2, "the other's message")
    server.kill()
    write(page, "while it was away")
    expect(page.locator("#outbox article")).to_have_count(1)
    server.start()
    waits(page, lambda: len(texts(page)) == 3, "all three")
    assert texts(page) == ["from Firefox", "from curl", "while it was away"]
    expect(page.locator("#outbox article")).to_have_count(0)
    waits(page, lambda: len(page.evaluate("seen")) == 3, "the stream")
    assert page.evaluate("seen") == [[seq, True] for seq in (1, 2, 3)]


@pytest.mark.long
def test_the_newest_stays_in_view(page: Any, server: Server) -> None:
    """Through a burst after which the page forgets its oldest, though heights change between two frames."""
    create(server, "burst")
    enter(page, f"{server.url}/rooms/burst")
    assert page.evaluate(STAYS) == [[60 * 20, 33 * 20], True]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: say(server, "burst", f"word {number} " * (number % 30 + 1)), range(820)))
    expect(page.locator("#m820")).to_be_in_viewport()
    waits(page, lambda: page.locator("#log article").count() < 800, "the oldest are gone")
    expect(page.locator("#m820")).to_be_in_viewport()


@pytest.mark.long
def test_people_join_by_a_link(page: Any, tmp_path: Path) -> None:
    """On a server for accounts: the owner sets it up and makes a link, a guest joins, and what one says both see."""
    data = tmp_path / "data"
    data.mkdir()
    invite = Server(data, QUOTECHAT_ACCESS="invite")
    invite.start()
    try:
        page.goto(setup_link(invite))
        fill(page, name="Azin", password=PASSWORD)
        page.wait_for_selector("#composer")
        page.goto(f"{invite.url}/admin")
        page.click("text=Make a link")
        link = page.inner_text(".account-link code")
        page.context.clear_cookies()
        page.goto(link)
        fill(page, name="Bo", password=PASSWORD)
        page.wait_for_selector("#pill[data-state=live]")
        write(page, "Hello from the guest")
        expect(page.locator("#m1 .user")).to_have_text("Bo")
    finally:
        invite.kill()
