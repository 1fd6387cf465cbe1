"""The API of named cursors: the server remembers how far a program has read."""

from __future__ import annotations

import contextlib
from typing import Any

from flask import Blueprint, Response, request

from ...hub.chat import Chat
from ...hub.programs.cursors import ALL, MOST_AT_ONCE, Cursors, Named, Part
from ...protocol import cursor, names
from ...protocol.errors import CursorUnknown, Invalid
from ...protocol.events import rfc3339
from ...protocol.types import program_types as types
from ..http import access, authentication, parameters, quota, reads, security
from ..http.services import services
from ..spec.described import CURSORS, described
from ..transports import poll_bytes, polling, revocation
from .messages import live

blueprint = Blueprint("cursors", __name__, url_prefix="/api/v1")

_DEFAULT_LIMIT = 100
_MOST = 500


@blueprint.get("/cursors")
@described(answers={200: types.AllNamed}, problems=("rate-limited",), identity="needed")
def listed() -> Response:
    """{`cursors`}: one's own, by name, with their positions."""
    return live({"cursors": [_shown(each) for each in _cursors().listed(authentication.need_account())]})


@blueprint.put("/cursors/<cursor_name>")
@described(
    answers={200: types.Named, 201: types.Named},
    body=types.NamedBody,
    problems=("room-unknown", "conflict", "rate-limited", *CURSORS),
    writes=True,
    limit="change",
    identity="needed",
)
def put(cursor_name: str) -> Response:
    """Make a cursor, or let it follow other rooms: {`rooms`: [name] or `all`, `from`?} → 201, or 200 if it was there.

    It begins at `from` in rooms that are new to it, `now` if that is left out.
    """
    principal, fields = authentication.need_account(), parameters.fields()
    quota.take_change()
    start = fields.get("from", "now")
    if not isinstance(start, str):
        raise Invalid("from", "from is a cursor, 0 or now.")
    found, new = _cursors().put(principal, cursor_name, _rooms(fields), cursor.parse(start, "from"))
    return live(_shown(found), 201 if new else 200)


@blueprint.get("/cursors/<cursor_name>")
@described(answers={200: types.Named}, problems=("cursor-unknown", "rate-limited"), identity="needed")
def one(cursor_name: str) -> Response:
    """One of one's own, with its positions."""
    return live(_shown(_cursors().one(authentication.need_account(), _known(cursor_name))))


@blueprint.delete("/cursors/<cursor_name>")
@described(
    answers={204: None}, problems=("cursor-unknown", "rate-limited"), writes=True, limit="change", identity="needed"
)
def remove(cursor_name: str) -> Response:
    """Forget a cursor and its positions."""
    principal = authentication.need_account()
    quota.take_change()
    _cursors().remove(principal, _known(cursor_name))
    return Response(status=204)


@blueprint.get("/cursors/<cursor_name>/events")
@described(
    answers={200: types.NamedEvents},
    query=("limit", "wait"),
    problems=("cursor-unknown", "room-unknown", "rate-limited", "overloaded", "draining", *CURSORS),
    identity="needed",
)
def events(cursor_name: str) -> Response:
    """{`rooms`: {name: {`events`, `cursor`, `more`, `gap`?}}, `retry_in_ms`?}: what comes after the positions.

    The same again until `PUT …/position` has acknowledged it.
    """
    chat = _chat()
    chat.check_accepting(access.first_byte_at())
    principal, name = authentication.need_account(), _known(cursor_name)
    limit, (seconds, preferred) = parameters.limit(_DEFAULT_LIMIT, _MOST), parameters.wait()
    if request.method == "HEAD":
        seconds = 0.0
    watch = revocation.watch(_cursors().one(principal, name).positions) if seconds else None
    with polling.place(chat, security.client()) if seconds else contextlib.nullcontext():
        parts, hint = _cursors().read(principal, name, limit, seconds, polling.gone_check(watch))
    reads.count(sum(len(part.page.events) for part in parts.values()))
    if watch is not None:
        watch.check()
    body = b'{"rooms":{%b}%b}' % (
        b",".join(b'"%b":{%b}' % (room.encode(), _part(part)) for room, part in parts.items()),
        b"" if hint is None else b',"retry_in_ms":%d' % hint,
    )
    answer = Response(body, content_type="application/json")
    answer.headers["Cache-Control"] = "no-store"
    if preferred:
        polling.applied(answer, seconds)
    return answer


@blueprint.put("/cursors/<cursor_name>/position")
@described(
    answers={200: types.Named},
    body=types.PositionBody,
    problems=("cursor-unknown", "room-unknown", "conflict", "rate-limited", *CURSORS),
    writes=True,
    identity="needed",
)
def move(cursor_name: str) -> Response:
    """Acknowledge: {`rooms`: {name: cursor}, `back`?}; all of them or none. `back` allows a step back."""
    principal, fields = authentication.need_account(), parameters.fields()
    # It belongs to reading: `mark` would be too narrow for a program that acknowledges each event.
    reads.charge_request()
    found, back = fields.get("rooms"), fields.get("back", False)
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise Invalid("rooms", "rooms is an object: a cursor for each room.")
    if not 1 <= len(found) <= MOST_AT_ONCE:
        raise Invalid("rooms", f"1 to {MOST_AT_ONCE} rooms.")
    if not isinstance(back, bool):
        raise Invalid("back", "back is true or false.")
    return live(_shown(_cursors().move(principal, _known(cursor_name), found, back=back)))


# --- Inside -----------------------------------------------------------------------------------------


def _rooms(fields: dict[str, Any]) -> list[str] | str:
    found = fields.get("rooms")
    if found == ALL:
        return ALL
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise Invalid("rooms", "rooms is a list of rooms, or all.")
    if not 1 <= len(found) <= MOST_AT_ONCE:
        raise Invalid("rooms", f"1 to {MOST_AT_ONCE} rooms, or all.")
    return [names.clean_room(each, "rooms") for each in dict.fromkeys(found)]


def _known(name: str) -> str:
    """Return `name` as it may be. Raises CursorUnknown: no other was ever made."""
    try:
        return names.clean_room(name)
    except Invalid:
        raise CursorUnknown() from None


def _part(part: Part) -> bytes:
    gap = b"" if part.gap is None else b',"gap":{"from":%d,"to":%d}' % part.gap
    return poll_bytes.fields(part.page) + gap


def _shown(found: Named) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": found.subscriber.name,
        "rooms": {room: str(place.cursor) for room, place in sorted(found.positions.items())},
        "behind": sum(place.head - place.cursor.seq for place in found.positions.values()),
        "at": rfc3339(found.subscriber.at),
    }
    return shown | ({"all": True} if found.subscriber.all_rooms else {})


def _cursors() -> Cursors:
    return authentication.services().cursors


def _chat() -> Chat:
    return services().chat
