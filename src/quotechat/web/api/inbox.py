"""The inbox of an account: polled, held or streamed, and its position in each room."""

from __future__ import annotations

from flask import Blueprint, Response, request

from ...hub.chat import Chat
from ...protocol.cursor import START, Cursor, Now
from ...protocol.types import inbox_types as types
from ..http import access, authentication, conditional, parameters
from ..http.services import services
from ..spec.described import CURSORS, described
from ..transports import inbox_polls, inbox_stream
from ..transports.polling import applied, last_event, live_headers, negotiated, peer_gone
from .messages import live, submit

blueprint = Blueprint("inbox", __name__, url_prefix="/api/v1")


@blueprint.get("/inbox")
@described(
    answers={200: types.Inbox},
    query=("after", "wait", "heartbeat"),
    media=("application/json", "application/x-ndjson", "text/event-stream"),
    problems=("not-acceptable", "rate-limited", "overloaded", "draining", "scope-missing", *CURSORS),
    conditional=True,
    identity="needed",
)
def inbox() -> Response:
    """{`cursor`, `complete`?, `rooms`, `notices`?} if that is elsewhere than at `?after=`, or a stream if accepted."""
    principal = authentication.need_account()
    kind = negotiated()
    if kind != "json":
        return inbox_stream.stream(principal, _position(kind), kind)
    _chat().check_accepting(access.first_byte_at())
    after, (seconds, preferred) = _after(), parameters.wait()
    parameters.heartbeat()  # not used here, but refused alike over each transport
    if seconds and request.method != "HEAD":
        answer = live_headers(inbox_polls.alone(_chat(), principal, after, seconds, peer_gone()))
        if preferred:
            applied(answer, seconds)
        return answer
    state = inbox_polls.read(_chat(), principal)
    unchanged = conditional.unchanged(state.cursor)
    if unchanged is not None:
        return unchanged
    answer = live_headers(inbox_polls.of_json(inbox_polls.encoded(state, after)))
    return conditional.marked(answer, state.cursor)


@blueprint.put("/rooms/<room>/read")
@described(
    answers={200: types.ReadAnswer},
    body=types.ReadBody,
    problems=("room-unknown", "conflict", "rate-limited"),
    writes=True,
    limit="mark",
    identity="needed",
)
def read(room: str) -> Response:
    """Note that all up to the message `id` is read: {`id`, `back`?} → {`read`}. In an open room it joins."""
    fields = parameters.json_object()
    return live(submit("mark-read", room, {}, read=fields).ack())


@blueprint.put("/rooms/<room>/level")
@described(
    answers={200: types.LevelAnswer},
    body=types.LevelBody,
    problems=("room-unknown", "forbidden", "rate-limited"),
    writes=True,
    limit="mark",
    identity="needed",
)
def level(room: str) -> Response:
    """Choose how much one wants to hear of the room: {`level`}."""
    fields = parameters.json_object()
    return live(submit("set-level", room, {}, level=fields.get("level")).ack())


def _position(kind: str) -> Cursor | Now:
    """Return where a stream begins: an EventSource that comes back names its position in a header."""
    return last_event() if kind == "sse" and request.headers.get("Last-Event-ID") else _after()


def _after() -> Cursor | Now:
    """Return `after`; left out, it is before everything."""
    return START if parameters.one("after") is None else parameters.after()


def _chat() -> Chat:
    return services().chat
