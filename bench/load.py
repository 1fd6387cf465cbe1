"""The load of the benchmarks: many readers in one epoll loop, and senders in processes of their own.

A message is ``~^<nanoseconds>~`` and some filler. Readers count ``~^`` in what they receive, once for each
delivery, and parse no more than that, so that the same lean reader serves every server and every protocol.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import re
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

FILLER = "x" * 80
_MARK = b"~^"
_STAMP = re.compile(rb"~\^([0-9]+)~")
_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
HANDSHAKE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
_PONG = struct.pack("!BBI", 0x8A, 0x80, 0)
"""Empty, with a mask of zeros."""
_PONG_EVERY = 20.0
_SAMPLED = 10
"""Readers of a run whose latencies are taken."""


def text() -> str:
    """One message: 100 characters or so."""
    return f"~^{time.monotonic_ns()}~ {FILLER}"


@dataclass
class Reader:
    """One connection that only reads."""

    sock: socket.socket
    sampled: bool
    last: bytes = b""
    pending: bytes = b""


@dataclass
class Readers:
    """All of them. `again(body)` makes the next request of a poll out of the last answer; None for sockets.

    With `stays` they are WebSockets that read for longer than a server waits for an answer to its ping.
    """

    again: Callable[[bytes], bytes] | None = None
    stays: bool = False
    deliveries: int = 0
    answers: int = 0
    latencies: list[float] = field(default_factory=list)
    received: bytes = b""
    """The last that came, of one reader."""
    _all: dict[int, Reader] = field(default_factory=dict)
    _epoll: select.epoll = field(default_factory=select.epoll)
    _pong_at: float = field(default_factory=time.monotonic)

    def __len__(self) -> int:
        return len(self._all)

    def add(self, port: int, request: bytes, then: bytes = b"") -> None:
        """Connect and send `request`; for a WebSocket, read the answer's header and send `then`."""
        sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(request)
        if self.again is None:
            head = b""
            while b"\r\n\r\n" not in head:
                data = sock.recv(1)
                if not data:
                    raise ConnectionError(f"refused: {head!r}")
                head += data
            assert b" 101 " in head, head
            if then:
                sock.sendall(then)
        sock.setblocking(False)
        self._all[sock.fileno()] = Reader(sock, len(self._all) < _SAMPLED)
        self._epoll.register(sock, select.EPOLLIN)

    def add_poll(self, port: int, request: bytes) -> None:
        """Connect and send `request`, whose answer is not waited for."""
        sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        sock.sendall(request)
        sock.setblocking(False)
        self._all[sock.fileno()] = Reader(sock, False)
        self._epoll.register(sock, select.EPOLLIN)

    def sample_all(self) -> None:
        """Take the latencies of all readers, from now on."""
        for reader in self._all.values():
            reader.sampled = True

    def _stay(self) -> None:
        """Send a pong over each socket now and then (RFC 6455 §5.5.3), so that no server takes it for gone."""
        if self.stays and time.monotonic() - self._pong_at > _PONG_EVERY:
            self._pong_at = time.monotonic()
            for reader in self._all.values():
                with contextlib.suppress(BlockingIOError):
                    reader.sock.send(_PONG)

    def read(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Receive for so long, or until `until` says so."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not until():
            self._stay()
            for number, _ in self._epoll.poll(min(left, 0.1)):
                reader = self._all[number]
                try:
                    data = reader.sock.recv(262_144)
                except BlockingIOError:
                    continue
                if not data:
                    raise ConnectionError("a server closed a reader's connection")
                # A mark may be cut in two by the end of what was received.
                self.deliveries += (reader.last + data).count(_MARK)
                reader.last = data[-1:]
                if len(self._all) == 1:
                    self.received = (self.received + data)[-65_536:]
                if reader.sampled:
                    now = time.monotonic_ns()
                    self.latencies += [(now - int(stamp)) / 1e6 for stamp in _STAMP.findall(data)]
                if self.again is not None:
                    self._poll_again(reader, data)

    def _poll_again(self, reader: Reader, data: bytes) -> None:
        assert self.again is not None
        reader.pending += data
        head, found, body = reader.pending.partition(b"\r\n\r\n")
        if not found:
            return
        length = _LENGTH.search(head)
        if length is None:
            raise ConnectionError(f"no length: {head!r}")
        if len(body) >= int(length[1]):
            reader.pending = b""
            self.answers += 1
            reader.sock.sendall(self.again(body))

    def close(self) -> None:
        for reader in self._all.values():
            reader.sock.close()
        self._all.clear()
        self._epoll.close()


class Senders:
    """Processes that send: at `rate` a second together, or as fast as they are answered where it is 0.

    By POST to `path`, or over WebSockets at `path` where there is an `envelope` around a message.
    """

    def __init__(
        self, port: int, path: str, *, count: int, rate: float, seconds: float, envelope: str | None = None
    ) -> None:
        self._sent = multiprocessing.Value("q", 0)
        self._slowest = multiprocessing.Array("d", count)
        self._processes = [
            multiprocessing.Process(
                target=_send,
                args=(port, path, rate / count, seconds, self._sent, self._slowest, number, envelope),
                daemon=True,
            )
            for number in range(count)
        ]

    def start(self) -> None:
        for process in self._processes:
            process.start()

    def ended(self) -> bool:
        return not any(process.is_alive() for process in self._processes)

    @property
    def sent(self) -> int:
        return int(self._sent.value)

    @property
    def slowest(self) -> float:
        """Seconds that the slowest answer took."""
        return max(self._slowest)


def _send(
    port: int, path: str, rate: float, seconds: float, sent: Any, slowest: Any, number: int, envelope: str | None
) -> None:
    sock = socket.create_connection(("127.0.0.1", port), timeout=30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    way = by_post(sock, port, path) if envelope is None else by_socket(sock, port, path, envelope)
    began = time.monotonic()
    count = 0
    while (now := time.monotonic()) - began < seconds:
        way.say({"user": "Bench", "message": text()})
        way.wait()
        slowest[number] = max(slowest[number], time.monotonic() - now)
        count += 1
        with sent.get_lock():
            sent.value += 1
        if rate:
            time.sleep(max(0.0, began + count / rate - time.monotonic()))


class Way(NamedTuple):
    """How a connection sends a message, and waits for the answer before the next one."""

    say: Callable[[dict[str, str]], None]
    wait: Callable[[], None]


def by_post(sock: socket.socket, port: int, path: str, header: str = "") -> Way:
    """`header` is a further line, with its end."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{header}Content-Type: application/json\r\n"

    def say(message: dict[str, str]) -> None:
        body = json.dumps(message)
        sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())

    return Way(say, partial(_await_created, sock))


def by_socket(sock: socket.socket, port: int, path: str, envelope: str) -> Way:
    """The next message goes out when anything comes back."""
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{HANDSHAKE}\r\n".encode())
    assert b" 101 " in sock.recv(4096)

    def wait() -> None:
        if not sock.recv(65_536):
            raise ConnectionError("a server closed a sender's connection")

    return Way(partial(say_in, sock, envelope), wait)


def say_in(sock: socket.socket, envelope: str, message: dict[str, str]) -> None:
    """Send `message` within `envelope` over a WebSocket."""
    data = (envelope % json.dumps(message)).encode()
    assert 126 <= len(data) < 65_536
    # A mask of zeros is a mask (RFC 6455 §5.3).
    sock.sendall(b"\x81\xfe" + struct.pack("!H", len(data)) + b"\0\0\0\0" + data)


def _await_created(sock: socket.socket) -> None:
    answer = b""
    while True:
        data = sock.recv(65_536)
        if not data:
            raise ConnectionError("a server closed a sender's connection")
        answer += data
        head, found, body = answer.partition(b"\r\n\r\n")
        if not found:
            continue
        assert b" 20" in head.partition(b"\r\n")[0], head
        length = _LENGTH.search(head)
        if (length is None and body.endswith(b"0\r\n\r\n")) or (length and len(body) >= int(length[1])):
            return
