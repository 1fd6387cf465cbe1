"""Readers of any speed get everything, over every transport, whatever the size of the events."""

from __future__ import annotations

import http.client
import json
import random
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from servers import Running, environment, quotechat, running
from websockets.sync.client import connect

PAGE = 256 * 1024
"""Bytes with which an answer ends (protocol §7, Answers)."""
LARGEST = 20_000
"""Characters of the largest message; each is four bytes."""
ROOMS = ("lobby", "tea", "den")
HALL = "hall"
"""A room with so much in it that no socket takes it at once: of 2.5 MB and more the rest waits with the server."""


class Slow(socket.socket):
    """A socket that takes little at a time, and rests in between."""

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        time.sleep(0.002)
        return super().recv_into(buffer, min(nbytes or len(buffer), 8192), flags)

    def recv(self, size: int, flags: int = 0) -> bytes:
        time.sleep(0.002)
        return super().recv(min(size, 8192), flags)


class Late(socket.socket):
    """A socket whose owner is elsewhere for longer than an idle connection is kept."""

    _began = 0.0

    def _wait(self) -> None:
        if not self._began:
            self._began = time.monotonic()
            time.sleep(3.5)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        self._wait()
        return super().recv_into(buffer, nbytes, flags)

    def recv(self, size: int, flags: int = 0) -> bytes:
        self._wait()
        return super().recv(size, flags)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def store_kind(request: pytest.FixtureRequest) -> str:
    """SQLite, and PostgreSQL too in `make long`: both give pages of the same bytes (tests/store/contract.py)."""
    return str(request.param)


SPEEDS: dict[str, type[socket.socket]] = {"fast": socket.socket, "slow": Slow, "late": Late}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]) -> Iterator[tuple[Running, Any]]:
    """A server that holds messages from one byte to the largest, and for each room the text of each."""
    env = environment(
        QUOTECHAT_LIMITS="off", QUOTECHAT_DATABASE=new_database(), QUOTECHAT_MESSAGE_CHARS=str(LARGEST),
        QUOTECHAT_BODY_BYTES="1000000", QUOTECHAT_SOCKET_BYTES="1000000",
    )  # fmt: skip
    sizes = random.Random(7)
    with running(quotechat("serve", "--port", "0", "--data", str(tmp_path_factory.mktemp("data"))), env=env) as server:
        said: dict[str, list[str]] = {}
        for room in (*ROOMS, HALL):
            requests.post(f"{server.url}/api/v1/rooms", json={"name": room})
            texts = [sizes.choice(["x", "y" * 2000, "*a* " * 990, "😀" * 3900]) for _ in range(80)] + ["😀" * LARGEST]
            sizes.shuffle(texts)
            said[room] = texts = ["😀" * 3900] * 270 if room == HALL else texts
            with connect(f"{server.url.replace('http', 'ws')}/api/v1/ws") as ws:
                for text in texts:
                    message = {"user": "Ann", "message": text}
                    ws.send(json.dumps({"command": "send-message", "room": room, "message": message}))
                for _ in texts:
                    assert json.loads(ws.recv(timeout=30))["command"] == "ack"
        yield server, said


_dialled: list[socket.socket] = []


@pytest.fixture(autouse=True)
def _hung_up() -> Iterator[None]:
    """Close what a test has dialled."""
    yield
    while _dialled:
        _dialled.pop().close()


def dial(server: Running, speed: str) -> socket.socket:
    """A connection whose receive buffer is so small that the server's socket is soon full."""
    parts = urlsplit(server.url)
    sock = SPEEDS[speed](socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    _dialled.append(sock)
    sock.settimeout(30)
    sock.connect((parts.hostname, parts.port))
    return sock


class Http:
    """One connection, kept from request to request if the server keeps it."""

    def __init__(self, server: Running, speed: str) -> None:
        self._server, self._speed = server, speed
        self._connection = self._dialled()

    def ask(self, target: str) -> Any:
        """The body of the answer, which has to come whole."""
        try:
            answer = self._asked(target)
        except (http.client.RemoteDisconnected, ConnectionError):
            # A connection that was slow may be ended between two requests (RFC 9112 §9.3.1).
            self._connection.close()
            answer = self._asked(target)
        body = answer.read()
        assert answer.status == 200, body
        return json.loads(body)

    def _asked(self, target: str) -> http.client.HTTPResponse:
        if self._connection.sock is None:
            self._connection = self._dialled()
        self._connection.request("GET", target)
        return self._connection.getresponse()

    def _dialled(self) -> http.client.HTTPConnection:
        parts = urlsplit(self._server.url)
        found = http.client.HTTPConnection(str(parts.hostname), parts.port)
        found.sock = dial(self._server, self._speed)
        return found


def polled(server: Running, speed: str, room: str, *, wait: int, kept: bool) -> list[Any]:
    """All events of a room by polls; `kept` has another request before, so that the reactor answers them."""
    ask = Http(server, speed).ask
    if kept:
        ask("/healthz")
    found: list[Any] = []
    after, more = "0", True
    while more:
        page = ask(f"/api/v1/rooms/{room}/events?after={after}&limit=500&wait={wait}")
        assert page["events"] and size(page["events"][:-1]) < PAGE
        found += page["events"]
        after, more = page["cursor"], page["more"]
    return found


def lines(server: Running, speed: str, room: str, accept: str) -> list[Any]:
    """All envelopes of a stream up to `caught-up`."""
    sock = dial(server, speed)
    target = f"/api/v1/rooms/{room}/events?after=0"
    sock.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n".encode())
    answer = http.client.HTTPResponse(sock)
    answer.begin()
    found: list[Any] = []
    while not found or found[-1]["command"] != "caught-up":
        line = answer.readline().removeprefix(b"data: ")
        assert line
        if line.startswith(b"{"):
            found.append(json.loads(line))
    sock.close()
    return found


def streamed(accept: str) -> Callable[[Running, str, str], list[Any]]:
    return lambda server, speed, room: [each for each in lines(server, speed, room, accept)[:-1] if "seq" in each]


def framed(server: Running, speed: str, room: str) -> list[Any]:
    """All events over a WebSocket, whose first envelopes they are."""
    url = f"{server.url.replace('http', 'ws')}/api/v1/ws?room={room}&after=0"
    with connect(url, sock=dial(server, speed), max_size=None, open_timeout=30) as ws:
        found = [json.loads(ws.recv(timeout=30))]
        while found[-1]["command"] != "caught-up":
            found.append(json.loads(ws.recv(timeout=30)))
    return found[:-1]


WAYS: dict[str, Callable[[Running, str, str], list[Any]]] = {
    "short": lambda server, speed, room: polled(server, speed, room, wait=0, kept=False),
    "held": lambda server, speed, room: polled(server, speed, room, wait=20, kept=False),
    "kept": lambda server, speed, room: polled(server, speed, room, wait=20, kept=True),
    "ndjson": streamed("application/x-ndjson"),
    "sse": streamed("text/event-stream"),
    "websocket": framed,
}


def size(events: list[Any]) -> int:
    return sum(len(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()) for event in events)


@pytest.mark.parametrize(
    ("speed", "room"), [*((speed, "lobby") for speed in SPEEDS), ("fast", HALL), ("slow", HALL)]
)
def test_everything_arrives(log: tuple[Running, Any], speed: str, room: str) -> None:
    """Every event, once and in order, then the word that it was all; a reader that reads is never cut off."""
    server, said = log
    with ThreadPoolExecutor(len(WAYS)) as pool:
        read = {way: pool.submit(WAYS[way], server, speed, room) for way in WAYS}
    for way, reading in read.items():
        found = reading.result()
        assert [event["seq"] for event in found] == list(range(1, len(said[room]) + 1)), way
        assert [event["message"]["message"] for event in found] == said[room], way


@pytest.mark.parametrize(("speed", "wait"), [("fast", 0), ("fast", 20), ("slow", 20)])
def test_several_rooms_share_one_bound(log: tuple[Running, Any], speed: str, wait: int) -> None:
    """An answer has the bytes of one page, however many rooms; asked again and again, each room comes whole."""
    server, said = log
    ask = Http(server, speed).ask
    after = dict.fromkeys(ROOMS, "0")
    found: dict[str, list[str]] = {room: [] for room in ROOMS}
    more = True
    while more:
        query = "&".join(f"after={room}:{position}" for room, position in after.items())
        rooms = ask(f"/api/v1/events?{query}&limit=500&wait={wait}")["rooms"]
        events = [event for page in rooms.values() for event in page["events"]]
        assert events and size(events) < PAGE + max(size([event]) for event in events)
        for room, page in rooms.items():
            found[room] += [event["message"]["message"] for event in page["events"]]
            after[room] = page["cursor"]
        more = any(page["more"] for page in rooms.values())
    assert found == {room: said[room] for room in ROOMS}


def test_history_is_bounded_too(log: tuple[Running, Any]) -> None:
    """A snapshot and the pages before it hold few large messages, say that there is more, and join without a gap."""
    server, said = log
    ask = Http(server, "fast").ask
    page = ask("/api/v1/rooms/lobby?limit=200")
    found: list[Any] = page["messages"]
    while page["has_more"]:
        page = ask(f"/api/v1/rooms/lobby/messages?limit=200&before={found[0]['id']}")
        assert page["messages"] and size(page["messages"][1:]) < PAGE
        found = page["messages"] + found
    assert [message["message"] for message in found] == said["lobby"]


def test_quotes_are_bounded_too(log: tuple[Running, Any]) -> None:
    """A page of quotes holds few long ones, and says that there is more; a search likewise."""
    server, _ = log
    for number in range(100):
        quote = {"quote": f"{number:03} " + "😀" * 990, "author": "Long"}
        assert requests.post(f"{server.url}/api/v1/quotes", json=quote).status_code == 201
    ask = Http(server, "fast").ask
    for search in ("", "&q=LONG"):
        found: list[Any] = []
        before, more = "", True
        while more:
            page = ask(f"/api/v1/quotes?limit=500{before}{search}")
            assert size(page["quotes"][:-1]) < PAGE
            found += page["quotes"]
            before, more = f"&before={found[-1]['id']}", page["has_more"]
        long = [quote["quote"][:3] for quote in found if quote["author"] == "Long"]
        assert long == [f"{number:03}" for number in range(99, -1, -1)]
