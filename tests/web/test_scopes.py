"""Scopes of tokens × addresses: a table, held against every call that is described."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from people import Browser, joined, owner
from scopes import NOBODY, SESSION, SOME_ROOMS, filled, needed

from quotechat import create_app
from quotechat.config import Settings
from quotechat.web.spec.described import calls


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]) -> Iterator[Flask]:
    """One application, whose administrator is Azin."""
    data = tmp_path_factory.mktemp("data")
    app = create_app(Settings(data=Path(data), database=new_database(), limits=False, access="invite"))
    yield app
    app.extensions["quotechat"].close()


def addresses(app: Flask) -> list[tuple[str, str]]:
    """Every call below /api/v1, as (method, path)."""
    found = []
    for rule, method, _, _ in calls(app):
        if rule.rule.startswith("/api/v1"):
            found.append((method, filled(rule.rule.removeprefix("/api/v1"))))
    return found


def lacks(answer: Any) -> str | None:
    """The scope that an answer says is missing."""
    problem = answer.get_json(silent=True) if answer.status_code == 403 else None
    return problem["field"] if problem and problem["code"] == "scope-missing" else None


@pytest.fixture(scope="module")
def boss(app: Flask) -> Browser:
    return owner(app)


def test_every_address_asks_for_its_scope(app: Flask, boss: Browser) -> None:
    """`read`: every GET; `write`: what one says oneself; `manage`: all else; and some need a session."""
    client = app.test_client()
    wrong = []
    for scope in ("read", "write", "manage"):
        bearer = {"Authorization": f"Bearer {boss.token(scopes=[scope])}"}
        for method, path in addresses(app):
            if (method, path) in NOBODY or path == "/tokens/this":
                continue
            found, asked = lacks(client.open(f"/api/v1{path}", method=method, headers=bearer)), needed(method, path)
            # Each command has a scope of its own, which is asked for when it is read.
            wanted = None if scope == asked or path.endswith("/commands") else asked
            if (scope, method, path) == ("write", "DELETE", "/quotes/1"):
                wanted = "manage"  # that quote is nobody's own
            if found != wanted:
                wrong.append((scope, method, path, found, asked))
    assert wrong == []


def test_every_command_asks_for_its_scope(app: Flask, boss: Browser) -> None:
    """A token that lacks it is told which one the command needs, whatever other scopes it has."""
    client, boss_id = app.test_client(), boss.ask("GET", "/me").get_json()["account"]["id"]
    needs: dict[str, tuple[str, dict[str, Any]]] = {
        "send-message": ("write", {"message": {"message": "hi"}}), "join": ("write", {}),
        "react": ("write", {"message": {"id": 1, "reaction": "like"}}),
        "mark-read": ("write", {"read": {"id": 1}}), "set-level": ("write", {"level": "nothing"}),
        "set-room": ("manage", {"about": {"title": "x"}}), "add-member": ("manage", {"member": {"name": "Bo"}}),
        "set-member": ("manage", {"member": {"id": "k3v7aaaabbbb", "role": "manager"}}),
        "remove-member": ("manage", {"member": {"id": "k3v7aaaabbbb"}}),
        "report-message": ("manage", {"message": {"id": 1}, "reason": "x"}),
    }  # fmt: skip
    wrong = []
    for scopes in (["read"], ["write"], ["manage"], ["read", "write"], ["read", "manage"]):
        bearer = {"Authorization": f"Bearer {boss.token(scopes=scopes)}"}
        leaves = ("write", {"member": {"id": boss_id}})
        for command, (scope, body) in [*needs.items(), ("remove-member", leaves)]:
            answer = client.post("/api/v1/rooms/lobby/commands", json={"command": command, **body}, headers=bearer)
            if lacks(answer) != (None if scope in scopes else scope):
                wrong.append((scopes, command, lacks(answer), scope))
        assert client.post("/api/v1/rooms/lobby/commands", json={"command": "ping"}, headers=bearer).status_code == 200
    assert wrong == []


def test_a_token_for_some_rooms_administers_nothing(app: Flask, boss: Browser) -> None:
    """Whatever its scopes are: it may do what is about its rooms, and no more."""
    client, bearer = app.test_client(), {"Authorization": f"Bearer {boss.token(rooms=['lobby'])}"}
    wrong = []
    for method, path in addresses(app):
        if (method, path) in NOBODY | SESSION | SOME_ROOMS or path == "/tokens/this" or "/rooms" in path:
            continue
        status = client.open(f"/api/v1{path}", method=method, headers=bearer).status_code
        # A quote belongs to a room, which is looked up.
        if status != 403 and not path.startswith("/quotes"):
            wrong.append((method, path, status))
    assert wrong == []
    bo = joined(app, boss, "Bo").ask("GET", "/me").get_json()["account"]["id"]
    for method, path, body in (
        ("PATCH", "/site", {"title": "Mine"}), ("PUT", f"/accounts/{bo}/ban", {}), ("POST", "/invitations", {}),
        ("PATCH", f"/accounts/{bo}", {"name": "Bob"}), ("POST", "/accounts", {"name": "Eve", "role": "member"}),
        ("PATCH", "/me", {"name": "Azin the Great"}), ("GET", "/accounts", None), ("GET", "/site", None),
    ):  # fmt: skip
        answer = Browser(app).ask(method, path, body, **bearer)
        assert (answer.status_code, answer.get_json()["code"]) == (403, "scope-missing"), (method, path)
    assert boss.ask("GET", "/site").get_json()["title"] == "quotechat"


@pytest.mark.parametrize("about", [{"scopes": ["read"]}, {"scopes": ["write"]}, {"rooms": ["lobby"]}, {}])
def test_every_token_may_end_itself(app: Flask, boss: Browser, about: dict[str, Any]) -> None:
    """Whatever its scopes and rooms are; then it is no token any more."""
    bearer = {"Authorization": f"Bearer {boss.token(**about)}"}
    assert Browser(app).ask("DELETE", "/tokens/this", **bearer).status_code == 204
    assert Browser(app).ask("GET", "/me", **bearer).status_code == 401
    assert Browser(app).ask("DELETE", "/tokens/this", **bearer).status_code == 401
    assert boss.ask("DELETE", "/tokens/this").status_code == 400


def test_several_changes_are_made_together_or_not_at_all(app: Flask, boss: Browser) -> None:
    """Of an account by an administrator, and of one's own: what is refused leaves nothing behind."""
    cleo = joined(app, boss, "Cleo")
    joined(app, boss, "Dee")
    number = cleo.ask("GET", "/me").get_json()["account"]["id"]
    boss.prove()
    for change, status in (
        ({"name": "Dee", "role": "admin"}, 409), ({"role": "admin", "name": "x" * 41}, 422),
        ({"name": "Clio", "role": "king"}, 422),
    ):  # fmt: skip
        assert boss.ask("PATCH", f"/accounts/{number}", change).status_code == status
        account = boss.ask("GET", f"/accounts/{number}").get_json()
        assert (account["name"], account["role"]) == ("Cleo", "member")
    assert cleo.ask("PATCH", "/me", {"name": "Dee", "settings": {"presence": "off"}}).status_code == 409
    assert cleo.ask("GET", "/me").get_json()["settings"] == {}
    changed = boss.ask("PATCH", f"/accounts/{number}", {"name": "Clio", "role": "admin"}).get_json()
    assert (changed["name"], changed["role"]) == ("Clio", "admin")


def test_an_account_beside_the_host_s_user(tmp_path: Path) -> None:
    """Bearer before session before the application around us: the token of an account is that account."""
    from quotechat import QuoteChat

    host, chat = Flask("host"), QuoteChat(settings=Settings(data=tmp_path, limits=False))
    chat.identify(lambda: ("7", "Ada"))
    chat.init_app(host)
    services = host.extensions["quotechat.services"].accounts
    account, _ = services.people.make(None, "Bo", "member")
    _, token = services.accounts.new_token(account.id, "laptop")
    asked = {"json": {"message": "hi"}}
    client = host.test_client()
    sent = client.post("/chat/api/v1/rooms/lobby/messages", headers={"Authorization": f"Bearer {token}"}, **asked)
    assert (sent.status_code, sent.get_json()["message"]["user"]) == (201, "Bo")
    bad = client.post("/chat/api/v1/rooms/lobby/messages", headers={"Authorization": f"Bearer {token}x"}, **asked)
    assert bad.status_code == 401
    host.extensions["quotechat"].close()
