"""The log of administration, `@audit`: told of what is done, read by administrators as any room; on both stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conforming import check_answers
from flask import Flask
from people import PASSWORD, Browser, joined, owner

from quotechat import create_app
from quotechat.config import Settings

EVENTS = "/rooms/@audit/events?after=0"


@pytest.fixture
def app(tmp_path: Path, new_database: Callable[[], str]) -> Iterator[Flask]:
    """An application whose answers are what its documents say."""
    app = create_app(Settings(data=tmp_path / "data", database=new_database(), limits=False, access="invite"))
    check_answers(app)
    yield app
    app.extensions["quotechat"].close()


def number(browser: Browser) -> str:
    """The public id of the account that is signed in."""
    return str(browser.ask("GET", "/me").get_json()["account"]["id"])


def told(browser: Browser) -> list[dict[str, Any]]:
    """What the log says, oldest first."""
    answer = browser.ask("GET", EVENTS)
    assert answer.status_code == 200, answer.get_json()
    found = answer.get_json()["events"]
    assert [each["seq"] for each in found] == list(range(1, len(found) + 1))
    assert {each["command"] for each in found} == {"audit"}
    return [each["audit"] for each in found]


def test_what_is_done_is_told(app: Flask) -> None:
    """Who did what to whom, by public ids, in order, and nothing that was said."""
    boss = owner(app)
    bo = joined(app, boss, "Bo")
    azin, key = number(boss), number(bo)
    bo.ask("PATCH", "/me", {"name": "Bob"})
    bo.ask("POST", "/rooms/lobby/messages", {"message": "violet kumquat"})
    bo.token()
    token = bo.ask("GET", "/tokens").get_json()["tokens"][0]["id"]
    bo.ask("DELETE", f"/tokens/{token}")
    bo.ask("GET", "/me/export")
    boss.ask("PATCH", "/site", {"title": "Tea"})
    boss.prove()
    boss.ask("PATCH", f"/accounts/{key}", {"role": "admin"})
    boss.ask("PUT", f"/accounts/{key}/ban", {"until": "+1h", "reason": "spam"})
    boss.ask("DELETE", f"/accounts/{key}/ban")
    boss.ask("POST", f"/accounts/{key}/reset")
    boss.ask("DELETE", f"/accounts/{key}/sessions")
    boss.ask("PATCH", f"/accounts/{key}", {"state": "closed"})
    found = told(boss)
    assert [each["what"] for each in found] == [
        "account-made", "invitation-made", "account-made", "name-changed", "token-made", "token-revoked",
        "data-exported", "site-changed", "role-changed", "banned", "unbanned", "password-reset", "session-ended",
        "account-closed",
    ]  # fmt: skip
    assert found[0] == {"what": "account-made", "account": azin, "detail": "owner"}
    assert found[2]["by"] == azin and found[2]["account"] == key
    assert found[3] == {"what": "name-changed", "by": key, "account": key, "detail": "Bob"}
    assert found[4]["detail"] == token
    assert found[7] == {"what": "site-changed", "by": azin, "detail": "title"}
    assert found[9]["by"] == azin and found[9]["detail"].endswith("; spam")
    assert "kumquat" not in boss.ask("GET", EVENTS).get_data(as_text=True)
    steps = list(app.extensions["quotechat"]._store.verify())
    assert [each.problem for each in steps if each.room == "@audit"] == [None] * len(found)


def test_it_is_hidden_from_all_others(app: Flask) -> None:
    """For who may not read it, it is as unknown as a room that is not there; nobody writes into it."""
    boss = owner(app)
    bo = joined(app, boss, "Bo")
    bot = {"Authorization": f"Bearer {boss.ask('POST', '/bots', {'name': 'timer'}).get_json()['token']}"}
    for path in ("", "/events", "/messages", "/events?after=0&wait=0.1", "/scheduled"):
        for browser, headers in ((bo, {}), (Browser(app), bot)):
            here, there = (browser.ask("GET", f"/rooms/{room}{path}", **headers) for room in ("@audit", "@none"))
            assert here.status_code == 404
            same = {name: here.get_json()[name] for name in ("code", "status", "title", "field")}
            assert same == {name: there.get_json()[name] for name in same}
    assert bo.ask("GET", "/events?after=@audit:0").status_code == 404
    message = {"message": "x"}
    assert bo.ask("POST", "/rooms/@audit/messages", message).status_code == 404
    assert boss.ask("POST", "/rooms/@audit/messages", message).status_code == 403
    assert boss.ask("POST", "/rooms", {"name": "@audit"}).status_code == 422
    for browser in (bo, boss):
        assert "@audit" not in browser.ask("GET", "/rooms").get_data(as_text=True)
    assert boss.client.get("/rooms/@audit").status_code == 404
    assert boss.ask("GET", "/events?after=@audit:0&after=lobby:0").get_json()["rooms"]["@audit"]["events"]
    token = {"Authorization": f"Bearer {boss.token(scopes=['read'])}"}
    assert Browser(app).ask("GET", EVENTS, **token).status_code == 200
    token = {"Authorization": f"Bearer {boss.token(rooms=['lobby'])}"}
    assert Browser(app).ask("GET", EVENTS, **token).status_code == 404


def test_it_is_told_with_what_it_tells_of(app: Flask) -> None:
    """What is refused leaves nothing in the log; and it forgets what is old enough."""
    boss = owner(app)
    bo = joined(app, boss, "Bo")
    before = told(boss)
    boss.prove()
    assert boss.ask("PATCH", f"/accounts/{number(boss)}", {"role": "member"}).status_code == 409
    assert boss.ask("PATCH", f"/accounts/{number(bo)}", {"name": "Azin", "role": "admin"}).status_code == 409
    assert boss.ask("DELETE", "/me", {"password": PASSWORD}).status_code == 409
    assert told(boss) == before
    chat = app.extensions["quotechat"]
    housekeeper = chat._housekeeper
    while housekeeper._cut_audit(chat.now() + 366 * 86_400_000):
        pass
    assert boss.ask("GET", EVENTS).get_json()["events"] == []
    boss.ask("PATCH", "/site", {"title": "Tea"})
    assert [each["audit"]["what"] for each in boss.ask("GET", EVENTS).get_json()["events"]] == ["site-changed"]
