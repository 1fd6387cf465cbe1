"""Each command over POST and over WebSocket: its event on every transport, its refusals, its repeat, and
what is left of it after a restart."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from flask.testing import FlaskClient
from servers import Running, environment, quotechat, running, until
from websockets.sync.client import connect

WAYS = ["post", "websocket"]
_numbers = itertools.count()


class Guest:
    """Somebody with an identity, in a room of their own."""

    def __init__(self, server: Running, room: str, user: str = "Azin") -> None:
        self.server, self.room = server, room
        self.base = f"{server.url}/api/v1"
        self.url = f"{self.base}/rooms/{room}"
        answer = requests.post(f"{self.base}/guests", json={"user": user})
        self.headers = {"Authorization": "Bearer " + answer.json()["token"]}

    def ask(self, way: str, envelope: dict[str, Any], *, anonymous: bool = False) -> dict[str, Any]:
        """The `ack`, or the problem, whatever the way."""
        headers = {} if anonymous else self.headers
        if way == "post":
            answer = requests.post(f"{self.url}/commands", json=envelope, headers=headers)
            found: dict[str, Any] = answer.json()
            assert answer.status_code == found.get("status", 200)
            found.pop("request_id", None)
            return found
        with connect(socket_url(self.server), additional_headers=headers) as ws:
            ws.send(json.dumps({**envelope, "room": self.room}))
            found = json.loads(ws.recv(timeout=60))
        return found["error"] if found["command"] == "error" else found

    def say(self, text: str = "Hello!", **more: Any) -> int:
        """The id of a new message."""
        message = {"user": "Azin", "message": text, **more}
        return int(self.ask("post", {"command": "send-message", "message": message})["seq"])

    def schedule(self) -> int:
        """The id of a message that waits."""
        message = {"user": "Azin", "message": "later", "send_at": "+1h"}
        return int(self.ask("post", {"command": "send-message", "message": message})["scheduled"]["id"])

    def waiting(self) -> list[Any]:
        found: list[Any] = requests.get(f"{self.url}/scheduled", headers=self.headers).json()["scheduled"]
        return found

    def head(self) -> str:
        cursor: str = requests.get(f"{self.url}/events").json()["cursor"]
        return cursor


def socket_url(server: Running, query: str = "") -> str:
    return server.url.replace("http", "ws", 1) + "/api/v1/ws" + query


@pytest.fixture
def guest(server: Running) -> Guest:
    room = f"room-{next(_numbers)}"
    assert requests.post(f"{server.url}/api/v1/rooms", json={"name": room}).status_code == 201
    return Guest(server, room)


# --- Events ---------------------------------------------------------------------------------------


class Prepared(NamedTuple):
    """An envelope to send, and the event that it shall become."""

    envelope: dict[str, Any]
    command: str
    carried: dict[str, Any]


def sending(guest: Guest) -> Prepared:
    parent = guest.say("first **words**")
    message = {"user": "Azin", "message": "*Hello* https://a.example", "color": "teal", "reply_to": parent}
    runs = [{"text": "Hello", "italic": True}, {"text": " "}, {"text": "https://a.example", "href": "https://a.example"}]
    reply_to = {"id": parent, "user": "Azin", "excerpt": "first words"}
    shown = {**message, "id": parent + 1, "runs": runs, "reply_to": reply_to, "client_id": "k"}
    return Prepared({"command": "send-message", "message": message}, "message-sent", {"message": shown})


def editing(guest: Guest) -> Prepared:
    message_id = guest.say("**old**", color="red")
    guest.ask("post", {"command": "react", "message": {"id": message_id, "reaction": "like"}})
    shown = {"id": message_id, "user": "Azin", "message": "new", "color": "red", "likes": 1}
    envelope = {"command": "edit-message", "message": {"id": message_id, "message": "new"}}
    return Prepared(envelope, "message-edited", {"message": shown})


def deleting(guest: Guest) -> Prepared:
    message_id = guest.say()
    envelope = {"command": "delete-message", "message": {"id": message_id}}
    return Prepared(envelope, "message-deleted", {"message": {"id": message_id}})


def reacting(guest: Guest) -> Prepared:
    message_id = guest.say()
    shown = {"id": message_id, "likes": 0, "dislikes": 1}
    envelope = {"command": "react", "message": {"id": message_id, "reaction": "dislike"}}
    return Prepared(envelope, "reactions-changed", {"message": shown})


def quoting(guest: Guest) -> Prepared:
    quote = {"quote": "Less is more.", "author": "Mies"}
    return Prepared({"command": "add-quote", "quote": quote}, "quote-added", {"quote": {**quote, "client_id": "k"}})


def unquoting(guest: Guest) -> Prepared:
    quote = {"quote": "Less is more.", "author": "Mies"}
    guest.ask("post", {"command": "add-quote", "quote": quote})
    quote_id = requests.get(f"{guest.server.url}/api/v1/quotes?limit=1").json()["quotes"][0]["id"]
    shown = {"id": quote_id, "quote": "", "author": "", "removed": True}
    return Prepared({"command": "remove-quote", "quote": {"id": quote_id}}, "quote-removed", {"quote": shown})


EVENTFUL = [sending, editing, deleting, reacting, quoting, unquoting]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("prepare", EVENTFUL)
def test_its_event_comes_over_every_transport(guest: Guest, prepare: Callable[[Guest], Prepared], way: str) -> None:
    """Short poll, held poll and WebSocket bring the same envelope, and a repeat brings nothing."""
    envelope, command, carried = prepare(guest)
    after, held = guest.head(), []
    poll = threading.Thread(
        target=lambda: held.append(requests.get(f"{guest.url}/events?after={after}&wait=25", timeout=60).json())
    )
    with connect(socket_url(guest.server, f"?room={guest.room}&after={after}")) as ws:
        assert json.loads(ws.recv(timeout=60))["command"] == "caught-up"
        poll.start()
        until(lambda: "quotechat_held_polls 1" in requests.get(f"{guest.server.url}/metrics").text, what="the hold")
        ack = guest.ask(way, {**envelope, "client_id": "k"})
        event = json.loads(ws.recv(timeout=60))
        poll.join()
        page = requests.get(f"{guest.url}/events?after={after}").json()
        assert page["events"] == held[0]["events"] == [event]
        assert ack == {"command": "ack", "client_id": "k", "seq": event["seq"], "cursor": event["cursor"]}
        assert (event["command"], event["room"]) == (command, guest.room)
        (kind, body), = carried.items()
        assert {name: value for name, value in event[kind].items() if name not in OWN_TIME[command]} == body
        for again in WAYS:
            assert guest.ask(again, {**envelope, "client_id": "k"}) == {**ack, "duplicate": True}
        assert guest.head() == event["cursor"]
    # The same id for other content is told, not stored.
    other = json.loads(json.dumps(envelope).replace("Hello", "Bye").replace("new", "newer").replace("more", "less"))
    if other != envelope:
        assert guest.ask(way, {**other, "client_id": "k"})["code"] == "client-id-reused"


#: What an event holds beside what was sent: times, and the id of a quote, which is another's business.
OWN_TIME = {
    "message-sent": ("at",), "message-edited": ("at", "edited_at"), "message-deleted": (),
    "reactions-changed": (), "quote-added": ("at", "id"), "quote-removed": ("at",),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_reactions_are_one_for_each(guest: Guest, way: str) -> None:
    """Changed, taken back, given again; the same again changes nothing and makes no event."""
    message_id, other = guest.say(), Guest(guest.server, guest.room, "Bo")

    def react(who: Guest, reaction: str) -> dict[str, Any]:
        return who.ask(way, {"command": "react", "message": {"id": message_id, "reaction": reaction}})

    counts = []
    for who, reaction in [(guest, "like"), (other, "like"), (guest, "dislike"), (guest, "none"), (other, "none")]:
        assert "duplicate" not in react(who, reaction)
        event = requests.get(f"{guest.url}/events?after={int(guest.head().split('.')[0]) - 1}").json()["events"][0]
        counts.append((event["message"]["likes"], event["message"]["dislikes"]))
        before = guest.head()
        assert react(who, reaction)["duplicate"] is True
        assert guest.head() == before
    assert counts == [(1, 0), (2, 0), (1, 1), (1, 0), (0, 0)]


@pytest.mark.parametrize("way", WAYS)
def test_emoji_are_added_and_taken_back(guest: Guest, way: str) -> None:
    """Each once per person, whatever the way; the snapshot says which are one's own, and the form of a page works."""
    message_id, other = guest.say(), Guest(guest.server, guest.room, "Bo")

    def react(who: Guest, reaction: str, **more: Any) -> dict[str, Any]:
        return who.ask(way, {"command": "react", "message": {"id": message_id, "reaction": reaction, **more}})

    assert "duplicate" not in react(guest, "🎉")
    assert react(guest, "🎉", on=True)["duplicate"] is True
    react(other, "🎉")
    react(other, "🇩🇪")
    address = f"{guest.url}/messages/{message_id}/reaction"
    event = requests.put(address, json={"reaction": "🇩🇪", "on": False}, headers=other.headers).json()
    assert event["message"] == {"id": message_id, "likes": 0, "dislikes": 0, "reactions": {"🎉": 2}}
    snapshot = requests.get(guest.url, headers=guest.headers).json()
    assert snapshot["messages"][-1]["reactions"] == {"🎉": 2}
    assert snapshot["mine"]["emoji"] == {str(message_id): ["🎉"]}
    for reaction, field in (("🎉🎉", "reaction"), ("x", "reaction"), ("", "reaction")):
        assert react(guest, reaction)["field"] == field
    form = f"{guest.server.url}/rooms/{guest.room}/reactions"
    page = requests.post(form, data={"take": f"{message_id} 🎉"}, headers=guest.headers)
    assert page.url.endswith(f"#m{message_id}") and 'aria-label="🎉: 1"' in page.text
    assert requests.post(form, data={"add": f"{message_id} x"}, headers=guest.headers).status_code == 422


@pytest.mark.parametrize("way", WAYS)
def test_a_deleted_parent_shows_as_such(guest: Guest, way: str) -> None:
    """In the reply that was there, in its event, and in a reply that comes later: who, but no word of it."""
    parent = guest.say("secret words")
    guest.say("early", reply_to=parent)
    guest.ask(way, {"command": "delete-message", "message": {"id": parent}})
    guest.say("late", reply_to=parent)
    gone = {"id": parent, "user": "Azin", "deleted": True}
    snapshot = requests.get(guest.url).json()
    assert [message.get("reply_to") for message in snapshot["messages"]] == [None, gone, gone]
    assert set(snapshot["messages"][0]) == {"id", "user", "at", "deleted"}
    events = requests.get(f"{guest.url}/events?after=0").text
    assert "secret" not in events and "secret" not in json.dumps(snapshot)


@pytest.mark.parametrize("way", WAYS)
def test_scheduled_waits_and_can_be_cancelled(guest: Guest, way: str) -> None:
    """Seen by its sender alone; a repeat gets the same; cancelled it is gone, and its text with it."""
    before = guest.head()
    message = {"user": "Azin", "message": "later", "send_at": "+1h", "color": "pink"}
    send = {"command": "send-message", "client_id": "k", "message": message}
    ack = guest.ask(way, send)
    assert ack["command"] == "ack" and "seq" not in ack
    assert guest.waiting() == [ack["scheduled"]]
    assert Guest(guest.server, guest.room, "Bo").waiting() == []
    assert guest.ask(way, send) == {**ack, "duplicate": True}
    cancel = {"command": "cancel-scheduled", "client_id": "c", "scheduled": {"id": ack["scheduled"]["id"]}}
    assert guest.ask(way, cancel) == {**ack, "client_id": "c"}
    assert guest.waiting() == []
    without_text = {**ack["scheduled"], "message": {"client_id": "k"}}
    assert guest.ask(way, cancel) == {**ack, "scheduled": without_text, "client_id": "c", "duplicate": True}
    assert guest.ask(way, send) == {**ack, "duplicate": True}
    assert guest.ask(way, {**cancel, "client_id": "d"})["code"] == "scheduled-unknown"
    assert guest.head() == before


@pytest.mark.parametrize("way", WAYS)
def test_scheduled_comes_when_it_is_due(guest: Guest, way: str) -> None:
    """Its number is taken when it comes; its client_id then answers with the event."""
    send = {"command": "send-message", "client_id": "k",
            "message": {"user": "Azin", "message": "soon", "send_at": "+1s"}}  # fmt: skip
    due = guest.ask(way, send)["scheduled"]["send_at"]
    guest.say("meanwhile")

    def events() -> dict[str, Any]:
        found = requests.get(f"{guest.url}/events?after=0", timeout=60).json()["events"]
        return {event["message"]["message"]: event for event in found}

    told = until(lambda: len(found := events()) == 2 and found, what="what was scheduled")
    assert isinstance(told, dict)
    soon, said = told["soon"], told["meanwhile"]
    assert soon["message"]["client_id"] == "k" and due <= soon["at"]
    # A machine that took a second to say the other has it after this one.
    assert (said["seq"], soon["seq"]) == (1, 2) or said["at"] >= due
    # Within a second, by itself; here on a machine that may be busy.
    assert datetime.fromisoformat(soon["at"]) - datetime.fromisoformat(due) < timedelta(seconds=60)
    assert guest.waiting() == []
    again = guest.ask(way, send)
    assert (again["seq"], again["duplicate"]) == (soon["seq"], True)


# --- Refusals -------------------------------------------------------------------------------------

SAY = {"user": "Azin", "message": "x"}
REFUSED: list[tuple[dict[str, Any], str, str | None]] = [
    ({"command": "send-message"}, "invalid", "message"),
    ({"command": "send-message", "message": {**SAY, "user": "A\nB"}}, "invalid", "user"),
    ({"command": "send-message", "message": {**SAY, "message": "\u200b"}}, "invalid", "message"),
    ({"command": "send-message", "message": {**SAY, "color": "mauve"}}, "invalid", "color"),
    ({"command": "send-message", "message": {**SAY, "reply_to": 99}}, "invalid", "reply_to"),
    ({"command": "send-message", "message": {**SAY, "send_at": "yesterday"}}, "invalid", "send_at"),
    ({"command": "send-message", "message": {**SAY, "send_at": "+366d"}}, "invalid", "send_at"),
    ({"command": "send-message", "message": {**SAY, "send_at": "2020-01-01T00:00:00Z"}}, "invalid", "send_at"),
    ({"command": "edit-message", "message": {"id": 1, "message": ""}}, "invalid", "message"),
    ({"command": "edit-message", "message": {"id": 99, "message": "x"}}, "message-unknown", None),
    ({"command": "edit-message", "message": {"id": 2, "message": "x"}}, "conflict", None),
    ({"command": "edit-message", "message": {"id": 3, "message": "x"}}, "forbidden", None),
    ({"command": "delete-message", "message": {"id": "1"}}, "invalid", "id"),
    ({"command": "delete-message", "message": {"id": 99}}, "message-unknown", None),
    ({"command": "delete-message", "message": {"id": 3}}, "forbidden", None),
    ({"command": "react", "message": {"id": 1, "reaction": "love"}}, "invalid", "reaction"),
    ({"command": "react", "message": {"id": 99, "reaction": "like"}}, "message-unknown", None),
    ({"command": "react", "message": {"id": 2, "reaction": "like"}}, "conflict", None),
    ({"command": "cancel-scheduled", "scheduled": {"id": 0}}, "invalid", "id"),
    ({"command": "cancel-scheduled", "scheduled": {"id": 9999}}, "scheduled-unknown", None),
    ({"command": "add-quote", "quote": {"quote": "x"}}, "invalid", "author"),
    ({"command": "add-quote", "quote": {"quote": "x" * 1001, "author": "a"}}, "invalid", "quote"),
]
ANONYMOUS = [
    {"command": "send-message", "message": {**SAY, "user": "Ghost", "send_at": "+1h"}},
    {"command": "edit-message", "message": {"id": 1, "message": "x"}},
    {"command": "delete-message", "message": {"id": 1}},
    {"command": "react", "message": {"id": 1, "reaction": "like"}},
    {"command": "cancel-scheduled", "scheduled": {"id": 1}},
]


@pytest.fixture(scope="module")
def peopled(server: Running) -> Guest:
    """A room with a message of one's own, a deleted one, and another person's."""
    assert requests.post(f"{server.url}/api/v1/rooms", json={"name": "peopled"}).status_code == 201
    guest, other = Guest(server, "peopled"), Guest(server, "peopled", "Bo")
    guest.say()
    guest.say()
    other.ask("post", {"command": "send-message", "message": {"user": "Bo", "message": "mine"}})
    guest.ask("post", {"command": "delete-message", "message": {"id": 2}})
    return guest


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("envelope", "code", "field"), REFUSED)
def test_refusals(peopled: Guest, way: str, envelope: dict[str, Any], code: str, field: str | None) -> None:
    """With code and field, and nothing is stored."""
    before = peopled.head()
    problem = peopled.ask(way, envelope)
    assert (problem["code"], problem.get("field")) == (code, field)
    assert peopled.head() == before


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("envelope", ANONYMOUS, ids=lambda envelope: envelope["command"])
def test_what_needs_an_identity(peopled: Guest, way: str, envelope: dict[str, Any]) -> None:
    """A bare curl may say something and add a quote, and nothing else."""
    before = peopled.head()
    assert peopled.ask(way, envelope, anonymous=True)["code"] == "unauthenticated"
    assert peopled.head() == before


@pytest.mark.parametrize("way", WAYS)
def test_others_cannot_cancel(guest: Guest, way: str) -> None:
    scheduled_id = guest.schedule()
    cancel = {"command": "cancel-scheduled", "scheduled": {"id": scheduled_id}}
    assert Guest(guest.server, guest.room, "Bo").ask(way, cancel)["code"] == "forbidden"
    assert len(guest.waiting()) == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("alike", ["Azin", "azin", "\u0410zin"])
def test_a_name_in_use_is_refused(guest: Guest, way: str, alike: str) -> None:
    """To another identity and to none, look-alikes too; the holder goes on, and another room is free."""
    guest.say()
    send = {"command": "send-message", "message": {"user": alike, "message": "I am Azin"}}
    for anonymous in (False, True):
        problem = Guest(guest.server, guest.room, "Bo").ask(way, send, anonymous=anonymous)
        assert (problem["code"], problem["field"]) == ("conflict", "user")
    assert guest.ask(way, send)["seq"] == 2
    elsewhere = f"{guest.room}-b"
    requests.post(f"{guest.base}/rooms", json={"name": elsewhere})
    assert Guest(guest.server, elsewhere, "Bo").ask(way, send)["seq"] == 1


# --- What is mine, and cards ----------------------------------------------------------------------


def test_a_snapshot_tells_what_is_mine(guest: Guest) -> None:
    """Own messages and reactions, and only for the one who asks; quotes with the seq of their event."""
    other = Guest(guest.server, guest.room, "Bo")
    first = guest.say()
    second = int(other.ask("post", {"command": "send-message", "message": {"user": "Bo", "message": "x"}})["seq"])
    guest.ask("post", {"command": "react", "message": {"id": second, "reaction": "like"}})
    quoted = guest.ask("post", {"command": "add-quote", "quote": {"quote": "q", "author": "a"}})["seq"]
    plain = requests.get(guest.url).json()
    assert set(plain) == {"room", "cursor", "about", "messages", "has_more", "quotes"}
    assert [(quote["seq"], quote["quote"]) for quote in plain["quotes"]] == [(quoted, "q")]
    mine = {"messages": [first], "reactions": {str(second): "like"}}
    assert requests.get(guest.url, headers=guest.headers).json() == {**plain, "mine": mine}
    assert requests.get(guest.url, headers=other.headers).json() == {**plain, "mine": {"messages": [second]}}
    older = requests.get(f"{guest.url}/messages?before={second}", headers=guest.headers).json()
    assert older == {"messages": plain["messages"][:1], "has_more": False, "mine": {"messages": [first]}}


def test_quotes_stand_in_the_stretch_where_they_were_added(guest: Guest) -> None:
    """Every quote is in exactly one page of history, wherever the pages are cut."""
    for number in range(4):
        guest.say(f"word {number}")
        guest.ask("post", {"command": "add-quote", "quote": {"quote": f"quote {number}", "author": "a"}})
    for limit in (1, 2, 3, 4):
        page = requests.get(f"{guest.url}?limit={limit}").json()
        seen = page.get("quotes", [])
        while page["has_more"]:
            page = requests.get(f"{guest.url}/messages?before={page['messages'][0]['id']}&limit={limit}").json()
            seen = page.get("quotes", []) + seen
        assert [quote["seq"] for quote in seen] == [2, 4, 6, 8]


def test_a_quote_is_removed_over_http(guest: Guest) -> None:
    """By its own address, whatever its room; then it is unknown, and a page that was kept is out of date."""
    url = f"{guest.server.url}/api/v1/quotes"
    body = {"quote": "taken back", "author": "a", "room": guest.room}
    quote = requests.post(url, json=body, headers=guest.headers).json()
    kept = requests.get(f"{url}?limit=1").headers["ETag"]
    assert requests.delete(f"{url}/{quote['id']}").status_code == 401
    assert requests.delete(f"{url}/1", headers=guest.headers).status_code == 403
    removed = requests.delete(f"{url}/{quote['id']}", headers=guest.headers)
    event = removed.json()
    assert (removed.status_code, event["command"], event["room"]) == (200, "quote-removed", guest.room)
    assert requests.delete(f"{url}/{quote['id']}", headers=guest.headers).json() == {**event, "duplicate": True}
    assert requests.get(f"{url}/{quote['id']}").json()["code"] == "quote-unknown"
    assert requests.get(f"{url}?limit=1", headers={"If-None-Match": kept}).status_code == 200
    assert "quotes" not in requests.get(guest.url).json()


# --- Restart --------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_everything_survives_a_restart(tmp_path: Path, new_database: Callable[[], str], way: str) -> None:
    """Snapshot, events, what is mine, what waits and the quotes are as they were, and so are repeats."""
    env = environment(QUOTECHAT_LIMITS="off", QUOTECHAT_DATABASE=new_database())
    command = quotechat("serve", "--port", "0", "--data", str(tmp_path))

    def seen(guest: Guest) -> list[Any]:
        paths = ["/rooms", "/rooms/lobby", "/rooms/lobby/events?after=0", "/rooms/lobby/scheduled", "/quotes"]
        return [requests.get(guest.base + path, headers=guest.headers).json() for path in paths]

    with running(command, env=env) as server:
        guest = Guest(server, "lobby")
        envelopes = [{**prepare(guest).envelope, "client_id": f"k{number}"} for number, prepare in enumerate(EVENTFUL)]
        scheduled = guest.schedule()
        envelopes.append({"command": "cancel-scheduled", "client_id": "c", "scheduled": {"id": guest.schedule()}})
        acks = [guest.ask(way, envelope) for envelope in envelopes]
        assert all(ack["command"] == "ack" for ack in acks)
        acks[-1]["scheduled"]["message"] = {}  # the text of a cancelled message is gone
        before = seen(guest)
        assert [each["id"] for each in before[3]["scheduled"]] == [scheduled]
    with running(command, env=env) as server:
        again = Guest(server, "lobby", "Nobody")
        again.headers = guest.headers
        assert seen(again) == before
        assert [again.ask(way, envelope) for envelope in envelopes] == [{**ack, "duplicate": True} for ack in acks]
        assert seen(again) == before


@pytest.mark.parametrize("field", ["client_id", "color", "reply_to", "send_at"])
def test_null_is_left_out(client: FlaskClient, field: str) -> None:
    """An optional field that is null is as if it were not there; a room that is null is no room (protocol §8)."""
    said = {"user": "Azin", "message": "hi"}
    sent = client.post("/api/v1/rooms/lobby/messages", json={**said, field: None})
    assert sent.status_code == 201 and field not in sent.get_json()["message"]
    envelope = {"command": "send-message", "room": None, "message": said}
    refused = client.post("/api/v1/rooms/lobby/commands", json=envelope)
    assert (refused.status_code, refused.get_json()["field"]) == (422, "room")
    body = client.get("/openapi.json").get_json()["components"]["schemas"]["MessageBody"]
    assert {"type": "null"} in body["properties"][field]["anyOf"]


@pytest.mark.parametrize("way", WAYS)
def test_null_is_left_out_on_each_way(guest: Guest, way: str) -> None:
    """The same over HTTP and WebSocket, where `after` is a word of its own."""
    nulls = dict.fromkeys(("color", "reply_to", "send_at"))
    said = {"command": "send-message", "client_id": None, "message": {"user": "Azin", "message": "hi", **nulls}}
    ack = guest.ask(way, said)
    assert ack["command"] == "ack" and "client_id" not in ack
    if way == "websocket":
        with connect(socket_url(guest.server)) as ws:
            for field in ("room", "after"):
                ws.send(json.dumps({"command": "subscribe", field: None}))
                assert json.loads(ws.recv(timeout=60))["error"]["field"] == field


def test_a_key_in_the_header_stands_for_a_null(client: FlaskClient) -> None:
    """What is left out does not contradict it."""
    said = {"user": "Azin", "message": "hi", "client_id": None}
    sent = [client.post("/api/v1/rooms/lobby/messages", json=said, headers={"Idempotency-Key": "k"}) for _ in "ab"]
    assert [each.status_code for each in sent] == [201, 200]
    assert sent[0].get_json()["message"]["client_id"] == "k"
