"""Read the answer to a POST (RFC 9112), up to a deadline and a number of bytes.

The parser of http.client makes a call cost half as much again (docs/explanation/polling-or-websockets.md).
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

MOST_BYTES = 64 * 1024
"""Bytes of an answer that are read, and as many again of its head."""
_MOST_READ = 2 * MOST_BYTES + 4096
_MOST_HEADERS = 100
_SHORT_BYTES, _BODY_SECONDS = 4096, 1.0
"""Bytes of a body that is read although it is not wanted, and the time for that: a new connection costs more."""
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [^\r\n]*)?\r?\n")
_INTERIM = (100, 102, 103)
_WITHOUT_BODY = (204, 304)

Wanted = Callable[[int, Mapping[str, str]], bool]
"""Returns True if the body of an answer with this status and these headers is to be read."""


class Malformed(ValueError):
    """It is no answer, or not all of one."""


class Answer(NamedTuple):
    """The answer of a receiver: `body` is None if it was not asked for, or is too long."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None


class _Head(NamedTuple):
    """The head of an answer; `length` is None for a body that comes in chunks or up to the end of the connection."""

    status: int
    headers: dict[str, str]
    length: int | None
    chunked: bool
    keeps: bool
    """True if the connection may be asked again."""


def answer(reading: Reading, wanted: Wanted) -> tuple[Answer, bool]:
    """Return the answer, and True if the connection can be asked again.

    Raises Malformed, TimeoutError, and ConnectionError if nothing has come.
    """
    head = _head(reading)
    if not wanted(head.status, head.headers):
        return Answer(head.status, head.headers, None), head.keeps and _passes(reading, head)
    body = _body(reading, head, MOST_BYTES)
    return Answer(head.status, head.headers, body), body is not None and head.keeps and not reading.has_more


def _passes(reading: Reading, head: _Head) -> bool:
    """Read a short body that is not wanted; return True if nothing is left of it, and nothing behind it."""
    reading.hurry(_BODY_SECONDS)
    try:
        return _body(reading, head, _SHORT_BYTES) is not None and not reading.has_more
    except (OSError, Malformed):
        return False


def _head(reading: Reading) -> _Head:
    minor, status = _status(reading)
    headers = _headers(reading)
    while status in _INTERIM:
        minor, status = _status(reading)
        headers = _headers(reading)
    coding, length = headers.get("transfer-encoding"), headers.get("content-length", "")
    chunked = coding is not None and coding.lower() == "chunked"
    digits = re.fullmatch(r"[0-9]{1,15}", length)
    count = int(length) if digits and coding is None else None
    if status in _WITHOUT_BODY:
        chunked, count = False, 0
    ends = "close" in headers.get("connection", "").lower() or minor == 0
    return _Head(status, headers, count, chunked, not ends and (chunked or count is not None))


def _status(reading: Reading) -> tuple[int, int]:
    """Return the minor version and the status."""
    line = reading.line()
    if not line and not reading.has_begun:
        raise ConnectionResetError
    found = _STATUS.fullmatch(line)
    if found is None:
        raise Malformed("status")
    return int(found[1]), int(found[2])


def _headers(reading: Reading) -> dict[str, str]:
    """Return the headers, names in lower case; of one that comes again the first."""
    headers: dict[str, str] = {}
    for _ in range(_MOST_HEADERS):
        line = reading.line()
        if line in (b"\r\n", b"\n"):
            return headers
        if not line.endswith(b"\n"):
            raise Malformed("headers")
        name, _, value = line.decode("latin-1").partition(":")
        headers.setdefault(name.lower(), value.strip())
    raise Malformed("headers")


def _body(reading: Reading, head: _Head, most: int) -> bytes | None:
    """Return the body; None if it has more bytes than `most`. Raises Malformed."""
    if head.chunked:
        return _chunks(reading, most)
    if head.length is None:
        return reading.to_the_end(most)
    return reading.exactly(head.length) if head.length <= most else None


def _chunks(reading: Reading, most: int) -> bytes | None:
    body = b""
    while True:
        size = re.match(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;|\r?\n)", reading.line())
        if size is None:
            raise Malformed("chunk")
        count = int(size[1], 16)
        if not count:
            _headers(reading)
            return body
        if len(body) + count > most:
            return None
        body += reading.exactly(count)
        if reading.line() not in (b"\r\n", b"\n"):
            raise Malformed("chunk")


class Reading:
    """The bytes of a connection, up to the deadline and to a number: a peer that drips ends as one that hangs."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._left = _MOST_READ
        self._buffer = bytearray()
        connection.settimeout(seconds_left(deadline))

    @property
    def has_begun(self) -> bool:
        """Return True if anything has come."""
        return self._left < _MOST_READ

    @property
    def has_more(self) -> bool:
        """Return True if more has come than was taken: the next answer would begin with it."""
        return bool(self._buffer)

    def hurry(self, seconds: float) -> None:
        """Let it end within so many seconds."""
        self._deadline = min(self._deadline, time.monotonic() + seconds)

    def line(self) -> bytes:
        """Return the next line with its end, or the rest without one. Raises Malformed if it is too long."""
        looked = 0
        while (end := self._buffer.find(b"\n", looked)) < 0:
            looked = len(self._buffer)
            if looked > MOST_BYTES:
                raise Malformed("line")
            if not self._more():
                return self._take(looked)
        return self._take(end + 1)

    def exactly(self, count: int) -> bytes:
        """Return so many bytes. Raises Malformed if there are fewer."""
        while len(self._buffer) < count:
            if not self._more():
                raise Malformed("length")
        return self._take(count)

    def to_the_end(self, most: int) -> bytes | None:
        """Return all that comes until the peer closes; None if it is more than `most`."""
        while len(self._buffer) <= most:
            if not self._more():
                return self._take(len(self._buffer))
        return None

    def _take(self, count: int) -> bytes:
        found = bytes(self._buffer[:count])
        del self._buffer[:count]
        return found

    def _more(self) -> bool:
        """Wait for more; return False at the end."""
        if self._left <= 0:
            raise Malformed("answer")
        if self.has_begun:  # it has its time already for the first part
            self._connection.settimeout(seconds_left(self._deadline))
        part = self._connection.recv(min(self._left, MOST_BYTES))
        self._left -= len(part)
        self._buffer += part
        return bool(part)


def seconds_left(deadline: float) -> float:
    """Return the seconds that are left. Raises TimeoutError."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds
