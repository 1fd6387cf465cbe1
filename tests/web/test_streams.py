"""Streams on the wire: with curl, and byte by byte where a clock or a fault is needed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from flask import Flask
from servers import Running, until

from quotechat.live.reactor import Reactor
from quotechat.protocol.cursor import NOW
from quotechat.protocol.errors import CursorExpired
from quotechat.protocol.limits import HEARTBEAT
from quotechat.web.transports.streams import Kind, Stream

KINDS: dict[Kind, str] = {"ndjson": "application/x-ndjson", "sse": "text/event-stream"}
EVENTS = "/api/v1/rooms/lobby/events"


# --- With curl ------------------------------------------------------------------------------------


@contextlib.contextmanager
def curl(*arguments: str) -> Iterator[Callable[[], str]]:
    """`curl -N`; what is yielded gives the next line that is not empty."""
    if shutil.which("curl") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("curl is missing: apt-get install curl")
    command = ["curl", "-sN", "-m", "120", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout

    def following() -> str:
        assert process.stdout
        return next(line.rstrip("\n") for line in process.stdout if line.strip())

    try:
        yield following
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


def streams(server: Running) -> float:
    found = re.findall(r"^quotechat_streams\S+ (\S+)$", requests.get(f"{server.url}/metrics").text, re.MULTILINE)
    return sum(map(float, found))


@pytest.mark.parametrize("kind", KINDS)
def test_curl_sees_it_flow(server: Running, kind: Kind) -> None:
    """The first line comes at once, each message as it comes; a client that hangs up is let go."""
    until(lambda: streams(server) == 0, what="the end of those before")
    began = time.monotonic()
    with curl("-H", f"Accept: {KINDS[kind]}", f"{server.url}{EVENTS}?after=now") as following:
        assert "heartbeat" in following() and time.monotonic() - began < 8
        while "caught-up" not in following():
            pass
        for number in range(3):
            sent = time.monotonic()
            body = {"user": "Ann", "message": f"{kind} {number}"}
            assert requests.post(f"{server.url}/api/v1/rooms/lobby/messages", json=body).status_code == 201
            before = ""  # heartbeats come at any time
            while "message-sent" not in (line := following()):
                before = line
            if kind == "sse":
                assert re.fullmatch(r"id: [0-9]+\.[0-9a-f]{16}", before)
                line = line.removeprefix("data: ")
            assert json.loads(line)["message"]["message"] == body["message"] and time.monotonic() - sent < 8
        until(lambda: streams(server) == 1, what="its count")
    until(lambda: streams(server) == 0, what="its end")


@pytest.mark.parametrize("kind", KINDS)
def test_the_header_is_whole(server: Running, kind: Kind) -> None:
    """Nothing keeps it, nothing gathers it, and it says when (RFC 9110 §6.6.1)."""
    with requests.get(f"{server.url}{EVENTS}", headers={"Accept": KINDS[kind]}, stream=True, timeout=30) as answer:
        wanted = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff",
                  "Transfer-Encoding": "chunked"}  # fmt: skip
        assert {name: answer.headers[name] for name in wanted} == wanted
        assert answer.headers["Date"].endswith(" GMT") and "Content-Length" not in answer.headers
        assert answer.headers["X-Request-Id"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_parameter_of_a_media_type_changes_nothing(server: Running, kind: Kind) -> None:
    """Some name the character set where they ask."""
    for accept in (f"{KINDS[kind]}; charset=utf-8", f"{KINDS[kind]};charset=utf-8;q=0.9, */*;q=0.1"):
        with requests.get(f"{server.url}{EVENTS}", headers={"Accept": accept}, stream=True, timeout=30) as answer:
            assert answer.headers["Content-Type"].startswith(KINDS[kind])


def event_source(server: Running, last: str | None, until: str) -> tuple[str | None, list[Any]]:
    """What an EventSource keeps of a stream in which it stops after `until`: its last id, and its envelopes."""
    headers = {"Accept": KINDS["sse"]} | ({"Last-Event-ID": last} if last else {})
    found: list[Any] = []
    with requests.get(f"{server.url}{EVENTS}", headers=headers, stream=True, timeout=30) as answer:
        for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
            if line.startswith("id: "):
                last = line.removeprefix("id: ")
            elif line.startswith("data: "):
                found.append(json.loads(line.removeprefix("data: ")))
            if until in line:
                return last, found
    raise AssertionError(found)


@pytest.mark.parametrize("until", ["id: ", "caught-up"])
def test_a_reader_that_begins_at_the_head_can_resume(server: Running, until: str) -> None:
    """It knows its position before the first event, so nothing that is said while it is away is lost to it."""
    messages = f"{server.url}/api/v1/rooms/lobby/messages"
    requests.post(messages, json={"user": "Ann", "message": "before"})
    last, _ = event_source(server, None, until)
    said = requests.post(messages, json={"user": "Ann", "message": "meanwhile"}).json()
    assert last is not None
    resumed, found = event_source(server, last, "caught-up")
    assert found[0] == said and resumed == said["cursor"]


def test_not_over_http_1_0(server: Running) -> None:
    """It has no chunks; 406, as every request is that no stream can answer (protocol §8)."""
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=30) as sock:
        sock.sendall(f"GET {EVENTS} HTTP/1.0\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n".encode())
        came = b""
        while data := sock.recv(4096):
            came += data
    assert came.split()[1] == b"406" and b'"code":"not-acceptable"' in came


@pytest.mark.parametrize(("query", "status", "code"), [
    ("after=999999", 410, "cursor-ahead"), ("after=0.0000000000000000", 410, "history-changed"),
    ("after=x", 400, "cursor-invalid"),
])  # fmt: skip
@pytest.mark.parametrize("kind", KINDS)
def test_refused_before_it_begins(server: Running, kind: Kind, query: str, status: int, code: str) -> None:
    """As a problem with its status, by parameter and by `Last-Event-ID`."""
    cursor = query.removeprefix("after=")
    asked = [(f"?{query}", {})] + ([("?after=0", {"Last-Event-ID": cursor})] if kind == "sse" else [])
    for tail, headers in asked:
        answer = requests.get(f"{server.url}{EVENTS}{tail}", headers={"Accept": KINDS[kind], **headers}, timeout=30)
        assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_while_draining(app: Flask) -> None:
    """An EventSource is sent away in the one form in which it comes back; everybody else hears 503."""
    app.extensions["quotechat"].drain()
    client = app.test_client()
    answer = client.get(f"{EVENTS}?after=0", headers={"Accept": KINDS["sse"]})
    assert answer.status_code == 200 and answer.mimetype == KINDS["sse"]
    assert re.fullmatch(rb": draining\nretry: [0-9]+\n\n", answer.data)
    at_head = client.get(EVENTS, headers={"Accept": KINDS["sse"]})
    assert re.fullmatch(rb": draining\nretry: [0-9]+\nid: 0\.[0-9a-f]{16}\n\n", at_head.data)
    for accept in ("application/json", KINDS["ndjson"]):
        refused = client.get(f"{EVENTS}?after=0", headers={"Accept": accept})
        assert (refused.status_code, refused.get_json()["code"]) == (503, "draining")


# --- Byte by byte ---------------------------------------------------------------------------------


class Wire:
    """A stream whose other end is in our hands, and whose reactor only does what it is told."""

    def __init__(self, app: Flask, kind: Kind) -> None:
        chat = app.extensions["quotechat"]
        ours, self.other = socket.socketpair()
        ours.setblocking(False)
        self.other.setblocking(False)
        self.began = time.monotonic()
        self.reactor = Reactor(chat)
        handle = chat.trusted("lobby")
        environ = {"quotechat.request_id": "0" * 16}
        feed, page = handle.follow(), handle.read(NOW)
        self.stream = Stream(ours, lambda: None, kind, HEARTBEAT, handle, feed, page, b"HEAD\r\n\r\n", environ)
        self.reactor._add(self.stream)
        self.made = time.monotonic()
        """Its clock began after `began` and before this."""

    def came(self) -> bytes:
        """What is there, out of its chunks; the last chunk as ``END``."""
        found = b""
        with contextlib.suppress(BlockingIOError):
            while block := self.other.recv(65_536):
                found += block
        head, _, rest = found.rpartition(b"HEAD\r\n\r\n")
        assert head == b""
        texts = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            texts += rest[:length] if length else b"END"
            assert rest[length : length + 2] == b"\r\n"
            rest = rest[length + 2 :]
        return texts


@pytest.fixture
def wire(app: Flask) -> Iterator[Callable[[Kind], Wire]]:
    made: list[Wire] = []

    def make(kind: Kind) -> Wire:
        made.append(Wire(app, kind))
        return made[-1]

    yield make
    for each in made:
        each.reactor.forget(each.stream)
        each.other.close()


@pytest.mark.parametrize("kind", KINDS)
def test_heartbeats(wire: Callable[[Kind], Wire], kind: Kind) -> None:
    """One at once and one each 15 s: a comment to EventSource, the head of the room to NDJSON."""
    stream = wire(kind)
    first = stream.came()
    beat = b": heartbeat\n" if kind == "sse" else b'{"command":"heartbeat","cursors":{"lobby":'
    assert first.startswith(beat) and b"caught-up" in first
    if kind == "sse":
        retry = re.match(rb": heartbeat\nretry: ([0-9]+)\nid: 0\.[0-9a-f]{16}\n\nid: 0\.[0-9a-f]{16}\ndata: ", first)
        assert retry and 500 <= int(retry[1]) <= 1500
    position = b"\nid: " + stream.stream.subscriptions["lobby"].feed.cursor().encode() + b"\n"
    for moment, beats in [(stream.began + HEARTBEAT - 0.5, 0), (stream.made + HEARTBEAT + 0.5, 1),
                          (stream.made + HEARTBEAT + 1, 0), (stream.made + 2 * HEARTBEAT + 1, 1)]:  # fmt: skip
        stream.stream.swept(moment)
        came = stream.came()
        assert came.count(beat) == beats and (kind == "ndjson" or came.count(position) == beats), moment


@pytest.mark.parametrize("kind", KINDS)
def test_a_reset_within_ends_it(wire: Callable[[Kind], Wire], kind: Kind) -> None:
    """A line that says why, then the last chunk and nothing more."""
    stream = wire(kind)
    stream.came()
    stream.stream.reset("lobby", CursorExpired())
    line = stream.came()
    assert line.endswith(b"END")
    found: dict[str, Any] = json.loads(line.removesuffix(b"END").strip().removeprefix(b"data: "))
    assert (found["command"], found["room"], found["error"]["code"]) == ("reset", "lobby", "cursor-expired")
    stream.stream.swept(stream.began + 100)
    assert stream.came() == b""


@pytest.mark.parametrize("kind", KINDS)
def test_a_drain_ends_it_whole(wire: Callable[[Kind], Wire], kind: Kind) -> None:
    """The last chunk, without any words."""
    stream = wire(kind)
    stream.came()
    stream.stream.restart()
    assert stream.came() == b"END"
