"""Two people, and two devices of one of them, in a browser: what is read on one is read on the other; who types."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from playwright.sync_api import expect
from server import ROOT, Server, until
from servers import environment, quotechat
from test_pages import loads, stop_time, waits

PASSWORD = "correct horse battery 9"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, driver: Any, port: int) -> Iterator[Server]:
    """One server for this module, with the accounts of Ann and Bo."""
    data = tmp_path_factory.mktemp("following") / "data"
    data.mkdir()
    for name, role in (("Ann", "owner"), ("Bo", "member")):
        add = quotechat("users", "add", name, "--role", role, "--password-stdin", "--data", str(data))
        subprocess.run(add, input=PASSWORD.encode(), env=environment(), cwd=ROOT, check=True, capture_output=True)
    running = Server(data, port)
    running.start()
    yield running
    running.kill()


def session(server: Server, name: str) -> requests.Session:
    """Somebody signed in, by the API."""
    found = requests.Session()
    found.headers["Origin"] = server.url
    found.headers["Connection"] = "close"  # the server ends one that rests, perhaps as the next request is sent
    answer = found.post(f"{server.url}/api/v1/sessions", json={"name": name, "password": PASSWORD}, timeout=60)
    assert answer.status_code == 201, answer.text
    return found


@pytest.fixture
def devices(chromium: Any, server: Server) -> Iterator[Any]:
    """Opens a page on a device of its own, which is signed in."""
    contexts = []

    def opened(who: requests.Session, path: str, *, base: str = "", clock: bool = False) -> Any:
        context = chromium.new_context()
        contexts.append(context)
        value = who.cookies["quotechat-session"]
        context.add_cookies([{"name": "quotechat-session", "value": value, "url": base or server.url}])
        page = context.new_page()
        if clock:
            page.clock.install()
        page.goto((base or server.url) + path)
        page.wait_for_selector("#pill[data-state=live]")
        return page

    yield opened
    for context in contexts:
        context.close()


def room_of(server: Server, name: str, *members: requests.Session) -> str:
    """A new open room, which the first of them makes."""
    made = members[0].post(f"{server.url}/api/v1/rooms", json={"name": name}, timeout=60)
    assert made.status_code == 201, made.text
    for each in members:
        each.put(f"{server.url}/api/v1/rooms/{name}/members/me", timeout=60)
    return name


def say(server: Server, who: requests.Session, room: str, text: str) -> int:
    answer = who.post(f"{server.url}/api/v1/rooms/{room}/messages", json={"message": text}, timeout=60)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["seq"])


def entry(server: Server, who: requests.Session, room: str) -> dict[str, Any]:
    """What the inbox of that account has of the room."""
    rooms = who.get(f"{server.url}/api/v1/inbox", timeout=60).json()["rooms"]
    return dict(rooms.get(room, {}))


def read_to(server: Server, who: requests.Session, room: str) -> int:
    """Up to where that account has read the room; 0 if it has not joined it."""
    return int(entry(server, who, room).get("read", {}).get("id", 0))


_HIDE = """() => {
  Object.defineProperty(document, "hidden", { value: true, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def about_to_mark(server: Server, devices: Any, ann: Any, bo: Any, room: str) -> tuple[Any, int, int]:
    """The page of Ann, whose clock stands, with two messages of Bo: the first is read, the mark of the second waits."""
    page = devices(ann, f"/rooms/{room}", clock=True)
    first = say(server, bo, room, "one")
    until(lambda: read_to(server, ann, room) == first, "the first is read")
    stop_time(page)
    seen = say(server, bo, room, "two")
    expect(page.locator("#log article")).to_have_count(2)
    return page, first, seen


def test_what_comes_unseen_stays_unread(server: Server, devices: Any) -> None:
    """Though a mark of what was seen just before is still to be sent when the reader turns to another tab."""
    ann, bo = session(server, "Ann"), session(server, "Bo")
    room = room_of(server, "unseen", ann, bo)
    page, first, seen = about_to_mark(server, devices, ann, bo, room)
    page.evaluate(_HIDE)
    say(server, bo, room, "@Ann, look")
    expect(page.locator("#log article")).to_have_count(3)
    page.clock.run_for(3_000)
    until(lambda: read_to(server, ann, room) > first, "the second is read")
    assert read_to(server, ann, room) == seen
    found = entry(server, ann, room)
    assert (found["unread"], found["mentions"]) == (1, 1)


def test_a_mark_that_meets_a_restart_is_repeated(server: Server, devices: Any) -> None:
    """When the page is live again, though nothing more is said in the room."""
    ann, bo = session(server, "Ann"), session(server, "Bo")
    room = room_of(server, "restart", ann, bo)
    page, first, seen = about_to_mark(server, devices, ann, bo, room)
    server.kill()
    with page.expect_event("requestfailed", lambda request: request.url.endswith("/read")):
        page.clock.run_for(3_000)
    server.start()
    assert read_to(server, ann, room) == first
    page.clock.resume()
    waits(page, lambda: read_to(server, ann, room) == seen, "the second is read")


_UNTIL_LEFT = """room => {
  window.left = new Promise((done) => {
    document.addEventListener("inbox", ({ detail }) => detail.rooms[room] || done());
  });
}"""


def test_who_joins_by_speaking_has_read_from_then_on(server: Server, devices: Any) -> None:
    """To look at an open room joins nobody, nor to look on after leaving it; what is said in between is read."""
    ann, bo = session(server, "Ann"), session(server, "Bo")
    room = room_of(server, "spoken", bo)
    page = devices(ann, f"/rooms/{room}", clock=True)
    marks: list[str] = []
    page.on("request", lambda request: request.url.endswith("/read") and marks.append(request.url))
    say(server, bo, room, "one")
    expect(page.locator("#log article")).to_have_count(1)
    page.clock.run_for(3_000)
    assert (marks, entry(server, ann, room)) == ([], {})
    page.locator("[name=message]").fill("two")
    page.locator("[name=message]").press("Enter")
    expect(page.locator("#log article")).to_have_count(2)
    last = say(server, bo, room, "@Ann, look")
    waits(page, lambda: read_to(server, ann, room) == last, "it is read")
    assert "mentions" not in entry(server, ann, room)
    page.evaluate(_UNTIL_LEFT, room)
    ann.delete(f"{server.url}/api/v1/rooms/{room}/members/me", timeout=60)
    page.evaluate("() => window.left")
    marks.clear()
    say(server, bo, room, "four")
    expect(page.locator("#log article")).to_have_count(4)
    page.clock.run_for(3_000)
    assert (marks, entry(server, ann, room)) == ([], {})


_FOLLOW = """async ([room, way]) => {
  const { connect } = await import("/static/js/client.js");
  const connection = connect({ room, inbox: true, transports: [way] });
  window.unread = () => connection.inbox.rooms[room]?.unread ?? 0;
  await new Promise((done) => connection.addEventListener("inbox", done, { once: true }));
}"""
_CLEARED = "() => window.unread() === 0 && (window.clearedAt ??= Date.now())"


@pytest.mark.parametrize("way", ["websocket", "long-poll"])
def test_what_is_read_on_one_device_is_read_on_the_other(server: Server, devices: Any, way: str) -> None:
    """Within a second of the mark; in a room that the page of the other device does not show."""
    ann, bo, room = session(server, "Ann"), session(server, "Bo"), f"tea-{way}"
    assert ann.post(f"{server.url}/api/v1/rooms", json={"name": room}, timeout=60).status_code == 201
    for each in (ann, bo):
        each.put(f"{server.url}/api/v1/rooms/{room}/members/me", timeout=60)
    page = devices(ann, "/rooms/lobby")
    page.evaluate(_FOLLOW, [room, way])
    said = bo.post(f"{server.url}/api/v1/rooms/{room}/messages", json={"message": "hi"}, timeout=60).json()
    page.wait_for_function("() => window.unread() === 1")
    other = session(server, "Ann")
    marked = other.put(f"{server.url}/api/v1/rooms/{room}/read", json={"id": said["seq"]}, timeout=60)
    assert marked.status_code == 200
    at = time.time()
    page.wait_for_function(_CLEARED, polling=20)
    assert page.evaluate("() => window.clearedAt") / 1000 - at < 15  # under a second where nothing else runs


def test_typing_is_shown_and_goes(server: Server, devices: Any) -> None:
    """In a line that screen readers announce politely, until the message comes; never on one's own page."""
    here, there = (devices(session(server, name), "/rooms/lobby") for name in ("Ann", "Bo"))
    for page in (here, there):
        loads(page, "typing")
    field, line = here.locator("[name=message]"), there.locator("#typing")

    def is_told() -> bool:
        field.press("x")  # anew each time: the line goes when nothing is typed
        return bool(line.text_content() == "Ann is typing")

    waits(there, is_told, "who types")
    assert line.get_attribute("role") == "status"
    assert here.locator("#typing").text_content() == ""
    typed = field.input_value()
    there.evaluate("localStorage.setItem('quotechat:user', '\"Ann\"')")  # a name from before it had an account
    field.press("Enter")
    expect(there.locator("#log article .text").last).to_have_text(typed)
    assert "own" not in (there.locator("#log article").last.get_attribute("class") or "").split()
    expect(line).to_have_text("")


class Closed:
    """A closed room of Ann's, in which Bo is or is not."""

    def __init__(self, server: Server) -> None:
        self.ann, self.bo = session(server, "Ann"), session(server, "Bo")
        api = f"{server.url}/api/v1"
        made = self.ann.post(f"{api}/rooms", json={"title": "The team", "kind": "closed"}, timeout=60)
        assert made.status_code == 201, made.text
        self.name = made.json()["name"]
        person = self.bo.get(f"{api}/me", timeout=60).json()["account"]["id"]
        self.member = f"{api}/rooms/{self.name}/members/{person}"

    def let_in(self) -> None:
        answer = self.ann.put(self.member, json={}, timeout=60)
        assert answer.ok, answer.text

    def put_out(self) -> None:
        assert self.ann.delete(self.member, timeout=60).ok


@pytest.mark.parametrize("path", ["/rooms/{}", "/polling?room={}"])
def test_out_of_a_room_the_page_says_so_and_follows_the_others(path: str, server: Server, devices: Any) -> None:
    """Nothing of the room stays in the page; that one is let in again is told in the column."""
    room = Closed(server)
    room.let_in()
    say(server, room.ann, room.name, "among us")
    page = devices(room.bo, path.format(room.name))
    expect(page.locator("#log")).to_contain_text("among us")
    room.put_out()
    expect(page.locator("h1")).to_have_text("No such room")
    expect(page.locator("body")).not_to_contain_text("among us")
    row = page.locator(f"#room-list [data-room={room.name}] a")
    expect(row).to_have_count(0)
    room.let_in()
    say(server, room.ann, room.name, "again")
    expect(row).to_contain_text("unread")
    row.click()
    expect(page.locator("#log")).to_contain_text("again")


def test_out_of_a_room_what_is_being_written_stays(server: Server, devices: Any) -> None:
    """In sight until its writer goes on, and in the draft for the day on which one is let in again."""
    room = Closed(server)
    room.let_in()
    page = devices(room.bo, f"/rooms/{room.name}")
    field = page.locator("[name=message]")
    field.fill("half a thought")
    room.put_out()
    expect(page.locator("#pill")).to_have_text("Not there any more")
    expect(page.locator("#toast")).to_contain_text("not there any more, or not yours")
    expect(field).to_have_value("half a thought")
    page.click("#toast button")
    expect(page.locator("h1")).to_have_text("No such room")
    room.let_in()
    page.goto(f"{server.url}/rooms/{room.name}")
    expect(field).to_have_value("half a thought")


def test_a_room_that_is_there_and_refused_is_loaded_anew_once(server: Server, devices: Any) -> None:
    """The page asks nothing again and again, though the server's answers do not fit each other."""
    page = devices(session(server, "Bo"), "/rooms/lobby")
    loads_of: list[str] = []
    page.on("domcontentloaded", lambda: loads_of.append(page.url))
    refused = {"command": "error", "error": {"code": "room-unknown", "title": "No such room", "status": 404}}
    page.route_web_socket("**/api/v1/ws*", lambda socket: socket.send(json.dumps(refused)))
    page.goto(f"{server.url}/rooms/lobby?again")
    again = page.locator("#toast button")
    expect(again).to_have_text("Load anew")
    assert len(loads_of) == 2
    again.click()
    waits(page, lambda: len(loads_of) == 3, "the page")
    expect(again).to_have_text("Load anew")
    assert len(loads_of) == 3
