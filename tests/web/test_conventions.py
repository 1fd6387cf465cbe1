"""HTTP as its standards have it: tags and 304, links to the next page, what a client may still write, HEAD, OPTIONS."""

from __future__ import annotations

import itertools
import re
import socket
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import ANY
from urllib.parse import urlsplit

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from people import joined, owner
from servers import Running

from quotechat import create_app
from quotechat.config import Settings
from quotechat.protocol import errors
from quotechat.protocol.errors import Refused
from quotechat.web.http import problems

API = "/api/v1"
LOBBY = f"{API}/rooms/lobby"


@pytest.fixture(scope="module")
def store_kind() -> str:
    """One store: tags, links and methods are made of what any store answers."""
    return "sqlite"


def said(client: FlaskClient, count: int, **about: Any) -> None:
    for number in range(count):
        client.post(f"{LOBBY}/messages", json={"user": "Ann", "message": f"word {number}"}, **about)


def token(client: FlaskClient, user: str = "Ann") -> dict[str, str]:
    return {"Authorization": "Bearer " + client.post(f"{API}/guests", json={"user": user}).get_json()["token"]}


# --- Conditional requests -------------------------------------------------------------------------


@pytest.mark.parametrize("path", [LOBBY, f"{LOBBY}/messages?before=99", f"{API}/quotes", f"{API}/quotes/1"])
def test_unchanged_is_not_sent_again(client: FlaskClient, path: str) -> None:
    """304 with the same tag and no body, for GET and HEAD, also among several tags; never stored by a cache."""
    said(client, 2)
    client.post(f"{API}/quotes", json={"quote": "Less is more.", "author": "Mies"})
    first = client.get(path)
    tag = first.headers["ETag"]
    assert first.status_code == 200 and re.fullmatch('"[0-9a-f]{24}"', tag)
    for asked in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        for method in ("GET", "HEAD"):
            again = client.open(path, method=method, headers={"If-None-Match": asked})
            assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
            assert not {"Content-Type", "Content-Length", "Speculation-Rules"} & {name for name, _ in again.headers}
            assert again.headers["Cache-Control"] == first.headers["Cache-Control"] == "no-store"
            assert set(again.vary) >= {"authorization", "cookie"} or {"Authorization", "Cookie"} <= set(again.vary)
    assert client.get(path, headers={"If-None-Match": '"other"'}).data == first.data


def test_a_304_renders_nothing(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs a look at the head: no message, no quote is read."""
    client, chat = app.test_client(), app.extensions["quotechat"]
    said(client, 2)
    paths = [LOBBY, f"{LOBBY}/messages", f"{API}/quotes?q=less"]
    tags = [client.get(path).headers["ETag"] for path in paths]
    for name in ("snapshot", "messages", "quotes"):
        monkeypatch.setattr(chat._store, name, lambda *_: 1 / 0)
    for path, tag in zip(paths, tags, strict=True):
        assert client.get(path, headers={"If-None-Match": tag}).status_code == 304


def _say(client: FlaskClient, owner: dict[str, str]) -> None:
    client.post(f"{LOBBY}/messages", json={"user": "Ann", "message": "new"}, headers=owner)


CHANGES: list[Callable[[FlaskClient, dict[str, str]], Any]] = [
    _say,
    lambda client, owner: client.patch(f"{LOBBY}/messages/1", json={"message": "edited"}, headers=owner),
    lambda client, owner: client.delete(f"{LOBBY}/messages/1", headers=owner),
    lambda client, owner: client.put(f"{LOBBY}/messages/1/reaction", json={"reaction": "like"}, headers=owner),
    lambda client, owner: client.post(f"{API}/quotes", json={"quote": "More.", "author": "Ann"}, headers=owner),
    lambda client, owner: client.application.extensions["quotechat"]._store.cut("lobby", 2**50, 1),
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("path", [LOBBY, f"{LOBBY}/messages"])
def test_a_change_of_the_answer_changes_the_tag(client: FlaskClient, path: str, change: Callable[..., Any]) -> None:
    """Each kind of event, and a cut by retention; and the answer is then the new one."""
    owner = token(client)
    _say(client, owner)
    old = client.get(path, headers=owner)
    change(client, owner)
    new = client.get(path, headers={**owner, "If-None-Match": old.headers["ETag"]})
    assert new.status_code == 200 and new.data != old.data and new.headers["ETag"] != old.headers["ETag"]


def test_tags_differ_with_all_that_is_asked(client: FlaskClient) -> None:
    """Parameters, address, and who asks, since `mine` is in it."""
    owner, other = token(client), token(client, "Bo")
    _say(client, owner)
    asked = [(LOBBY, {}), (f"{LOBBY}?limit=1", {}), (LOBBY, owner), (LOBBY, other), (f"{LOBBY}/messages", {}),
             (f"{LOBBY}/messages?before=2", {}), (f"{LOBBY}/messages?limit=1", {}), (f"{API}/quotes", {}),
             (f"{API}/quotes?q=a", {}), (f"{API}/quotes?limit=2", {})]  # fmt: skip
    assert len({client.get(path, headers=headers).headers["ETag"] for path, headers in asked}) == len(asked)


# --- Links ----------------------------------------------------------------------------------------


def _pages(client: FlaskClient, path: str) -> list[Any]:
    found = []
    for _ in range(20):
        answer = client.get(path)
        found.append(answer.get_json())
        link = answer.headers.get("Link")
        if link is None:
            return found
        target = re.fullmatch('<([^>]+)>; rel="next"', link)
        assert target
        path = target[1]
    raise AssertionError("the links go in a circle")


def test_links_lead_through_all(client: FlaskClient) -> None:
    """From the snapshot back to the first message, through all quotes that match, on through all events."""
    said(client, 7)
    for number in range(5):
        client.post(f"{API}/quotes", json={"quote": f"less & morsels {number}", "author": "Mies"})
    messages = [page["messages"] for page in _pages(client, f"{LOBBY}?limit=3")]
    assert [[each["id"] for each in page] for page in messages] == [[5, 6, 7], [2, 3, 4], [1]]
    quotes = [page["quotes"] for page in _pages(client, f"{API}/quotes?limit=2&q=%26%20morsels")]
    newest = quotes[0][0]["id"]
    ids = [[newest - each["id"] for each in page] for page in quotes]
    assert ids == [[0, 1], [2, 3], [4]]
    events = [page["events"] for page in _pages(client, f"{LOBBY}/events?after=0&limit=5")]
    assert [each["seq"] for page in events for each in page] == list(range(1, 13))


# --- What is left to write ------------------------------------------------------------------------


def _parsed(answer: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    policy = re.fullmatch(r'"([a-z]+)";q=([0-9]+);w=([0-9]+)', answer.headers["RateLimit-Policy"])
    state = re.fullmatch(r'"([a-z]+)";r=([0-9]+);t=([0-9]+)', answer.headers["RateLimit"])
    assert policy and state
    return policy.groups(), state.groups()


def test_limited_writes_tell_what_is_left(tmp_path: Path) -> None:
    """Counted down with each, at 0 with a 429 that says when; reading tells nothing, since it takes nothing."""
    app = create_app(Settings(data=tmp_path, messages_burst=3, messages_per_second=0.5))
    client, moments = app.test_client(), itertools.count()
    # A millisecond from one look to the next: nothing is filled up again meanwhile.
    app.extensions["quotechat"].limits._clock = lambda: next(moments) / 1000
    answers = [client.post(f"{LOBBY}/messages", json={"user": "Ann", "message": "x"}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429]
    assert [_parsed(answer)[0] for answer in answers] == [("message", "3", "6")] * 4
    assert [_parsed(answer)[1][1] for answer in answers] == ["2", "1", "0", "0"]
    assert [int(_parsed(answer)[1][2]) for answer in answers] == [2, 4, 6, 6]
    assert answers[-1].headers["Retry-After"] == "2"
    other = client.post(f"{LOBBY}/messages", json={"user": "Bo", "message": "x"}, headers=token(client, "Bo"))
    assert _parsed(other)[1][1] == "2"
    assert _parsed(client.post(f"{API}/rooms", json={"name": "tea"}))[0] == ("room", "10", "3600")
    assert _parsed(client.post(f"{API}/guests", json={"user": "Cy"}))[1][1] == "48"
    assert "RateLimit" not in client.get(LOBBY).headers
    app.extensions["quotechat"].close()


def test_each_command_tells_of_its_own_limit(tmp_path: Path) -> None:
    """That from which it takes, at the address of all commands too."""
    app = create_app(Settings(data=tmp_path))
    boss = owner(app)
    mark, said = {"command": "mark-read", "read": {"id": 0}}, {"command": "send-message", "message": {"message": "x"}}
    for answer, kind in (
        (boss.ask("PUT", "/rooms/lobby/members/me"), "mark"),
        (boss.ask("PUT", "/rooms/lobby/read", {"id": 0}), "mark"),
        (boss.ask("POST", "/rooms/lobby/commands", mark), "mark"),
        (boss.ask("POST", "/rooms/lobby/commands", {"command": "join"}), "mark"),
        (boss.ask("POST", "/rooms/lobby/commands", said), "message"),
    ):
        assert answer.status_code == 200
        assert (_parsed(answer)[0][0], _parsed(answer)[1][0]) == (kind, kind)
    assert int(_parsed(boss.ask("PUT", "/rooms/lobby/read", {"id": 0}))[1][1]) < 60
    app.extensions["quotechat"].close()


def test_changes_of_ones_own_have_a_limit(tmp_path: Path) -> None:
    """All of them take from `change`; who acknowledges a named cursor reads, and may do so far more often."""
    app = create_app(Settings(data=tmp_path))
    boss = owner(app)
    bo = joined(app, boss, "Bo").ask("GET", "/me").get_json()["account"]["id"]
    limits = app.extensions["quotechat"].limits
    moment = limits._clock()
    limits._clock = lambda: moment  # nothing is filled up again
    boss.prove()
    changes = [
        ("PATCH", "/me", {"settings": {"presence": "on"}}), ("PUT", "/cursors/grader", {"rooms": ["lobby"]}),
        ("PUT", f"/me/blocks/{bo}", None), ("DELETE", f"/me/blocks/{bo}", None), ("DELETE", "/me/notices/1", None),
        ("POST", "/me/claims", {"token": "none"}), ("POST", "/tokens", {"name": "laptop"}), ("POST", "/devices", None),
        ("POST", "/bots", {"name": "Tea"}), ("DELETE", "/cursors/other", None),
    ]  # fmt: skip
    for number, (method, path, body) in enumerate(changes, 1):
        answer = boss.ask(method, path, body)
        assert answer.status_code < 500
        assert _parsed(answer) == (("change", "300", "60"), ("change", str(300 - number), ANY))
    acknowledged = {"rooms": {"lobby": boss.ask("GET", "/rooms/lobby").get_json()["cursor"]}}
    for _ in range(100):
        assert boss.ask("PUT", "/cursors/grader/position", acknowledged).status_code == 200
    for _ in range(300 - len(changes)):
        assert boss.ask(*changes[0]).status_code == 200
    for method, path, body in changes:
        answer = boss.ask(method, path, body)
        assert (answer.status_code, answer.get_json()["code"]) == (429, "rate-limited"), path
    assert boss.ask("PUT", "/cursors/grader/position", acknowledged).status_code == 200
    limits.spend("read", f"acct:{boss.ask('GET', '/me').get_json()['account']['id']}", "", 50_000)
    assert boss.ask("PUT", "/cursors/grader/position", acknowledged).status_code == 429
    app.extensions["quotechat"].close()


def test_without_limits_nothing_is_told(client: FlaskClient) -> None:
    """What does not hold is not announced."""
    answer = client.post(f"{LOBBY}/messages", json={"user": "Ann", "message": "x"})
    assert answer.status_code == 201 and not [name for name, _ in answer.headers if name.startswith("RateLimit")]


def test_whoever_is_asked_to_wait_is_told_how_long(app: Flask) -> None:
    """Every refusal with 429 or 503 has `Retry-After`, in whole seconds and at least one."""
    made: list[Refused] = [
        errors.RateLimited(1), errors.RateLimited(1001), errors.Overloaded(), errors.Draining(),
        errors.OutcomeUnknown(),
    ]  # fmt: skip
    assert {refused.code for refused in made} == {
        code for code, (status, _) in problems._PROBLEMS.items() if status in (429, 503)
    }
    with app.test_request_context(f"{API}/rooms"):
        app.preprocess_request()
        told = [problems.response(refused).headers["Retry-After"] for refused in made]
    assert told == ["1", "2", "2", "1", "1"]


# --- Methods --------------------------------------------------------------------------------------


def _raw(server: Running, text: str) -> bytes:
    """All that comes until the server hangs up or, when something came, is silent for a moment."""
    address, found = urlsplit(server.url), b""
    with socket.create_connection((address.hostname, address.port or 80), timeout=60) as sock:
        sock.sendall(text.replace("\n", "\r\n").encode())
        try:
            while block := sock.recv(65_536):
                found += block
                sock.settimeout(0.7)
        except TimeoutError:
            pass
    return found


@pytest.mark.parametrize(("query", "accept"), [
    ("after=0", "application/json"), ("after=now&wait=1", "application/json"), ("after=0", "text/event-stream"),
    ("after=0", "application/x-ndjson"),
])  # fmt: skip
def test_head_is_a_header_alone(server: Running, query: str, accept: str) -> None:
    """Whatever GET would do: nothing is held, nothing streams, nothing follows the header (RFC 9110 §9.3.2)."""
    about = f"Host: localhost\nAccept: {accept}\nConnection: close\n\n"
    found = _raw(server, f"HEAD {LOBBY}/events?{query} HTTP/1.1\n{about}")
    header, _, rest = found.partition(b"\r\n\r\n")
    assert header.startswith(b"HTTP/1.1 200") and rest == b""
    assert f"content-type: {accept}" in header.decode().lower()


def test_a_handshake_is_a_get(server: Running) -> None:
    """HEAD upgrades nothing; OPTIONS tells what may be asked."""
    upgrade = (
        f"{{}} {API}/ws HTTP/1.1\nHost: localhost\nUpgrade: websocket\nConnection: Upgrade\n"
        "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n\n"
    )
    refused = _raw(server, upgrade.format("HEAD"))
    assert refused.startswith(b"HTTP/1.1 405") and b"Allow: GET, OPTIONS" in refused
    assert _raw(server, upgrade.format("GET")).startswith(b"HTTP/1.1 101")
    assert requests.options(f"{server.url}{API}/ws").headers["Allow"] == "GET, OPTIONS"


def test_options_and_405_tell_the_methods(client: FlaskClient) -> None:
    """Of every call: what OPTIONS allows works, and another method is told what does."""
    document = client.get("/openapi.json").get_json()
    for path, methods in document["paths"].items():
        place = path.format_map(defaultdict(lambda: "1", room="lobby", session_id="k3v9aaaa"))
        answer = client.options(place)
        allowed = {each.strip() for each in answer.headers["Allow"].split(",")}
        told = {method.upper() for method in methods}
        assert answer.status_code == 200 and told <= allowed <= told | {"HEAD", "OPTIONS"}, path
        wrong = client.open(place, method="PURGE")
        assert wrong.status_code == 405 and told <= {each.strip() for each in wrong.headers["Allow"].split(",")}, path


def test_the_list_of_rooms_is_asked_for_again_cheaply(client: FlaskClient) -> None:
    """304 while no room was made and nothing was said, a new list after either."""
    first = client.get("/api/v1/rooms")
    tag = {"If-None-Match": first.headers["ETag"]}
    same = client.get("/api/v1/rooms", headers=tag)
    assert (same.status_code, same.data, same.headers["ETag"]) == (304, b"", first.headers["ETag"])
    client.post("/api/v1/rooms", json={"name": "tea"})
    again = client.get("/api/v1/rooms", headers=tag)
    assert again.status_code == 200 and again.headers["ETag"] != first.headers["ETag"]
