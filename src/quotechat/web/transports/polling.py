"""Polling, short and long: the events after a cursor, in one answer.

`wait=0` answers at once; with more, the request is held until there is something to answer, in its thread,
on the feed's Condition. The server remembers nothing about the client in between.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any, Literal

from flask import Blueprint, Response, request

from ...hub.chat import Chat, Page
from ...hub.held_polls import early
from ...hub.room_handle import RoomHandle
from ...protocol import cursor
from ...protocol.cursor import Cursor, Now
from ...protocol.errors import NotAcceptable, Overloaded, Refused
from ...protocol.inbox import INBOX
from ...protocol.types import wire
from ..http import access, authentication, conditional, parameters, reads, security
from ..http.services import services
from ..spec.described import CURSORS, Example, described
from . import inbox_polls, parking, poll_bytes, revocation

blueprint = Blueprint("polling", __name__, url_prefix="/api/v1")

_DEFAULT_LIMIT = 500
_MOST = 500
_STREAMS: dict[str, Literal["ndjson", "sse"]] = {"application/x-ndjson": "ndjson", "text/event-stream": "sse"}


@blueprint.get("/rooms/<room>/events")
@described(
    answers={200: wire.Events},
    query=("after", "limit", "wait", "heartbeat"),
    media=("application/json", *_STREAMS),
    problems=("room-unknown", "not-acceptable", "rate-limited", "overloaded", "draining", *CURSORS),
    identity="optional",
    examples=(
        Example("/api/v1/rooms/lobby/events?after=0"),
        Example("/api/v1/rooms/lobby/events?after=0&wait=25"),
        Example("/api/v1/rooms/lobby/events?after=0", headers={"Accept": "application/x-ndjson"}),
        Example("/api/v1/rooms/lobby/events?after=0", headers={"Accept": "text/event-stream"}),
    ),
)
def events(room: str) -> Response:
    """{`events`, `cursor`, `more`, `retry_in_ms`?} after `?after=`, or a stream if that is accepted."""
    chat = services().chat
    kind = negotiated()
    if kind != "json":
        return services().stream(room, last_event() if kind == "sse" else parameters.after(), kind)
    chat.check_accepting(access.first_byte_at())
    after, limit = parameters.after(), parameters.limit(_DEFAULT_LIMIT, _MOST)
    seconds, preferred = parameters.wait()
    parameters.heartbeat()  # not used here, but refused alike over each transport
    if request.method == "HEAD":
        seconds = 0.0  # there is nothing to wait for
    handle = chat.open(security.principal(), room)
    answer = _held(chat, handle, after, limit, seconds) if seconds else _at_once(handle.read(after, limit))
    if preferred:
        applied(answer, seconds)
    return answer


@blueprint.get("/events")
@described(
    answers={200: wire.EventsOfRooms},
    query=("rooms", "limit", "wait"),
    problems=("room-unknown", "not-acceptable", "rate-limited", "overloaded", "draining", *CURSORS),
    identity="optional",
    examples=(Example("/api/v1/events?after=lobby:0&wait=25"),),
)
def events_of_rooms() -> Response:
    """{`rooms`: {name: {`events`, `cursor`, `more`}}, `retry_in_ms`?}: several rooms, one hold for all."""
    chat = services().chat
    chat.check_accepting(access.first_byte_at())
    if request.accept_mimetypes and not parameters.accepted("application/json"):
        raise NotAcceptable("Events of several rooms come as application/json.")
    after, limit = parameters.after_by_room(), parameters.limit(_DEFAULT_LIMIT, _MOST)
    seconds, preferred = parameters.wait()
    if request.method == "HEAD":
        seconds = 0.0  # there is nothing to wait for
    answer = live_headers(_of_rooms(chat, after, limit, seconds))
    if preferred:
        applied(answer, seconds)
    return answer


def _of_rooms(chat: Chat, after: dict[str, Cursor | Now], limit: int, seconds: float) -> Response:
    principal = security.principal()
    inbox_after = after.pop(INBOX, None)
    if inbox_after is not None:
        authentication.need_own_account(principal)
    handles = chat.open_any(principal, after)
    return inbox_polls.with_rooms(chat, principal, handles, limit, seconds, inbox_after, peer_gone(after))


def _held(chat: Chat, handle: RoomHandle, after: Cursor | Now, limit: int, seconds: float) -> Response:
    """Return the answer that comes when there are events; without a thread, if the server can give its socket away."""
    who = security.client()
    if not parking.can_park():
        watch = revocation.watch((handle.room,))
        with place(chat, who):
            page = chat.wait(handle, after, limit, seconds, gone=gone_check(watch))
        if watch is not None:
            watch.check()
        return _answer(page)
    handle.follow()  # before the read: an event in between wakes this poll
    page = handle.read(after, limit)
    reads.count(len(page.events))
    if page.events and not parking.polls_again():
        return _answer(page)
    try:
        chat.limits.enter("poll", *who)
    except Refused as refused:
        if page.events:
            return _answer(page)
        if isinstance(refused, Overloaded):
            return _answer(early(page))
        raise
    place_of_poll = parking.Place(handle.room, page.cursor, limit)
    left = partial(chat.limits.leave, "poll", *who)
    return live_headers(parking.park(handle, place_of_poll, seconds, left, page if page.events else None))


@contextlib.contextmanager
def place(chat: Chat, who: tuple[str, str]) -> Iterator[None]:
    """Take one of the client's places for held polls, and give it back. Raises RateLimited, Overloaded."""
    chat.limits.enter("poll", *who)
    try:
        yield
    finally:
        chat.limits.leave("poll", *who)


def _at_once(page: Page) -> Response:
    reads.count(len(page.events))
    return _answer(page)


def _answer(page: Page) -> Response:
    answer = live_headers(Response(poll_bytes.body(page), content_type="application/json"))
    return conditional.next_page(answer, after=page.cursor) if page.more else answer


def live_headers(answer: Response) -> Response:
    """Return `answer`, which no cache may keep."""
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Vary"] = "Accept"
    return answer


def applied(answer: Response, seconds: float) -> None:
    """Add the header that a preference was applied (RFC 7240 §3)."""
    answer.headers["Preference-Applied"] = f"wait={seconds:g}"
    answer.headers.add("Vary", "Prefer")


def negotiated() -> Literal["json", "ndjson", "sse"]:
    """Return the media type in which the client wants events. Raises NotAcceptable."""
    if "Accept" not in request.headers:
        return "json"
    best = parameters.accepted("application/json", *_STREAMS)
    if best is None:
        raise NotAcceptable("Events come as application/json, application/x-ndjson or text/event-stream.")
    return _STREAMS.get(best, "json")


def last_event() -> Cursor | Now:
    """Return the position of an EventSource. Raises CursorInvalid."""
    # The header of an EventSource that reconnects; its URL still holds the first cursor.
    last = request.headers.get("Last-Event-ID")
    return cursor.parse(last) if last else parameters.after()


def peer_gone(rooms: Collection[str] = ()) -> Callable[[], bool] | None:
    """Return a check that the client of a held poll has lost its right to the answer, or has hung up."""
    return gone_check(revocation.watch(rooms))


def gone_check(watch: revocation.Watch | None) -> Callable[[], bool] | None:
    """Return a check that the client has lost its right to the answer, or has hung up."""
    hung_up = _peer_gone(request.environ)
    if watch is None:
        return hung_up
    return lambda: watch.has_ended() or (hung_up is not None and hung_up())


def _peer_gone(environ: dict[str, Any]) -> Callable[[], bool] | None:
    """Return a check that the client has hung up; None if the server shows no socket."""
    sock = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
    if not isinstance(sock, socket.socket):
        return None

    def gone() -> bool:
        try:
            return sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    return gone
