"""The scope that each call needs, as docs/protocol.md has it: `read`, `write`, `manage`, or a session."""

from __future__ import annotations

import re

#: Calls that need `write`, beside those below a room's `/messages`, `/commands` and the like.
WRITE = {
    ("POST", "/quotes"), ("DELETE", "/quotes/1"), ("PUT", "/rooms/lobby/read"), ("PUT", "/rooms/lobby/level"),
    ("PATCH", "/files/1"), ("DELETE", "/files/1"), ("POST", "/rooms/lobby/files"),
    ("PUT", "/rooms/lobby/members/me"), ("DELETE", "/rooms/lobby/members/me"),
}
#: Calls that need a session, whatever the scopes are.
SESSION = {
    ("PUT", "/me/password"), ("DELETE", "/me"), ("GET", "/sessions"), ("DELETE", "/sessions"),
    ("DELETE", "/sessions/k3v9aaaa"), ("DELETE", "/sessions/this"), ("POST", "/sessions/proof"), ("GET", "/tokens"),
    ("POST", "/tokens"), ("DELETE", "/tokens/k3v9aaaa"),
    ("POST", "/devices"), ("GET", "/bots/k3v9aaaabbbb/tokens"), ("POST", "/bots/k3v9aaaabbbb/tokens"),
    ("DELETE", "/bots/k3v9aaaabbbb/tokens/k3v9aaaa"),
    ("POST", "/accounts/k3v9aaaabbbb/reset"), ("DELETE", "/accounts/k3v9aaaabbbb/sessions"),
}  # fmt: skip
#: Calls that anybody makes, also without an account.
NOBODY = {
    ("POST", "/devices/use"), ("POST", "/sessions"), ("POST", "/setup"), ("POST", "/joins"), ("POST", "/resets"),
    ("GET", "/seen"),
}  # fmt: skip
#: Calls that a token for some rooms may make, though they name none.
SOME_ROOMS = {
    ("GET", "/me"), ("GET", "/me/scheduled"), ("GET", "/rooms"), ("GET", "/events"), ("GET", "/quotes"),
    ("GET", "/quotes/1"), ("GET", "/quotes/random"), ("GET", "/ws"), ("GET", "/search"),
    ("GET", "/cursors"), ("GET", "/cursors/1"), ("GET", "/cursors/1/events"), ("PUT", "/cursors/1"),
    ("PUT", "/cursors/1/position"), ("DELETE", "/cursors/1"),
    ("GET", "/inbox"), ("GET", "/mentions"), ("GET", "/presence"),
    ("GET", "/files/1"), ("GET", "/files/1/thumb"), ("PATCH", "/files/1"), ("DELETE", "/files/1"),
}  # fmt: skip
_FILLED = {"room": "lobby", "account_id": "k3v9aaaabbbb", "token_id": "k3v9aaaa", "session_id": "k3v9aaaa"}


def filled(path: str) -> str:
    """Return a path below /api/v1 as the tables above have it; its parts are as in a rule, or as in the document."""
    return re.sub(r"<(?:[^<>]*:)?(\w+)>|\{(\w+)\}", lambda name: _FILLED.get(name[1] or name[2], "1"), path)


def needed(method: str, path: str) -> str:
    """Return the scope, or `session`, that a call needs; `path` is a filled one."""
    if (method, path) in SESSION:
        return "session"
    if method == "GET":
        return "read"
    of_room = re.match(r"/rooms/lobby/(messages|scheduled|commands|members/me)", path)
    return "write" if of_room or (method, path) in WRITE else "manage"
