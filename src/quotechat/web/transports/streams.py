"""Streams over HTTP that do not end: NDJSON for `curl -N` and programs, Server-Sent Events for browsers.

The events are those of every other transport. The answer is written by the reactor, in chunks (RFC 9112
§7.1), so that a stream holds no thread; it ends completely, with its last chunk, when the worker drains.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

from flask import Response, request
from werkzeug.datastructures import Headers
from werkzeug.http import http_date

from ...hub.chat import Chat, Page
from ...hub.feed import Feed
from ...hub.room_handle import RoomHandle
from ...live.detach import can_detach, detach, has_body
from ...live.fanout import SLICE_BYTES, SLICE_EVENTS
from ...live.peer import Peer, Subscription
from ...live.reactor import Reactor
from ...protocol import json
from ...protocol.cursor import Cursor, Now, cursor_of
from ...protocol.errors import NotAcceptable, Overloaded, Refused, Unauthenticated
from ...protocol.events import Event
from ..http import access, parameters, problems, reads, security
from ..http.services import services
from .kept import with_headers

Kind = Literal["ndjson", "sse"]
_TYPES = {"ndjson": "application/x-ndjson", "sse": "text/event-stream; charset=utf-8"}
_RETRY_MS = (500, 1500)
LAST_CHUNK = b"0\r\n\r\n"


def stream(room: str, after: Cursor | Now, kind: Kind) -> Response:
    """Stream the events of `room` after `after`, without end. Raises as `RoomHandle.read`, before it begins."""
    chat = services().chat
    reactor = services().reactor
    if chat.draining and kind == "sse":
        return _come_back(chat, room, after)
    chat.check_accepting(access.first_byte_at())
    check_can_stream()
    beat = parameters.heartbeat()
    handle = chat.open(security.principal(), room)
    feed, page = handle.follow(), handle.read(after, SLICE_EVENTS, SLICE_BYTES)
    reads.count(reads.MOST_BEGUN if page.more else len(page.events))
    if request.method == "HEAD":
        # The header alone, from the server that has the socket.
        return Response(status=200, content_type=_TYPES[kind], headers={"Cache-Control": "no-store", "Vary": "Accept"})
    who = security.client()
    chat.limits.enter("poll", *who)
    leave = partial(chat.limits.leave, "poll", *who)
    return StreamResponse(stream_headers(kind), partial(_begin, reactor, handle, feed, page, kind, beat, leave), leave)


def check_can_stream() -> None:
    """Raise NotAcceptable if this request cannot be answered with a stream."""
    if has_body(request.environ):
        raise NotAcceptable("A stream is a GET without a body.")
    if not can_detach(request.environ) or request.environ.get("SERVER_PROTOCOL") == "HTTP/1.0":
        raise NotAcceptable("Streams need HTTP/1.1, from a server that hands its sockets over.")


def _come_back(chat: Chat, room: str, after: Cursor | Now) -> Response:
    """Answer an EventSource when the worker is about to stop.

    That gives up for good at any status but 200, and comes back when a stream ends (HTML §9.2.2). One that begins at
    the head comes back with its position: messages sent meanwhile would be lost to it.
    """
    position = None
    with contextlib.suppress(Refused):  # the next worker tells the reason
        position = chat.open(security.principal(), room).place(after).cursor if isinstance(after, Now) else None
    headers = {"Cache-Control": "no-store", "Vary": "Accept", "Connection": "close"}
    return Response(b": draining\n" + retry_line(position), content_type=_TYPES["sse"], headers=headers)


def id_line(cursor: str) -> bytes:
    """Return the line from which an EventSource knows its position, also without any event (HTML §9.2.6)."""
    return b"id: " + cursor.encode() + b"\n"


def retry_line(position: str | None = None) -> bytes:
    """Return the lines that give an EventSource its reconnection time and its position."""
    # Spread, since all readers of a worker that stops come back; browsers alone would take 3 s.
    retry = b"retry: %d\n" % random.randint(*_RETRY_MS)
    return retry + (b"" if position is None else id_line(position)) + b"\n"


class StreamResponse(Response):
    """A response that the server does not write: asked to, it hands the socket over.

    Until then it is like any other, so that the headers of `security` come to it too.
    """

    taken = True

    def __init__(
        self, headers: Headers, begin: Callable[[dict[str, Any], bytes], None], left: Callable[[], None]
    ) -> None:
        super().__init__(status=200, headers=headers)
        self._begin = begin
        self._left = left

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        lines = [f"{name}: {value}" for name, value in self.headers if name.lower() != "content-length"]
        head = "\r\n".join(["HTTP/1.1 200 OK", f"Date: {http_date()}", *lines, "", ""])
        try:
            self._begin(environ, head.encode("latin-1"))
        except OSError:  # there is no descriptor for it
            self._left()
            return with_headers(problems.response(Overloaded()), self.headers)(environ, start_response)
        # gunicorn takes this for "the connection is done"; flask-sock ends its requests in the same way.
        raise StopIteration


def _begin(
    reactor: Reactor,
    handle: RoomHandle,
    feed: Feed,
    page: Page,
    kind: Kind,
    beat: float,
    left: Callable[[], None],
    environ: dict[str, Any],
    head: bytes,
) -> None:
    sock, _ = detach(environ)
    reactor.add(Stream(sock, left, kind, beat, handle, feed, page, head, environ))


def stream_headers(kind: Kind) -> Headers:
    """Return the headers of a stream."""
    return Headers(
        {
            "Content-Type": _TYPES[kind],
            "Cache-Control": "no-store",
            "Connection": "close",
            "Transfer-Encoding": "chunked",
            "Vary": "Accept",
            # Else nginx would buffer the stream.
            "X-Accel-Buffering": "no",
        }
    )


class HeldStream(Peer):
    """An answer in the reactor that does not end until its reader, the right to read or the worker does.

    `head` is the header of the answer, `beat` the seconds between two heartbeats.
    """

    def __init__(
        self, sock: Any, left: Callable[[], None], kind: Kind, beat: float, head: bytes, environ: dict[str, Any]
    ) -> None:
        super().__init__(sock, left)
        self.principal = environ.get("quotechat.principal")
        self.framing = kind
        self._log_fields = access.of(environ)
        self._request_id: str = environ["quotechat.request_id"]
        self._began = time.monotonic()
        self._head = head
        self._beat = beat
        self._next_heartbeat = self._began + beat

    def restart(self) -> None:
        self.send(LAST_CHUNK)
        self.end()

    def closed(self) -> None:
        super().closed()
        if self._log_fields is not None:
            access.ended(
                self._log_fields, self._request_id, transport=self.framing,
                seconds=round(time.monotonic() - self._began, 3),
                bytes_in=self.bytes_in, bytes_out=self.bytes_out, events=self.events,
            )  # fmt: skip

    def _send(self, encoded: bytes, position: bytes = b"") -> None:
        """Send an envelope; an EventSource comes back from `position`, which is a line."""
        self.send(chunk(position + b"data: " + encoded + b"\n\n" if self.framing == "sse" else encoded + b"\n"))


class Stream(HeldStream):
    """One stream of a room."""

    takes_hints = True

    def __init__(
        self,
        sock: Any,
        left: Callable[[], None],
        kind: Kind,
        beat: float,
        handle: RoomHandle,
        feed: Feed,
        page: Page,
        head: bytes,
        environ: dict[str, Any],
    ) -> None:
        super().__init__(sock, left, kind, beat, head, environ)
        self._handle = handle
        self._feed = feed
        self._page = page

    def opened(self) -> None:
        if self.framing == "ndjson":
            hello = self._heads(self._page.cursor)
        else:
            # With events to come, their ids follow; else this is the only one for long.
            hello = chunk(b": heartbeat\n" + retry_line(None if self._page.events else self._page.cursor))
        self.send(self._head + hello)
        if self._page.events:
            self.reactor.resumes += 1
            self.events += len(self._page.events)
            self.send(self.join(self._page.events))
        last = self._page.events[-1] if self._page.events else None
        self.reactor.follow(self, Subscription(self._handle, self._feed, cursor_of(self._page.cursor)), last)

    def join(self, events: Sequence[Event]) -> bytes:
        if self.framing == "sse":
            lines = [id_line(event.cursor) + b"data: " + event.encoded + b"\n\n" for event in events]
        else:
            lines = [event.encoded + b"\n" for event in events]
        return chunk(b"".join(lines))

    def caught_up(self, room: str, cursor: str) -> None:
        self._tell({"command": "caught-up", "room": room, "cursor": cursor}, id_line(cursor))

    def reset(self, room: str, refused: Refused) -> None:
        self._tell({"command": "reset", "room": room, "error": problems.body(refused)})
        self.restart()

    def revoked(self) -> None:
        self.reset(self._handle.room, Unauthenticated("This session has ended: sign in again."))

    def swept(self, now: float) -> None:
        if now >= self._next_heartbeat and not self.blocked:
            self._next_heartbeat = now + self._beat
            followed = self.subscriptions.get(self._handle.room)
            if followed is not None:
                self.send(self._heartbeat(followed))

    def hint(self, encoded: bytes) -> None:
        self._send(encoded)

    def _tell(self, envelope: dict[str, Any], position: bytes = b"") -> None:
        self._send(json.dumps(envelope), position)

    def _heartbeat(self, followed: Subscription) -> bytes:
        if self.framing == "sse":
            # The reader's position, not the head: the events between may be on their way.
            return chunk(b": heartbeat\n" + id_line(str(followed.position)) + b"\n")
        return self._heads(followed.progress())

    def _heads(self, cursor: str) -> bytes:
        return chunk(json.dumps({"command": "heartbeat", "cursors": {self._handle.room: cursor}}) + b"\n")


def chunk(data: bytes) -> bytes:
    """Return `data` as a chunk (RFC 9112 §7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)
