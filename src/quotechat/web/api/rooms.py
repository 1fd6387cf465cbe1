"""The API of rooms, their messages, and guests."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from ...hub.chat import Chat
from ...protocol import names
from ...protocol.errors import Invalid
from ...protocol.rights.permissions import CREATE_CLOSED, CREATE_ROOM
from ...protocol.types import body_types, room_types, wire
from ...store.accounts import accounts
from ..http import access, authentication, conditional, parameters, reads, security
from ..http.services import services
from ..http.site import url_for
from ..spec.described import Example, described
from . import members
from .messages import live

blueprint = Blueprint("rooms", __name__, url_prefix="/api/v1")

_DEFAULT_LIMIT = 50
_MOST = 200
_MOST_INVITED = 100


@blueprint.get("/rooms")
@described(
    answers={200: wire.Rooms},
    query=("joined",),
    conditional=True,
    problems=("rate-limited",),
    identity="optional",
    examples=(Example("/api/v1/rooms"),),
)
def rooms() -> Response:
    """{`rooms`}: those that the caller may read, by name; with `?joined=1` those of which it is a member.

    Archived ones are left out.
    """
    found = _chat().rooms(security.principal(), joined=parameters.flag("joined"))
    reads.count(len(found))
    tag = conditional.tag(found)
    return conditional.unchanged(tag) or conditional.marked(live({"rooms": found}), tag)


@blueprint.post("/rooms")
@described(
    answers={201: room_types.RoomInfo},
    body=body_types.RoomBody,
    problems=("conflict", "forbidden", "rate-limited", "room-unknown", "account-unknown"),
    limit="room",
    writes=True,
    identity="optional",
    examples=(Example("/api/v1/rooms", {"name": "tea", "title": "Tea"}, status=201),),
)
def create() -> Response:
    """Create a room: {`name`, `title`?, `kind`?, `members`?}; 201 and the room. Its creator is its manager.

    The name of a closed one gets a random tail. 403 if the site leaves this to administrators.
    """
    fields = parameters.fields()
    kind = fields.get("kind", "open")
    if kind not in ("open", "closed"):
        raise Invalid("kind", "A room is open or closed; direct rooms are begun at /directs.")
    closed = kind == "closed"
    name, title = fields.get("name", "room" if closed else None), fields.get("title")
    if not isinstance(name, str):
        raise Invalid("name", "name is missing, or no text.")
    if title is not None and not isinstance(title, str):
        raise Invalid("title", "title is no text.")
    invited = members.ids(fields, _MOST_INVITED)
    principal = security.principal()
    name = names.clean_room(name)
    # Refused first: 409 would tell that another room is there.
    authentication.check_room(principal, name)
    authentication.need_right(principal, CREATE_CLOSED if closed else CREATE_ROOM)
    room = _chat().create_room(
        name, title, security.identity(), security.address(), access.first_byte_at(), kind=kind, members=invited,
        proof=authentication.proof(),
    )  # fmt: skip
    answer = live(room, 201)
    answer.headers["Location"] = url_for("rooms.snapshot", room=room["name"])
    return answer


@blueprint.get("/rooms/<room>")
@described(
    answers={200: wire.Snapshot},
    conditional=True,
    query=("limit",),
    problems=("room-unknown", "rate-limited"),
    identity="optional",
    examples=(Example("/api/v1/rooms/lobby?limit=20"),),
)
def snapshot(room: str) -> Response:
    """{`room`, `cursor`, `about`, `messages`, `has_more`, `quotes`?, `mine`?}: the latest, and the cursor behind them.

    `about` is the room as in the list of rooms.
    """
    limit, identity = parameters.limit(_DEFAULT_LIMIT, _MOST), security.identity()
    handle = _chat().open(security.principal(), room)
    # Fields that depend on the membership of the caller change without an event, and then its account's revision.
    head = handle.head()
    depends = (limit, identity, _revision(), head.floor)
    same = conditional.unchanged(conditional.tag(head.cursor, *depends))
    if same is not None:
        return same
    found = handle.snapshot(limit)
    reads.count(len(found["messages"]))
    # By its own cursor: there may have been an event since the look.
    answer = conditional.marked(live(found), conditional.tag(found["cursor"], *depends))
    return _older(answer, found, limit, f"/api/v1/rooms/{room}/messages")


@blueprint.get("/rooms/<room>/messages")
@described(
    answers={200: wire.Messages},
    conditional=True,
    query=("before", "limit"),
    problems=("room-unknown", "rate-limited"),
    identity="optional",
    examples=(Example("/api/v1/rooms/lobby/messages?before=2&limit=20"),),
)
def messages(room: str) -> Response:
    """{`messages`, `has_more`, `quotes`?, `mine`?} with ids below `?before=`, oldest first, as they are now."""
    limit, identity = parameters.limit(_DEFAULT_LIMIT, _MOST), security.identity()
    before = parameters.before()
    handle = _chat().open(security.principal(), room)
    # Looked at first: an event in between makes the answer newer than its tag, never older.
    head = handle.head()
    tag = conditional.tag(head.cursor, before, limit, identity, head.floor, _revision())
    same = conditional.unchanged(tag)
    if same is not None:
        return same
    found = handle.messages(before, limit)
    reads.count(len(found["messages"]))
    return _older(conditional.marked(live(found), tag), found, limit)


@blueprint.post("/guests")
@described(
    answers={201: wire.Guest},
    body=body_types.GuestBody,
    limit="guest",
    problems=("forbidden", "rate-limited"),
    writes=True,
    examples=(Example("/api/v1/guests", {"user": "Bo"}, status=201),),
)
def guest() -> Response:
    """An identity for a program: {`user`} → 201 {`user`, `token`}."""
    fields = parameters.json_object()
    name = fields.get("user")
    if not isinstance(name, str):
        raise Invalid("user", "user is missing, or no text.")
    user = names.clean_user(name, services().settings.user_chars)
    token, address = security.new_token(user), security.address()
    _chat().limits.allow("guest", address, address)
    return live({"user": user, "token": token}, 201)


def _older(answer: Response, found: dict[str, Any], limit: int, path: str | None = None) -> Response:
    if not found["has_more"]:
        return answer
    return conditional.next_page(answer, path, before=found["messages"][0]["id"], limit=limit)


def _revision() -> int:
    """Return the revision of the caller's account, 0 without one."""
    account = security.principal().account
    return 0 if account is None else _chat().read_with(lambda sql: accounts.revision(sql, account))


def _chat() -> Chat:
    return services().chat
