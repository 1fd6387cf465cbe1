"""Browsers and programs of people with accounts, for tests."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask.testing import FlaskClient

PASSWORD = "correct horse battery 9"
ORIGIN = {"Origin": "http://localhost"}


def setup_code(app: Flask) -> str:
    """The code of a link that makes the first owner, as `quotechat users setup` prints it."""
    code: str = app.extensions["quotechat.services"].accounts.people.setup_link().code
    return code


class Browser:
    """A browser: it keeps cookies, and says which page its writes come from."""

    def __init__(self, app: Flask) -> None:
        self.client: FlaskClient = app.test_client()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The answer; a body is sent as JSON."""
        about: dict[str, Any] = {} if body is None else {"json": body}
        return self.client.open(f"/api/v1{path}", method=method, headers={**ORIGIN, **headers}, **about)

    def sign_in(self, name: str, password: str = PASSWORD) -> Any:
        return self.ask("POST", "/sessions", {"name": name, "password": password})

    def prove(self, password: str = PASSWORD) -> None:
        assert self.ask("POST", "/sessions/proof", {"password": password}).status_code == 200

    def token(self, **about: Any) -> str:
        """A new token of the account that is signed in."""
        self.prove()
        answer = self.ask("POST", "/tokens", {"name": "laptop", **about})
        assert answer.status_code == 201, answer.get_json()
        return str(answer.get_json()["token"])


def owner(app: Flask, name: str = "Azin") -> Browser:
    """A browser in which the first owner is signed in."""
    browser = Browser(app)
    answer = browser.ask("POST", "/setup", {"code": setup_code(app), "name": name, "password": PASSWORD})
    assert answer.status_code == 201, answer.get_json()
    return browser


def joined(app: Flask, inviter: Browser, name: str) -> Browser:
    """A browser in which somebody has joined by an invitation."""
    link = inviter.ask("POST", "/invitations", {}).get_json()["link"]
    browser = Browser(app)
    body = {"code": link.partition("#")[2], "name": name, "password": PASSWORD}
    answer = browser.ask("POST", "/joins", body)
    assert answer.status_code == 201, answer.get_json()
    return browser
