"""``make matrix``: every described call, command and stream × every kind of caller, on both stores.

Prints how many cells there are, and each that is wrong; writes nothing. test_rights_matrix.py runs a part of it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from flask import Flask
from rights_table import COMMANDS, LEFT_OUT, ON_A_SOCKET, ROWS, WITHOUT_ROOM, Row, expected
from rights_world import CLOSED, DIRECT, KINDS, LOG, OPEN, Caller, World
from scopes import SOME_ROOMS, filled, needed
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from werkzeug.serving import WSGIRequestHandler, make_server

from quotechat.protocol.rights import permissions as p
from quotechat.protocol.rights.permissions import allows, scope_of
from quotechat.store.accounts.sessions import short_id
from quotechat.web.spec.described import COMMANDS as DESCRIBED

STREAMS = ("application/x-ndjson", "text/event-stream")
SECONDS = 30.0
_OF_NO_ROOM = ("/rooms", "/quotes", "/quotes/1", "/tokens/this")
"""Calls without a room in their path that a token for some rooms may make, and which are refused for the room."""
_OWNED = {
    "PATCH /api/v1/rooms/{room}/messages/{message_id}": "message",
    "DELETE /api/v1/rooms/{room}/messages/{message_id}": "message",
    "DELETE /api/v1/rooms/{room}/scheduled/{scheduled_id}": "scheduled",
    "DELETE /api/v1/quotes/{quote_id}": "quote",
    "PATCH /api/v1/files/{file_id}": "file",
    "DELETE /api/v1/files/{file_id}": "file",
    "edit-message": "message",
    "delete-message": "message",
    "cancel-scheduled": "scheduled",
    "remove-quote": "quote",
}
"""Calls and commands about a thing that is the caller's own, or somebody else's."""
_DELETES = ("DELETE /api/v1/rooms/{room}/messages/{message_id}", "delete-message")
_REMOVES = ("DELETE /api/v1/quotes/{quote_id}", "remove-quote")


class Cell(NamedTuple):
    """One caller at one call; `play` returns what it was answered."""

    name: str
    caller: Caller
    expected: set[str]
    play: Callable[[], str]
    changes: bool = False


class Wrong(NamedTuple):
    """A cell that was answered otherwise than the table says."""

    name: str
    caller: str
    expected: set[str]
    found: str

    def __str__(self) -> str:
        return f"{self.name}, {self.caller}: {self.found} instead of {' or '.join(sorted(self.expected))}"


def run(world: World, cells: Iterator[Cell], part: tuple[int, int] = (0, 1)) -> tuple[int, list[Wrong]]:
    """Play each cell, or of `part` (number, of how many) every so many; how many there were, and the wrong ones."""
    number, of = part
    count, wrong = 0, []
    for place, cell in enumerate(cells):
        if place % of != number:
            continue
        count += 1
        found = cell.play()
        if found not in cell.expected:
            wrong.append(Wrong(cell.name, cell.caller.label, cell.expected, found))
        if cell.changes and found == "ok":
            world.restore()
    return count, wrong


# --- Calls ------------------------------------------------------------------------------------------------


def described(app: Flask) -> list[str]:
    """Every call of /openapi.json, such as ``GET /api/v1/me``."""
    paths = app.test_client().get("/openapi.json").get_json()["paths"]
    return [f"{method.upper()} {path}" for path, calls in paths.items() for method in calls if method != "parameters"]


def calls(world: World) -> Iterator[Cell]:
    """Every described call, in each kind of room, on what is one's own and on what is not."""
    for call in described(world.app):
        if call in LEFT_OUT:
            continue
        row = ROWS[call]
        for kind in _kinds(call, row):
            for own in (True, False) if call in _OWNED else (True,):
                for caller in world.callers.values():
                    yield _call(world, caller, call, row, kind, own)


def _kinds(call: str, row: Row) -> tuple[str | None, ...]:
    if "{file_id}" in call or "{report_id}" in call:
        return KINDS[:3]
    if call == "DELETE /api/v1/quotes/{quote_id}":
        return (OPEN,)
    return KINDS if "{room}" in f"{call} {row.query} {row.body}" else (None,)


def _call(world: World, caller: Caller, call: str, row: Row, kind: str | None, own: bool) -> Cell:
    method, path = call.split(" ")
    there = filled(path.removeprefix("/api/v1"))
    own = own and (call not in _OWNED or _may_make(caller, _OWNED[call], kind or OPEN))
    of_rooms = "{room}" in path or (method, there) in SOME_ROOMS or there in _OF_NO_ROOM
    outcomes = expected(
        world, caller, row, scopes=() if there == "/tokens/this" else (needed(method, there),), kind=kind, own=own,
        writes=method != "GET", of_rooms=of_rooms,
    )  # fmt: skip
    outcomes = _refined(call, caller, kind, own, outcomes)
    return Cell(
        f"{call} ({kind})" if kind else call, caller, outcomes,
        lambda: _asked(world, caller, method, path, row, kind, own=own, call=call), method != "GET",
    )  # fmt: skip


def _asked(
    world: World, caller: Caller, method: str, path: str, row: Row, kind: str | None, *, own: bool, call: str
) -> str:
    fill = _filling(world, caller, kind, _OWNED.get(call) if own else None, call)
    about: dict[str, Any] = {"headers": dict(row.headers)}
    if row.body is not None:
        about["json"] = _filled(row.body, fill)
    elif row.headers:
        about["data"] = b"hello"
    query = f"?{_filled(row.query, fill)}" if row.query else ""
    return outcome(world.ask(caller, method, _filled(path, fill) + query, **about))


def _may_make(caller: Caller, making: str, kind: str) -> bool:
    """Return True if the caller can make a message or a quote there, which is its own then."""
    if making == "file" and caller.principal.account is None:
        return False
    scoped = caller.scopes is None or "write" in caller.scopes
    identified = caller.principal.identity is not None
    seen = caller.in_rooms and kind != LOG
    principal = caller.principal._replace(role=caller.role)
    return scoped and identified and seen and not caller.refused and allows(
        principal, p.WRITE, kind, caller.in_room(kind)
    )  # fmt: skip


def _filling(world: World, caller: Caller, kind: str | None, makes: str | None, call: str) -> dict[str, Any]:
    """Return what stands for each {…} of a path, a query or a body; `makes` is what the caller makes before."""
    there = kind if kind in world.other else OPEN
    made = {
        "message": lambda: world.said(caller, there),
        "scheduled": lambda: world.said(caller, there, send_at="+1d"),
        "quote": lambda: world.quoted(caller),
        "file": lambda: world.uploading(caller, there),
    }
    own: dict[str, Any] = {} if makes is None else {makes: made[makes]()}
    if makes is None and call in _DELETES:
        own["message"] = world.said(world.opal, there)  # it may be gone afterwards
    account = world.id("Vic")
    if "/bots/" in call:
        account = world.bots["Kept"]
    found = {
        "room": world.rooms[kind or OPEN], "account_id": account, "victim": account, "new member": world.id("Mo"),
        "other": world.other[there], "message": world.other[there], "scheduled": world.waiting[there],
        "quote": world.quote, "name": caller.name, "new": f"new-{next(world.numbers)}", "bot": world.bots["Kept"],
        "keeper": world.id("Max"), "report_id": world.reports[there],
        "notice_id": world.notice(caller), "ticket_id": world.ticket, "webhook_id": world.webhook,
        "session_id": short_id(caller.principal.proof or b"none"), "address": "8.8.8.8", "cursor_name": "grader",
        "file": world.files[there], **own,
    }  # fmt: skip
    hook = world.hooks[kind if kind in world.hooks else OPEN]
    found["token_id"] = world.kept_token if "/bots/" in call else hook["hook"]["id"] if "hooks" in call else "k3v9aaaa"
    found["secret"] = hook["url"].rpartition("/")[2]
    return found | {f"{name}_id": found[name] for name in ("message", "scheduled", "quote", "file")}


def _filled(value: Any, fill: dict[str, Any]) -> Any:
    """Return `value` with what stands for each {…}; a text that is nothing else becomes what stands for it."""
    if isinstance(value, dict):
        return {name: _filled(each, fill) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, fill) for each in value]
    if not isinstance(value, str) or "{" not in value:
        return value
    name = value[1:-1]
    if value == f"{{{name}}}" and name in fill:
        return fill[name]
    for name, each in fill.items():
        value = value.replace(f"{{{name}}}", str(each))
    return value


def outcome(answer: Any) -> str:
    """Return ``ok``, or the code of the problem, with the field if it is a scope."""
    return "ok" if answer.status_code < 400 else code(answer.get_json(silent=True) or {})


def code(problem: dict[str, Any]) -> str:
    """Return the code of a problem, with the field if it is a scope."""
    found = str(problem.get("code"))
    return f"{found} {problem['field']}" if found == "scope-missing" else found


# --- What the rooms themselves forbid -----------------------------------------------------------------------


def _refined(call: str, caller: Caller, kind: str | None, own: bool, outcomes: set[str]) -> set[str]:
    """Return what is answered instead, if the thing or the room has a say in it."""
    private, principal = kind in (CLOSED, DIRECT), caller.principal._replace(role=caller.role)
    if "room-unknown" in outcomes and kind is not None:
        hidden = {"files/": "file-unknown", "quotes/": "quote-unknown", "reports/": "not-found"}
        return outcomes | {code for part, code in hidden.items() if part in call}
    if not outcomes <= {"ok", "forbidden"}:
        return outcomes
    moderates = allows(principal, p.DELETE_OTHERS, kind or OPEN, caller.in_room(kind or OPEN))
    if call in (_DELETES if private else _DELETES + _REMOVES) and not own and moderates:
        return {"scope-missing manage"} if caller.scopes is not None and "manage" not in caller.scopes else {"ok"}
    if call in ("add-quote", "POST /api/v1/quotes") and private:
        return {"forbidden"}
    if call == "remove-quote" and private:
        return {"quote-unknown"}
    if "/files/" in call and not own:
        return {"file-unknown"}
    if "/reports/" in call and outcomes == {"forbidden"}:
        return {"not-found"}
    if principal.account is None and call.startswith("POST") and call.endswith("/files"):
        return {"forbidden"}  # `QUOTECHAT_GUEST_FILES` is off
    if call == "POST /api/v1/guests" and principal.account is not None:
        return {"forbidden"}
    if call == "POST /api/v1/rooms" and not caller.in_rooms:
        return {"room-unknown"}
    if call == "DELETE /api/v1/tokens/this" and caller.scopes is None:
        return {"parameter-invalid"}
    if call == "DELETE /api/v1/rooms/{room}/members/me" and outcomes == {"ok"}:
        # A direct room has the members it began with, and a room keeps its only manager.
        only = kind == CLOSED and caller.membership == "manager"
        return {"conflict"} if kind == DIRECT or only else outcomes
    if call == "unsubscribe" and (not caller.in_rooms or (kind == LOG and not principal.is_admin)):
        return {"room-unknown"}
    return outcomes


# --- Commands ---------------------------------------------------------------------------------------------


def commands(world: World) -> Iterator[Cell]:
    """Every command that is described, by POST."""
    for command in DESCRIBED:
        for kind in KINDS:
            for own in (True, False) if command in _OWNED else (True,):
                for caller in world.callers.values():
                    if command in ON_A_SOCKET:
                        continue
                    yield _command(world, caller, command, kind, own, lambda *given: _posted(world, *given))


def _command(
    world: World, caller: Caller, command: str, kind: str, own: bool, send: Callable[[Caller, str, Any, set[str]], str]
) -> Cell:  # fmt: skip
    row = COMMANDS[command]
    own = own and (command not in _OWNED or _may_make(caller, _OWNED[command], kind))
    asked = None if command in WITHOUT_ROOM else kind
    scopes = () if command in WITHOUT_ROOM else (scope_of(command),)
    writes = command != "subscribe"
    outcomes = expected(world, caller, row, scopes=scopes, kind=asked, own=own, writes=writes)
    outcomes = _refined(command, caller, kind, own, outcomes)

    def play() -> str:
        fill = _filling(world, caller, kind, _OWNED.get(command) if own else None, command)
        return send(caller, kind, {"command": command, "room": fill["room"], **_filled(row.body, fill)}, outcomes)

    return Cell(f"{command} ({kind})", caller, outcomes, play, changes=True)


def _posted(world: World, caller: Caller, kind: str, envelope: Any, _: set[str]) -> str:
    return outcome(world.ask(caller, "POST", f"/api/v1/rooms/{world.rooms[kind]}/commands", json=envelope))


# --- Streams and sockets ----------------------------------------------------------------------------------


class _Quiet(WSGIRequestHandler):
    """Logs no requests."""

    def log_request(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def served(app: Flask) -> Iterator[tuple[str, int]]:
    """Serve the application on a thread of this process; host and port."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    server.daemon_threads = True  # type: ignore[attr-defined]  # that of socketserver
    # A stream that is handed over looks to Werkzeug like an error.
    server.log = lambda *_: None  # type: ignore[method-assign, assignment]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield "127.0.0.1", server.server_port
    finally:
        server.shutdown()
        thread.join()


def streams(world: World, at: tuple[str, int]) -> Iterator[Cell]:
    """Every stream of a room, and that of the inbox."""
    row, scopes = Row("visitor", p.READ), ("read",)
    for accept in STREAMS:
        for kind in KINDS:
            path = f"/api/v1/rooms/{world.rooms[kind]}/events?after=0"
            for caller in world.callers.values():
                wanted = expected(world, caller, row, scopes=scopes, kind=kind)
                yield Cell(f"{accept} ({kind})", caller, wanted, _streamed(at, caller, path, accept))
        for caller in world.callers.values():
            wanted = expected(world, caller, Row("account"), scopes=scopes, kind=None)
            yield Cell(f"{accept} (@inbox)", caller, wanted, _streamed(at, caller, "/api/v1/inbox", accept))


def _streamed(at: tuple[str, int], caller: Caller, path: str, accept: str) -> Callable[[], str]:
    def play() -> str:
        with contextlib.closing(http.client.HTTPConnection(*at, timeout=SECONDS)) as connection:
            connection.request("GET", path, headers={**dict(caller.headers), "Accept": accept})
            answer = connection.getresponse()
            if answer.status != 200:
                return code(json.loads(answer.read()))
            return "ok" if answer.readline() else "nothing"

    return play


def sockets(world: World, at: tuple[str, int], part: tuple[int, int] = (0, 1)) -> Iterator[Cell]:
    """Every command over a WebSocket: one for each caller and kind of room."""
    number, of = part
    pairs = [(caller, kind) for kind in KINDS for caller in world.callers.values()]
    for place, (caller, kind) in enumerate(pairs):
        if place % of != number:
            continue
        with _socket(at, caller) as ws:
            if isinstance(ws, str):
                wanted = expected(world, caller, Row("visitor"), scopes=("read",), kind=None)
                yield Cell("WebSocket", caller, wanted, lambda found=ws: found)  # type: ignore[misc]
                continue
            for command in DESCRIBED:
                for own in (True, False) if command in _OWNED else (True,):
                    cell = _command(world, caller, command, kind, own, spoken(world, ws))
                    yield cell._replace(name=f"{cell.name} over a WebSocket")


@contextlib.contextmanager
def _socket(at: tuple[str, int], caller: Caller) -> Iterator[Any]:
    """A WebSocket; the code of the problem if it is refused."""
    headers = dict(caller.headers)
    with contextlib.ExitStack() as stack:
        try:
            ws: Any = stack.enter_context(
                connect(f"ws://{at[0]}:{at[1]}/api/v1/ws", additional_headers=headers, open_timeout=SECONDS)
            )
        except InvalidStatus as refused:
            ws = code(json.loads(refused.response.body or b"{}"))
        yield ws


def spoken(world: World, ws: Any) -> Callable[[Caller, str, Any, set[str]], str]:
    """Return what sends a command over `ws`; it returns what was answered, and notices a late answer to another."""

    def speak(_: Caller, kind: str, envelope: Any, outcomes: set[str]) -> str:
        key, command = f"{kind}-{next(world.numbers)}", envelope["command"]
        ws.send(json.dumps({"client_id": key, **envelope}))
        # Nothing is answered to `typing` and `unsubscribe` if they are allowed.
        silent = command in ("typing", "unsubscribe") and "ok" in outcomes
        if silent:
            ws.send(json.dumps({"command": "ping", "client_id": key}))
        deadline = time.monotonic() + SECONDS  # heartbeats go on coming
        while (left := deadline - time.monotonic()) > 0:
            try:
                got = json.loads(ws.recv(timeout=left))
            except TimeoutError:
                break
            if got["command"] == "error":
                return code(got["error"]) if got.get("client_id", key) == key else f"late: {got}"
            if got["command"] == ("caught-up" if command == "subscribe" else "pong" if silent else "ack"):
                return "ok"
            if got["command"] == "pong" and command == "ping":
                return "ok"
        return "no answer"

    return speak


# --- All of it --------------------------------------------------------------------------------------------


def matrix(app: Flask, access: str, part: tuple[int, int] = (0, 1)) -> tuple[int, list[Wrong]]:
    """Play a part of the matrix on an empty application; how many cells there were, and the wrong ones."""
    world = World(app, access=access)
    assert math.gcd(part[1], len(world.callers)) == 1, "it would be the same caller each time"
    count, wrong = 0, []
    with served(app) as at:
        alike = (calls(world), commands(world), streams(world, at))
        for cells, each in (*((cells, part) for cells in alike), (sockets(world, at, part), (0, 1))):
            more, found = run(world, cells, each)
            count, wrong = count + more, wrong + found
    return count, wrong


def main() -> int:
    """Play the whole matrix on both stores."""
    import postgres

    from quotechat import create_app
    from quotechat.config import Settings

    count, wrong = 0, 0
    with postgres.postgres(fsync="off", full_page_writes="off") as server, tempfile.TemporaryDirectory() as directory:
        for store in ("SQLite", "PostgreSQL"):
            for access in ("invite", "open"):
                database = server.fresh(access) if store == "PostgreSQL" else ""
                data = Path(directory) / f"{store}-{access}"
                app = create_app(Settings(data=data, database=database, limits=False, access=access))
                cells, found = matrix(app, access)
                app.extensions["quotechat"].close()
                print(f"{store}, access {access}: {cells:,} cells, {len(found)} wrong", flush=True)
                for each in found:
                    print(f"  {each}")
                count, wrong = count + cells, wrong + len(found)
    print(f"{count:,} cells, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
