"""HTTP and WebSockets as bytes on a socket: what no client library would send."""

from __future__ import annotations

import json
import os
import socket
import struct
from typing import Any, NamedTuple
from urllib.parse import urlsplit

HOST = b"Host: localhost\r\n"
KEY = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
UPGRADE = HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
HANDSHAKE = b"GET /api/v1/ws HTTP/1.1\r\n" + UPGRADE + KEY + b"\r\n"


class Answer(NamedTuple):
    """One answer of HTTP."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        """The code of the problem, where it is one."""
        if self.headers.get("content-type") != "application/problem+json":
            return None
        found: str | None = json.loads(self.body).get("code")
        return found


def dial(url: str, timeout: float = 60, *, address: str = "") -> socket.socket:
    """A connection to the server at `url`, from `address` (127.0.0.2 is also this machine)."""
    parts = urlsplit(url)
    there = (parts.hostname or "", parts.port or 80)
    return socket.create_connection(there, timeout, (address, 0) if address else None)


def send(url: str, data: bytes, *, head: bool = False) -> Answer:
    """The answer to `data`; with `head` it has no body."""
    with dial(url) as sock:
        sock.sendall(data)
        return answer(sock, head=head)


def answer(sock: socket.socket, *, head: bool = False) -> Answer:
    """The next final answer on `sock`; one without a status where the connection ended before it."""
    while True:
        found = b""
        # Byte by byte: what follows the answer is for who reads on.
        while not found.endswith(b"\r\n\r\n"):
            try:
                part = sock.recv(1)
            except ConnectionResetError:
                part = b""
            if not part:
                return Answer(0, {}, found)
            found += part
        if not found.startswith(b"HTTP/1.1 100 "):
            break
    first, *lines = found.decode("latin-1").rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    status = int(first.split(" ")[1])
    length = 0 if head or status == 101 else int(headers.get("content-length", 0))
    body = b""
    while len(body) < length:
        part = sock.recv(length - len(body))
        assert part, body
        body += part
    return Answer(status, headers, body)


def ended(sock: socket.socket) -> bytes:
    """All that comes until the server closes."""
    found = b""
    while True:
        try:
            part = sock.recv(65_536)
        except ConnectionResetError:
            return found
        if not part:
            return found
        found += part


def opened(url: str, query: bytes = b"", *, address: str = "") -> socket.socket:
    """A WebSocket, after its handshake."""
    sock = dial(url, address=address)
    sock.sendall(HANDSHAKE.replace(b"/ws ", b"/ws" + query + b" "))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        part = sock.recv(1)
        assert part, head
        head += part
    assert head.startswith(b"HTTP/1.1 101 "), head
    return sock


def frame(opcode: int, payload: bytes = b"", *, final: bool = True, rsv: int = 0, mask: bytes | None = None) -> bytes:
    """A client's frame (RFC 6455 §5.2)."""
    mask = os.urandom(4) if mask is None else mask
    size = len(payload)
    first = (0x80 if final else 0) | rsv << 4 | opcode
    if size < 126:
        head = struct.pack("!BB", first, 0x80 | size)
    elif size < 65_536:
        head = struct.pack("!BBH", first, 0xFE, size)
    else:
        head = struct.pack("!BBQ", first, 0xFF, size)
    whole = int.from_bytes(payload, "big") ^ int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return head + mask + whole.to_bytes(size, "big")


def frames(sock: socket.socket) -> Any:
    """The server's frames, (opcode, payload), until it closes the connection.

    Heartbeats and pings of its own come at any time, and are passed over.
    """
    buffer = b""

    def take(size: int) -> bytes:
        nonlocal buffer
        while len(buffer) < size:
            try:
                part = sock.recv(65_536)
            except ConnectionResetError:
                part = b""
            if not part:
                raise EOFError(buffer)
            buffer += part
        found, buffer = buffer[:size], buffer[size:]
        return found

    while True:
        try:
            first, size = take(2)
            if size == 126:
                (size,) = struct.unpack("!H", take(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", take(8))
            payload = take(size)
            if first != 0x89 and not payload.startswith(b'{"command":"heartbeat"'):
                yield first, payload
        except EOFError:
            return


def close_code(sock: socket.socket) -> int:
    """The code with which the server closes; 1006 where it only ends the connection (RFC 6455 §7.1.5)."""
    for first, payload in frames(sock):
        if first == 0x88:
            return int(struct.unpack("!H", payload[:2])[0]) if payload else 1005
    return 1006
