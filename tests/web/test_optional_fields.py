"""What may be left out of a request, what an account is shown of itself, and which refusal comes first.

On SQLite alone: none of it depends on the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conforming import check_answers
from flask import Flask
from people import Browser, joined, owner

from quotechat import create_app
from quotechat.config import Settings
from quotechat.protocol.errors import Overloaded, RateLimited
from quotechat.store.accounts import accounts, bans


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An open server with its limits."""
    app = create_app(Settings(data=Path(tmp_path_factory.mktemp("data")), rooms_per_hour=1000))
    check_answers(app)
    yield app
    app.extensions["quotechat"].close()


@pytest.fixture(scope="module")
def admin(app: Flask) -> Browser:
    return owner(app)


@pytest.fixture(scope="module")
def member(app: Flask, admin: Browser) -> Browser:
    return joined(app, admin, "Bo")


def key(browser: Browser) -> str:
    return str(browser.ask("GET", "/me").get_json()["account"]["id"])


def outcome(answer: Any) -> tuple[int, str | None, str | None]:
    problem = answer.get_json() or {}
    return answer.status_code, problem.get("code"), problem.get("field")


def test_a_body_of_which_nothing_is_needed_may_be_left_out(app: Flask, admin: Browser, member: Browser) -> None:
    """Without a body, and without a `Content-Type`, the answer is that to `{}`."""
    made = admin.ask("POST", "/accounts", {"name": "Left out"}).get_json()["id"]
    for method, path, status in (
        ("POST", "/invitations", 201), ("PUT", "/bars/8.8.8.8", 204), ("PUT", f"/accounts/{made}/ban", 204),
        ("POST", "/directs", 201), ("POST", "/directs", 200),
    ):  # fmt: skip
        assert admin.ask(method, path).status_code == status, (method, path)
    room = admin.ask("POST", "/rooms", {"kind": "closed"}).get_json()["name"]
    assert admin.ask("PUT", f"/rooms/{room}/members/{key(member)}").status_code == 200


def test_a_visitor_s_messages_are_claimed_by_the_cookie_alone(app: Flask, admin: Browser) -> None:
    """No body is needed beside the cookie of a visitor."""
    browser = Browser(app)
    browser.client.get("/")
    assert browser.ask("POST", "/rooms/lobby/messages", {"user": "Vera", "message": "x"}).status_code == 201
    link = admin.ask("POST", "/invitations").get_json()["link"]
    body = {"code": link.partition("#")[2], "name": "Vera", "password": "correct horse battery 9"}
    assert browser.ask("POST", "/joins", body).status_code == 201
    tags = {path: browser.ask("GET", path).headers["ETag"] for path in ("/rooms/lobby", "/rooms/lobby/messages")}
    assert browser.ask("POST", "/me/claims").get_json() == {"messages": 1}
    for path, tag in tags.items():  # what is its own has changed, without any event
        answer = browser.ask("GET", path, **{"If-None-Match": tag})
        assert answer.status_code == 200 and answer.get_json()["mine"]["messages"], path
        assert browser.ask("GET", path, **{"If-None-Match": answer.headers["ETag"]}).status_code == 304


def test_null_is_as_if_an_optional_field_were_left_out(admin: Browser, member: Browser) -> None:
    """In every body about accounts, tokens and rooms; a field that is needed is missing then."""
    free = dict.fromkeys(("role", "rooms", "uses", "expires_in", "note"))
    assert admin.ask("POST", "/invitations", free).status_code == 201
    assert admin.ask("POST", "/rooms", {"name": "tea", "kind": None, "title": None, "members": None}).status_code == 201
    assert admin.ask("POST", "/accounts", {"name": "Nil", "role": None}).status_code == 201
    assert admin.ask("POST", "/bots", {"name": "Null bot", "rooms": None, "keeper": None}).status_code == 201
    assert admin.ask("POST", "/tokens", {"name": "t", "scopes": None, "rooms": None}).status_code == 201
    assert member.ask("PATCH", "/me", {"name": None, "settings": None}).status_code == 200
    assert member.ask("PATCH", "/me", {"settings": {"presence": None}}).status_code == 200
    assert member.ask("POST", "/directs", {"members": None}).status_code == 201
    assert admin.ask("PATCH", "/site", {"title": None, "contact": None}).status_code == 200
    assert member.ask("PUT", "/rooms/tea/read", {"id": 0, "back": None}).status_code == 200
    assert admin.ask("PATCH", "/rooms/tea", {"topic": "Green"}).status_code == 200
    assert member.ask("PUT", "/cursors/nil", {"rooms": ["tea"], "from": None}).status_code == 201
    assert member.ask("PUT", "/cursors/nil/position", {"rooms": {"tea": "0"}, "back": None}).status_code == 409
    assert outcome(member.ask("PUT", "/rooms/tea/read", {"id": None})) == (422, "invalid", "id")
    assert outcome(admin.ask("POST", "/accounts", {"name": None})) == (422, "invalid", "name")


def test_null_takes_away_the_title_and_topic_of_a_room(admin: Browser, member: Browser) -> None:
    """And the end of a mute; what a room always has is not null."""
    admin.ask("POST", "/rooms", {"name": "jam", "title": "Jam"})
    admin.ask("PATCH", "/rooms/jam", {"topic": "Plums"})
    about = admin.ask("PATCH", "/rooms/jam", {"title": None, "topic": None}).get_json()["about"]
    assert not about.keys() & {"title", "topic"}
    for field in ("kind", "posting", "slow", "default", "archived", "everything"):
        assert outcome(admin.ask("PATCH", "/rooms/jam", {field: None})) == (422, "invalid", field)
    there = f"/rooms/jam/members/{key(member)}"
    for until in ("+1h", None):
        assert admin.ask("PUT", there, {"role": None, "muted_until": until}).status_code == 200
        you = member.ask("GET", "/rooms/jam").get_json()["about"]["you"]
        assert ("muted_until" in you) == (until is not None)


def test_an_account_is_shown_all_of_itself(admin: Browser, member: Browser) -> None:
    """It has what administrators have of it, as `made_by` the account that made it; others have less."""
    made = admin.ask("POST", "/accounts", {"name": "Cy"}).get_json()
    assert made["made_by"] == key(admin)
    assert admin.ask("GET", f"/accounts/{made['id']}").get_json()["made_by"] == key(admin)
    own = member.ask("GET", f"/accounts/{key(member)}").get_json()
    assert own["made_by"] == key(admin)
    assert member.ask("GET", "/me").get_json()["account"] == own
    assert member.ask("PATCH", "/me", {"settings": {}}).get_json() == own
    bot = admin.ask("POST", "/bots", {"name": "Kept"}).get_json()
    bearer = {"Authorization": f"Bearer {bot['token']}"}
    assert admin.client.get("/api/v1/me", headers=bearer).get_json()["account"]["keeper"] == key(admin)
    assert own["password"] is True
    assert own["seen_at"]
    listed = {each["id"]: each for each in member.ask("GET", "/accounts").get_json()["accounts"]}
    assert listed[key(member)] == own
    for each in (listed[made["id"]], member.ask("GET", f"/accounts/{made['id']}").get_json()):
        assert not each.keys() & {"password", "seen_at", "made_by"}


def test_a_ban_that_is_over_is_none(app: Flask, admin: Browser) -> None:
    """The account is shown as active, and as one that can be written to, though nobody has lifted the ban."""
    made, chat = admin.ask("POST", "/accounts", {"name": "Over"}).get_json()["id"], app.extensions["quotechat"]

    def banned(until: int) -> tuple[str | None, bool]:
        chat.write_with(lambda sql: bans.ban(sql, accounts.by_key(sql, made), until, chat.now()))
        shown = admin.ask("GET", f"/accounts/{made}").get_json()
        assert ("until" in shown) == ("state" in shown)
        return shown.get("state"), made in admin.client.get("/directs").get_data(as_text=True)

    assert banned(chat.now() + 60_000) == ("banned", False)
    assert banned(chat.now() - 1) == (None, True)


def test_accounts_are_found_by_a_name_in_any_form(admin: Browser) -> None:
    """Names are in NFC; what is looked for may be decomposed."""
    made = admin.ask("POST", "/accounts", {"name": "Zoé"}).get_json()["id"]
    found = admin.client.get("/api/v1/accounts", query_string={"q": "zoe\u0301"}).get_json()["accounts"]
    assert [each["id"] for each in found] == [made]


def test_a_right_is_looked_at_before_the_fields(member: Browser) -> None:
    """Who may make no webhook is told so, whatever the body is."""
    assert outcome(member.ask("POST", "/webhooks", {})) == (403, "forbidden", None)


def test_no_room_has_the_name_of_the_log(admin: Browser, member: Browser) -> None:
    """`@audit` is no name that a room can have, for anybody."""
    for browser in (admin, member):
        assert outcome(browser.ask("POST", "/rooms", {"name": "@audit"})) == (422, "invalid", "name")


def test_a_poll_of_the_inbox_that_cannot_be_held_says_when_to_come_back(app: Flask, member: Browser) -> None:
    """As one of a room does: without that a client would ask again at once, of a server that has no place left."""
    limits, taken = app.extensions["quotechat"].limits, 0
    cursor = member.ask("GET", "/inbox").get_json()["cursor"]
    try:
        with pytest.raises(Overloaded):
            while True:
                limits.enter("poll", f"other {taken}")
                taken += 1
        found = member.ask("GET", f"/inbox?after={cursor}&wait=25").get_json()
    finally:
        for number in range(taken):
            limits.leave("poll", f"other {number}")
    assert found.pop("retry_in_ms") > 0
    assert found == {"cursor": cursor, "rooms": {}}


def test_a_direct_room_that_is_there_costs_nothing(app: Flask, admin: Browser, member: Browser) -> None:
    """30 new ones an hour; those that are there are found also after that."""
    chat, identity = app.extensions["quotechat"], f"acct:{key(member)}"
    room = member.ask("POST", "/directs", {"members": [key(admin)]}).get_json()["name"]
    with pytest.raises(RateLimited):
        while True:
            chat.limits.allow("direct", identity)
    assert member.ask("POST", "/directs", {"members": ["a" * 12]}).status_code == 429
    answer = member.ask("POST", "/directs", {"members": [key(admin)]})
    assert (answer.status_code, answer.get_json()["name"]) == (200, room)


def test_reporting_needs_the_scope_manage(app: Flask, admin: Browser, member: Browser) -> None:
    """A report is none of the writes that a token with `write` alone may do."""
    said = member.ask("POST", "/rooms/lobby/messages", {"message": "x"}).get_json()["message"]["id"]
    command = {"command": "report-message", "message": {"id": said}, "reason": "Spam"}
    found = []
    for scopes in (["write"], ["manage"]):
        bearer = {"Authorization": f"Bearer {admin.token(scopes=scopes)}"}
        found.append(outcome(Browser(app).ask("POST", "/rooms/lobby/commands", command, **bearer)))
    assert found == [(403, "scope-missing", "manage"), (200, None, None)]
