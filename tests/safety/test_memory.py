"""What readers cost in memory: little, however much they ask for and however little they read."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from servers import Running, environment, quotechat, running, until
from websockets.sync.client import connect
from wire import HANDSHAKE, HOST, dial, send

MOST = 200_000_000
"""Bytes that the one worker may have had at its peak."""
ROOMS = [f"r{number}" for number in range(10)]
HEAVY = "😀" * 4000


ENV = environment(QUOTECHAT_LIMITS="off")


def serving(data: Path) -> list[str]:
    return quotechat("serve", "--port", "0", "--data", str(data))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with 600 messages of 16 kB, 500 of them in the lobby."""
    data = tmp_path_factory.mktemp("data")
    with running(serving(data), env=ENV) as server:
        for room in ROOMS:
            _post(server, "/api/v1/rooms", {"name": room})
        with connect(f"{server.url.replace('http', 'ws')}/api/v1/ws") as ws:
            for room in ["lobby"] * 500 + ROOMS * 10:
                message = {"user": "Ann", "message": HEAVY}
                ws.send(json.dumps({"command": "send-message", "room": room, "message": message}, ensure_ascii=False))
            acks = 0
            while acks < 600:
                acks += json.loads(ws.recv(timeout=60))["command"] == "ack"
    return data


@pytest.fixture
def heavy(data: Path) -> Iterator[Running]:
    """A new process, which has had nothing in memory yet."""
    with running(serving(data), env=ENV) as server:
        yield server


def _post(server: Running, target: str, value: object) -> None:
    body = json.dumps(value).encode()
    head = b"POST %s HTTP/1.1\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    assert send(server.url, head % (target.encode(), HOST, len(body)) + body).status == 201


def peak(server: Running) -> int:
    """The most memory that the worker has had, in bytes."""
    (worker,) = until(server.workers, what="a worker")
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{worker}/status").read_text())
    assert found
    return int(found[1]) * 1024


def test_many_large_answers(heavy: Running) -> None:
    """12 at once ask for all of eleven rooms: small memory, and each reader has a whole answer."""
    rooms = "&".join(f"after={room}:0" for room in ["lobby", *ROOMS])
    request = b"GET /api/v1/events?%s&limit=500 HTTP/1.1\r\n%s\r\n" % (rooms.encode(), HOST)
    with ThreadPoolExecutor(12) as pool:
        for answer in pool.map(lambda _: send(heavy.url, request), range(36)):
            assert answer.status == 200 and json.loads(answer.body)["rooms"].keys() == {"lobby", *ROOMS}
    assert peak(heavy) < MOST


LINES = pytest.param("text/event-stream", marks=pytest.mark.long)  # but for two words the same as the other stream


@pytest.mark.parametrize("accept", ["websocket", "application/x-ndjson", LINES, "held"])
def test_many_that_do_not_read(heavy: Running, accept: str) -> None:
    """40 ask for a room from its beginning and read nothing: small memory."""
    target = b"/api/v1/rooms/lobby/events?after=0&limit=500"
    request = {
        "websocket": HANDSHAKE.replace(b"/ws ", b"/ws?room=lobby&after=0 "),
        "held": b"GET /healthz HTTP/1.1\r\n%s\r\nGET %s&wait=25 HTTP/1.1\r\n%s\r\n" % (HOST, target, HOST),
    }.get(accept, b"GET %s HTTP/1.1\r\n%sAccept: %s\r\n\r\n" % (target, HOST, accept.encode()))
    asked = [dial(heavy.url) for _ in range(40)]
    try:
        for sock in asked:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.sendall(request)
        for sock in asked:
            # More than the header: the events themselves are on their way.
            until(lambda sock=sock: len(sock.recv(2000, socket.MSG_PEEK)) > 1000, what="the first events")
        assert send(heavy.url, b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n").status == 200
        assert peak(heavy) < MOST
    finally:
        for sock in asked:
            sock.close()
