"""Messages without a thread for each: a request that repeats an earlier one is read here.

The body is read as `messages` reads it, under the same limits, and stored by the same writer; only gunicorn and Flask
are left out, which cost more than all the rest (docs/explanation/performance.md). `repeats` says which requests those
are: the same client sends to the same room. A request that is not known here, or is refused, goes to the application:
a refusal has stored nothing.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from flask import Flask, Response, request
from werkzeug.datastructures import Headers
from werkzeug.http import HTTP_STATUS_CODES

from ...hub.chat import Chat
from ...live import detach, handoff, repeats
from ...live.handoff import Handoff
from ...live.reactor import GRACE_SECONDS, Reactor
from ...live.repeats import Repeats
from ...protocol import json
from ...protocol.commands import SendMessage
from ...protocol.errors import OutcomeUnknown, Refused
from ...refusal import refusal
from ..http import access, authentication, measure, quota, security
from ..http.services import services, services_of
from .kept import AnswerParts, Head, KeptConnection, can_keep, closes

# Headers that are about one message, or about how its body comes.
_VARYING = ("HTTP_IDEMPOTENCY_KEY", "HTTP_TRANSFER_ENCODING", "HTTP_EXPECT")

Read = Callable[[Any], SendMessage]
"""The command in the JSON of a body. Raises Refused."""
Show = Callable[[Any], tuple[int, bytes]]
"""Status and body of the answer to an outcome."""


def keep(answer: Response, read: Read, show: Show) -> Response:
    """Return `answer`, to a message; the next ones of its client are taken without the application."""
    environ = request.environ
    given = handoff.of(environ)
    if (
        given is None
        or given.raw is None
        or not can_keep()
        or closes(environ)
        or any(name in environ for name in _VARYING)
        or "Set-Cookie" in answer.headers
        or measure.wanted(environ)
    ):
        return answer
    settings = services().settings
    context = SenderContext(
        services().chat, read, show, security.identity(), authentication.proof(), security.client(),
        settings.body_bytes, settings.request_seconds, bool(settings.trusted_proxies),
    )  # fmt: skip
    # When it is closed it has all its headers.
    answer.call_on_close(partial(_learn, services().sent, answer.headers, context, given, environ))
    return answer


class SenderContext(NamedTuple):
    """The constant part of all messages that one client sends to one room."""

    chat: Chat
    read: Read
    show: Show
    identity: str | None
    proof: bytes | None
    who: tuple[str, str]
    most_bytes: int
    seconds: float
    names_requests: bool
    parts: AnswerParts | None = None


def _learn(
    sent: Repeats[SenderContext], headers: Headers, context: SenderContext, given: Handoff, environ: dict[str, Any]
) -> None:
    assert given.raw is not None
    constant = [each for each in headers if each[0] != "Content-Length"]
    parts = AnswerParts(Head(environ, constant), access.of(environ), names_requests=context.names_requests)
    sent.learn(given.raw, given.peer, context._replace(parts=parts))


def install(app: Flask, chat: Chat) -> None:
    """Let the server of `app` give the reactor the connections on which such messages come."""
    ours = services_of(app)
    ours.sent = Repeats()
    app.extensions[handoff.SHORTCUT] = partial(_take, ours.reactor, chat, ours.sent)


def _take(reactor: Reactor, chat: Chat, sent: Repeats[SenderContext], sock: socket.socket, given: Handoff) -> bool:
    """Own `sock` from now on, if its request repeats one that is known; return True if it does."""
    assert given.raw is not None
    head = repeats.read(given.raw, given.peer)
    context = None if head is None else sent.find(head)
    if context is None:
        return False
    try:
        chat.limits.enter("sender", *context.who)
    except Refused:
        return False
    ours = socket.socket(fileno=sock.detach())
    detach.prepare(ours)
    reactor.add(Sender(ours, partial(chat.limits.leave, "sender", *context.who), given, context, sent))
    return True


class Sender(KeptConnection):
    """One connection that sends, for one client or, from a proxy, for many."""

    def __init__(
        self,
        sock: socket.socket,
        left: Callable[[], None],
        given: Handoff,
        context: SenderContext,
        sent: Repeats[SenderContext],
    ) -> None:
        assert context.parts is not None
        super().__init__(sock, left, given, context.parts)
        self.busy = False
        self._context = context
        self._sent = sent
        self._headers = repeats.Reader(given.peer)
        self._received = given.raw or b""
        self._late_at: float | None = None

    def opened(self) -> None:
        self._next()

    def more(self) -> str:
        found = self._context.chat.limits.left("message", self._context.who[0])
        return "" if found is None else f"{quota.STATE}: {quota.state('message', *found)}\r\n"

    def received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > 2 * self._context.most_bytes:
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
        self.read_last()
        if self.ending:
            return
        self.leave()
        if self._late_at is not None:
            self._late_at = min(self._late_at, time.monotonic() + GRACE_SECONDS)

    @property
    def unused(self) -> bool:
        return super().unused and not self._received

    @property
    def done(self) -> bool:
        return super().done and self._expected() is None

    def _expected(self) -> tuple[repeats.Head, SenderContext] | None:
        """Return the next request and its context, if the received bytes begin a request that is known."""
        head = self._headers.read(self._received)
        context = None if head is None else self._sent.find(head)
        return None if head is None or context is None else (head, context)

    def _next(self) -> None:
        """Submit the next request, as soon as all of it has been received."""
        if not self._received or self.ending:
            return
        found = self._expected()
        if found is None or found[0].ends - found[0].begins > found[1].most_bytes:
            self.go(self._received)
            return
        head, context = found
        if len(self._received) < head.ends:
            seconds = min(context.seconds, GRACE_SECONDS) if self._leaving else context.seconds
            self._late_at = self._late_at or time.monotonic() + seconds
        else:
            self._late_at = None
            self._submit(head, context)

    def _submit(self, head: repeats.Head, context: SenderContext) -> None:
        assert context.parts is not None
        self.busy = True
        self.handling_since = time.perf_counter()
        self._context, self.head, self._log_fields = context, context.parts.head, context.parts.log_fields
        self.name_request(head.request_id)
        try:
            self.reactor.submit(
                context.read(json.loads(self._received[head.begins : head.ends])),
                partial(self._stored, head.ends),
                self,
                identity=context.identity,
                proof=context.proof,
                address=context.who[1],
                first_byte_at=0.0,  # `restart` decides when it is too late
            )
        except Refused as refused:
            self._stored(head.ends, refused)

    def _stored(self, ends: int, outcome: Any) -> None:
        if self.ending:
            return
        if isinstance(outcome, OutcomeUnknown) or (isinstance(outcome, Refused) and (self._last or self._leaving)):
            self.refuse(outcome)  # not for the application: it may be stored, or the worker takes no request
        elif isinstance(outcome, Refused):
            self.go(self._received)
        else:
            self._received = self._received[ends:]
            number, body = self._context.show(outcome)
            self.answer(body, f"{number} {HTTP_STATUS_CODES[number]}")
            self._next()
