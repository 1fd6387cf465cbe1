"""The inbox as a stream, NDJSON or Server-Sent Events: the envelopes of a socket, over HTTP (see `streams`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from flask import Response, request

from ...live.detach import detach
from ...protocol import inbox, json
from ...protocol.cursor import Cursor, Now
from ...protocol.errors import Refused, Unauthenticated
from ...protocol.rights.principal import Principal
from ..http import access, parameters, problems, security
from ..http.services import services
from .streams import HeldStream, Kind, StreamResponse, check_can_stream, chunk, id_line, retry_line, stream_headers


def stream(principal: Principal, after: Cursor | Now, kind: Kind) -> Response:
    """Stream the inbox of `principal` from `after` on, without end. Raises NotAcceptable, RateLimited, Overloaded."""
    chat = services().chat
    reactor = services().reactor
    if chat.draining and kind == "sse":
        # That gives up for good at any other status, and comes back when a stream ends (HTML §9.2.2).
        return Response(b": draining\n" + retry_line(), headers={**_without_chunks(kind), "Connection": "close"})
    chat.check_accepting(access.first_byte_at())
    check_can_stream()
    beat = parameters.heartbeat()
    if request.method == "HEAD":
        return Response(status=200, headers=_without_chunks(kind))
    who = security.client()
    chat.limits.enter("poll", *who)
    leave = partial(chat.limits.leave, "poll", *who)

    def begin(environ: dict[str, Any], head: bytes) -> None:
        sock, _ = detach(environ)
        reactor.add(InboxStream(sock, leave, kind, beat, principal, after, head, environ))

    return StreamResponse(stream_headers(kind), begin, leave)


def _without_chunks(kind: Kind) -> dict[str, str]:
    return {"Content-Type": stream_headers(kind)["Content-Type"], "Cache-Control": "no-store", "Vary": "Accept"}


class InboxStream(HeldStream):
    """One stream of an inbox."""

    def __init__(
        self,
        sock: Any,
        left: Callable[[], None],
        kind: Kind,
        beat: float,
        principal: Principal,
        after: Cursor | Now,
        head: bytes,
        environ: dict[str, Any],
    ) -> None:
        super().__init__(sock, left, kind, beat, head, environ)
        self._who = principal
        self._after = after

    def opened(self) -> None:
        self.send(self._head + (chunk(b": heartbeat\n" + retry_line()) if self.framing == "sse" else b""))
        self.reactor.inbox.follow(self, self._who, self._after)

    def inbox_sends(self, encoded: bytes, position: str | None = None) -> None:
        """Send an envelope; with a `position` an event stream comes back from there."""
        self._send(encoded, b"" if position is None else id_line(position))

    def swept(self, now: float) -> None:
        if now < self._next_heartbeat or self.blocked:
            return
        self._next_heartbeat = now + self._beat
        cursor = self.reactor.inbox.cursor(self)
        if cursor is None:
            return
        if self.framing == "sse":
            self.send(chunk(b": heartbeat\n" + id_line(cursor) + b"\n"))
        else:
            self._send(json.dumps({"command": "heartbeat", "cursors": {inbox.INBOX: cursor}}))

    def idle(self) -> None:
        self.reactor.inbox.resume(self)

    def revoked(self) -> None:
        self._lost(Unauthenticated("This session has ended: sign in again."))

    def closed(self) -> None:
        self.reactor.inbox.unfollow(self)
        super().closed()

    def _lost(self, refused: Refused) -> None:
        reset = {"command": "reset", "room": inbox.INBOX, "error": problems.body(refused)}
        self._send(json.dumps(reset))
        self.restart()
