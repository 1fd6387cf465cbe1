"""Connections that the reactor keeps from one request to the next.

A client that polls, or that sends one message after the other, repeats its request but for the cursor or the body.
A repeat comes from the same client with the same rights, and is answered here. Anything else goes, with the
connection, to the server that accepted it.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from flask import Response, request
from werkzeug.datastructures import Headers
from werkzeug.http import http_date

from ...live import handoff
from ...live.detach import can_detach, is_guarded
from ...live.handoff import Handoff
from ...live.peer import Peer
from ...protocol import json
from ...protocol.errors import Refused
from ...protocol.rights.principal import Principal
from ..http import access, measure, problems, quota
from ..http.services import services

IDLE_SECONDS = 2.0
"""Seconds for which a connection is kept after an answer, as gunicorn keeps its own."""

LEAVE_SECONDS = 1.0
"""Seconds for which an unused connection is kept when the worker drains."""
PATIENCE_SECONDS = 60.0
"""Seconds for which a peer may take nothing of its answer."""
_COPIED_BYTES = 16 * 1024
"""Bytes. A shorter answer leaves in one packet with its header; a longer one is shared by all its readers."""

_OF_THE_BODY = ("Content-Type", "Content-Length", "Transfer-Encoding", "Connection", "X-Accel-Buffering")

_CHANGING = (access.HEADER, quota.STATE)
"""Lines that the first answer has as well, but not the same."""


def can_keep() -> bool:
    """Return True if the requests that follow this one on its connection may be answered without the application."""
    return can_take() and not is_guarded(request.environ)


def can_take() -> bool:
    """Return True if this request's socket can be taken from the server and given back."""
    environ = request.environ
    given = handoff.of(environ) is not None
    return given and environ.get("SERVER_PROTOCOL") == "HTTP/1.1" and can_detach(environ)


def closes(environ: dict[str, Any]) -> bool:
    """Return True if this request is the last on its connection (RFC 9112 §9.3)."""
    return "close" in [option.strip().lower() for option in environ.get("HTTP_CONNECTION", "").split(",")]


class SocketTakingResponse(Response):
    """A response that takes the socket away from the server.

    Until the server calls it, it is like any other, so that it gets all headers. Then `take` gets the environment and
    those headers, and owns the socket. If there is no descriptor for it, `left` gives the place back, and the server
    writes `instead`.
    """

    taken = True

    def __init__(
        self,
        take: Callable[[dict[str, Any], list[tuple[str, str]]], None],
        left: Callable[[], None],
        instead: Callable[[], Response],
        **about: Any,
    ) -> None:
        super().__init__(content_type="application/json", **about)
        self._take = take
        self._left = left
        self._instead = instead

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        try:
            self._take(environ, [each for each in self.headers if each[0] != "Content-Length"])
        except OSError:
            self._left()
            return with_headers(self._instead(), self.headers)(environ, start_response)
        # gunicorn takes this for "the connection is done", which ends its own half of it.
        raise StopIteration


def with_headers(answer: Response, headers: Headers) -> Response:
    """Return `answer` with those of `headers` that describe the server, not another body."""
    for name, value in headers:
        if name not in answer.headers and name not in _OF_THE_BODY:
            answer.headers.add(name, value)
    return answer


class Head:
    """The constant part of one connection's answers: the header, but for status, date and length."""

    def __init__(self, environ: dict[str, Any], headers: list[tuple[str, str]]) -> None:
        self._measured = measure.request_bytes(environ) if measure.wanted(environ) else None
        self._lines = "".join(f"{name}: {value}\r\n" for name, value in headers if name not in _CHANGING)

    def of(
        self, length: int, *, keep: bool, request_id: str, status: str = "200 OK", retry: str | None = None,
        more: str = "",
    ) -> bytes:
        """Return the header of an answer whose body has `length` bytes; `retry` is the value of `Retry-After`."""
        lines = (
            f"HTTP/1.1 {status}\r\nServer: gunicorn\r\nDate: {_now(int(time.time()))}\r\n"
            f"Connection: {'keep-alive' if keep else 'close'}\r\n{self._lines}Content-Length: {length}\r\n"
            f"{access.HEADER}: {request_id}\r\n{more}"
        )
        if retry is not None:
            lines += f"Retry-After: {retry}\r\n"
        if self._measured is not None:
            lines += f"{measure.HEADER}: {measure.stamp(self._measured, len(lines) + 2 + length)}\r\n"
        return f"{lines}\r\n".encode("latin-1")


@lru_cache(2)
def _now(second: int) -> str:
    return http_date(second)


class AnswerParts(NamedTuple):
    """The parts of a client's answers beside their bodies, and the facts on which those depend."""

    head: Head
    log_fields: access.LogFields | None
    request_id: str | None = None
    """That of the first request."""
    principal: Principal | None = None
    """The account for which the connection is held."""
    last: bool = False
    """True if no request follows on the connection."""
    names_requests: bool = False
    """True if the client, a proxy that is trusted, gives requests their ids."""

    @classmethod
    def of(cls, environ: dict[str, Any], headers: list[tuple[str, str]]) -> AnswerParts:
        """Return the parts for a request; `headers` are those of the application's answer."""
        return cls(
            Head(environ, headers), access.of(environ), environ["quotechat.request_id"],
            environ.get(handoff.PRINCIPAL), closes(environ), bool(services().settings.trusted_proxies),
        )  # fmt: skip


class KeptConnection(Peer):
    """One connection of this kind. It is `busy` while a request of its own waits for the answer.

    That request is handled since `handling_since` (time.perf_counter).
    """

    transport = "http"

    def __init__(self, sock: socket.socket, left: Callable[[], None], given: Handoff, parts: AnswerParts) -> None:
        super().__init__(sock, left)
        self.head = parts.head
        self.busy = True
        self._hand_back = given.give_back
        self._accepting = given.accepting
        self._last = parts.last
        self._leaving = False
        self._idle_until = 0.0
        self._going: bytes | None = None
        self.first_byte_at = time.monotonic() if given.first_byte_at is None else given.first_byte_at
        """The time at which the first byte of its newest request came, or earlier (time.monotonic)."""
        self.principal = parts.principal
        self._log_fields = parts.log_fields
        self._request_id = parts.request_id
        self._names_requests = parts.names_requests
        self.handling_since = time.perf_counter()

    def answer(self, answer: bytes, status: str = "200 OK") -> None:
        """Send this body, and wait for the next request."""
        self.busy = False
        self._idle_until = time.monotonic() + IDLE_SECONDS
        if not self._accepting():
            self._last = True
        request_id = self._of_request()
        head = self.head.of(
            len(answer), keep=not self.done, status=status, request_id=request_id, more=self.more()
        )
        if len(answer) < _COPIED_BYTES:
            self.send(head + answer)
        else:
            self.send(head)
            self.send(answer)
        self._tell(request_id, int(status[:3]), len(answer))
        if not self.blocked:
            self.idle()

    @property
    def done(self) -> bool:
        """Return True if no request follows the one that is answered."""
        return self._last or self._leaving

    def more(self) -> str:
        """Return header lines of this answer alone, each with its line break."""
        return ""

    def refuse(self, refused: Refused) -> None:
        """Answer with a problem, and close."""
        self.busy = False
        self._last = True
        request_id = self._of_request()
        answer = json.dumps({**problems.body(refused), "request_id": request_id})
        status, retry = problems.status_line(refused), problems.retry_after(refused)
        head = self.head.of(len(answer), keep=False, status=status, retry=retry, request_id=request_id)
        self.send(head.replace(b"application/json", b"application/problem+json") + answer)
        self.end()
        self._tell(request_id, int(status[:3]), len(answer))

    def name_request(self, text: str | None) -> None:
        """Note the value of `X-Request-Id` in a request that the application does not see."""
        self._request_id = access.given_id(text) if self._names_requests else None

    def last(self) -> None:
        """Take no request after this one."""
        self._last = True

    def leave(self) -> None:
        """Answer one more request, if it comes soon: a client that sends steadily is sending it now."""
        self._leaving = True
        self._idle_until = time.monotonic() + LEAVE_SECONDS

    def go(self, data: bytes) -> None:
        """Give `data`, which begins a request for other code, to the server that accepted the connection."""
        if self._last:
            self.end()
        elif self.blocked:
            self._going = data  # when the answer before it has left
            self.listen(on=False)
        else:
            self.reactor.release(self)
            self._hand_back(self.sock, data, self.first_byte_at)

    def revoked(self) -> None:
        self.last()
        if not self.busy:
            self.end()

    def closed(self) -> None:
        super().closed()
        if self.busy:
            self._tell(self._of_request(), None, 0)

    def _of_request(self) -> str:
        """Return the id of this request: the server gave the first one's."""
        found, self._request_id = self._request_id or access.new_id(), None
        return found

    def _tell(self, request_id: str, status: int | None, size: int) -> None:
        if self._log_fields is not None:
            access.answered(self._log_fields, request_id, status, size, self.handling_since, self.transport)

    def idle(self) -> None:
        self._idle_until = time.monotonic() + (LEAVE_SECONDS if self._leaving else IDLE_SECONDS)
        if self._going is not None:
            self.go(self._going)
        elif self.done and not self.busy:
            self.end()

    def _read(self, at: float | None = None) -> None:
        if self.unused:
            # Dated before it is read: a drain may begin between.
            self.first_byte_at = time.monotonic() if at is None else at
        super()._read()

    def read_last(self) -> None:
        """Read the bytes that have come by now: their request was on its way when the worker began to drain."""
        self._read(0.0)

    def swept(self, now: float) -> None:
        if self.blocked:
            if self.stalled(now) > PATIENCE_SECONDS:
                self.drop()
        elif self.unused and now >= self._idle_until:
            self._read()  # bytes that came since the loop polled
            if self.unused:
                self.end()

    @property
    def unused(self) -> bool:
        """Return True if no request has begun that is not answered."""
        return not (self.busy or self.ending)
