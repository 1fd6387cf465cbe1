"""Messages that one connection sends, one after the other, without a thread for each.

The header of such a POST is the same each time but for its length. The body is read as `messages` reads it, under
the same limits, and stored by the same writer; only gunicorn and Flask are left out, which cost more than all the
rest (docs/explanation/performance.md). A request that is not expected here, or is refused, is asked again over there:
a refusal has stored nothing.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from flask import Response, request
from werkzeug.http import HTTP_STATUS_CODES

from ...hub.chat import Chat
from ...live import handoff
from ...live.detach import detach
from ...live.reactor import GRACE_SECONDS, Reactor
from ...protocol import json
from ...protocol.commands import SendMessage
from ...protocol.errors import OutcomeUnknown, Refused
from ...refusal import refusal
from ..http import authentication, measure, quota, security
from ..http.services import services
from .kept import Head, Kept, Taking, can_keep, closes

MOST_MISSED = 3
"""Requests in a row that were not the expected one; then the connection stays with the server."""
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)[ \t]*(?=\r\n)", re.IGNORECASE)
_LONGEST_LENGTH = 9
# The headers in which a request differs from the one before, or its body from the bytes after the header.
_VARYING = ("HTTP_IDEMPOTENCY_KEY", "HTTP_TRANSFER_ENCODING", "HTTP_EXPECT")

Read = Callable[[Any], SendMessage]
"""The command in the JSON of a body. Raises Refused."""
Show = Callable[[Any], tuple[int, bytes]]
"""Status and body of the answer to an outcome."""


def keep(answer: Response, read: Read, show: Show) -> Response:
    """`answer`, to a message. From a connection that is used again and again, the reactor takes the next ones."""
    environ = request.environ
    given = handoff.of(environ)
    if (
        given is None
        or not can_keep()
        or given.served < 2
        or given.missed >= MOST_MISSED
        or closes(environ)
        or any(name in environ for name in _VARYING)
        or "Set-Cookie" in answer.headers
        or measure.wanted(environ)
    ):
        return answer
    chat = services().chat
    who, settings = security.client(), services().settings
    try:
        chat.limits.enter("sender", *who)
    except Refused:
        return answer
    said = Said(
        chat, read, show, security.identity(), authentication.proof(), security.address(), settings.body_bytes,
        settings.request_seconds,
    )  # fmt: skip
    reactor = services().reactor
    first = answer.get_data(), answer.status
    left = partial(chat.limits.leave, "sender", *who)
    return Taking(
        partial(_take, reactor, left, said, first),
        left,
        lambda: answer,
        status=answer.status,
        headers=answer.headers,
    )


class Said(NamedTuple):
    """The constant part of one connection's messages."""

    chat: Chat
    read: Read
    show: Show
    identity: str | None
    proof: bytes | None
    address: str
    most_bytes: int
    seconds: float


def _take(
    reactor: Reactor,
    left: Callable[[], None],
    said: Said,
    first: tuple[bytes, str],
    environ: dict[str, Any],
    headers: list[tuple[str, str]],
) -> None:
    sock, ahead = detach(environ)
    reactor.add(Sender(sock, left, environ, Head(environ, headers), said, first, ahead))


class Around(NamedTuple):
    """The header of a POST, before and after the digits of its length."""

    before: bytes
    after: bytes

    @classmethod
    def split(cls, raw: bytes | None) -> Around | None:
        """Return that of the request `raw`, if it is complete and gives its length once."""
        header, found, _ = (raw or b"").partition(b"\r\n\r\n")
        lengths = list(_LENGTH.finditer(header + b"\r\n"))
        if not found or len(lengths) != 1:
            return None
        start, end = lengths[0].span(1)
        return cls(header[:start], header[end:] + b"\r\n\r\n")

    def body(self, data: bytes) -> tuple[int, int] | None:
        """Return begin and end of the body in `data`, which may be later than it; None for another header."""
        start = len(self.before)
        end = data.find(b"\r", start, start + _LONGEST_LENGTH + 1)
        digits = data[start:end]
        if not (end > 0 and digits.isdigit() and data.startswith(self.before) and data.startswith(self.after, end)):
            return None
        begins = end + len(self.after)
        return begins, begins + int(digits)


class Sender(Kept):
    """One connection that sends."""

    def __init__(
        self,
        sock: socket.socket,
        left: Callable[[], None],
        environ: dict[str, Any],
        head: Head,
        said: Said,
        first: tuple[bytes, str],
        ahead: bytes,
    ) -> None:
        super().__init__(sock, left, environ, head)
        self._said = said
        self._first = first
        self._around = Around.split(handoff.need(environ).raw)
        self._came = ahead
        self._late_at: float | None = None

    def opened(self) -> None:
        self.answer(*self._first)
        self._next()

    def more(self) -> str:
        found = self._said.chat.limits.left("message", self._said.identity or self._said.address)
        return "" if found is None else f"{quota.STATE}: {quota.state('message', *found)}\r\n"

    def received(self, data: bytes) -> None:
        self._came += data
        if len(self._came) > 2 * self._said.most_bytes:
            self.drop()  # it does not wait for its answers
        elif not self.busy:
            self._next()

    def swept(self, now: float) -> None:
        if self._late_at is None:
            super().swept(now)
        elif now >= self._late_at:
            self.send(refusal("408 Request Timeout"))
            self.end()

    def restart(self) -> None:
        # All that has come by now is on its way, also unread bytes.
        self._read()
        if self.ending:
            return
        self.leave()
        if self._late_at is not None:
            self._late_at = min(self._late_at, time.monotonic() + GRACE_SECONDS)

    @property
    def unused(self) -> bool:
        return super().unused and not self._came

    @property
    def done(self) -> bool:
        return super().done and self._expected() is None

    def _expected(self) -> tuple[int, int] | None:
        """Return begin and end of the next request's body, if the bytes that came begin one like those before."""
        return self._around.body(self._came) if self._around else None

    def _next(self) -> None:
        """Take the next request, once all of it is there."""
        if not self._came or self.ending:
            return
        body = self._expected()
        if body is None or body[1] - body[0] > self._said.most_bytes:
            self.go(self._came)
        elif len(self._came) < body[1]:
            seconds = min(self._said.seconds, GRACE_SECONDS) if self._leaving else self._said.seconds
            self._late_at = self._late_at or time.monotonic() + seconds
        else:
            self._late_at = None
            self._submit(*body)

    def _submit(self, begins: int, ends: int) -> None:
        said = self._said
        self.busy = True
        self.began = time.perf_counter()
        try:
            self.reactor.submit(
                said.read(json.loads(self._came[begins:ends])),
                partial(self._stored, ends),
                self,
                identity=said.identity,
                proof=said.proof,
                address=said.address,
                begun=0.0,  # `restart` decides when it is too late
            )
        except Refused as refused:
            self._stored(ends, refused)

    def _stored(self, ends: int, outcome: Any) -> None:
        if self.ending:
            return
        if isinstance(outcome, OutcomeUnknown) or (isinstance(outcome, Refused) and (self._last or self._leaving)):
            self.refuse(outcome)  # not to be asked again: it may be stored, or no server is there to be asked
        elif isinstance(outcome, Refused):
            self.go(self._came)
        else:
            self._came = self._came[ends:]
            self.expected()
            number, body = self._said.show(outcome)
            self.answer(body, f"{number} {HTTP_STATUS_CODES[number]}")
            self._next()
