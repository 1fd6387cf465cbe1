"""The content of `quotechat demo`: people, three rooms, and unread messages for one of the people."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from ..config import Settings

if TYPE_CHECKING:
    from flask import Flask

VIEWER = "Azin"
"""The person as which one signs in to the demo."""
_OTHERS = ("Bo", "Chidi")
_ORIGIN = {"Origin": "http://localhost"}

#: (user, colour, text, index of the message it answers, indexes of the users who like it)
_CONVERSATION: list[tuple[str, str, str, int | None, list[str]]] = [
    ("Azin", "teal", "Good morning! Is anybody here?", None, []),
    ("Bo", "orange", "**Here.** I came over *long-polling*, and you?", 0, []),
    ("Azin", "teal", "By WebSocket. Same messages, same order: `seq` says so.", 1, ["Bo", "Chidi"]),
    ("Chidi", "purple", "I only have curl. It works: https://curl.se", None, ["Azin"]),
    ("Bo", "orange", "Then nobody is left out.", 3, []),
]
_QUOTE = ("The great enemy of communication, we find, is the illusion of it.", "William H. Whyte, 1950")
#: Messages that the viewer has not read: (room, user, text).
_NEWS = [
    ("team", "Bo", "The nightly build is green again."),
    ("team", "Chidi", "@Azin, will you look at the release notes?"),
    ("design", "Chidi", "Two drafts of the new page are on the wall."),
    ("design", "Bo", "The second one. It has **less** in it."),
    ("design", "Chidi", "Then I go on with the second."),
]
_ROOMS = (("team", "The team"), ("design", "Design"))


def seed(settings: Settings, password: str) -> None:
    """Fill the store over the public API, as any program would; `password` is the viewer's."""
    from quotechat import create_app

    app = create_app(replace(settings, limits=False))
    people = _people(app, password)

    def ask(name: str, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return _asked(people[name], method, path, body)

    ids: list[int] = []
    for user, color, text, answers, likes in _CONVERSATION:
        body: dict[str, Any] = {"message": text, "color": color}
        if answers is not None:
            body["reply_to"] = ids[answers]
        ids.append(ask(user, "POST", "/rooms/lobby/messages", body)["seq"])
        for fan in likes:
            ask(fan, "PUT", f"/rooms/lobby/messages/{ids[-1]}/reaction", {"reaction": "like"})
    ask(VIEWER, "POST", "/quotes", {"quote": _QUOTE[0], "author": _QUOTE[1]})
    for room, title in _ROOMS:
        ask("Bo", "POST", "/rooms", {"name": room, "title": title})
        for name in people:
            ask(name, "PUT", f"/rooms/{room}/members/me", {})
    for room, user, text in _NEWS:
        ask(user, "POST", f"/rooms/{room}/messages", {"message": text})
    viewer = ask(VIEWER, "GET", "/me", {})["account"]["id"]
    direct = ask("Bo", "POST", "/directs", {"members": [viewer]})["name"]
    ask("Bo", "POST", f"/rooms/{direct}/messages", {"message": "Have you a minute?"})
    app.extensions["quotechat"].close()


def _people(app: Flask, password: str) -> dict[str, Any]:
    """Return a client of each, signed in; nobody knows the passwords of the others."""
    code = app.extensions["quotechat.services"].accounts.people.setup_link().code
    people = {VIEWER: app.test_client()}
    _asked(people[VIEWER], "POST", "/setup", {"code": code, "name": VIEWER, "password": password})
    for name in _OTHERS:
        link = _asked(people[VIEWER], "POST", "/invitations", {})["link"]
        people[name] = app.test_client()
        body = {"code": link.partition("#")[2], "name": name, "password": f"{name} {password}"}
        _asked(people[name], "POST", "/joins", body)
    return people


def _asked(client: Any, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    given = {} if method == "GET" else {"json": body}
    answer = client.open(f"/api/v1{path}", method=method, headers=_ORIGIN, **given)
    if answer.status_code >= 400:
        raise click.ClickException(f"{method} {path}: {answer.get_data(as_text=True)}")
    found: dict[str, Any] = answer.get_json(silent=True) or {}
    return found
