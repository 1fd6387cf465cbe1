"""A room that is not yours answers what a name that nobody uses answers: at every address, to every caller.

As a command (``make existence``): every request about each of 200 names and 20 rooms, with times; it writes nothing.
"""

from __future__ import annotations

import itertools
import json
import re
import secrets
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from flask import Flask
from people import Browser, joined, owner
from werkzeug.routing import Rule

from quotechat.store.postgres import batched_sql
from quotechat.store.sqlite import store as sqlite
from quotechat.web.spec.described import COMMANDS, calls

ACCEPTED = ("application/json", "application/x-ndjson", "text/event-stream", "text/html")
NUMBERS = {"message_id": "1", "scheduled_id": "1"}
"""Parts of paths that are there in the closed room."""
OWN_LINES = ("X-Request-Id", "Date")
PAGES = ("/?room={}", "/?room={}&before=2", "/websocket?room={}", "/polling?room={}", "/polling?room={}&mode=short")


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def store_kind(request: pytest.FixtureRequest) -> str:
    """SQLite, and PostgreSQL too in `make long`: which statements run is decided above both."""
    return str(request.param)


class Asked(NamedTuple):
    """A request about a room, whose name stands for {}."""

    method: str
    path: str
    body: Any = None
    form: Any = None
    headers: tuple[tuple[str, str], ...] = ()


class House:
    """A closed room of the owner with a message, a scheduled one and a reaction, and those who are not in it."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.owner = owner(app)
        made = self.owner.ask("POST", "/rooms", {"name": "staff", "kind": "closed"})
        assert made.status_code == 201, made.get_json()
        self.room = made.get_json()["name"]
        # As long as that one, and as random.
        self.nobody = self.room[:-6] + "".join("b" if each == "a" else "a" for each in self.room[-6:])
        for more in ({}, {"send_at": "+1h"}):
            sent = self.owner.ask("POST", f"/rooms/{self.room}/messages", {"message": "hush-hush", **more})
            assert sent.status_code < 300
        self.tag = self.owner.ask("GET", f"/rooms/{self.room}").headers["ETag"]
        self.cursor = self.owner.ask("GET", f"/rooms/{self.room}").get_json()["cursor"]
        stranger, guest, visitor = joined(app, self.owner, "Sam"), joined(app, self.owner, "Gus"), Browser(app)
        app.extensions["quotechat"].write_with(
            lambda sql: sql.run("UPDATE account SET role = 'guest' WHERE name = 'Gus'")
        )
        self.token = {"Authorization": f"Bearer {stranger.token()}"}
        narrow = {"Authorization": f"Bearer {self.owner.token(rooms=['lobby'], scopes=['read', 'write'])}"}
        visitor.client.get("/")  # its cookie
        for token in (self.token, narrow):
            Browser(app).ask("GET", "/rooms", **token)  # its first use is noted
        self.member = stranger.ask("GET", "/me").get_json()["account"]["id"]
        self.callers: dict[str, tuple[Browser, dict[str, str]]] = {
            "member of other rooms": (stranger, {}),
            "token": (Browser(app), self.token),
            "token of a member, for another room": (Browser(app), narrow),
            "guest": (guest, {}),
            "visitor": (visitor, {}),
            "nobody": (Browser(app), {}),
        }
        self.callers["nobody"][0].client = app.test_client(use_cookies=False)

    def names(self, count: int, closed: int) -> tuple[list[str], list[str]]:
        """Return `count` names that nobody uses, and those of so many new closed rooms, which look alike."""
        rooms = []
        for _ in range(closed):
            made = self.owner.ask("POST", "/rooms", {"name": "staff", "kind": "closed"}).get_json()["name"]
            assert self.owner.ask("POST", f"/rooms/{made}/messages", {"message": "hush-hush"}).status_code == 201
            rooms.append(made)
        letters = "abcdefghijklmnopqrstuvwxyz234567"
        return ["staff-" + "".join(secrets.choice(letters) for _ in range(6)) for _ in range(count)], rooms

    def requests(self) -> Iterator[Asked]:
        """Every described call with a room in its path, every page, and what else names a room."""
        for rule, method, call, _ in calls(self.app):
            if "room" not in rule.arguments:
                continue
            path = self._path(rule)
            yield Asked(method, path)
            for example in call.examples if call is not None else ():
                query = example.path.partition("?")[2]
                headers = tuple(example.headers.items())
                yield Asked(method, f"{path}?{query}" if query else path, example.body, headers=headers)
            if method == "GET":
                yield from self._reads(path)
        for name, fields in COMMANDS.items():
            for about in ({}, {"room": "{}"}):
                inner = {field: value for field, value in fields.items() if field != "room"}
                yield Asked("POST", "/api/v1/rooms/{}/commands", {"command": name, **inner, **about})
        for position in ("0", "now", self.cursor, "99"):
            yield Asked("GET", f"/api/v1/events?after={{}}:{position}&wait=1")
            yield Asked("GET", f"/api/v1/events?after=lobby:now&after={{}}:{position}")
        yield Asked("POST", "/api/v1/quotes", {"quote": "Less is more.", "author": "Mies", "room": "{}"})
        yield Asked("DELETE", "/api/v1/quotes/1")
        yield Asked("GET", "/api/v1/search?q=in:{}%20hush-hush")
        yield Asked("GET", "/api/v1/search?q=hush-hush")
        yield Asked("PUT", "/api/v1/cursors/grader", {"rooms": ["{}"], "from": "0"})
        yield from self._pages()

    def _reads(self, path: str) -> Iterator[Asked]:
        for query in ("", "after=0", f"after={self.cursor}", "after=99", "after=now&wait=1", "before=2&limit=1"):
            for accept in ACCEPTED if path.endswith("events") else ACCEPTED[:1]:
                yield Asked("GET", f"{path}?{query}", headers=(("Accept", accept),))
        yield Asked("GET", path, headers=(("If-None-Match", self.tag),))
        yield Asked("HEAD", path)

    def _pages(self) -> Iterator[Asked]:
        for page in PAGES:
            yield Asked("GET", page, headers=(("Accept", "text/html"),))
        for rule in self.app.url_map.iter_rules():
            if rule.rule.startswith("/api/") or not {"name", "room"} & rule.arguments:
                continue
            for method in (rule.methods or set()) & {"GET", "POST"}:
                form = {"user": "Sam", "message": "hi"} if method == "POST" else None
                yield Asked(method, self._path(rule), None, form, (("Accept", "text/html"),))

    def _path(self, rule: Rule) -> str:
        def part(found: re.Match[str]) -> str:
            name = found[1].rpartition(":")[2]
            return "{}" if name in ("room", "name") else NUMBERS.get(name, self.member)

        return re.sub(r"<([^>]+)>", part, rule.rule)


class Statements:
    """The statements that the store has run for requests, in their order, those of each thread by itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ran: dict[str, list[str]] = {}
        for on in (sqlite.SqlOn, batched_sql.PlainSql, batched_sql.BatchedSql):
            for name in ("one", "all", "within", "run"):
                if hasattr(on, name):
                    monkeypatch.setattr(on, name, self._noting(getattr(on, name), name))

    def _noting(self, ran: Any, name: str) -> Any:
        def noting(sql: Any, *given: Any, **named: Any) -> Any:
            thread = threading.current_thread().name
            if thread in ("MainThread", "writer"):
                statement = given[1] if name == "within" else given[0]
                self.ran.setdefault(thread, []).append(statement)
            return ran(sql, *given, **named)

        return noting

    def taken(self) -> dict[str, list[str]]:
        """What was noted since the last call."""
        ran, self.ran = self.ran, {}
        return ran


def answer(browser: Browser, asked: Asked, room: str, headers: dict[str, str]) -> Any:
    """All that an answer shows, with {} for the room's name."""
    body = None if asked.body is None else json.loads(json.dumps(asked.body).replace("{}", room))
    about: dict[str, Any] = {} if body is None else {"json": body}
    if isinstance(body, str):
        about = {"data": body}
    if asked.form is not None:
        about = {"data": asked.form}
    path = asked.path.replace("{}", room)
    sent = {"Origin": "http://localhost", **dict(asked.headers), **headers}
    found = browser.client.open(path, method=asked.method, headers=sent, **about)
    lines = sorted((name, value.replace(room, "{}")) for name, value in found.headers if name not in OWN_LINES)
    # A new identity with each answer, if the caller has none.
    lines = [(name, "" if name == "Set-Cookie" else value) for name, value in lines]
    text = re.sub(r'"request_id":"[^"]*"', "", found.get_data(as_text=True).replace(room, "{}"))
    return found.status_code, lines, re.sub(r'value="[0-9a-f]{32}"', "", text)


@pytest.fixture
def house(app: Flask) -> House:
    return House(app)


def test_a_foreign_room_is_as_one_that_nobody_made(
    house: House, store_kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same status, headers, body but for the name, and the same statements run; for everybody who is not in it."""
    # Every one of them is a round trip; what depends on the caller is the same on both stores.
    callers = list(house.callers.items())[: None if store_kind == "sqlite" else 1]
    statements = Statements(monkeypatch)
    wrong, count = [], 0
    for (caller, (browser, headers)), asked in itertools.product(callers, list(house.requests())):
        # Between the two a minute may be over, after which a worker notes who is here.
        for _ in range(3):
            found = []
            for room in (house.nobody, house.room):
                statements.taken()
                found.append((answer(browser, asked, room, headers), statements.taken()))
            if found[0] == found[1]:
                break
        count += 1
        if found[0] != found[1]:
            wrong.append((caller, asked, *found))
        assert "hush-hush" not in str(found)
    assert not wrong, f"{len(wrong)} of {count}: {wrong[0]}"
    assert count > 150 * len(callers)


MANY = (
    Asked("GET", "/api/v1/events?after=lobby:now&after={}:0"), Asked("PUT", "/api/v1/rooms/{}/members/me"),
    Asked("GET", "/api/v1/rooms/{}"),
)  # fmt: skip


def test_no_closed_room_is_found_among_many_names(
    house: House, store_kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 200 names and 20 closed rooms, all are answered alike, by as many statements."""
    free, closed = house.names(*((200, 20) if store_kind == "sqlite" else (20, 5)))
    statements = Statements(monkeypatch)
    browser, headers = house.callers["member of other rooms"]
    for asked in MANY:
        _found(statements, browser, asked, free[0], headers)  # the first may note that somebody is here
        # Again if the very first answer is the odd one, with which all others are compared.
        assert 1 in (_kinds(statements, browser, asked, [*free, *closed], headers) for _ in range(3)), asked


def _kinds(
    statements: Statements, browser: Browser, asked: Asked, names: list[str], headers: dict[str, str]
) -> int:
    """How many kinds of answers there are. A worker may note at any moment who is here: then it is asked again."""
    kinds: list[Any] = []
    for name in names:
        found = _found(statements, browser, asked, name, headers)
        if kinds and found not in kinds:
            found = _found(statements, browser, asked, name, headers)
        if found not in kinds:
            kinds.append(found)
    return len(kinds)


def _found(
    statements: Statements, browser: Browser, asked: Asked, name: str, headers: dict[str, str]
) -> tuple[Any, dict[str, list[str]]]:
    statements.taken()
    return answer(browser, asked, name, headers), statements.taken()


def test_those_who_are_in_it_see_it(house: House) -> None:
    """So the walk above compares with a room that is there."""
    for path in (f"/rooms/{house.room}", f"/rooms/{house.room}/events?after=0", f"/events?after={house.room}:0"):
        assert "hush-hush" in house.owner.ask("GET", path).get_data(as_text=True)
    assert house.room in house.owner.ask("GET", "/rooms").get_data(as_text=True)
    for browser, headers in house.callers.values():
        for path in ("/api/v1/rooms", "/", "/quotes"):
            assert house.room not in browser.client.get(path, headers=headers).get_data(as_text=True)


def main() -> int:
    """Ask for each of 200 names and 20 closed rooms by every request; print what differs, and the times."""
    from quotechat import create_app
    from quotechat.config import Settings

    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        app = create_app(Settings(data=Path(directory), limits=False))
        house = House(app)
        free, closed = house.names(200, 20)
        statements = Statements(patch)
        browser, headers = house.callers["member of other rooms"]
        asked = list(house.requests())
        different = [each for each in asked if _kinds(statements, browser, each, [*free, *closed], headers) > 1]
        print(f"{len(asked)} requests, each for {len(free)} names and {len(closed)} closed rooms")
        print(f"{len(different)} requests whose answers or statements differ {different[:3] or ''}")
        patch.undo()
        ratios = sorted(_ratio(browser, each, free[: len(closed)], closed, headers) for each in asked)
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"time of a closed room against that of a free name, medians: {middle:.3f} ({low:.3f}-{high:.3f})")
        app.extensions["quotechat"].close()
    return 1 if different or not 0.9 < middle < 1.1 else 0


def _ratio(browser: Browser, asked: Asked, free: list[str], closed: list[str], headers: dict[str, str]) -> float:
    """The median time of a request for a closed room, against that for a name, in turns."""
    took: tuple[list[float], list[float]] = ([], [])
    for pair in zip(closed, free, strict=True):
        for name, times in zip(pair, took, strict=True):
            began = time.perf_counter()
            answer(browser, asked, name, headers)
            times.append(time.perf_counter() - began)
    return statistics.median(took[0]) / statistics.median(took[1])


if __name__ == "__main__":
    sys.exit(main())
