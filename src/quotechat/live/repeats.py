"""Recognise requests that repeat an earlier one: the same method, target, client and credentials.

The application answers a first one and gives the meaning of the next ones (`Repeats.learn`), for a while. A request is
a repeat if it differs from that first one in nothing but its length, the order and the case of its header's names, and
headers that are neither about the question nor about the client. It may come over any connection from the same peer:
a proxy sends the requests of many clients over one, and those of one client over many.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from operator import itemgetter
from typing import Generic, NamedTuple, TypeVar

_SECONDS = 60.0
"""Seconds for which a request may be repeated; then the application answers again, and checks everything anew."""
_MOST = 10_000
"""Requests that are known at once; beyond, the oldest are forgotten."""
_LONGEST_HEAD = 8_190
_MOST_LINES = 101
_LONGEST_LENGTH = 9
_LENGTH, _ID = "content-length", "x-request-id"
_FREE = frozenset({
    _LENGTH, _ID, "x-correlation-id", "traceparent", "tracestate", "baggage", "sentry-trace", "x-b3-traceid",
    "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "b3", "x-amzn-trace-id", "x-cloud-trace-context", "cf-ray",
    "user-agent", "accept-language", "accept-encoding", "cache-control", "pragma", "priority", "date", "dnt", "sec-gpc",
    "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform", "save-data", "keep-alive",
})  # fmt: skip
"""Headers that may differ. An unknown one may not: middleware around the application may decide by it."""

_TARGET = re.compile(r"GET [^ ?#]*\?([^ #]*) ")
_PARAMETER = re.compile(r"([^&=]*)=?([^&]*)(?:&|$)")
_CURSOR = re.compile(r"[0-9]+(?:\.[0-9a-f]+)?")
_LENGTH_LINE = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)", re.IGNORECASE)
_DIGITS, _CURSOR_BYTES = re.compile(rb"[0-9]{1,9}"), re.compile(_CURSOR.pattern.encode())

T = TypeVar("T")


class Head(NamedTuple):
    """The header of one request."""

    key: bytes
    """Equal for requests of which one repeats the other."""
    begins: int
    """The index of the first byte of its body."""
    ends: int
    """The index after the last byte of its body, which may not have been received yet."""
    cursor: str | None
    """The value of the parameter `after` of a GET, if there is one and it is a cursor; `key` is without it."""
    request_id: str | None
    """The value of `X-Request-Id`."""


def read(data: bytes, peer: str) -> Head | None:
    """Return the header at the beginning of `data` from `peer`; None if it is incomplete, or cannot be a repeat."""
    end = data.find(b"\r\n\r\n", 0, _LONGEST_HEAD)
    if end < 0:
        return None
    lines = data[:end].decode("latin-1").split("\r\n")
    if len(lines) > _MOST_LINES or not lines[0]:  # the parser skips an empty line before a request
        return None
    length = request_id = cursor = None
    if lines[0].startswith("GET "):
        lines[0], cursor = _around_the_cursor(lines[0])
    deciding = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            return None
        name, value = name.lower(), value.strip(" \t")
        if name not in _FREE:
            deciding.append((name, value))
            continue
        # The server takes the deciding headers, since they equal those of a request that it took.
        if not (value.isascii() and value.isprintable()):
            return None
        if name == _LENGTH:
            if length is not None or not value.isdigit() or len(value) > _LONGEST_LENGTH:
                return None
            length = int(value)
        elif name == _ID:
            request_id = value if request_id is None else f"{request_id},{value}"  # as WSGI joins them
    if (length is None) == (cursor is None):
        return None
    length = length or 0
    # Lines of one name keep their order, which may mean something.
    deciding.sort(key=itemgetter(0))
    text = "\r\n".join([peer, lines[0], *(f"{name}:{value}" for name, value in deciding)])
    return Head(hashlib.blake2b(text.encode("latin-1")).digest(), end + 4, end + 4 + length, cursor, request_id)


class Reader:
    """Reads the headers of one connection; one that equals the last but for length or cursor costs a tenth."""

    __slots__ = ("_after", "_before", "_last", "_peer", "_varying")

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._last: Head | None = None
        self._before = self._after = b""
        """The bytes of the last header before and after what may vary."""
        self._varying = _DIGITS

    def read(self, data: bytes) -> Head | None:
        """As the function `read`, for the connection's peer."""
        last = self._last
        if last is not None and data.startswith(self._before):
            found = self._varying.match(data, len(self._before))
            if found is not None and data.startswith(self._after, found.end()):
                begins = found.end() + len(self._after)
                if last.cursor is None:
                    return Head(last.key, begins, begins + int(found[0]), None, None)
                return Head(last.key, begins, begins, found[0].decode(), None)
        head = read(data, self._peer)
        if head is not None and head.request_id is None:  # with ids, no two are alike
            self._remember(data, head)
        return head

    def _remember(self, data: bytes, head: Head) -> None:
        if head.cursor is None:
            length = _LENGTH_LINE.search(data, 0, head.begins)
            span = None if length is None else length.span(1)
            self._varying = _DIGITS
        else:
            span = _cursor_in(data[: data.find(b"\r\n")].decode("latin-1"))
            self._varying = _CURSOR_BYTES
        if span is not None:
            self._last, self._before, self._after = head, data[: span[0]], data[span[1] : head.begins]


def key(raw: bytes | None, peer: str) -> bytes | None:
    """Return the key of the request `raw`, if requests can repeat it."""
    head = None if raw is None else read(raw, peer)
    return head.key if head is not None and raw is not None and head.ends == len(raw) else None


def _around_the_cursor(line: str) -> tuple[str, str | None]:
    """Return the first line of a request without its cursor, and the cursor."""
    span = _cursor_in(line)
    if span is None:
        return line, None
    return f"{line[: span[0]]}{line[span[1] :]}", line[slice(*span)]


def _cursor_in(line: str) -> tuple[int, int] | None:
    """Return begin and end of the cursor in the first line of a request; None if there is not one."""
    target = _TARGET.match(line)
    if target is None:
        return None
    # The parameter that the application reads: not the content of another one or of a fragment.
    found = [each for each in _PARAMETER.finditer(line, *target.span(1)) if each[1] == "after"]
    if len(found) != 1 or not _CURSOR.fullmatch(found[0][2]):
        return None
    return found[0].span(2)


class Repeats(Generic[T]):
    """The requests that may be repeated, each with its meaning. For any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[bytes, tuple[float, T]] = {}

    def learn(self, raw: bytes, peer: str, meaning: T) -> None:
        """Give requests like `raw`, which the application has answered, this meaning from now on."""
        head = read(raw, peer)
        if head is not None and head.ends == len(raw):
            self._known.pop(head.key, None)
            self._known[head.key] = self._clock() + _SECONDS, meaning
            if len(self._known) > _MOST:
                self._forget()

    def find(self, head: Head) -> T | None:
        """Return the meaning of a request; None if the application must answer it."""
        until, meaning = self._known.get(head.key, (0.0, None))
        return meaning if self._clock() < until else None

    def _forget(self) -> None:
        # Other threads may do the same now.
        for key in list(self._known)[: _MOST // 10]:
            self._known.pop(key, None)
