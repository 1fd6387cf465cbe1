"""The inbox: polled, held, streamed and over a socket, on two workers of one store."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from persons import PASSWORD, Person, heard, streamed, two_servers
from servers import Running, environment, quotechat, until
from websockets.sync.client import connect

from quotechat.client import Client


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]) -> Iterator[list[Running]]:
    """Two servers on one store: what one commits, the other hears of by a wake-up or by its own looks."""
    with two_servers(tmp_path_factory.mktemp("data"), new_database()) as started:
        yield started


_rooms = iter(f"tea{number}" for number in range(1000))


@pytest.fixture
def room(servers: list[Running]) -> str:
    """A new room, which Ann has joined at the first server and Bo at the second."""
    name = next(_rooms)
    requests.post(f"{servers[0].url}/api/v1/rooms", json={"name": name})
    return name


@pytest.fixture
def ann(servers: list[Running], room: str) -> Person:
    person = Person(servers[0].url, "Ann")
    person.command("join", room)
    return person


@pytest.fixture
def bo(servers: list[Running], room: str) -> Person:
    person = Person(servers[1].url, "Bo")
    person.command("join", room)
    return person


def test_unread_is_counted(ann: Person, bo: Person, room: str) -> None:
    """What others say is unread until it is read, on every device; what one says oneself is read."""
    assert ann.entry(room) == {"read": {"id": 0, "messages": 0}}
    first, second = bo.say(room), bo.say(room)
    assert ann.entry(room)["unread"] == 2
    assert ann.command("mark-read", room, read={"id": first})["read"] == {"id": first, "messages": 1}
    assert ann.entry(room)["unread"] == 1
    assert ann.ask("PUT", f"/rooms/{room}/read", {"id": second}).json() == {"read": {"id": second, "messages": 2}}
    assert "unread" not in ann.entry(room)
    # Backwards only if asked.
    assert ann.command("mark-read", room, read={"id": first})["read"]["id"] == second
    assert ann.command("mark-read", room, read={"id": first, "back": True})["read"]["id"] == first
    third = ann.say(room)
    assert ann.entry(room)["unread"] == 2
    ann.command("mark-read", room, read={"id": third})
    own = ann.say(room)
    assert ann.entry(room)["read"]["id"] == own and "unread" not in ann.entry(room)


def test_joining_answers_with_the_place_in_the_inbox(servers: list[Running], ann: Person, room: str) -> None:
    """The ack's `inbox` is the entry that the inbox has from then on; the same for a member, over either way in."""
    bo = Person(servers[1].url, "Bo")
    ann.say(room, "hi @Bo")
    named = bo.entry(room)
    assert named["mentions"] == 1 and "read" not in named
    ack = bo.command("join", room)
    assert ack["inbox"] == bo.entry(room) == {
        "last": 1, "messages": 1, "read": {"id": 1, "messages": 1}, "mentions": 1,
    }  # fmt: skip
    assert "seq" not in ack
    ann.say(room, "everybody")
    url = f"{bo.url.replace('http', 'ws')}/ws"
    with connect(url, additional_headers={**bo.cookie, "Origin": servers[1].url}) as ws:
        ws.send(json.dumps({"command": "join", "room": room, "client_id": "j"}))
        again = heard(ws, "ack")
    assert again["inbox"] == bo.entry(room) and (again["inbox"]["unread"], again["client_id"]) == (1, "j")


def test_reading_changes_the_tag_of_a_snapshot(ann: Person, bo: Person, room: str) -> None:
    """It shows up to where the reader has read, so a browser that asks with the old tag gets it anew."""
    number = bo.say(room)
    before = ann.ask("GET", f"/rooms/{room}")
    ann.command("mark-read", room, read={"id": number})
    after = ann.ask("GET", f"/rooms/{room}", headers={"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200 and after.json()["about"]["you"]["read"] == {"id": number, "messages": 1}


def test_a_deleted_newest_leaves_nothing_unread(ann: Person, bo: Person, room: str) -> None:
    """One that is deleted in the middle still counts; the newest one does not."""
    bo.say(room)
    ann.command("mark-read", room, read={"id": 1})
    number = bo.say(room)
    bo.ask("DELETE", f"/rooms/{room}/messages/{number}")
    assert "unread" not in ann.entry(room)
    bo.say(room)
    assert ann.entry(room)["unread"] == 2


def test_equal_cursor_says_nothing(ann: Person, bo: Person, room: str) -> None:
    """An equal cursor is answered without rooms, and with 304 as a tag; any other with the whole."""
    whole = ann.inbox()
    assert whole["complete"] is True
    assert ann.inbox(f"?after={whole['cursor']}") == {"cursor": whole["cursor"], "rooms": {}}
    assert ann.ask("GET", "/inbox", headers={"If-None-Match": f'"{whole["cursor"]}"'}).status_code == 304
    bo.say(room)
    later = ann.inbox(f"?after={whole['cursor']}")
    assert later["complete"] is True and later["cursor"] != whole["cursor"]


def test_a_held_poll_hears_of_both(ann: Person, bo: Person, room: str) -> None:
    """It is answered when something is said at another server, and when another device has read."""
    other = Person(bo.url.removesuffix("/api/v1"), "Ann")  # before: signing in makes a notice
    cursor = ann.inbox()["cursor"]
    found: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: found.append(ann.inbox(f"?after={cursor}&wait=25")))
    thread.start()
    number = bo.say(room)
    thread.join(60)
    assert found[0]["rooms"][room]["unread"] == 1
    there = found[0]["cursor"]
    thread = threading.Thread(target=lambda: found.append(ann.inbox(f"?after={there}&wait=25")))
    thread.start()
    other.command("mark-read", room, read={"id": number})
    thread.join(60)
    assert "unread" not in found[1]["rooms"][room] and found[1]["complete"]


def test_answers_to_one_account_keep_their_distance(ann: Person, bo: Person, room: str) -> None:
    """Half a second from one to the next, also for a reader that comes back at once and finds news."""
    polls, ended = 4, threading.Event()

    def talk() -> None:
        while not ended.wait(0.02):
            bo.say(room)

    talker = threading.Thread(target=talk)
    cursor = ann.inbox()["cursor"]
    began = time.monotonic()
    talker.start()
    try:
        for _ in range(polls):
            found = ann.inbox(f"?after={cursor}&wait=25")
            assert found["complete"]
            cursor = found["cursor"]
    finally:
        ended.set()
        talker.join()
    assert time.monotonic() - began >= (polls - 1) * 0.5


def test_one_poll_for_a_room_and_the_inbox(ann: Person, bo: Person, room: str) -> None:
    """Events of the room and the inbox, whichever comes; without news both cursors come back."""
    cursor, there = ann.ask("GET", f"/rooms/{room}").json()["cursor"], ann.inbox()["cursor"]
    query = f"/events?after={room}:{cursor}&after=@inbox:{there}"
    nothing = ann.ask("GET", query).json()
    assert nothing["inbox"] == {"cursor": there, "rooms": {}} and nothing["rooms"][room]["events"] == []
    assert ann.ask("GET", f"{query}&wait=0.2").json()["inbox"] == nothing["inbox"]
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(ann.ask("GET", f"{query}&wait=25").json()))
    thread.start()
    bo.say(room)
    thread.join(60)
    assert found[0]["rooms"][room]["events"] or found[0]["inbox"]["rooms"]
    visitor = requests.get(f"{ann.url}/events?after=@inbox:0")
    assert visitor.status_code == 401 and requests.get(f"{ann.url}/inbox").status_code == 401


def test_over_a_socket(ann: Person, bo: Person, room: str) -> None:
    """The whole at the beginning, counts as news, and what was read elsewhere; again from the cursor it is nothing."""
    device = Person(bo.url.removesuffix("/api/v1"), "Ann")  # before: signing in makes a notice
    with connect(ann.url.replace("http", "ws") + "/ws", additional_headers=ann.cookie) as ws:
        ws.send(json.dumps({"command": "subscribe", "room": "@inbox", "after": "0"}))
        whole = heard(ws, "inbox")
        assert whole["complete"] and room in whole["rooms"]
        assert heard(ws, "caught-up") == {"command": "caught-up", "room": "@inbox", "cursor": whole["cursor"]}
        number = bo.say(room)
        assert heard(ws, "news")["rooms"][room] == {"last": number, "messages": 1}
        device.command("mark-read", room, read={"id": number})
        changed = heard(ws, "inbox")
        assert changed["rooms"] == {room: {"last": 1, "messages": 1, "read": {"id": 1, "messages": 1}}}
        other = next(_rooms)
        requests.post(f"{ann.url}/rooms", json={"name": other})
        ann.command("join", other)
        assert list(heard(ws, "inbox")["rooms"]) == [other]
        cursor = ann.inbox()["cursor"]
        ws.send(json.dumps({"command": "unsubscribe", "room": "@inbox"}))
        heard(ws, "ack")
        ws.send(json.dumps({"command": "subscribe", "room": "@inbox", "after": cursor}))
        assert json.loads(ws.recv(timeout=30)) == {"command": "caught-up", "room": "@inbox", "cursor": cursor}
    with connect(ann.url.replace("http", "ws") + "/ws") as ws:
        ws.send(json.dumps({"command": "subscribe", "room": "@inbox"}))
        assert heard(ws, "error")["error"]["code"] == "unauthenticated"


@pytest.mark.parametrize("media", ["application/x-ndjson", "text/event-stream"])
def test_streamed(ann: Person, bo: Person, room: str, media: str) -> None:
    """The same envelopes on a stream; an event stream comes back with its last position."""
    headers = {"Accept": media}
    with ann.session.get(f"{ann.url}/inbox?heartbeat=1", headers=headers, stream=True, timeout=60) as answer:
        assert answer.headers["Content-Type"].startswith(media)
        envelopes = streamed(answer)
        assert next(envelopes)["complete"] is True
        caught_up = next(envelopes)
        bo.say(room)
        told = next(each for each in envelopes if each["command"] in ("news", "inbox"))
        assert room in told["rooms"]
    headers["Last-Event-ID"] = ann.inbox()["cursor"]
    with ann.session.get(f"{ann.url}/inbox", headers=headers, stream=True, timeout=60) as answer:
        first = next(streamed(answer))
    assert caught_up["command"] == "caught-up" and caught_up["room"] == "@inbox"
    assert first["command"] == ("caught-up" if media == "text/event-stream" else "inbox")


def test_held_polls_take_no_thread(ann: Person, bo: Person, room: str) -> None:
    """More polls of the inbox and of several rooms than the server has threads are held, and all are answered."""
    cursor, there = ann.ask("GET", f"/rooms/{room}").json()["cursor"], ann.inbox()["cursor"]
    query = f"/events?after={room}:{cursor}&after=lobby:now&after=@inbox:{there}&wait=25"
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(ann.ask("GET", query).json())) for _ in range(80)]
    for thread in threads:
        thread.start()
    until(lambda: "quotechat_held_polls 80" in requests.get(ann.url.removesuffix("/api/v1") + "/metrics").text)
    bo.say(room)
    for thread in threads:
        thread.join(60)
    assert len(found) == 80
    # A hold that ended by itself would have neither.
    assert all(each["rooms"][room]["events"] or each["inbox"]["rooms"] for each in found)


# --- Mentions ---------------------------------------------------------------------------------------


def mentioned(person: Person, room: str) -> list[tuple[int, str, bool]]:
    found = person.ask("GET", "/mentions").json()["mentions"]
    return [(each["message"]["id"], each["kind"], each.get("unread", False)) for each in found if each["room"] == room]


def test_mentions_are_counted_until_read(ann: Person, bo: Person, room: str) -> None:
    """By name, by an answer, and all together; the run names the account; reading sees them, going back does not."""
    named = bo.say(room, "tea, **@Ann**? `@Ann`")
    runs = bo.ask("GET", f"/rooms/{room}").json()["messages"][-1]["runs"]
    assert [run for run in runs if "mention" in run] == [{"text": "@Ann", "bold": True, "mention": ann.id}]
    own = ann.say(room, "@Ann @Bo")
    answer = bo.ask("POST", f"/rooms/{room}/messages", {"message": "re", "reply_to": own}).json()["seq"]
    everybody = bo.say(room, "@room")
    assert ann.entry(room)["mentions"] == 3
    assert mentioned(ann, room) == [(everybody, "room", True), (answer, "reply", True), (named, "name", True)]
    # Bo has not read it: what he said after it does not mean that he has.
    assert mentioned(bo, room) == [(own, "name", True)] and bo.entry(room)["mentions"] == 1
    ann.command("mark-read", room, read={"id": answer})
    assert ann.entry(room)["mentions"] == 1
    ann.command("mark-read", room, read={"id": everybody})
    assert "mentions" not in ann.entry(room)
    ann.command("mark-read", room, read={"id": named, "back": True})
    assert ann.entry(room)["mentions"] == 2
    page = ann.ask("GET", f"/mentions?limit=1&before={room}:{answer}").json()
    assert page["mentions"][0]["message"]["id"] == named


def test_edits_and_deletions_change_mentions(ann: Person, bo: Person, room: str) -> None:
    """An edit adds and takes away; a deletion takes away; a held poll hears of each."""
    number = bo.say(room, "hello")
    ann.command("mark-read", room, read={"id": number})
    cursor = ann.inbox()["cursor"]
    address = f"/rooms/{room}/messages/{number}"
    bo.ask("PATCH", address, {"message": "hello @ann"})
    there = ann.inbox(f"?after={cursor}&wait=25")
    assert there["rooms"][room]["mentions"] == 1 and "unread" not in there["rooms"][room]
    bo.ask("PATCH", address, {"message": "hello"})
    assert "mentions" not in ann.entry(room)
    bo.ask("PATCH", address, {"message": "hello @ann again"})
    assert ann.entry(room)["mentions"] == 1
    bo.ask("DELETE", address)
    assert "mentions" not in ann.entry(room) and mentioned(ann, room) == []


def test_an_edit_calls_everybody(ann: Person, bo: Person, room: str) -> None:
    """`@room` edited in is a mention with its run, seen by those who have read so far; edited out it is none."""
    number = bo.say(room, "hello")
    cursor = ann.inbox()["cursor"]
    address = f"/rooms/{room}/messages/{number}"
    event = bo.ask("PATCH", address, {"message": "hello @room"}).json()
    assert event["message"]["runs"] == [{"text": "hello "}, {"text": "@room", "mention": "room"}]
    there = ann.inbox(f"?after={cursor}&wait=25")
    assert there["rooms"][room]["mentions"] == 1
    assert mentioned(ann, room) == [(number, "room", True)] and mentioned(bo, room) == []
    bo.ask("PATCH", address, {"message": "hello @room and @Ann"})
    assert mentioned(ann, room) == [(number, "name", True)] and ann.entry(room)["mentions"] == 1
    bo.ask("PATCH", address, {"message": "hello"})
    assert mentioned(ann, room) == []
    ann.command("mark-read", room, read={"id": number})
    bo.ask("PATCH", address, {"message": "hello @room"})
    assert mentioned(ann, room) == [(number, "room", False)] and "mentions" not in ann.entry(room)
    bo.ask("PATCH", address, {"message": "hello"})
    assert "mentions" not in ann.entry(room) and mentioned(ann, room) == []


def test_a_mention_shows_a_room_that_one_has_not_joined(ann: Person, bo: Person) -> None:
    """It is in the inbox while the mention is unread; reading joins."""
    other = next(_rooms)
    requests.post(f"{ann.url}/rooms", json={"name": other})
    number = bo.say(other, "@Ann come")
    assert ann.entry(other) == {"last": number, "messages": 1, "mentions": 1}
    ann.command("mark-read", other, read={"id": number})
    assert ann.entry(other) == {"last": number, "messages": 1, "read": {"id": number, "messages": 1}}


def test_levels(ann: Person, bo: Person, room: str) -> None:
    """One for each room, told in the inbox where it is not the usual one; only for members."""
    assert ann.ask("PUT", f"/rooms/{room}/level", {"level": "nothing"}).json() == {"level": "nothing"}
    assert ann.entry(room)["level"] == "nothing" and "level" not in bo.entry(room)
    ann.command("set-level", room, level="mentions")
    assert "level" not in ann.entry(room)
    assert ann.ask("PUT", f"/rooms/{room}/level", {"level": "loud"}).status_code == 422
    other = next(_rooms)
    requests.post(f"{ann.url}/rooms", json={"name": other})
    assert ann.ask("PUT", f"/rooms/{other}/level", {"level": "nothing"}).status_code == 403
    assert requests.put(f"{ann.url}/rooms/{room}/read", json={"id": 1}).status_code == 401


def test_the_level_for_rooms_without_one_of_their_own(ann: Person, bo: Person, room: str) -> None:
    """From the settings, at once, also in what is followed; a direct room is told of in full, a level of one's own
    holds."""
    direct = bo.ask("POST", "/directs", {"members": [ann.id]}).json()["name"]
    own = next(_rooms)
    requests.post(f"{ann.url}/rooms", json={"name": own})
    ann.command("join", own)
    ann.command("set-level", own, level="mentions")
    with connect(ann.url.replace("http", "ws") + "/ws", additional_headers=ann.cookie) as ws:
        ws.send(json.dumps({"command": "subscribe", "room": "@inbox"}))
        heard(ws, "caught-up")
        assert ann.ask("PATCH", "/me", {"settings": {"level": "nothing"}}).status_code == 200
        told = heard(ws, "inbox")
    assert told["rooms"][room]["level"] == "nothing" and not {own, direct} & told["rooms"].keys()
    assert ann.entry(room)["level"] == "nothing" and "level" not in bo.entry(room)
    assert "level" not in ann.entry(own) and "level" not in ann.entry(direct)
    page = ann.session.get(f"{ann.url.removesuffix('/api/v1')}/rooms/{room}/about").text
    assert 'value="nothing" checked' in page
    other = next(_rooms)
    requests.post(f"{ann.url}/rooms", json={"name": other})
    assert ann.command("join", other)["inbox"]["level"] == "nothing"
    bo.say(other, "@Ann")
    assert ann.entry(other)["mentions"] == 1 and ann.entry(other)["level"] == "nothing"
    assert ann.ask("PATCH", "/me", {"settings": {"level": "mentions"}}).status_code == 200
    assert "level" not in ann.entry(room) and "level" not in ann.entry(other)


# --- The page and the clients -----------------------------------------------------------------------


def test_the_page_lists_rooms_and_marks_them_read(ann: Person, bo: Person, room: str) -> None:
    """A list with what is unread, and a form that needs no script; who is not signed in signs in first."""
    number = bo.say(room, "@Ann")
    address = ann.url.removesuffix("/api/v1") + "/inbox"
    page = ann.session.get(address)
    assert f'href="/rooms/{room}"' in page.text and "1 unread, 1 mention<" in page.text
    answer = ann.session.post(f"{address}/read", data={"room": room, "id": number}, allow_redirects=False)
    assert answer.status_code == 303 and "unread" not in ann.entry(room)
    ann.session.post(f"{address}/level", data={"room": room, "level": "hidden"})
    assert ann.entry(room)["level"] == "hidden"
    assert f'href="/rooms/{room}"' not in ann.session.get(address).text.partition("<main")[2]
    bo.say(room, "@Ann, once more")
    assert f'href="/rooms/{room}"' in ann.session.get(address).text.partition("<main")[2]
    assert ann.session.post(f"{address}/all", allow_redirects=False).status_code == 303
    assert not ann.entry(room).keys() & {"unread", "mentions"}
    assert "Mark all read" not in ann.session.get(address).text
    assert ann.session.post(f"{address}/read", data={"room": "none", "id": "1"}).status_code == 404
    assert requests.get(address, allow_redirects=False).headers["Location"].endswith("/sign-in?next=/inbox")


def test_the_python_client_follows(ann: Person, bo: Person, room: str) -> None:
    """The inbox whenever it changes, marks, levels and mentions; and in a terminal."""
    ann.ask("POST", "/sessions/proof", {"password": PASSWORD})
    token = ann.ask("POST", "/tokens", {"name": "laptop"}).json()["token"]
    url = ann.url.removesuffix("/api/v1")
    with Client(url, token) as client:
        seen = client.inboxes()
        assert room in next(seen)["rooms"]
        number = bo.say(room, "@Ann")
        assert next(each for each in seen if each["rooms"][room].get("unread"))["rooms"][room]["mentions"] == 1
        seen.close()  # type: ignore[attr-defined]  # it is a generator
        assert client.mentions()[0]["message"]["id"] == number
        client.mark_read(number, room=room)
        client.set_level("nothing", room=room)
        assert client.inbox()["rooms"][room]["level"] == "nothing"
    command = quotechat("tail", "@inbox", "--url", url, "--json")
    with subprocess.Popen(command, env=environment(QUOTECHAT_TOKEN=token), stdout=subprocess.PIPE) as tail:
        assert tail.stdout is not None
        assert json.loads(tail.stdout.readline())["rooms"][room]["level"] == "nothing"
        tail.terminate()
