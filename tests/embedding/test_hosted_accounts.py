"""Accounts of the users of an application around the chat: made at first sight, with its roles, ended by it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from servers import until

from quotechat import QuoteChat, User, signals
from quotechat.config import Settings
from quotechat.store.accounts import accounts, bans

API = "/chat/api/v1"


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[QuoteChat]:
    """A chat in an application that says who asks by a header, as JSON."""
    app, chat = Flask("host"), QuoteChat(settings=Settings(data=tmp_path, limits=False, access="invite"))
    chat.identify(lambda: User(**json.loads(request.headers["X-User"])) if "X-User" in request.headers else None)
    chat.init_app(app)
    yield chat
    app.extensions["quotechat"].close()


def client_of(chat: QuoteChat) -> FlaskClient:
    assert chat._app is not None
    return chat._app.test_client()


def ask(chat: QuoteChat, user: dict[str, Any] | None, method: str, path: str, body: Any = None) -> Any:
    headers = {} if user is None else {"X-User": json.dumps(user)}
    about: dict[str, Any] = {} if body is None else {"json": body}
    return client_of(chat).open(API + path, method=method, headers=headers, **about)


def me(chat: QuoteChat, **user: Any) -> dict[str, Any]:
    found: dict[str, Any] = ask(chat, user, "GET", "/me").get_json()["account"]
    return found


def test_the_first_sight_of_a_user_makes_an_account(chat: QuoteChat) -> None:
    """One for each id, whatever its name is; it writes under that name, and nobody else does."""
    ada = {"id": "7", "name": "Ada"}
    first = me(chat, **ada)
    assert (first["name"], first["role"], first["password"]) == ("Ada", "member", False)
    sent = ask(chat, ada, "POST", "/rooms/lobby/messages", {"message": "hi"})
    assert (sent.status_code, sent.get_json()["message"]["user"]) == (201, "Ada"), sent.get_json()
    assert ask(chat, ada, "POST", "/rooms/lobby/messages", {"message": "x", "user": "Bo"}).status_code == 403
    assert ask(chat, {"id": "8", "name": "Ada"}, "POST", "/rooms/lobby/messages", {"message": "x"}).status_code == 201
    assert me(chat, id="8", name="Ada")["name"] == "Ada 2"
    assert me(chat, id="7", name="Ada Lovelace")["id"] == first["id"]
    assert me(chat, id="7")["name"] == "Ada Lovelace"
    number = sent.get_json()["seq"]
    assert ask(chat, ada, "DELETE", f"/rooms/lobby/messages/{number}").status_code == 200
    assert me(chat, id="9", name="An\u200bn")["name"].startswith("User ")
    assert ask(chat, None, "GET", "/rooms/lobby").status_code == 401


@pytest.mark.parametrize("known", ["an account", "a pair"])
def test_a_repeat_after_a_change_of_name_is_a_repeat(tmp_path: Path, known: str) -> None:
    """The id of a user is the sender of a client_id, whatever its name is by then."""
    app, chat = Flask("host"), QuoteChat(settings=Settings(data=tmp_path, limits=False))
    chat.identify(lambda: (User if known == "an account" else lambda *pair: pair)("7", request.headers["X-Name"]))
    chat.init_app(app)
    client = app.test_client()

    def sent(name: str) -> Any:
        body = {"message": "hi", "client_id": "k"}
        return client.post(f"{API}/rooms/lobby/messages", json=body, headers={"X-Name": name})

    first, again = sent("Ada"), sent("Ada Lovelace")
    assert (first.status_code, again.status_code, again.get_json().get("duplicate")) == (201, 200, True)
    assert again.get_json()["seq"] == first.get_json()["seq"]
    app.extensions["quotechat"].close()


def test_which_of_two_credentials_counts(tmp_path: Path) -> None:
    """The token of an account before the application's user, a bad one not at all; a guest's token behind it."""
    app, chat = Flask("host"), QuoteChat(settings=Settings(data=tmp_path, limits=False))
    chat.identify(lambda: User("7", "Ada") if "X-User" in request.headers else None)
    chat.init_app(app)
    accounts = app.extensions["quotechat.services"].accounts
    account, _ = accounts.people.make(None, "Bo", "member")
    _, token = accounts.accounts.new_token(account.id, "laptop")
    client = app.test_client(use_cookies=False)
    guest = client.post(f"{API}/guests", json={"user": "Gil"}).get_json()["token"]

    def said(bearer: str) -> Any:
        headers = {"X-User": "7", "Authorization": f"Bearer {bearer}"}
        return client.post(f"{API}/rooms/lobby/messages", json={"message": "hi"}, headers=headers)

    assert said(token).get_json()["message"]["user"] == "Bo"
    assert said(guest).get_json()["message"]["user"] == "Ada"
    assert said(f"{token}x").status_code == 401
    app.extensions["quotechat"].close()


def test_numbers_beyond_all_ids_are_answered_here(chat: QuoteChat) -> None:
    """Not by the application around, in its own way."""
    boss = {"id": "1", "name": "Boss", "role": "admin"}
    for method, path, body in (("DELETE", "/me/notices", None), ("PATCH", "/reports", {"state": "done"})):
        answer = ask(chat, boss, method, f"{path}/{2**53}", body)
        assert (answer.status_code, (answer.get_json(silent=True) or {}).get("code")) == (404, "not-found"), path


def test_roles_are_the_application_s_to_give(chat: QuoteChat) -> None:
    """Up to administrator, and taken away again; the application asks for passwords, so calls need no proof here."""
    boss = {"id": "1", "name": "Boss", "role": "admin"}
    assert ask(chat, boss, "PATCH", "/site", {"title": "Tea"}).status_code == 200
    assert ask(chat, {**boss, "role": "member"}, "PATCH", "/site", {"title": "Mine"}).status_code == 403
    assert me(chat, **boss)["role"] == "admin"
    made = ask(chat, boss, "POST", "/tokens", {"name": "laptop"})
    assert made.status_code == 201
    bearer = {"Authorization": f"Bearer {made.get_json()['token']}"}
    assert client_of(chat).get(f"{API}/me", headers=bearer).get_json()["account"]["name"] == "Boss"
    assert [each["name"] for each in ask(chat, boss, "GET", "/tokens").get_json()["tokens"]] == ["laptop"]
    for path in ("/sign-in", "/join", "/setup", "/reset", "/device", "/me", "/people", "/admin"):
        assert client_of(chat).get(f"/chat{path}", headers={"X-User": json.dumps(boss)}).status_code == 404, path
    assert ask(chat, boss, "PUT", "/me/password", {"password": "correct horse battery 9"}).status_code == 403


def test_rooms_are_the_application_s_to_give(chat: QuoteChat) -> None:
    """Closed rooms that a user is named in are its own, also as a guest, who sees nothing else."""
    boss = {"id": "1", "name": "Boss", "role": "admin"}
    room = ask(chat, boss, "POST", "/rooms", {"name": "staff", "kind": "closed"}).get_json()["name"]
    guest = {"id": "5", "name": "Gil", "role": "guest", "rooms": [room, "none-there"]}
    for _ in range(2):
        assert [each["name"] for each in ask(chat, guest, "GET", "/rooms").get_json()["rooms"]] == [room]
    assert ask(chat, guest, "POST", f"/rooms/{room}/messages", {"message": "hi"}).status_code == 201
    assert ask(chat, guest, "GET", "/rooms/lobby").status_code == 404
    assert ask(chat, {"id": "6", "name": "Eve"}, "GET", f"/rooms/{room}").status_code == 404


def test_what_a_user_holds_is_ended_by_the_application(chat: QuoteChat) -> None:
    """The credential of held connections has ended at once; the next request begins anew. A ban holds here too."""
    ada = {"id": "7", "name": "Ada"}
    key = me(chat, **ada)["id"]
    services = chat._app.extensions["quotechat.services"].accounts  # type: ignore[union-attr]  # init_app has set it
    before = services.hosted.seen(User("7", "Ada"))
    assert services.hosted.seen(User("7", "Ada")) == before
    assert services.credentials.current([before])[before] is not None
    chat.end("7")
    assert services.credentials.current([before])[before] is None
    assert services.hosted.seen(User("7", "Ada")).proof != before.proof
    boss = {"id": "1", "name": "Boss", "role": "admin"}
    assert ask(chat, boss, "PUT", f"/accounts/{key}/ban", {}).status_code == 204
    assert ask(chat, ada, "GET", "/rooms/lobby").status_code == 401
    chat.end("nobody")


def test_the_application_manages_who_is_in_a_room(chat: QuoteChat) -> None:
    """It lets users in and puts them out, also those whom it has not shown yet, and hears of it by signals."""
    told: list[tuple[str, str]] = []

    def heard(sender: Flask, event: dict[str, Any]) -> None:
        told.append((event["command"], event["member"]["user"]))

    ada, bo = {"id": "7", "name": "Ada"}, {"id": "8", "name": "Bo"}
    room = ask(chat, ada, "POST", "/rooms", {"name": "staff", "kind": "closed"}).get_json()["name"]
    with signals.member_joined.connected_to(heard), signals.member_left.connected_to(heard):
        chat.let_in(room, "8")
        assert ask(chat, bo, "GET", f"/rooms/{room}").status_code == 200
        chat.put_out(room, "8")
        assert ask(chat, bo, "GET", f"/rooms/{room}").status_code == 404
        until(lambda: len(told) == 2)
    assert [each[0] for each in told] == ["member-joined", "member-left"]


@pytest.fixture
def open_chat(tmp_path: Path) -> Iterator[QuoteChat]:
    """As `chat`, in which visitors write too."""
    app, chat = Flask("host"), QuoteChat(settings=Settings(data=tmp_path, limits=False))
    chat.identify(lambda: User(**json.loads(request.headers["X-User"])) if "X-User" in request.headers else None)
    chat.init_app(app)
    yield chat
    app.extensions["quotechat"].close()


def visitor(chat: QuoteChat, name: str) -> dict[str, str]:
    """The header of a visitor with that name, who has said something in the lobby, and likes it."""
    client = client_of(chat)
    token = client.post(f"{API}/guests", json={"user": name}).get_json()["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    sent = client.post(f"{API}/rooms/lobby/messages", json={"user": name, "message": "kettle"}, headers=bearer)
    number = sent.get_json()["seq"]
    liked = {"reaction": "like"}
    client.put(f"{API}/rooms/lobby/messages/{number}/reaction", json=liked, headers=bearer)
    return {"token": token, "number": str(number)}


def test_a_user_claims_what_it_wrote_as_a_visitor(open_chat: QuoteChat) -> None:
    """As every account: it edits and finds these messages, and does not like one twice."""
    before, ada = visitor(open_chat, "Vi"), {"id": "7", "name": "Ada"}
    path = f"/rooms/lobby/messages/{before['number']}"
    assert ask(open_chat, ada, "PATCH", path, {"message": "x"}).status_code == 403
    claimed = ask(open_chat, ada, "POST", "/me/claims", {"token": before["token"]})
    assert claimed.get_json() == {"messages": 1}
    again = ask(open_chat, ada, "PUT", f"{path}/reaction", {"reaction": "like"}).get_json()
    assert (again["message"]["likes"], again["duplicate"]) == (1, True)
    assert ask(open_chat, ada, "PATCH", path, {"message": "pot"}).status_code == 200
    hits = ask(open_chat, ada, "GET", "/search?q=from:me").get_json()["hits"]
    assert [each["message"]["message"] for each in hits] == ["pot"]
    assert ask(open_chat, ada, "GET", "/rooms/lobby").get_json()["mine"]["messages"] == [int(before["number"])]
    assert '"pot"' in ask(open_chat, ada, "GET", "/me/export").get_data(as_text=True)


def test_a_user_writes_under_its_name_whatever_visitors_used(open_chat: QuoteChat) -> None:
    """The name of an account is its own in every room, for a message, typing and what is scheduled."""
    visitor(open_chat, "Cleo")
    cleo = {"id": "9", "name": "Cleo"}
    for later in ({}, {"send_at": "+1h"}):
        sent = ask(open_chat, cleo, "POST", "/rooms/lobby/messages", {"message": "hi", **later})
        assert sent.status_code == (202 if later else 201), sent.get_json()
    assert me(open_chat, **cleo)["name"] == "Cleo"


def test_a_scheduled_message_has_the_name_of_now(open_chat: QuoteChat) -> None:
    """The application may have renamed its sender since."""
    body = {"message": "later", "send_at": "+1s"}
    assert ask(open_chat, {"id": "11", "name": "Eve"}, "POST", "/rooms/lobby/messages", body).status_code == 202
    assert me(open_chat, id="11", name="Eva")["name"] == "Eva"

    def said() -> list[str]:
        found = ask(open_chat, {"id": "11"}, "GET", "/rooms/lobby").get_json()["messages"]
        return [each["user"] for each in found]

    assert until(said) == ["Eva"]


def test_rooms_are_given_after_a_ban(chat: QuoteChat) -> None:
    """A user whose ban is over is let into its rooms, as any other."""
    boss, ada = {"id": "1", "name": "Boss", "role": "admin"}, {"id": "7", "name": "Ada"}
    room = ask(chat, boss, "POST", "/rooms", {"name": "staff", "kind": "closed"}).get_json()["name"]
    key = me(chat, **ada)["id"]
    assert chat._app is not None
    hub = chat._app.extensions["quotechat"]
    hub.write_with(lambda sql: bans.ban(sql, accounts.by_key(sql, key), hub.now() - 1, hub.now()))
    assert ask(chat, {**ada, "rooms": [room]}, "GET", f"/rooms/{room}").status_code == 200
