"""Hostile input: refused with the status and code of protocol.md, nothing stored, nobody else disturbed."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import hostile
import pytest
import requests
from servers import Running
from wire import HOST, Answer, answer, close_code, dial, ended, frame, frames, opened, send

from quotechat.web.http.problems import title

MESSAGES = "/api/v1/rooms/lobby/messages"
COMMANDS = "/api/v1/rooms/lobby/commands"
JSON_TYPE = {"Content-Type": "application/json"}
ALLOWED_5XX = {503, 507}


@pytest.fixture(autouse=True)
def _stored_nothing(server: Running) -> Iterator[None]:
    """The head stays where it was, and the next good message is stored."""
    before = head(server)
    yield
    assert head(server) == before
    good = requests.post(f"{server.url}{MESSAGES}", json={"user": "Ann", "message": "hi"}, timeout=60)
    assert good.status_code == 201


@pytest.fixture(scope="module", autouse=True)
def _told() -> Iterator[None]:
    yield
    found = hostile.counts()
    print(f"\nhostile inputs: {sum(found.values())}: " + ", ".join(f"{name} {count}" for name, count in found.items()))


def head(server: Running) -> str:
    cursor: str = requests.get(f"{server.url}/api/v1/rooms/lobby/events", timeout=60).json()["cursor"]
    return cursor


class Asker:
    """One kept connection, opened again where the server closed it."""

    def __init__(self, server: Running) -> None:
        parts = urlsplit(server.url)
        self.host = parts.netloc
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        try:
            return self._asked(method, path, body, headers)
        except (http.client.RemoteDisconnected, ConnectionError):
            # It was idle for longer than the server keeps it, on a machine that is busy.
            self._connection.close()
            return self._asked(method, path, body, headers)

    def _asked(self, method: str, path: str, body: bytes, headers: dict[str, str] | None) -> Answer:
        connection, began = self._connection, time.monotonic()
        connection.putrequest(method, path, skip_host=False, skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            connection.putheader(name, value.encode("utf-8"))
        if body:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        found = connection.getresponse()
        kept = {name.lower(): value for name, value in found.getheaders()}
        got = Answer(found.status, kept, found.read())
        if found.will_close:
            connection.close()
        # However it is made, nothing that fits into a body may take long to refuse.
        assert time.monotonic() - began < 20, (path[:80], body[:80])
        return got

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def asker(server: Running) -> Iterator[Asker]:
    with contextlib.closing(Asker(server)) as found:
        yield found


def check(cases: list[tuple[str, Any, Any]]) -> None:
    """Nothing of (name, found, expected) differs; all of an area at once."""
    wrong = [f"{name}: {found} instead of {expected}" for name, found, expected in cases if found != expected]
    assert not wrong, "\n".join(wrong)


def ask_socket(sock: Any, texts: list[bytes]) -> list[dict[str, Any]]:
    """The answers to `texts` over one WebSocket, in order; a ping after each shows that it stays open."""
    found = []
    incoming = frames(sock)
    for text in texts:
        sock.sendall(frame(1, text))
        found.append(json.loads(next(incoming)[1]))
    return found


def test_json(server: Running, asker: Asker) -> None:
    """Not strict JSON: 400, over every way in; over a WebSocket the same code, and the socket stays."""
    cases = []
    for name, body in [*hostile.JSON, *hostile.NOT_UTF8]:
        for path in (MESSAGES, COMMANDS, "/api/v1/quotes", "/api/v1/rooms", "/api/v1/guests"):
            got = asker.ask("POST", path, body, JSON_TYPE)
            cases.append((f"{name} at {path}", (got.status, got.code), (400, "malformed-json")))
    # A socket is closed after 100 errors within 10 s.
    with opened(server.url) as sock:
        found = ask_socket(sock, [body for _, body in hostile.JSON])
    cases += [
        (f"{name} over a socket", each.get("error", {}).get("code"), "malformed-json")
        for (name, _), each in zip(hostile.JSON, found, strict=True)
    ]
    check(cases)


def test_the_same_command_is_refused_the_same_way(server: Running, asker: Asker) -> None:
    """Over HTTP and over a WebSocket: the same problem but for its `request_id`."""
    cases = []
    for start in range(0, len(hostile.ENVELOPES), 90):
        some = hostile.ENVELOPES[start : start + 90]
        with opened(server.url) as sock:
            over_socket = ask_socket(sock, [hostile.encoded(envelope) for _, envelope, _, _ in some])
        for (name, envelope, code, field), got in zip(some, over_socket, strict=True):
            inner = got.get("error", {})
            cases.append(
                (
                    f"{name} over a socket",
                    (got["command"], inner.get("code"), inner.get("field")),
                    ("error", code, field),
                )
            )
            # Without a room in the path the envelope's own is that of the path as well.
            room = envelope["room"] if isinstance(envelope, dict) and isinstance(envelope.get("room"), str) else "lobby"
            if "/" in room or len(room) > 1000:
                continue
            posted = asker.ask("POST", f"/api/v1/rooms/{room}/commands", hostile.encoded(envelope), JSON_TYPE)
            problem = json.loads(posted.body)
            problem.pop("request_id", None)
            cases.append((f"{name}: status", posted.status, inner.get("status")))
            cases.append((f"{name}: problem", problem, inner))
    check(cases)


@pytest.mark.parametrize("area", ["texts", "names", "colours", "times"])
def test_fields(server: Running, asker: Asker, area: str) -> None:
    """422 and the field's name, as JSON, as an envelope, as a quote and as a guest's name."""
    token = json.loads(asker.ask("POST", "/api/v1/guests", b'{"user":"Ann"}', JSON_TYPE).body)["token"]
    mine = {**JSON_TYPE, "Authorization": f"Bearer {token}"}
    fields = {
        "texts": [(name, "message", value) for name, value in hostile.TEXTS],
        "names": [(name, "user", value) for name, value in hostile.NAMES],
        "colours": [(repr(value[:40]), "color", value) for value in hostile.COLORS],
        "times": [(repr(value[:40]), "send_at", value) for value in hostile.TIMES],
    }[area]
    cases = []

    def posted(name: str, path: str, body: Any, field: str) -> None:
        got = asker.ask("POST", path, hostile.encoded(body), mine)
        found = (got.status, got.code, json.loads(got.body).get("field"))
        cases.append((f"{name} at {path}", found, (422, "invalid", field)))

    for name, field, value in fields:
        message = {"user": "Ann", "message": "hi", field: value}
        posted(name, MESSAGES, message, field)
        posted(name, COMMANDS, {"command": "send-message", "message": message}, field)
        if area == "texts" and len(value) < 4001:
            posted(name, "/api/v1/quotes", {"quote": value, "author": "A"}, "quote")
        if area == "names":
            posted(name, "/api/v1/guests", {"user": value}, "user")
            author = {"quote": "q", "author": value if len(value) != 41 else value * 3}
            posted(name, "/api/v1/quotes", author, "author")
            posted(
                name, "/api/v1/rooms", {"name": "tea", "title": value * (3 if len(value) == 41 else 1) or " "}, "title"
            )
            posted(name, "/api/v1/rooms", {"name": value}, "name")
    check(cases)


def test_addresses_cursors_and_parameters(server: Running, asker: Asker) -> None:
    """What stands in an address: 400, 404 or 410; with `wait` nothing is held."""
    cases = []
    for text in hostile.CURSORS:
        for path in (
            "/api/v1/rooms/lobby/events?after=",
            "/api/v1/rooms/lobby/events?wait=9&after=",
            "/api/v1/events?after=lobby:",
        ):
            # An empty one after a colon is `now`.
            if not (text == "" and path.endswith(":")):
                got = asker.ask("GET", path + text)
                cases.append((path + text, (got.status, got.code), (400, "cursor-invalid")))
    for path, status, code in hostile.PARAMETERS:
        got = asker.ask("GET", path)
        cases.append((path[:120], (got.status, got.code), (status, code)))
    check(cases)


@pytest.mark.parametrize("path", ["?user=José", "?user=\xe9", "é", "?x=👍"])
def test_an_address_that_is_not_ascii(server: Running, path: str) -> None:
    """The refusal says so, and how it is written; also on a connection that has asked before."""
    raw = path.encode("latin-1" if path == "?user=\xe9" else "utf-8")
    body = b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"
    bad, good = (b"POST %b%b HTTP/1.1\r\n" % (MESSAGES.encode(), each) + HOST + body for each in (raw, b"?user=%00"))
    with dial(server.url) as sock:
        for _ in range(3):
            sock.sendall(good)
            assert answer(sock).status == 422
        sock.sendall(bad)
        found = answer(sock)
    problem = json.loads(found.body)
    assert (found.status, found.code) == (400, "parameter-invalid")
    assert problem["detail"] == "The address must be ASCII: write é as %C3%A9."


@pytest.mark.parametrize(
    ("path", "field"),
    [("/api/v1/rooms/%/events", "path"), ("/rooms/%E9", "path"), ("/api/v1/quotes?limit=5&q=%E9", "q"),
    ("/?room=100%", "room"),
     ("/api/v1/rooms/lobby?%C3=1", "\ufffd"), ("/api/v1/rooms/lobby?limit=1%", "limit")],
)  # fmt: skip
def test_a_percent_sign_names_its_field(asker: Asker, path: str, field: str) -> None:
    """So that who typed it finds it."""
    got = asker.ask("GET", path)
    assert (got.status, got.code, json.loads(got.body)["field"]) == (400, "parameter-invalid", field)


@pytest.mark.parametrize("user", ["Jos%E9", "Jos%", "Jos%C3", "%ff", "%u00e9"])
def test_a_name_that_is_no_utf_8_is_not_written(server: Running, asker: Asker, user: str) -> None:
    """By text and by JSON: nothing is stored under a name that nobody has; over a socket the error comes first."""
    got = asker.ask("POST", f"{MESSAGES}?user={user}", b"hi", {"Content-Type": "text/plain"})
    assert (got.status, got.code, json.loads(got.body)["field"]) == (400, "parameter-invalid", "user")
    with opened(server.url, f"?room={user}".encode()) as sock:
        first = json.loads(next(frames(sock))[1])
    assert (first["command"], first["error"]["code"], first["error"]["field"]) == ("error", "parameter-invalid", "room")


def test_cursors_over_a_socket(server: Running) -> None:
    """The same in `subscribe`: an `error`, or a `reset`."""
    good = [text for text in hostile.CURSORS if "%" not in text and text != ""]
    texts = [hostile.encoded({"command": "subscribe", "after": text}) for text in good]
    with opened(server.url) as sock:
        found = ask_socket(sock, texts)
    assert [each["error"]["code"] for each in found] == ["cursor-invalid"] * len(texts)


def test_headers(server: Running, asker: Asker) -> None:
    """Of another site's page, of another type, in another's name: refused before anything is done."""
    cases = []
    for headers, status, code in hostile.HEADERS:
        sent = {**JSON_TYPE, **{name: value.replace("HOST", asker.host) for name, value in headers.items()}}
        got = asker.ask("POST", MESSAGES, b'{"user":"Ann","message":"hi"}', sent)
        cases.append((str(headers)[:120], (got.status, got.code), (status, code)))
    for cookie in hostile.COOKIES:
        got = asker.ask("DELETE", f"{MESSAGES}/1", headers={"Cookie": f"quotechat={cookie}"})
        cases.append((f"cookie {cookie[:40]!r}", (got.status, got.code), (401, "unauthenticated")))
        cases.append(
            (
                f"cookie {cookie[:40]!r} at a page",
                asker.ask("GET", "/", headers={"Cookie": f"quotechat={cookie}"}).status,
                200,
            )
        )
    check(cases)


def test_raw_http(server: Running) -> None:
    """What is no HTTP, or would be read in two ways: 4xx, and the end; no second request comes out of it."""
    cases = []
    for name, data, statuses in hostile.RAW:
        with dial(server.url) as sock:
            sock.sendall(data)
            # What waits for more hears that there is no more.
            if statuses[-1] == 0:
                sock.shutdown(1)
            try:
                got = answer(sock)
                found: object = statuses if got.status in statuses else got.status
                if got.status >= 400 and "keep-alive" not in got.headers["connection"]:
                    assert ended(sock) == b"", name
                if got.status >= 400:
                    problem = json.loads(got.body)
                    assert got.headers["content-type"] == "application/problem+json", name
                    assert problem["status"] == got.status, name
                    # The protocol has no code for these.
                    assert (got.code is None) is (got.status in (408, 414, 417, 431)), name
                    assert got.code is None or problem["title"] == title(got.code), name
            except TimeoutError:
                found = "silence"
            cases.append((name, found, statuses))
    check(cases)


def test_a_second_request_does_not_hide_in_a_body(server: Running) -> None:
    """A poll that is held has no body, and a stream neither: what follows is not taken for a request."""
    hidden = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
    poll = b"GET /api/v1/rooms/lobby/events?wait=0.3 HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(hidden)
    with dial(server.url) as sock:
        sock.sendall(poll + hidden + hidden)
        assert b'"events":[]' in answer(sock).body
        # The second of the two is a request, the first was a body.
        assert answer(sock).body == b'{"status":"ok"}'
    late = poll.replace(b"wait=0.3", b"wait=0")
    with dial(server.url) as sock:
        sock.sendall(late + hidden)
        assert b'"events":[]' in answer(sock).body
        sock.settimeout(1)
        with pytest.raises(TimeoutError):
            assert not sock.recv(1)
            raise TimeoutError
    stream = (
        b"GET /api/v1/rooms/lobby/events HTTP/1.1\r\n"
        + HOST
        + b"Accept: text/event-stream\r\nContent-Length: 5\r\n\r\nhello"
    )
    assert send(server.url, stream).status == 406
    assert send(server.url, stream.replace(b"GET", b"HEAD"), head=True).status == 406


def test_handshakes(server: Running) -> None:
    """What is no handshake of RFC 6455 §4.2.1, or not of our page, is refused while HTTP can say so."""
    cases = []
    for name, data, status in hostile.HANDSHAKES:
        with dial(server.url) as sock:
            sock.sendall(data)
            cases.append((name, answer(sock, head=data.startswith(b"HEAD")).status, status))
    check(cases)


def test_frames(server: Running) -> None:
    """The code of RFC 6455 §7.4.1, then the end; no HTTP is ever written into a socket."""
    cases = []
    for name, data, code in hostile.FRAMES:
        with opened(server.url) as sock:
            sock.sendall(data)
            cases.append((name, close_code(sock), code))
    check(cases)


def test_there_are_enough() -> None:
    """No area is forgotten."""
    found = hostile.counts()
    assert sum(found.values()) >= 500 and min(found.values()) >= 10
