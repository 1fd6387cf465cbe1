"""Presence: who of a room is here, for those that see its members; written once a minute, pushed to nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from people import Browser, joined, owner

from quotechat.hub.presence import Presence
from quotechat.store.shapes import Sql
from quotechat.web.pages.about import seen_words

MINUTE_MS = 60_000


def number(browser: Browser) -> str:
    """The public id of the account that is signed in."""
    return str(browser.ask("GET", "/me").get_json()["account"]["id"])


def present(browser: Browser, room: str = "lobby") -> Any:
    answer = browser.ask("GET", f"/presence?room={room}")
    return answer.get_json()["present"] if answer.status_code == 200 else answer.get_json()["code"]


def say(browser: Browser, room: str = "lobby") -> None:
    assert browser.ask("POST", f"/rooms/{room}/messages", {"message": "hi"}).status_code == 201


class Worker:
    """The presence of a worker, at a time of its own; each turn is a minute after the one before."""

    def __init__(self, app: Flask, at: int) -> None:
        self.at = at
        self.statements = 0
        self.connected: set[str] = set()
        chat = app.extensions["quotechat"]

        class Counted:
            """The store, whose write transactions are counted."""

            read_with = staticmethod(chat.read_with)

            def write_with(_, work: Callable[[Sql], Any]) -> Any:  # `self` is the worker
                self.statements += 1
                return chat.write_with(work)

        self.presence = Presence(Counted(), lambda: self.at, lambda: self.connected)  # type: ignore[arg-type]

    def turn(self) -> None:
        self.presence._write_at = 0.0
        self.presence.step()
        assert not self.presence.step()
        self.at += MINUTE_MS


def test_a_member_that_speaks_is_here(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then for how many minutes it was not, and after a day nothing; an account that did nothing is not shown."""
    boss = owner(app)
    bo, idle = joined(app, boss, "Bo"), joined(app, boss, "Idle")
    say(bo)
    assert present(boss)[number(bo)] == "here" and number(idle) not in present(boss)
    chat = app.extensions["quotechat"]
    chat.presence._write_at = 0.0
    chat.presence.step()
    chat.presence._active.clear()  # what other workers know is in the store
    key, now = number(bo), chat.now()
    for later, shown in ((1, "here"), (7, 7), (23 * 60, 23 * 60)):
        monkeypatch.setattr(chat.presence, "_clock", lambda later=later: now + later * MINUTE_MS)
        assert present(boss).get(key) == shown
    monkeypatch.setattr(chat.presence, "_clock", lambda: now + 25 * 60 * MINUTE_MS)
    assert key not in present(boss)


def test_one_statement_a_minute(app: Flask) -> None:
    """Whatever many accounts do; one that is connected and was active within five minutes is here, and then no more."""
    boss = owner(app)
    names = [joined(app, boss, f"Person {each}") for each in range(3)]
    identities = [f"acct:{number(each)}" for each in names]
    worker = Worker(app, app.extensions["quotechat"].now())
    for identity in identities * 10:
        worker.presence.active(identity)
    worker.presence.active("0" * 32)  # a visitor
    worker.connected = {identities[0]}
    keys = [number(each) for each in names]
    chat = app.extensions["quotechat"]
    shown: list[list[str | int | None]] = []
    for _ in range(8):
        worker.turn()
        chat.presence._clock, chat.presence._active = lambda: worker.at, {}
        found = present(boss)
        shown.append([found.get(key) for key in keys])
    assert worker.statements == 5  # the first, and the others while one was connected and active
    assert shown[0] == ["here", "here", "here"] and shown[-1] == [4, 8, 8]


def test_presence_is_for_those_that_see_the_members(app: Flask) -> None:
    """A closed room of others answers as a name that nobody uses; visitors have no account."""
    boss = owner(app)
    bo = joined(app, boss, "Bo")
    den = boss.ask("POST", "/rooms", {"kind": "closed", "name": "den"}).get_json()["name"]
    say(boss, den)
    assert present(boss, den) == {number(boss): "here"}
    other = "nobody-" + den[-6:]
    answers = [bo.ask("GET", f"/presence?room={room}") for room in (den, other)]
    assert answers[0].status_code == 404
    assert answers[0].get_data(as_text=True).replace(den, other) == answers[1].get_data(as_text=True).replace(
        answers[1].get_json().get("request_id", "-"), answers[0].get_json().get("request_id", "-")
    )
    assert present(Browser(app)) == "unauthenticated"
    assert bo.ask("GET", "/presence").status_code == 400


def test_who_hides_sees_nobody_and_who_is_blocked_does_not_see(app: Flask) -> None:
    """`presence` off hides it, and others with it; an account does not see those that have blocked it."""
    boss = owner(app)
    bo, cleo = joined(app, boss, "Bo"), joined(app, boss, "Cleo")
    for each in (boss, bo, cleo):
        say(each)
    assert present(cleo) == {number(each): "here" for each in (boss, bo, cleo)}
    assert bo.ask("PATCH", "/me", {"settings": {"presence": "off"}}).status_code == 200
    assert present(bo) == {} and number(bo) not in present(cleo)
    assert boss.ask("PUT", f"/me/blocks/{number(cleo)}").status_code == 204
    assert present(cleo) == {number(cleo): "here"} and number(cleo) in present(boss)


def test_the_page_about_a_room_says_who_is_here(app: Flask) -> None:
    """Beside each member that was here today, in words."""
    boss = owner(app)
    bo = joined(app, boss, "Bo")
    say(boss)
    assert "here now" not in boss.client.get("/rooms/lobby/about").get_data(as_text=True)
    say(bo)
    assert "here now" in boss.client.get("/rooms/lobby/about").get_data(as_text=True)
    assert [seen_words(each) for each in ("here", 1, 59, 60, 180)] == [
        "here now", "here 1 minute ago", "here 59 minutes ago", "here 1 hour ago", "here 3 hours ago",
    ]  # fmt: skip
