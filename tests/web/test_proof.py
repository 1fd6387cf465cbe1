"""A password given as proof gives the session a new secret: the old one is refused, and no tab loses the session."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from flask import Flask
from people import ORIGIN, PASSWORD, Browser, owner

from quotechat.hub.accounts import accounts as hub_accounts

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
