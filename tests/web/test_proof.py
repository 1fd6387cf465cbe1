"""A password given as proof gives the session a new secret: the old one is refused, and no tab loses the session."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from flask import Flask
from people import ORIGIN, PASSWORD, Browser, joined, owner

from quotechat.hub.accounts import accounts as hub_accounts
from quotechat.hub.accounts.credentials import principal_of
from quotechat.protocol.errors import Unauthenticated
from quotechat.store.accounts import accounts as store_accounts
from quotechat.store.accounts import sessions

COOKIE = "quotechat-session"


def secret(browser: Browser) -> str:
    """What the browser's cookie holds now."""
    found = browser.client.get_cookie(COOKIE)
    assert found is not None
    return found.value


def by(app: Flask, cookie: str, method: str = "GET", path: str = "/me", **about: Any) -> Any:
    """The answer to somebody who has only that secret."""
    client = app.test_client()
    client.set_cookie(COOKIE, cookie)
    return client.open(f"/api/v1{path}", method=method, headers=ORIGIN, **about)


def test_a_proof_gives_the_session_a_new_secret(app: Flask) -> None:
    """The old one is refused from then on, for reading, writing and another proof; the session is the same."""
    browser = owner(app)
    before, old = browser.ask("GET", "/me").get_json()["session"], secret(browser)
    answer = browser.ask("POST", "/sessions/proof", {"password": PASSWORD})
    assert answer.status_code == 200 and "HttpOnly" in answer.headers["Set-Cookie"]
    assert secret(browser) != old
    after = browser.ask("GET", "/me").get_json()
    assert after["session"]["at"] == before["at"] and after["proved_until"]
    assert len(browser.ask("GET", "/sessions").get_json()["sessions"]) == 1
    assert by(app, old).status_code in (200, 401) and "account" not in by(app, old).get_json()
    assert by(app, old, path="/sessions").status_code == 401
    for path, body in (("/sessions/proof", {"password": PASSWORD}), ("/tokens", {"name": "mine"})):
        assert by(app, old, "POST", path, json=body).status_code == 401
    assert browser.ask("POST", "/tokens", {"name": "mine"}).status_code == 201


def test_a_wrong_password_leaves_the_session_as_it_is(app: Flask) -> None:
    """No new secret for whoever guesses."""
    browser = owner(app)
    old = secret(browser)
    assert browser.ask("POST", "/sessions/proof", {"password": "wrong"}).status_code == 401
    assert secret(browser) == old and browser.ask("GET", "/sessions").status_code == 200


@pytest.mark.parametrize(
    ("path", "form", "status"),
    [
        ("/me/password", {"password": "another horse 77 battery"}, 200),
        ("/me/password", {"password": "short"}, 422),
        ("/me/sessions/others/end", {}, 200),
        ("/me/devices", {}, 200),
        ("/me/tokens", {"name": "laptop"}, 200),
    ],
)
def test_forms_prove_alike(app: Flask, path: str, form: dict[str, str], status: int) -> None:
    """The form's answer carries the new cookie, also if what was asked for is refused; and the session goes on."""
    browser = owner(app)
    old = secret(browser)
    answer = browser.client.post(path, data={"old": PASSWORD, **form}, headers=ORIGIN)
    assert answer.status_code == status
    assert secret(browser) != old
    assert by(app, old, path="/sessions").status_code == 401
    assert browser.client.get("/me").status_code == 200


def test_closing_the_account_leaves_no_cookie(app: Flask) -> None:
    """Neither by the form nor by the call is a session begun that ends at once."""
    boss = owner(app)
    boss.prove()
    assert boss.ask("POST", "/accounts", {"name": "Second", "role": "owner"}).status_code == 201
    answer = boss.client.post("/me/close", data={"old": PASSWORD, "messages": "keep"}, headers=ORIGIN)
    assert answer.status_code == 303 and boss.client.get_cookie(COOKIE) is None


def test_two_tabs_that_prove_at_once_keep_the_session(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sent the same cookie: one gets a new one, the other is refused and its answer overwrites nothing."""
    browser = owner(app)
    old = secret(browser)
    both = threading.Barrier(2)
    confirm = hub_accounts.Accounts.confirm

    def together(self: Any, *arguments: Any) -> Any:
        found = confirm(self, *arguments)
        both.wait(60)
        return found

    monkeypatch.setattr(hub_accounts.Accounts, "confirm", together)
    answers: list[Any] = []

    def prove() -> None:
        answers.append(by(app, old, "POST", "/sessions/proof", json={"password": PASSWORD}))

    tabs = [threading.Thread(target=prove) for _ in range(2)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()
    assert sorted(each.status_code for each in answers) == [200, 401]
    refused, proved = sorted(answers, key=lambda each: -each.status_code)
    assert "Set-Cookie" not in refused.headers
    value = proved.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    assert by(app, value, path="/sessions").status_code == 200


# --- What ended meanwhile ---------------------------------------------------------------------------


def test_a_password_is_not_changed_by_a_session_that_ended_meanwhile(app: Flask) -> None:
    """Hashing takes a while, in which the owner was quicker: the password of whoever had the session is not set."""
    browser = owner(app)
    services = app.extensions["quotechat.services"].accounts
    account, before = services.people.named("Azin"), services.accounts.passwords.hash

    def slowly(password: str) -> str:
        services.people.sign_out(None, account.key)
        return str(before(password))

    services.accounts.passwords.hash = slowly
    try:
        answer = browser.ask("PUT", "/me/password", {"password": "of a thief 77 battery"})
    finally:
        del services.accounts.passwords.hash
    assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthenticated")
    assert Browser(app).sign_in("Azin").status_code == 201


def test_nothing_lasting_is_made_by_a_session_that_has_ended(app: Flask) -> None:
    """Neither a token nor a link, nor is the account closed, if the request was let in just before."""
    owner(app)
    services = app.extensions["quotechat.services"].accounts
    account = services.people.named("Azin")
    session = app.extensions["quotechat"].read_with(lambda sql: sessions.of_account(sql, account.id))[0]
    services.people.sign_out(None, account.key)
    for act in (
        lambda: services.accounts.new_token(account.id, "t", proof=session.hash),
        lambda: services.accounts.device_link(session),
        lambda: services.accounts.close(principal_of(account, session.hash, None)),
    ):
        with pytest.raises(Unauthenticated):
            act()
    assert services.people.named("Azin").state == "active"


@pytest.mark.parametrize("how", ["by its owner", "by an administrator"])
def test_a_link_for_a_device_ends_with_the_sessions(app: Flask, how: str) -> None:
    """The session that is ended may have made it: who had it would be back with the link."""
    boss = owner(app)
    member = joined(app, boss, "Bo")
    thief = Browser(app)
    assert thief.sign_in("Bo").status_code == 201
    code = thief.ask("POST", "/devices").get_json()["link"].partition("#")[2]
    if how == "by its owner":
        other = next(each for each in member.ask("GET", "/sessions").get_json()["sessions"] if not each.get("this"))
        assert member.ask("DELETE", f"/sessions/{other['id']}").status_code == 204
    else:
        key = member.ask("GET", "/me").get_json()["account"]["id"]
        assert boss.ask("DELETE", f"/accounts/{key}/sessions").status_code == 204
    assert Browser(app).ask("POST", "/devices/use", {"code": code}).get_json()["code"] == "link-unknown"


def test_claims_are_bounded(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """They stand in every statement about what is one's own; one that was claimed before stays."""
    monkeypatch.setattr(store_accounts, "MOST_CLAIMS", 2)
    browser = owner(app)
    tokens = [
        app.test_client().post("/api/v1/guests", json={"user": f"V{number}"}).get_json()["token"] for number in range(3)
    ]
    said = [browser.ask("POST", "/me/claims", {"token": each}).status_code for each in (*tokens, tokens[0])]
    assert said == [200, 200, 409, 200]
