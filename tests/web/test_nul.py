"""A NUL, which PostgreSQL takes in no text, is answered like any other name that nobody has, on both stores."""

from __future__ import annotations

from flask import Flask
from people import ORIGIN, owner

PATHS = (
    "/accounts/%00", "/accounts/%00/reset", "/accounts/%00/ban", "/accounts/%00/sessions", "/accounts?before=%00",
    "/accounts?q=%00", "/bots/%00", "/bots/%00/tokens", "/sessions/aaaa%00aaa", "/tokens/%00", "/invitations/%00",
    "/me/blocks/%00", "/bars/%00", "/bars/lo%00by:1", "/rooms/%00", "/rooms/%00/events", "/rooms/%00/members/me",
    "/rooms/lobby/members/%00", "/rooms/lobby/hooks/%00", "/files/%00", "/cursors/%00", "/cursors/%00/events",
    "/webhooks/%00", "/events?after=%00:0", "/presence?room=%00", "/mentions?before=%00:1", "/quotes?q=%00",
    "/search?q=from:%00", "/search?q=in:%00",
)  # fmt: skip
PAGES = ("/rooms/%00", "/rooms/%00/about", "/people/%00", "/me/tokens/%00/revoke", "/hooks/%00/x", "/people?before=%00")
COMMANDS = (
    {"command": "add-member", "member": {"id": "\0"}}, {"command": "add-member", "member": {"name": "\0"}},
    {"command": "send-message", "message": {"message": "x"}, "client_id": "\0"},
    {"command": "send-message", "message": {"message": "x", "files": ["\0"]}},
    {"command": "report-message", "message": {"id": 1}, "reason": "\0"}, {"command": "join", "room": "\0"},
)  # fmt: skip


def test_a_nul_is_no_fault_of_ours(app: Flask) -> None:
    """In paths, queries, forms, bodies and commands; and what is sent beside it is stored."""
    browser = owner(app)
    broken = []
    for path in PATHS:
        for method in ("GET", "PUT", "PATCH", "POST", "DELETE"):
            answer = browser.ask(method, path, None if method in ("GET", "DELETE") else {})
            if answer.status_code >= 500:
                broken.append(f"{method} {path}")
    for path in PAGES:
        for method in ("GET", "POST"):
            if browser.client.open(path, method=method, headers=ORIGIN).status_code >= 500:
                broken.append(f"{method} {path}")
    for command in COMMANDS:
        if browser.ask("POST", "/rooms/lobby/commands", command).status_code >= 500:
            broken.append(str(command))
    for path, body in (("/directs", {"members": ["\0"]}), ("/sessions", {"name": "\0", "password": "\0"})):
        if browser.ask("POST", path, body).status_code >= 500:
            broken.append(path)
    assert broken == []
