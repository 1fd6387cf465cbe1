"""An exception in one connection's callback ends that connection only, and is logged once and counted."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from raising import Raising
from servers import Running, delivered, environment, quotechat, running, until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from quotechat.hub.budgets import descriptors
from quotechat.serving import Lingering

ROOM = "/api/v1/rooms/lobby"
WORKER, LINGERING = "quotechat.serving.worker:Worker", "quotechat.serving.lingering:Lingering"
GUNICORN = "gunicorn.workers.gthread:ThreadWorker"


class Server:
    """A running server and connections that have nothing to do with the fault: they must live."""

    ws: ClientConnection

    def __init__(self, running: Running, raising: Raising) -> None:
        self.running = running
        self.raising = raising
        self.workers = until(running.workers, what="a worker")

    @property
    def url(self) -> str:
        return self.running.url

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", int(self.url.rpartition(":")[2])), timeout=60)

    def post(self, text: str, client: requests.Session | None = None) -> requests.Response:
        body = {"user": "Ann", "message": text}
        return (client or requests).post(f"{self.url}{ROOM}/messages", json=body, timeout=60)

    def socket(self) -> ClientConnection:
        return connect(f"{self.url.replace('http', 'ws', 1)}/api/v1/ws?room=lobby&after=now")

    @contextlib.contextmanager
    def bystander(self) -> Iterator[None]:
        """A WebSocket that must live; new, since an older one is pinged now and then, and would meet the fault."""
        with self.socket() as self.ws:
            assert json.loads(self.ws.recv(timeout=60))["command"] == "caught-up"
            yield

    def lives(self) -> None:
        """The worker is the same one, new connections are served, and the old WebSocket gets what is sent."""
        sent = self.post("still here").json()
        while json.loads(self.ws.recv(timeout=60)) != sent:
            pass
        assert self.running.workers() == self.workers

    def faults(self) -> float:
        text = requests.get(f"{self.url}/metrics", timeout=60).text
        return sum(map(float, re.findall(r"^quotechat_faults_total\S* (\S+)$", text, re.MULTILINE)))


@contextlib.contextmanager
def serving(directory: Path, *functions: str) -> Iterator[Server]:
    raising = Raising(directory / "raising", *functions)
    command = raising.command("serve", "--port", "0", "--data", str(directory / "data"))
    with running(command, env=raising.env(QUOTECHAT_LIMITS="off", QUOTECHAT_REQUEST_SECONDS="1")) as server:
        yield Server(server, raising)


# --- What makes each callback run, for one connection ---------------------------------------------


def ended(sock: socket.socket) -> None:
    """Read until `sock` is at its end, with or without an answer."""
    with contextlib.suppress(ConnectionResetError):
        while sock.recv(4096):
            pass


def request(server: Server) -> None:
    with server.connect() as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        ended(sock)


def half_a_request(server: Server) -> None:
    with server.connect() as sock:
        sock.sendall(b"G")
        ended(sock)


def second_request(server: Server) -> None:
    with requests.Session() as client:
        client.get(f"{server.url}/healthz", timeout=60)
        with contextlib.suppress(requests.ConnectionError):
            client.get(f"{server.url}/healthz", timeout=60)


def handed_back(server: Server) -> None:
    """The reactor keeps a connection that sends, and gives it back for another request."""
    with requests.Session() as client, contextlib.suppress(requests.ConnectionError):
        for _ in range(4):
            server.post("kept", client)
        client.get(f"{server.url}/healthz", timeout=60)


def kept_messages(server: Server) -> None:
    with requests.Session() as client, contextlib.suppress(requests.ConnectionError):
        for _ in range(4):
            server.post("kept", client)


def held_poll(server: Server) -> None:
    with contextlib.suppress(requests.ConnectionError):
        requests.get(f"{server.url}{ROOM}/events?after=now&wait=1", timeout=60)


def websocket(server: Server) -> None:
    # An exception in `opened` or `received` ends it without a close frame.
    with server.socket() as ws, pytest.raises(ConnectionClosed):
        ws.send('{"command": "ping"}')
        while True:
            ws.recv(timeout=60)


def stream(server: Server) -> None:
    headers = {"Accept": "application/x-ndjson"}
    with contextlib.suppress(requests.RequestException), requests.get(
        f"{server.url}{ROOM}/events?after=0&heartbeat=1", headers=headers, stream=True, timeout=60
    ) as answer:
        for _ in answer.iter_content(None):
            pass


CALLBACKS = [
    (f"{WORKER}.accept", request),
    (f"{WORKER}.enqueue_req", request),
    (f"{WORKER}._receive", request),
    (f"{WORKER}._read", half_a_request),
    (f"{WORKER}._take", half_a_request),
    (f"{WORKER}._refuse", half_a_request),
    (f"{WORKER}._forget", half_a_request),
    (f"{WORKER}._pass_on", request),
    (f"{WORKER}.handle_request", request),
    (f"{GUNICORN}.handle", request),
    (f"{GUNICORN}.on_client_socket_readable", second_request),
    (f"{GUNICORN}.finish_request", request),
    ("quotechat.serving.arrival:Arrival.take", half_a_request),
    (f"{LINGERING}.close", request),
    (f"{LINGERING}._admit", request),
    (f"{LINGERING}._read", request),
    ("quotechat.web.transports.websocket_peer:Socket.opened", websocket),
    ("quotechat.web.transports.websocket_peer:Socket.received", websocket),
    ("quotechat.web.transports.streams:Stream.opened", stream),
    ("quotechat.web.transports.streams:Stream.swept", stream),
    ("quotechat.web.transports.parking:ParkedPoll.opened", held_poll),
    ("quotechat.web.transports.parking:ParkedPoll._nothing", held_poll),
    ("quotechat.web.transports.parking:ParkedPoll.found", held_poll),
    ("quotechat.web.transports.sending:Sender._stored", kept_messages),
    ("quotechat.web.transports.kept:KeptConnection.go", handed_back),
]


KEPT = (second_request, handed_back, kept_messages)
"""A connection that rests for 2 s between two requests is ended, and the next one comes on another: done again."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all: a fault that hurt more than its connection would be seen in the tests that follow, too."""
    with serving(tmp_path_factory.mktemp("one"), *[function for function, _ in CALLBACKS]) as server:
        yield server


@pytest.mark.parametrize(
    ("function", "trigger"), CALLBACKS, ids=lambda each: each.partition(":")[2] if isinstance(each, str) else None
)
def test_one_connection_only(server: Server, function: str, trigger: Callable[[Server], None]) -> None:
    """It ends; the worker, a WebSocket and who comes next do not notice; there is one traceback, and it is counted."""
    before = server.faults()
    with server.bystander():
        server.raising.arm(function)
        trigger(server)
        until(lambda: not server.raising.armed(function) or (trigger in KEPT and trigger(server)), what="the fault")
        server.lives()
    until(lambda: server.faults() == before + 1, what="the count")
    until(lambda: f"a test armed {function}" in server.running.output, what="the log")
    assert server.running.output.count(f"a test armed {function}") == 1


def test_one_slow_reader_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault while the rest of an answer is sent ends this connection; another one gets all of its answer."""
    send = Lingering._send

    def failing(lingering: Lingering, number: int) -> None:
        if number == first.fileno():
            raise ZeroDivisionError("a test")
        send(lingering, number)

    monkeypatch.setattr(Lingering, "_send", failing)
    rest, lingering = bytes(1_000_000), Lingering()
    (first, reader), (second, other) = socket.socketpair(), socket.socketpair()
    with reader, other:
        lingering.close(first, rest)
        assert reader.recv(1) == b""
        lingering.close(second, rest)
        came = b""
        while part := other.recv(65_536):
            came += part
    assert came == rest and lingering.thread.state == "ok"


# --- One turn of the loop that ends a connection which has something to be read -------------------


@contextlib.contextmanager
def stopped(pids: set[int]) -> Iterator[None]:
    """What comes meanwhile is one batch for the loop afterwards."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def unread(port: int) -> int:
    """Bytes that came to `port` and that nobody has read (proc(5), /proc/net/tcp), and connections not accepted."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(row[4].partition(":")[2], 16) for row in rows if row[1] == f"0100007F:{port:04X}")


def test_the_oldest_makes_room_for_a_newcomer_in_one_turn(tmp_path: Path) -> None:
    """Too many unfinished requests: the oldest are ended, also those that the same turn of the loop would read."""
    # Descriptors for 128 connections, half of which may be unfinished.
    limited = ["prlimit", "--nofile=1024:1024", *quotechat("serve", "--port", "0", "--data", str(tmp_path))]
    with running(limited, env=environment()) as server, contextlib.ExitStack() as stack:
        port = int(server.url.rpartition(":")[2])

        def begin() -> socket.socket:
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            sock.sendall(b"G")
            return sock

        workers = until(server.workers, what="a worker")
        old = [begin() for _ in range(descriptors.answered(1024, descriptors.held(1024, 10_000), 64) // 2)]
        until(lambda: all(map(delivered, old)) and unread(port) == unread(port) == 0, what="that all is read")
        with stopped(workers):
            young = [begin() for _ in range(20)]
            for sock in old:
                sock.sendall(b"E")
        _all_is_well(server, workers, old[0], young[-1], b"ET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")


def test_the_oldest_makes_room_for_bytes_in_one_turn(tmp_path: Path) -> None:
    """Too many bytes of unfinished requests: as with too many of them."""
    size, most = 1_000_000, 64 * 1024 * 1024
    head = f"POST {ROOM}/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size + 20_000}\r\n\r\n".encode()
    env = environment(QUOTECHAT_BODY_BYTES="2000000")
    with running(quotechat("serve", "--port", "0", "--data", str(tmp_path)), env=env) as server:
        port, workers = int(server.url.rpartition(":")[2]), until(server.workers, what="a worker")
        with contextlib.ExitStack() as stack:
            old = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 60)) for _ in range(most // size)]
            for sock in old:
                sock.sendall(head + bytes(size))
            left = most - len(old) * (len(head) + size)
            assert 0 < left < 20_000 * len(old)
            until(lambda: all(map(delivered, old)) and unread(port) == unread(port) == 0, what="that all is read")
            with stopped(workers):
                # The youngest first: by what they send the oldest go, which have something to be read too.
                for sock in reversed(old):
                    sock.sendall(bytes(19_000))
            _all_is_well(server, workers, old[0], old[-1], bytes(1000))


def _all_is_well(
    server: Running, workers: set[int], oldest: socket.socket, youngest: socket.socket, rest: bytes
) -> None:
    """The oldest connection has ended, the youngest is answered, the worker lives and nothing was logged."""
    with contextlib.suppress(ConnectionResetError):
        assert oldest.recv(1000) == b""
    youngest.sendall(rest)
    assert youngest.recv(1000).startswith(b"HTTP/1.1 ")
    assert server.workers() == workers and "Traceback" not in server.output
