"""Named cursors over HTTP: the server remembers how far a program has read; on both stores."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conforming import check_answers
from flask import Flask
from people import Browser, joined, owner

from quotechat import create_app
from quotechat.config import Settings
from quotechat.hub.accounts.credentials import principal_of
from quotechat.hub.chat import Chat
from quotechat.hub.programs import cursors
from quotechat.hub.programs.cursors import Cursors
from quotechat.protocol.errors import Unauthenticated
from quotechat.store.accounts import accounts
from quotechat.store.accounts.sessions import hashed
from quotechat.store.programs import subscribers
from quotechat.store.shapes import Sql


@pytest.fixture
def app(tmp_path: Path, new_database: Callable[[], str]) -> Iterator[Flask]:
    """An application whose answers are what its documents say."""
    app = create_app(Settings(data=tmp_path / "data", database=new_database(), limits=False, access="open"))
    check_answers(app)
    yield app
    app.extensions["quotechat"].close()


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["code"]


def say(browser: Browser, *texts: str, room: str = "lobby") -> None:
    for text in texts:
        assert browser.ask("POST", f"/rooms/{room}/messages", {"message": text}).status_code == 201


def texts(browser: Browser, query: str = "", name: str = "grader") -> dict[str, list[str]]:
    """The messages after the positions, by room."""
    answer = browser.ask("GET", f"/cursors/{name}/events{query}")
    assert answer.status_code == 200, answer.get_json()
    return {
        room: [event["message"]["message"] for event in part["events"]]
        for room, part in answer.get_json()["rooms"].items()
    }


def test_what_is_not_acknowledged_comes_again(app: Flask) -> None:
    """In order, from the position on; after the acknowledgement it comes no more, and a replay brings it back."""
    boss = owner(app)
    say(boss, "one", "two")
    made = boss.ask("PUT", "/cursors/grader", {"rooms": ["lobby"], "from": "0"})
    assert made.status_code == 201 and made.get_json()["behind"] == 2
    assert texts(boss) == texts(boss) == {"lobby": ["one", "two"]}
    assert texts(boss, "?limit=1") == {"lobby": ["one"]}
    part = boss.ask("GET", "/cursors/grader/events").get_json()["rooms"]["lobby"]
    moved = boss.ask("PUT", "/cursors/grader/position", {"rooms": {"lobby": part["events"][0]["cursor"]}})
    assert moved.status_code == 200 and moved.get_json()["behind"] == 1
    assert texts(boss) == {"lobby": ["two"]}
    boss.ask("PUT", "/cursors/grader/position", {"rooms": {"lobby": part["cursor"]}})
    assert texts(boss) == {"lobby": []}
    back = {"rooms": {"lobby": "0"}}
    assert code(boss.ask("PUT", "/cursors/grader/position", back)) == (409, "conflict")
    assert boss.ask("PUT", "/cursors/grader/position", {**back, "back": True}).status_code == 200
    assert texts(boss) == {"lobby": ["one", "two"]}


def test_a_poll_is_held_until_there_is_something(app: Flask) -> None:
    """As every long poll."""
    boss = owner(app)
    boss.ask("PUT", "/cursors/grader", {"rooms": ["lobby"]})
    other = Browser(app)  # a client is for one thread
    assert other.sign_in("Azin").status_code == 201
    sender = threading.Thread(target=say, args=(other, "at last"))
    sender.start()
    try:
        assert texts(boss, "?wait=20") == {"lobby": ["at last"]}
    finally:
        sender.join()


def test_a_replay_that_begins_while_a_poll_is_held_is_whole(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends the hold would be acknowledged alone, and so would be all that comes before it."""
    boss, once, held = owner(app), Cursors._once, list[str]()
    say(boss, "one", "two")
    boss.ask("PUT", "/cursors/grader", {"rooms": ["lobby"]})
    other = Browser(app)
    assert other.sign_in("Azin").status_code == 201

    def overtaken(self: Cursors, *given: Any) -> Any:
        if not held:
            held.append("as it will be when the event comes")
            back = {"rooms": {"lobby": "0"}, "back": True}
            assert other.ask("PUT", "/cursors/grader/position", back).status_code == 200
            say(other, "three")
        return once(self, *given)

    monkeypatch.setattr(Cursors, "_once", overtaken)
    assert texts(boss, "?wait=20") == {"lobby": ["one", "two", "three"]}


def test_a_poll_hears_of_more_rooms_than_one_answer_has(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hold is for some of them; news of the others end it too."""
    monkeypatch.setattr(cursors, "MOST_AT_ONCE", 1)
    monkeypatch.setattr(cursors, "_LOOK_AGAIN", 0.05)
    boss = owner(app)
    boss.ask("POST", "/rooms", {"name": "tea"})
    boss.ask("PUT", "/cursors/grader", {"rooms": ["lobby", "tea"]})
    assert texts(boss, "?wait=0.2") == {"lobby": []}
    other = Browser(app)
    assert other.sign_in("Azin").status_code == 201
    sender = threading.Thread(target=say, args=(other, "at last"), kwargs={"room": "tea"})
    sender.start()
    try:
        assert texts(boss, "?wait=20") == {"tea": ["at last"]}
    finally:
        sender.join()


def test_without_a_room_a_poll_is_not_held(app: Flask) -> None:
    """It says when to come back, so a client does not ask without a pause; what `Prefer` asked for is told."""
    boss = owner(app)
    member = joined(app, boss, "Bo")
    assert list(member.ask("PUT", "/cursors/grader", {"rooms": "all"}).get_json()["rooms"]) == ["lobby"]
    assert member.ask("DELETE", "/rooms/lobby/members/me").status_code == 204
    assert member.ask("GET", "/cursors/grader/events").get_json() == {"rooms": {}}
    answer = member.ask("GET", "/cursors/grader/events", Prefer="wait=25")
    assert answer.get_json() == {"rooms": {}, "retry_in_ms": 5000}
    assert answer.headers["Preference-Applied"] == "wait=25"
    say(boss, "between")
    assert member.ask("PUT", "/rooms/lobby/members/me").status_code == 200
    say(boss, "since")
    assert texts(member) == {"lobby": ["since"]}


def test_a_look_opens_the_rooms_of_one_answer(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A poll of a cursor of many rooms looks each second, and costs no more for each of them than one statement."""
    monkeypatch.setattr(cursors, "MOST_AT_ONCE", 1)
    boss = owner(app)
    for room in ("tea", "jam", "cake"):
        boss.ask("POST", "/rooms", {"name": room})
    boss.ask("PUT", "/cursors/grader", {"rooms": ["lobby", "tea", "jam", "cake"]})
    say(boss, "hi", room="jam")
    chat: Chat = app.extensions["quotechat"]
    account = chat.read_with(lambda sql: accounts.by_name(sql, "Azin"))
    assert account is not None
    opened: list[str] = []
    real = chat.open
    monkeypatch.setattr(chat, "open", lambda by, room: opened.append(room) or real(by, room))
    parts, _ = cursors.Cursors(chat).read(principal_of(account, None, None), "grader", 10, 0)
    assert list(parts) == ["jam"] and set(opened) == {"jam"}


def test_rooms_come_and_go(app: Flask) -> None:
    """A room that is kept keeps its position; a new one begins at `from`; a room that is left out is forgotten."""
    boss = owner(app)
    for room in ("tea", "homework"):
        boss.ask("POST", "/rooms", {"name": room})
        say(boss, f"old in {room}", room=room)
    assert boss.ask("PUT", "/cursors/grader", {"rooms": ["tea"]}).status_code == 201
    say(boss, "new tea", room="tea")
    assert boss.ask("PUT", "/cursors/grader", {"rooms": ["homework", "tea"], "from": "0"}).status_code == 200
    assert texts(boss) == {"homework": ["old in homework"], "tea": ["new tea"]}
    boss.ask("PUT", "/cursors/grader", {"rooms": ["homework"]})
    assert list(texts(boss)) == ["homework"]
    boss.ask("PUT", "/cursors/grader", {"rooms": ["homework", "tea"]})
    assert texts(boss)["tea"] == []
    assert [each["name"] for each in boss.ask("GET", "/cursors").get_json()["cursors"]] == ["grader"]


def test_a_position_is_checked(app: Flask) -> None:
    """All rooms of an acknowledgement move, or none; each cursor is one of that room's history."""
    boss = owner(app)
    boss.ask("POST", "/rooms", {"name": "tea"})
    say(boss, "one")
    boss.ask("PUT", "/cursors/grader", {"rooms": ["lobby", "tea"], "from": "0"})
    for wrong, expected in (
        ({"lobby": "1", "tea": "7"}, (410, "cursor-ahead")),
        ({"lobby": "1.0123456789abcdef"}, (410, "history-changed")),
        ({"lobby": "x"}, (400, "cursor-invalid")),
        ({"lobby": "1", "nowhere": "0"}, (404, "room-unknown")),
    ):
        answer = boss.ask("PUT", "/cursors/grader/position", {"rooms": wrong})
        assert code(answer) == expected
        assert answer.get_json()["room"] == list(wrong)[-1]
    for body in ({}, {"rooms": []}, {"rooms": {}}, {"rooms": {"lobby": 1}}, {"rooms": {"lobby": "1"}, "back": 1}):
        assert code(boss.ask("PUT", "/cursors/grader/position", body)) == (422, "invalid")
    assert texts(boss)["lobby"] == ["one"]


def test_of_two_moves_at_once_the_one_ahead_holds(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if it comes between the look and the change of the other."""
    boss, chat = owner(app), app.extensions["quotechat"]
    say(boss, "one", "two")
    boss.ask("PUT", "/cursors/grader", {"rooms": ["lobby"], "from": "0"})
    by = principal_of(chat.read_with(lambda sql: accounts.by_name(sql, "Azin")), None, None)
    ours, positions = cursors.Cursors(chat), subscribers.positions
    ahead = threading.Thread(target=ours.move, args=(by, "grader", {"lobby": "2"}))

    def overtaken(sql: Sql, subscriber: subscribers.Subscriber) -> dict[str, subscribers.Position]:
        found = positions(sql, subscriber)
        if ahead.ident is None:
            ahead.start()
            ahead.join(0.2)  # it comes to its end only if nothing keeps it out
        return found

    monkeypatch.setattr(subscribers, "positions", overtaken)
    ours.move(by, "grader", {"lobby": "1"})
    ahead.join(60)
    assert ours.one(by, "grader").positions["lobby"].cursor.seq == 2


def test_of_two_that_make_a_cursor_at_once_both_succeed(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if one comes between the look and the change of the other; it is new for one, and the last one counts."""
    boss, chat = owner(app), app.extensions["quotechat"]
    boss.ask("POST", "/rooms", {"name": "tea"})
    by = principal_of(chat.read_with(lambda sql: accounts.by_name(sql, "Azin")), None, None)
    ours, of_account, made = cursors.Cursors(chat), subscribers.of_account, list[bool]()
    second = threading.Thread(target=lambda: made.append(ours.put(by, "grader", ["tea"])[1]))

    def overtaken(sql: Sql, account_id: int, kind: str = subscribers.PULL) -> list[subscribers.Subscriber]:
        found = of_account(sql, account_id, kind)
        if second.ident is None:
            second.start()
            second.join(0.2)  # it comes to its end only if nothing keeps it out
        return found

    monkeypatch.setattr(subscribers, "of_account", overtaken)
    made.append(ours.put(by, "grader", ["lobby"])[1])
    second.join(60)
    assert sorted(made) == [False, True]
    assert list(ours.one(by, "grader").positions) == ["tea"]


def test_cut_events_are_told_as_a_gap(app: Flask) -> None:
    """Until it is acknowledged; the events behind it come all the same."""
    boss, chat = owner(app), app.extensions["quotechat"]
    say(boss, "cut", "cut too", "kept")
    boss.ask("PUT", "/cursors/grader", {"rooms": ["lobby"], "from": "0"})
    chat._store.cut("lobby", chat.now() + 1, 2)
    for _ in range(2):
        part = boss.ask("GET", "/cursors/grader/events").get_json()["rooms"]["lobby"]
        assert part["gap"] == {"from": 1, "to": 2} and len(part["events"]) == 1
    boss.ask("PUT", "/cursors/grader/position", {"rooms": {"lobby": part["cursor"]}})
    assert "gap" not in boss.ask("GET", "/cursors/grader/events").get_json()["rooms"]["lobby"]


def test_a_cursor_is_its_accounts(app: Flask) -> None:
    """Others do not find it, a visitor is told to sign in, and a token for some rooms sees no other room in it."""
    boss = owner(app)
    member = joined(app, boss, "Bo")
    boss.ask("POST", "/rooms", {"name": "tea"})
    boss.ask("PUT", "/cursors/grader", {"rooms": ["lobby", "tea"], "from": "0"})
    for method, path, body in (
        ("GET", "", None), ("GET", "/events", None), ("PUT", "/position", {"rooms": {"lobby": "0"}}),
        ("DELETE", "", None),
    ):  # fmt: skip
        assert code(member.ask(method, f"/cursors/grader{path}", body)) == (404, "cursor-unknown")
        assert code(Browser(app).ask(method, f"/cursors/grader{path}", body)) == (401, "unauthenticated")
    token = {"Authorization": f"Bearer {boss.token(rooms=['tea'])}"}
    answer = app.test_client().get("/api/v1/cursors/grader/events", headers=token)
    assert list(answer.get_json()["rooms"]) == ["tea"]
    narrow = app.test_client()
    for rooms in ("all", ["tea"]):
        put = narrow.put("/api/v1/cursors/grader", json={"rooms": rooms}, headers=token)
        assert list(put.get_json()["rooms"]) == ["tea"]
    assert code(narrow.delete("/api/v1/cursors/grader", headers=token)) == (403, "scope-missing")
    shown = boss.ask("GET", "/cursors/grader").get_json()
    assert sorted(shown["rooms"]) == ["lobby", "tea"] and "all" not in shown
    # One that the token makes is for its rooms alone; one for all rooms, those to come too, is not the token's.
    narrow.put("/api/v1/cursors/own", json={"rooms": "all"}, headers=token)
    assert "all" not in boss.ask("GET", "/cursors/own").get_json()
    assert narrow.delete("/api/v1/cursors/own", headers=token).status_code == 204
    boss.ask("PUT", "/cursors/every", {"rooms": "all"})
    boss.ask("DELETE", "/rooms/lobby/members/me")
    assert code(narrow.delete("/api/v1/cursors/every", headers=token)) == (403, "scope-missing")
    assert code(member.ask("GET", "/cursors/%2e%2e/events")) in ((404, "cursor-unknown"), (404, "not-found"))
    assert boss.ask("DELETE", "/cursors/grader").status_code == 204
    assert code(boss.ask("GET", "/cursors/grader")) == (404, "cursor-unknown")


def test_bad_rooms_and_names_are_refused(app: Flask) -> None:
    """With the field at fault; an account may have 20."""
    boss = owner(app)
    for body, field in (
        ({}, "rooms"), ({"rooms": []}, "rooms"), ({"rooms": ["Not A Room"]}, "rooms"), ({"rooms": "some"}, "rooms"),
        ({"rooms": ["lobby"], "from": 1}, "from"),
    ):  # fmt: skip
        answer = boss.ask("PUT", "/cursors/grader", body)
        assert code(answer) == (422, "invalid") and answer.get_json()["field"] == field
    malformed = boss.ask("PUT", "/cursors/grader", {"rooms": ["lobby"], "from": "01"})
    assert code(malformed) == (400, "cursor-invalid") and malformed.get_json()["field"] == "from"
    assert code(boss.ask("PUT", "/cursors/grader", {"rooms": ["nowhere"]})) == (404, "room-unknown")
    assert code(boss.ask("PUT", "/cursors/A!", {"rooms": ["lobby"]})) == (422, "invalid")
    assert boss.ask("GET", "/cursors").get_json() == {"cursors": []}
    for number in range(20):
        assert boss.ask("PUT", f"/cursors/c{number}", {"rooms": ["lobby"]}).status_code == 201
    assert code(boss.ask("PUT", "/cursors/c20", {"rooms": ["lobby"]})) == (409, "conflict")
    assert boss.ask("PUT", "/cursors/c3", {"rooms": ["lobby"]}).status_code == 200
    gone = boss.ask("DELETE", "/cursors/c3")
    assert gone.status_code == 204 and "Content-Type" not in gone.headers


def test_a_session_that_has_ended_moves_nothing(app: Flask) -> None:
    """It ended while the request waited: the cursor stays as it is."""
    boss = owner(app)
    say(boss, "one")
    boss.ask("PUT", "/cursors/grader", {"rooms": ["lobby"], "from": "0"})
    before = boss.ask("GET", "/cursors").get_json()
    chat: Chat = app.extensions["quotechat"]
    account = chat.read_with(lambda sql: accounts.by_name(sql, "Azin"))
    assert account is not None
    by, ours = principal_of(account, hashed("ended"), None), cursors.Cursors(chat)
    acts: list[Callable[[], object]] = [
        lambda: ours.put(by, "another", ["lobby"]),
        lambda: ours.put(by, "grader", []),
        lambda: ours.move(by, "grader", {"lobby": "1"}),
        lambda: ours.remove(by, "grader"),
    ]
    for act in acts:
        with pytest.raises(Unauthenticated):
            act()
    assert boss.ask("GET", "/cursors").get_json() == before


@pytest.mark.parametrize("is_there", [False, True])
def test_a_room_that_is_joined_meanwhile_is_followed(
    app: Flask, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    """A cursor for all rooms, made or set anew: a room is joined, and another one left, after it has read them."""
    boss = owner(app)
    for room in ("early", "late"):
        assert boss.ask("POST", "/rooms", {"name": room}).status_code == 201
    member = joined(app, boss, "Bo")
    assert member.ask("PUT", "/rooms/early/members/me").status_code == 200
    if is_there:
        assert member.ask("PUT", "/cursors/grader", {"rooms": "all"}).status_code == 201
    wanted = cursors.Cursors._wanted

    def overtaken(self: cursors.Cursors, by: Any, rooms: Any) -> list[str]:
        found = wanted(self, by, rooms)
        assert member.ask("PUT", "/rooms/late/members/me").status_code == 200
        assert member.ask("DELETE", "/rooms/early/members/me").status_code == 204
        return found

    monkeypatch.setattr(cursors.Cursors, "_wanted", overtaken)
    answer = member.ask("PUT", "/cursors/grader", {"rooms": "all"})
    assert sorted(answer.get_json()["rooms"]) == ["late", "lobby"]
    say(boss, "hello", room="late")
    assert texts(member)["late"] == ["hello"]
