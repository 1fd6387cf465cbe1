"""Every refusal of the protocol's table, over HTTP; after each the log is as it was."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from people import ORIGIN, owner

from quotechat import create_app
from quotechat.config import Settings
from quotechat.web.http import problems

MESSAGES = "/api/v1/rooms/lobby/messages"
COMMANDS = "/api/v1/rooms/lobby/commands"
EVENTS = "/api/v1/rooms/lobby/events"
GOOD = {"user": "Ann", "message": "hi"}


@pytest.fixture(scope="module")
def store_kind() -> str:
    """One store: what is refused here is refused before any store is asked, or as both do (tests/store/contract.py)."""
    return "sqlite"


@pytest.fixture(autouse=True)
def _nothing_is_stored(client: FlaskClient) -> Iterator[None]:
    """Whatever is refused, the head stays, and the next good message is stored."""
    client.post(MESSAGES, json=GOOD)
    head = client.get(EVENTS).get_json()["cursor"]
    yield
    assert client.get(EVENTS).get_json()["cursor"] == head
    assert client.post(MESSAGES, json=GOOD).status_code == 201


def refused(answer: Any, status: int, code: str, field: str | None = None) -> dict[str, Any]:
    """The problem of `answer`, which must have this shape (RFC 9457 §3)."""
    problem: dict[str, Any] = json.loads(answer.get_data())
    assert (answer.status_code, problem["code"], problem.get("field")) == (status, code, field), problem
    assert answer.content_type == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert problem["status"] == status and problem["title"] and problem["detail"] and problem["type"]
    return problem


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b'{"user":"a","message":"b"} x', b'\xef\xbb\xbf{"user":"a","message":"b"}', b'{"user":"\xff"}',
        b'{"user":"a","user":"a","message":"b"}', b'{"user":"a","message":"b","n":NaN}',
        b'{"user":"a","message":"b","n":-Infinity}', b'{"user":"a","message":"b","n":1e999}',
        b'{"user":"a","message":"\\ud800"}', b'{"user":"a","message":"\\u0000"}', b'{"user":"a\x00","message":"b"}',
        b'{"user":"a","message":"b","n":' + b"[" * 32 + b"]" * 32 + b"}", b'{"n":' + b"9" * 5000 + b"}",
        b"'single'", b'{"a":1,}', b'"' + b"\\" * 999,
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [MESSAGES, COMMANDS])
def test_malformed_json(client: FlaskClient, path: str, body: bytes) -> None:
    """Whatever two parsers might read differently is refused."""
    refused(client.post(path, data=body, content_type="application/json"), 400, "malformed-json")


def test_depth_32_is_read(client: FlaskClient) -> None:
    """The limit is inclusive, and brackets in strings do not count."""
    body = b'{"user":"a","message":"[[[","n":' + b"[" * 31 + b"]" * 31 + b"}"
    answer = client.post("/api/v1/rooms/none/messages", data=body, content_type="application/json")
    refused(answer, 404, "room-unknown", "room")


@pytest.mark.parametrize(
    "body", [[], "x", 1, {}, {"command": 1}, {"command": None}, {"command": "fly"}, {"command": "subscribe"}]
)
def test_malformed_envelope(client: FlaskClient, body: Any) -> None:
    """No object, no command, none that is known, or none for HTTP."""
    refused(client.post(COMMANDS, json=body), 400, "malformed-envelope")


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"message": "hi"}, "user"), ({"user": "Ann"}, "message"), ({"user": 1, "message": "hi"}, "user"),
        ({"user": "Ann", "message": None}, "message"), ({"user": "Ann", "message": ["hi"]}, "message"),
        ({"user": "", "message": "hi"}, "user"), ({"user": " Ann", "message": "hi"}, "user"),
        ({"user": "A\nB", "message": "hi"}, "user"), ({"user": "A\u202eB", "message": "hi"}, "user"),
        ({"user": "A\u200bB", "message": "hi"}, "user"), ({"user": "A" * 41, "message": "hi"}, "user"),
        ({"user": "Ann", "message": ""}, "message"), ({"user": "Ann", "message": " \n\u200b "}, "message"),
        ({"user": "Ann", "message": "a\x07b"}, "message"), ({"user": "Ann", "message": "a" * 4001}, "message"),
        ({"user": "Ann", "message": "hi", "color": "mauve"}, "color"),
        ({"user": "Ann", "message": "hi", "reply_to": 99}, "reply_to"),
        ({"user": "Ann", "message": "hi", "reply_to": "1"}, "reply_to"),
        ({"user": "Ann", "message": "hi", "reply_to": True}, "reply_to"),
        ({"user": "Ann", "message": "hi", "reply_to": 0}, "reply_to"),
        ({"user": "Ann", "message": "hi", "client_id": ""}, "client_id"),
        ({"user": "Ann", "message": "hi", "client_id": "a b"}, "client_id"),
        ({"user": "Ann", "message": "hi", "client_id": "a" * 65}, "client_id"),
        ({"user": "Ann", "message": "hi", "client_id": "a\n"}, "client_id"),
        ({"user": "Ann", "message": "hi", "client_id": 7}, "client_id"),
    ],
)  # fmt: skip
def test_invalid_fields(client: FlaskClient, message: dict[str, Any], field: str) -> None:
    """422 names the field, in the short form and in the envelope alike."""
    refused(client.post(MESSAGES, json=message), 422, "invalid", field)
    outer = {"client_id": message["client_id"]} if "client_id" in message else {}
    envelope = {"command": "send-message", "message": message, **outer}
    refused(client.post(COMMANDS, json=envelope), 422, "invalid", field)


def test_invalid_inner_objects(client: FlaskClient) -> None:
    """An inner object that is missing, or none."""
    for envelope, field in [
        ({"command": "send-message"}, "message"), ({"command": "send-message", "message": "hi"}, "message"),
        ({"command": "react", "message": {"id": 1, "reaction": "love"}}, "reaction"),
        ({"command": "react", "message": {"reaction": "like"}}, "id"),
        ({"command": "add-quote", "quote": {"quote": "q"}}, "author"),
        ({"command": "cancel-scheduled"}, "scheduled"), ({"command": "send-message", "room": 1}, "room"),
    ]:  # fmt: skip
        refused(client.post(COMMANDS, json=envelope), 422, "invalid", field)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"), ("limit=-1", "limit"), ("limit=x", "limit"), ("limit=1.5", "limit"), ("limit=", "limit"),
        ("limit=1&limit=2", "limit"), ("wait=-1", "wait"), ("wait=x", "wait"), ("wait=1&wait=1", "wait"),
        ("wait=1e3", "wait"), ("wait=nan", "wait"), ("after=0&after=0", "after"), ("limit=%D9%A1", "limit"),
    ],
)  # fmt: skip
def test_parameters(client: FlaskClient, query: str, field: str) -> None:
    """A parameter that cannot be read, or comes twice."""
    refused(client.get(f"{EVENTS}?{query}"), 400, "parameter-invalid", field)


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "+1", "01", "1.", "1.ABCDEF0123456789", "1.0", "NOW", " 1", "1 ", "1" * 17, "1.5", "%D9%A1"]
)
def test_cursor_invalid(client: FlaskClient, text: str) -> None:
    """Only the grammar of the protocol."""
    refused(client.get(f"{EVENTS}?after={text}"), 400, "cursor-invalid", "after")


def test_cursors_that_cannot_be_served(client: FlaskClient) -> None:
    """410, each with its code."""
    refused(client.get(f"{EVENTS}?after=99"), 410, "cursor-ahead")
    refused(client.get(f"{EVENTS}?after=99.0000000000000000&wait=5"), 410, "cursor-ahead")
    refused(client.get(f"{EVENTS}?after=1.0000000000000000"), 410, "history-changed")
    refused(client.get(f"{EVENTS}?after=0.0000000000000000"), 410, "history-changed")


def test_identity(client: FlaskClient) -> None:
    """401 without, 403 with another's, and a token that is not ours is refused everywhere."""
    other = {"Authorization": "Bearer " + client.post("/api/v1/guests", json={"user": "Bob"}).get_json()["token"]}
    for method, path, body in [
        ("PATCH", f"{MESSAGES}/1", {"message": "x"}), ("DELETE", f"{MESSAGES}/1", None),
        ("PUT", f"{MESSAGES}/1/reaction", {"reaction": "like"}), ("DELETE", f"{MESSAGES}/1/reaction", None),
        ("GET", "/api/v1/rooms/lobby/scheduled", None), ("DELETE", "/api/v1/rooms/lobby/scheduled/1", None),
        ("POST", MESSAGES, {**GOOD, "send_at": "+1h"}),
    ]:  # fmt: skip
        answer = client.open(path, method=method, json=body)
        refused(answer, 401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    refused(client.patch(f"{MESSAGES}/1", json={"message": "x"}, headers=other), 403, "forbidden")
    refused(client.delete(f"{MESSAGES}/1", headers=other), 403, "forbidden")
    refused(client.post(MESSAGES, json=GOOD, headers={"Authorization": "Bearer forged"}), 401, "unauthenticated")


def test_unknown(client: FlaskClient) -> None:
    """404, each with its code."""
    token = client.post("/api/v1/guests", json={"user": "Bob"}).get_json()["token"]
    mine = {"Authorization": f"Bearer {token}"}
    for path in ("", "/messages", "/events", "/events?wait=5"):
        refused(client.get(f"/api/v1/rooms/none{path}"), 404, "room-unknown", "room")
    refused(client.post("/api/v1/rooms/none/messages", json=GOOD), 404, "room-unknown", "room")
    refused(client.patch(f"{MESSAGES}/99", json={"message": "x"}, headers=mine), 404, "message-unknown")
    refused(client.put(f"{MESSAGES}/99/reaction", json={"reaction": "like"}, headers=mine), 404, "message-unknown")
    refused(client.delete("/api/v1/rooms/lobby/scheduled/9", headers=mine), 404, "scheduled-unknown")
    refused(client.get("/api/v1/nothing"), 404, "not-found")


@pytest.mark.parametrize("number", [0, 99, 2**53, 10**16 - 1])
def test_unknown_ids_in_an_address(client: FlaskClient, number: int) -> None:
    """404 with the same code, and 401 without identity, whatever the number; in a body one that can be no id is 422."""
    token = client.post("/api/v1/guests", json={"user": "Bob"}).get_json()["token"]
    mine, message = {"Authorization": f"Bearer {token}"}, f"{MESSAGES}/{number}"
    refused(client.patch(message, json={"message": "x"}, headers=mine), 404, "message-unknown")
    told = refused(client.delete(message, headers=mine), 404, "message-unknown")
    assert told["detail"] == f"There is no message {number} in this room."
    stranger = client.application.test_client()
    for method, path in (("PATCH", ""), ("DELETE", ""), ("PUT", "/reaction"), ("DELETE", "/reaction")):
        body = {"message": "x", "reaction": "like"}
        refused(stranger.open(f"{message}{path}", method=method, json=body), 401, "unauthenticated")
    refused(stranger.delete(f"/api/v1/rooms/lobby/scheduled/{number}"), 401, "unauthenticated")
    refused(client.put(f"{message}/reaction", json={"reaction": "like"}, headers=mine), 404, "message-unknown")
    refused(client.delete(f"{message}/reaction", headers=mine), 404, "message-unknown")
    refused(client.delete(f"/api/v1/rooms/lobby/scheduled/{number}", headers=mine), 404, "scheduled-unknown")
    refused(client.delete(f"/api/v1/rooms/none/messages/{number}", headers=mine), 404, "room-unknown", "room")
    envelope = {"command": "delete-message", "message": {"id": number}}
    answer = client.post(COMMANDS, json=envelope, headers=mine)
    if number == 99:
        refused(answer, 404, "message-unknown")
    else:
        refused(answer, 422, "invalid", "id")


def test_unknown_ids_in_an_address_count(tmp_path: Path) -> None:
    """Whatever the number: after three the client has to wait."""
    app = create_app(Settings(data=tmp_path / "limited", messages_burst=3, messages_per_second=0.001))
    try:
        for number in (0, 2**53, 99):
            refused(app.test_client().delete(f"{MESSAGES}/{number}"), 401, "unauthenticated")
        for number in (0, 2**53, 99):
            refused(app.test_client().delete(f"{MESSAGES}/{number}"), 429, "rate-limited")
    finally:
        app.extensions["quotechat"].close()


@pytest.mark.parametrize("number", ["9" * 20, "9" * 5000, "-1", "x"])
def test_numbers_that_are_no_ids(client: FlaskClient, number: str) -> None:
    """In an address they name nothing; as a page's parameter they are passed over."""
    assert client.get(f"/api/v1/quotes/{number}").status_code == 404
    assert client.patch(f"{MESSAGES}/{number}", json={"message": "x"}).status_code in (401, 404, 422)
    for path in ("/", "/polling", "/quotes"):
        assert client.get(path, query_string={"before": number, "id": number}).status_code == 200


def test_numbers_beyond_all_ids_name_nothing(app: Flask) -> None:
    """In the path of every route that has a number, for each of its methods; no method is refused for its number."""
    boss, walked = owner(app), 0
    for rule in app.url_map.iter_rules():
        if "<int" not in rule.rule:
            continue
        for number, method in itertools.product((2**53, 10**16 - 1), (rule.methods or set()) - {"HEAD", "OPTIONS"}):
            path = re.sub(r"<(room|name)>", "lobby", re.sub(r"<int[^>]*>", str(number), rule.rule))
            answer = boss.client.open(path, method=method, json={}, headers={**ORIGIN, "Accept": "text/html"})
            # 303: a notice that is not there was dismissed; 422: a body without what it needs, or the number itself.
            assert answer.status_code in (303, 404, 422), (method, path)
            walked += 1
    assert walked > 20


def test_http_itself(client: FlaskClient) -> None:
    """Methods, media types and sizes."""
    answer = client.delete("/api/v1/rooms")
    refused(answer, 405, "method-not-allowed")
    assert "POST" in answer.headers["Allow"]
    refused(client.get(EVENTS, headers={"Accept": "image/png"}), 406, "not-acceptable")
    for kind in (None, "text/html", "application/xml", "application/json; charset=utf-16"):
        refused(client.post(MESSAGES, data=b"{}", content_type=kind), 415, "unsupported-media-type")
    gzip = {"Content-Encoding": "gzip"}
    refused(client.post(MESSAGES, json=GOOD, headers=gzip), 415, "unsupported-media-type")
    big = json.dumps({**GOOD, "x": "y" * 65_536})
    refused(client.post(MESSAGES, data=big, content_type="application/json"), 413, "too-large")


def test_contradictions(client: FlaskClient) -> None:
    """Room or client_id said twice, differently."""
    key = {"Idempotency-Key": "other"}
    refused(client.post(MESSAGES, json={**GOOD, "client_id": "k"}, headers=key), 400, "parameter-invalid", "client_id")
    envelope = {"command": "send-message", "room": "tea", "message": GOOD}
    refused(client.post(COMMANDS, json=envelope), 400, "parameter-invalid", "room")


def test_conflict_and_reuse(client: FlaskClient) -> None:
    """A room that exists, a name in use, a client_id for other content."""
    refused(client.post("/api/v1/rooms", json={"name": "lobby"}), 409, "conflict", "name")
    for name in ("", "Tea", "-tea", "a" * 64, "t/a", "ä"):
        refused(client.post("/api/v1/rooms", json={"name": name}), 422, "invalid", "name")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://localhost:81"}, {"Origin": "http://localhost:80"}, {"Origin": "https://localhost:443"},
        {"Origin": "http://localhost:443"}, {"Origin": "http://localhost:080"}, {"Origin": "http://localhost:65616"},
        {"Origin": "http://localhost/"}, {"Origin": "http://LOCALHOST"}, {"Origin": "http://localhost."},
    ],
)  # fmt: skip
def test_other_origins(client: FlaskClient, headers: dict[str, str]) -> None:
    """A write from another site's page is refused before anything is done."""
    refused(client.post(MESSAGES, json=GOOD, headers=headers), 403, "origin-refused")
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", **headers}
    assert client.get("/api/v1/ws", headers=upgrade).status_code in (400, 403)


def test_a_host_that_is_not_ours(client: FlaskClient) -> None:
    """DNS rebinding: 400."""
    refused(client.get(EVENTS, headers={"Host": "evil.example"}), 400, "parameter-invalid", "Host")


def test_a_page_tells_it_in_html(client: FlaskClient) -> None:
    """A person gets a page, an API a problem."""
    answer = client.get("/nothing", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "There is no page at this address." in answer.get_data(as_text=True)


def test_every_code_has_a_status() -> None:
    """The table of the protocol, whole."""
    table = {
        400: {"malformed-json", "malformed-envelope", "parameter-invalid", "cursor-invalid"},
        401: {"unauthenticated", "sign-in-failed"},
        403: {"forbidden", "origin-refused", "proof-needed", "scope-missing"},
        404: {"room-unknown", "message-unknown", "quote-unknown", "scheduled-unknown", "not-found",
              "account-unknown", "token-unknown", "cursor-unknown", "link-unknown", "file-unknown",
              "webhook-unknown"},
        405: {"method-not-allowed"}, 406: {"not-acceptable"}, 409: {"conflict", "quota-full"},
        410: {"cursor-expired", "cursor-ahead", "history-changed"}, 413: {"too-large"},
        415: {"unsupported-media-type"}, 422: {"invalid", "client-id-reused"}, 429: {"rate-limited"},
        500: {"internal"}, 503: {"overloaded", "draining", "outcome-unknown"}, 507: {"storage-full"},
    }  # fmt: skip
    found: dict[int, set[str]] = {}
    for code, (status, _) in problems._PROBLEMS.items():
        found.setdefault(status, set()).add(code)
    assert found == table
