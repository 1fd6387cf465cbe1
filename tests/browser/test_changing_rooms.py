"""From room to room without loading a page: the socket stays, and so does what each room promises alone."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from playwright.sync_api import expect
from server import Server
from test_layout import phone
from test_pages import sign, stop_time, texts, waits, write
from test_quality import violations

Open = Callable[..., Any]
FIELD = "[name=message]"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, driver: Any, port: int) -> Iterator[Server]:
    """One server for all; each test has rooms of its own."""
    data = tmp_path_factory.mktemp("changing") / "data"
    data.mkdir()
    running = Server(data, port)
    running.start()
    yield running
    running.kill()


@pytest.fixture
def rooms(server: Server) -> list[str]:
    """Two new rooms, side by side in the column."""
    name = secrets.token_hex(4)
    made = [f"r-{name}-{which}" for which in "ab"]
    for room in made:
        requests.post(f"{server.url}/api/v1/rooms", json={"name": room}, timeout=60).raise_for_status()
    return made


def say(server: Server, room: str, text: str) -> None:
    body = {"user": "curl", "message": text}
    requests.post(f"{server.url}/api/v1/rooms/{room}/messages", json=body, timeout=60).raise_for_status()


def said(server: Server, room: str) -> list[str]:
    """All that the server has of a room."""
    answer = requests.get(f"{server.url}/api/v1/rooms/{room}", timeout=60)
    return [message.get("message", "") for message in answer.json()["messages"]]


def stays(page: Any) -> Any:
    """Wait until the page goes from room to room by itself; mark it, to know it again."""
    page.wait_for_selector("#rooms[data-keeps-page]", state="attached")
    page.evaluate("window.isKept = true")
    return page


def is_kept(page: Any) -> bool:
    return bool(page.evaluate("window.isKept === true"))


def seen(page: Any, room: str) -> None:
    """Wait until the page shows the room, live."""
    page.wait_for_selector(f"#chat[data-room={room}]")
    page.wait_for_selector("#pill[data-state=live]")


def change(page: Any, room: str) -> None:
    page.click(f"#room-list [data-room={room}] a")
    seen(page, room)


def test_the_socket_is_kept(server: Server, rooms: list[str], open_page: Open) -> None:
    """One socket for many changes, by one click or two, by keys, and back; what is new and what is sent go over it."""
    one, other = rooms
    page = open_page(f"/rooms/{one}", clock=True)
    sign(page, "Ada")
    stays(page)
    stop_time(page)  # a slow machine is no reason for another socket
    opened: list[str] = []
    page.on("websocket", lambda socket: opened.append(socket.url))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for room in (other, one, other):
        change(page, room)
    page.press(FIELD, "Alt+ArrowUp")
    seen(page, one)
    page.go_back()
    seen(page, other)
    page.dblclick(f"#room-list [data-room={one}] a")
    seen(page, one)
    page.click(f"#room-list [data-room={one}] a")
    page.press(FIELD, "ControlOrMeta+k")
    page.fill("#switcher input", other)
    page.keyboard.press("Enter")
    seen(page, other)
    say(server, other, "from elsewhere")
    expect(page.locator("#log article .text")).to_have_text("from elsewhere")
    write(page, "from here")
    waits(page, lambda: said(server, other) == ["from elsewhere", "from here"], "it is stored in this room")
    expect(page.locator("#log article .text").last).to_have_text("from here")
    assert said(server, one) == [] and not [url for url in asked if url.endswith("/commands")]
    assert is_kept(page) and opened == []


def test_keys_that_change_the_room_do_nothing_else(server: Server, rooms: list[str], open_page: Open) -> None:
    """In an empty composer Up alone edits one's last message: the room that one leaves with Alt+Up is as it was."""
    one, other = rooms
    page = stays(open_page(f"/rooms/{other}"))
    write(page, "my own", "Ada")
    expect(page.locator("#log article.own")).to_have_count(1)
    for key, room in (("Alt+ArrowUp", one), ("Alt+ArrowDown", other)):
        page.press(FIELD, key)
        seen(page, room)
    expect(page.locator("#context")).to_be_hidden()
    expect(page.locator(FIELD)).to_have_value("")
    for key in ("Shift+ArrowUp", "ControlOrMeta+ArrowUp"):
        page.press(FIELD, key)
        expect(page.locator("#context")).to_be_hidden()
    page.press(FIELD, "ArrowUp")
    expect(page.locator(FIELD)).to_have_value("my own")


def test_nothing_is_missed_or_repeated(server: Server, rooms: list[str], open_page: Open) -> None:
    """While another client writes to both rooms, each shows what was said there from the first on, once, in order."""
    page = stays(open_page(f"/rooms/{rooms[0]}"))
    count = 20
    done = threading.Event()

    def speak() -> None:
        for number in range(count):
            for room in rooms:
                say(server, room, f"{room} {number}")
        done.set()

    speaker = threading.Thread(target=speak)
    speaker.start()
    changes = 0
    while not done.is_set() or changes < 6:
        room = rooms[(changes + 1) % 2]
        change(page, room)
        shown = texts(page)
        assert shown == [f"{room} {number}" for number in range(len(shown))]
        changes += 1
    speaker.join()
    for room in (rooms[changes % 2], rooms[(changes + 1) % 2]):
        waits(page, lambda count=count: len(texts(page)) >= count, "all of them")
        assert texts(page) == [f"{room} {number}" for number in range(count)]
        other = rooms[1 - rooms.index(room)]
        with page.expect_response(f"**/rooms/{other}"):
            page.hover(f"#room-list [data-room={other}] a")
        say(server, other, f"{other} {count}")  # after its page was fetched, and before it is shown
        change(page, other)
        expect(page.locator("#log article .text").last).to_have_text(f"{other} {count}")
        count += 1
    assert is_kept(page)


def test_each_room_has_its_draft_title_and_focus(server: Server, rooms: list[str], open_page: Open) -> None:
    """Also when one goes back and forward; screen readers hear where they are, and axe finds nothing."""
    one, other = rooms
    page = stays(open_page(f"/rooms/{one}"))
    sign(page, "Ada")
    page.keyboard.type("for one")
    for room, draft in ((other, "for the other"), (one, "")):
        change(page, room)
        expect(page.locator(FIELD)).to_be_focused()
        page.keyboard.type(draft)
    drafts = {one: "for one", other: "for the other"}
    ways = [
        (page.go_back, other),
        (page.go_back, one),
        (page.go_forward, other),
        (page.reload, other),
        (page.go_back, one),
    ]
    for go, room in ways:
        if go == page.reload:  # and what goes from room to room does not come
            page.route("**/changing.js", lambda way: way.abort())
        go()
        seen(page, room)
        expect(page.locator(FIELD)).to_have_value(drafts[room])
        expect(page.locator(FIELD)).to_be_focused()
        assert page.url == f"{server.url}/rooms/{room}"
        assert page.title() == f"{room} · quotechat"
        expect(page.locator("#room-list [aria-current=page]")).to_have_text(room)
        expect(page.get_by_role("link", name="Polling", exact=True)).to_have_attribute("href", f"/polling?room={room}")
    page.unroute("**/changing.js")
    page.reload()
    stays(page)
    change(page, other)
    expect(page.locator("#copied")).to_have_text(f"{other} · quotechat")
    assert violations(page) == []


def test_on_a_phone_the_drawer_closes(server: Server, rooms: list[str], open_page: Open) -> None:
    """The heading has the focus: with the composer the keyboard would come up."""
    one, other = rooms
    page = stays(open_page(f"/rooms/{one}", **phone(390)))
    page.click(".drawer")
    change(page, other)
    expect(page.locator("#rooms")).to_be_hidden()
    expect(page.locator("h1")).to_be_focused()
    assert is_kept(page)
    assert violations(page) == []


def test_nothing_piles_up(server: Server, rooms: list[str], open_page: Open) -> None:
    """After many changes the page listens as after the first, one Enter sends once, and one key goes one room on."""
    one, other = rooms
    page = stays(open_page(f"/rooms/{one}"))
    sign(page, "Ada")
    tools = page.context.new_cdp_session(page)

    def listeners() -> list[str]:
        found = []
        for name in ("window", "document", "document.body", "document.getElementById('rooms')"):
            thing = tools.send("Runtime.evaluate", {"expression": name})["result"]["objectId"]
            heard = tools.send("DOMDebugger.getEventListeners", {"objectId": thing})["listeners"]
            found += [f"{name} {each['type']}" for each in heard]
        return sorted(found)

    def pieces() -> list[Any]:
        return list(page.evaluate("[document.body.children.length, document.head.children.length]"))

    change(page, other)
    before, parts = listeners(), pieces()
    for _ in range(5):
        change(page, one)
        change(page, other)
    assert (listeners(), pieces()) == (before, parts)
    write(page, "once")
    waits(page, lambda: said(server, other) == ["once"], "it is stored")
    expect(page.locator("#log article")).to_have_count(1)
    page.press(FIELD, "Alt+ArrowUp")
    seen(page, one)
    assert said(server, other) == ["once"] and said(server, one) == []


def test_what_is_on_its_way_is_sent(server: Server, rooms: list[str], open_page: Open) -> None:
    """A message that the socket swallowed and a deletion that could be undone still reach the room that was left."""
    one, other = rooms
    page = open_page("/quotes", live=False)
    swallows = False

    def between(socket: Any) -> None:
        server_side = socket.connect_to_server()
        socket.on_message(lambda text: None if swallows and "send-message" in text else server_side.send(text))

    page.route_web_socket("**/api/v1/ws*", between)
    page.goto(f"{server.url}/rooms/{one}")
    seen(page, one)
    stays(page)
    write(page, "deleted", "Ada")
    expect(page.locator("#log article.own")).to_have_count(1)
    page.focus("#log article")
    page.keyboard.press("Delete")
    swallows = True
    for text in ("first", "second"):
        write(page, text)
    change(page, other)
    waits(page, lambda: said(server, one) == ["", "first", "second"], "all of it is stored")
    assert is_kept(page)
    change(page, one)
    expect(page.locator("#log article")).to_have_count(3)
    expect(page.locator("#outbox article")).to_have_count(0)


def test_what_is_no_such_page_is_loaded(server: Server, rooms: list[str], open_page: Open) -> None:
    """A room that is gone, a page that cannot be fetched, a tab of its own, and leaving with files on their way."""
    one, other = rooms
    page = stays(open_page(f"/rooms/{one}"))
    with page.context.expect_page() as tab:
        page.click(f"#room-list [data-room={other}] a", modifiers=["ControlOrMeta"])
    tab.value.wait_for_url(f"**/rooms/{other}")
    assert is_kept(page) and page.url.endswith(one)
    page.eval_on_selector(f"#room-list [data-room={other}] a", "link => { link.href = '/rooms/never-made'; }")
    page.click(f"#room-list [data-room={other}] a")
    page.wait_for_url("**/rooms/never-made")
    expect(page.locator("h1")).to_be_visible()
    assert not is_kept(page)
    page.go_back()
    seen(page, one)
    stays(page)
    page.route(f"**/rooms/{other}", lambda way: way.abort() if way.request.resource_type == "xhr" else way.continue_())
    change(page, other)
    assert not is_kept(page)


def test_going_back_finds_the_place(server: Server, rooms: list[str], open_page: Open) -> None:
    """In a room in which the reader was at something older, the same message is in view again."""
    one, other = rooms
    for number in range(45):
        say(server, one, f"line {number}")
    page = stays(open_page(f"/rooms/{one}", viewport={"width": 1024, "height": 500}))
    page.eval_on_selector("#m20", "article => article.scrollIntoView({ block: 'start' })")
    expect(page.locator("#newer")).to_be_visible()
    scroller = page.locator("#scroller").bounding_box()["y"]
    before = page.locator("#m20").bounding_box()["y"]
    assert before >= scroller
    change(page, other)
    page.go_back()
    seen(page, one)
    waits(page, lambda: abs(page.locator("#m20").bounding_box()["y"] - before) < 3, "the same place")
    assert is_kept(page)


def test_by_polling_the_rooms_change_too(server: Server, rooms: list[str], open_page: Open, no_websockets: str) -> None:
    """Where WebSockets are blocked the poll of the room that is left ends, and the next one asks for the new room."""
    one, other = rooms
    page = stays(open_page(f"/rooms/{one}", base=no_websockets))
    say(server, one, "one")
    expect(page.locator("#log article .text")).to_have_text("one")
    change(page, other)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    say(server, one, "not here")
    for text in ("two", "three"):
        say(server, other, text)
        expect(page.locator("#log article .text").last).to_have_text(text)
    assert texts(page) == ["two", "three"] and is_kept(page)
    waits(page, lambda: any("/events" in url for url in asked), "the next poll")
    assert not [url for url in asked if f"{one}/events" in url]
