"""Accounts that are deleted with their messages: what is left bears no name, and the log still verifies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from people import PASSWORD, Browser, joined, owner
from servers import until

from quotechat import create_app
from quotechat.cli import main
from quotechat.config import Settings


@pytest.fixture
def make_app(tmp_path: Path, new_database: Callable[[], str]) -> Iterator[Callable[[], Flask]]:
    """Applications on one store, one after the other."""
    settings = Settings(data=tmp_path / "data", database=new_database(), limits=False, access="invite")
    apps: list[Flask] = []

    def make() -> Flask:
        apps.append(create_app(settings))
        return apps[-1]

    yield make
    for app in apps:
        app.extensions["quotechat"].close()


def number(browser: Browser) -> str:
    """The public id of the account that is signed in."""
    return str(browser.ask("GET", "/me").get_json()["account"]["id"])


def say(browser: Browser, text: str, room: str = "lobby", **about: Any) -> int:
    """The id of a new message."""
    answer = browser.ask("POST", f"/rooms/{room}/messages", {"message": text, **about})
    assert answer.status_code == 201, answer.get_json()
    return int(answer.get_json()["seq"])


def settled(app: Flask) -> None:
    """Wait until nothing is left to delete or to redact."""
    chat = app.extensions["quotechat"]
    left = "SELECT 1 FROM erasure UNION ALL SELECT 1 FROM redaction"
    until(lambda: chat.read_with(lambda sql: sql.one(left)) is None, what="the deletion")


def everything(browser: Browser, room: str = "lobby") -> str:
    """All that readers get of a room."""
    paths = (f"/rooms/{room}?limit=200", f"/rooms/{room}/messages", f"/rooms/{room}/events?after=0")
    return "".join(browser.ask("GET", path).get_data(as_text=True) for path in paths)


def written(app: Flask, boss: Browser) -> tuple[Browser, int, int]:
    """Bo, who wrote in two rooms, edited, deleted and was answered; two of the messages."""
    bo = joined(app, boss, "Bo Quux")
    boss.ask("POST", "/rooms", {"name": "tea"})
    first, second, gone = (say(bo, f"kumquat {each}") for each in range(3))
    bo.ask("PATCH", f"/rooms/lobby/messages/{second}", {"message": "kumquat again"})
    answers = [say(boss, f"answer {each}", reply_to=each) for each in (first, second, gone)]
    boss.ask("PATCH", f"/rooms/lobby/messages/{answers[0]}", {"message": "answer, edited"})
    bo.ask("DELETE", f"/rooms/lobby/messages/{gone}")
    say(bo, "kumquat tea", "tea")
    say(boss, "mine")
    return bo, first, gone


def test_an_account_deleted_with_its_messages_leaves_no_name(make_app: Callable[[], Flask]) -> None:
    """Neither in messages nor in answers to them, in snapshots, events or the store; and the history is whole."""
    app = make_app()
    boss = owner(app)
    bo, first, _ = written(app, boss)
    before = boss.ask("GET", "/rooms/lobby").get_json()["cursor"]
    assert bo.ask("DELETE", "/me", {"password": "wrong", "messages": "delete"}).status_code == 401
    assert bo.ask("DELETE", "/me", {"password": PASSWORD, "messages": "some"}).status_code == 422
    assert bo.ask("DELETE", "/me", {"password": PASSWORD, "messages": "delete"}).status_code == 202
    assert bo.ask("GET", "/me").status_code == 401
    settled(app)
    for room in ("lobby", "tea"):
        shown = everything(boss, room)
        assert "kumquat" not in shown and "Quux" not in shown and "Deleted account" in shown
    messages = {each["id"]: each for each in boss.ask("GET", "/rooms/lobby").get_json()["messages"]}
    assert messages[first].keys() == {"id", "user", "at", "deleted"}
    replies = [each["reply_to"] for each in messages.values() if "reply_to" in each]
    assert [(each["user"], each["deleted"]) for each in replies] == [("Deleted account", True)] * 3
    deleted = boss.ask("GET", f"/rooms/lobby/events?after={before}").get_json()["events"]
    assert {each["command"] for each in deleted} == {"message-deleted"} and len(deleted) == 2
    chat = app.extensions["quotechat"]
    bodies = chat.read_with(lambda sql: [row[0] for row in sql.all("SELECT body FROM event WHERE room_id < ?", 3)])
    bodies += chat.read_with(lambda sql: [row[0] for row in sql.all("SELECT body FROM message WHERE room_id < ?", 3)])
    assert not [each for each in bodies if "Quux" in each or "kumquat" in each]
    assert [each for each in chat._store.verify() if each.problem] == []
    chat._store.rebuild(lambda done, whole: None)
    assert "Deleted account" in everything(boss) and "Quux" not in everything(boss)


def test_the_log_of_closed_rooms_names_no_deleted_member(make_app: Callable[[], Flask]) -> None:
    """Neither where it came or left, nor where its role changed, in rooms that it had left before too."""
    app = make_app()
    boss = owner(app)
    bo, cleo = joined(app, boss, "Bo Quux"), joined(app, boss, "Cleo")
    body = {"kind": "closed", "name": "den", "members": [number(bo), number(cleo)]}
    stays, left = (boss.ask("POST", "/rooms", body).get_json()["name"] for _ in range(2))
    chat = app.extensions["quotechat"]
    here = chat.trusted(stays).follow().head  # in memory from here on
    for role in ("manager", "member"):
        assert boss.ask("PUT", f"/rooms/{stays}/members/{number(bo)}", {"role": role}).status_code == 200
    assert bo.ask("DELETE", f"/rooms/{left}/members/me").status_code == 204
    before = everything(boss, stays)
    assert "Bo Quux" in before and "Bo Quux" in everything(boss, left)
    key = number(bo)
    assert bo.ask("DELETE", "/me", {"password": PASSWORD, "messages": "delete"}).status_code == 202
    settled(app)
    until(lambda: chat.trusted(stays).follow().head == here + 3, what="the end of the membership")
    later = boss.ask("GET", f"/rooms/{stays}/events?after={here + 1}").get_data(as_text=True)
    assert "Quux" not in everything(boss, stays) + later
    bodies = chat.read_with(lambda sql: "".join(row[0] for row in sql.all("SELECT body FROM event")))
    assert "Quux" not in bodies and f'"id":"{key}","user":"Deleted account"' in bodies and "Cleo" in bodies
    events = boss.ask("GET", f"/rooms/{stays}/events?after=0").get_json()["events"]
    told = [each["command"] for each in events if each.get("member", {}).get("id") == key]
    assert told == ["member-joined", "member-changed", "member-changed", "member-left"]
    assert [each for each in chat._store.verify() if each.problem] == []
    chat._store.rebuild(lambda done, whole: None)
    assert [each for each in chat._store.verify() if each.problem] == []


def test_deletion_goes_on_after_a_restart(make_app: Callable[[], Flask]) -> None:
    """A server that stops at once leaves the rest to the next one."""
    app = make_app()
    boss = owner(app)
    bo, _, _ = written(app, boss)
    chat = app.extensions["quotechat"]
    chat._eraser.close()  # it begins no portion
    assert bo.ask("DELETE", "/me", {"password": PASSWORD, "messages": "delete"}).status_code == 202
    chat._eraser.step()
    assert "kumquat tea" in everything(boss, "tea")
    chat.close()
    app = make_app()
    again = Browser(app)
    assert again.sign_in("Azin").status_code == 201
    settled(app)
    assert "kumquat" not in everything(again) + everything(again, "tea")


def test_a_ban_may_take_the_messages_along(make_app: Callable[[], Flask]) -> None:
    """Then the name stays at what is left; the account is there, and may come back."""
    app = make_app()
    boss = owner(app)
    bo, _, _ = written(app, boss)
    key = number(bo)
    assert boss.ask("PUT", f"/accounts/{key}/ban", {"messages": "delete"}).status_code == 204
    settled(app)
    shown = everything(boss)
    assert "kumquat" not in shown and "Bo Quux" in shown and "Deleted account" not in shown
    stubs = [each for each in boss.ask("GET", "/rooms/lobby").get_json()["messages"] if "deleted" in each]
    assert sorted("moderated" in each for each in stubs) == [False, True, True]
    assert boss.ask("GET", f"/accounts/{key}").get_json()["state"] == "banned"
    assert Browser(app).sign_in("Bo Quux", "wrong").get_json()["code"] == "sign-in-failed"
    refused = Browser(app).sign_in("Bo Quux")
    assert refused.status_code == 403 and "banned" in refused.get_json()["detail"]


def test_messages_are_kept_if_nothing_is_said(make_app: Callable[[], Flask]) -> None:
    """The name stays at them, and nobody takes the name that stands for no account."""
    app = make_app()
    boss = owner(app)
    bo, _, _ = written(app, boss)
    assert bo.ask("DELETE", "/me", {"password": PASSWORD}).status_code == 202
    settled(app)
    assert "kumquat again" in everything(boss) and "Bo Quux" in everything(boss)
    assert boss.ask("POST", "/accounts", {"name": "Deleted account", "role": "member"}).status_code == 422


def test_a_copy_goes_on_with_what_is_left(tmp_path: Path) -> None:
    """An export carries the log of administration, and the deletions that are not done: so does its import."""
    here, there, file = tmp_path / "here", tmp_path / "there", tmp_path / "all.ndjson"
    run = CliRunner()
    for command in (
        f"users add Azin --role owner --data {here}", f"users add Bo --data {here}",
        f"users close Bo --delete-messages --data {here}", f"export --all {file} --data {here}",
        f"import {file} --data {there}", f"verify --data {there}",
    ):  # fmt: skip
        done = run.invoke(main, command.split())
        assert done.exit_code == 0, (command, done.output)
    assert '"command":"erasure"' in file.read_text() and '"what":"account-closed"' in file.read_text()
    app = create_app(Settings(data=there, limits=False))
    settled(app)
    rooms = app.extensions["quotechat"].read_with(lambda sql: {row[0] for row in sql.all("SELECT name FROM room")})
    assert rooms == {"@audit", "lobby"}
    app.extensions["quotechat"].close()
