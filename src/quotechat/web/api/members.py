"""The API of members and of a room's settings, and of direct rooms."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from ...hub.chat import Chat
from ...live.detach import has_body
from ...protocol import moments
from ...protocol.errors import Forbidden, Invalid, Unauthenticated
from ...protocol.rights.permissions import LIST_MEMBERS, MANAGE, allows
from ...protocol.rights.principal import Principal
from ...protocol.types import room_types, wire
from ...store import members as rows
from ...store.base import BeginDirect, Stored
from ...store.rules.members import MOST_MUTED_DAYS
from ...store.shapes import Sql
from ..http import access, authentication, parameters, security
from ..http.services import services
from ..http.site import url_for
from ..spec.described import described
from .messages import answer_to, live, submit, submit_besides

blueprint = Blueprint("members", __name__, url_prefix="/api/v1")

_MOST_OTHERS = 9
_CHANGES = ("room-unknown", "account-unknown", "forbidden", "conflict", "client-id-reused", "rate-limited")


@blueprint.patch("/rooms/<room>")
@described(
    answers={200: wire.RoomChanged},
    body=room_types.AboutBody,
    problems=_CHANGES,
    writes=True,
    limit="message",
    identity="needed",
)
def change(room: str) -> Response:
    """Change the settings of a room: those given of {`title`, `topic`, `kind`, `posting`, `slow`, `default`,
    `archived`, `everything`} → the event.

    For managers; `default` for administrators. A closed room opens only with `everything`: true.
    """
    fields = parameters.json_object()
    return answer_to(submit("set-room", room, fields, about={k: v for k, v in fields.items() if k != "client_id"}))


@blueprint.get("/rooms/<room>/members")
@described(
    answers={200: room_types.Members}, problems=("room-unknown", "forbidden", "rate-limited"), identity="needed"
)
def members(room: str) -> Response:
    """{`members`}, by name."""
    principal = security.principal()
    _chat().open(principal, room)

    def work(sql: Sql) -> list[dict[str, Any]]:
        found = rows.membership(sql, room, principal.account)
        if found is None or not allows(principal, LIST_MEMBERS, found.kind, found.role):
            if principal.role == "visitor":
                raise Unauthenticated("This needs an account: sign in, or send a token.")
            raise Forbidden("The members of this room are not yours to see.")
        return [each.shown() for each in rows.listed(sql, found.room_id)]

    return live({"members": _chat().read_with(work)})


@blueprint.put("/rooms/<room>/members/me")
@described(
    answers={200: room_types.MemberAnswer},
    problems=_CHANGES,
    writes=True,
    limit="mark",
    identity="needed",
)
def join(room: str) -> Response:
    """Join an open room."""
    principal = authentication.need_account()
    submit("join", room, {})
    return live({"member": _member(principal, room, principal.id or "")})


@blueprint.delete("/rooms/<room>/members/me")
@described(answers={204: None}, problems=_CHANGES, writes=True, limit="message", identity="needed")
def leave(room: str) -> Response:
    """Leave the room. 409 for its only manager, and for a direct room."""
    principal = authentication.need_account()
    submit("remove-member", room, {}, member={"id": principal.id})
    return Response(status=204)


@blueprint.put("/rooms/<room>/members/<account_id>")
@described(
    answers={200: room_types.MemberAnswer},
    body=room_types.MemberBody,
    optional_body=True,
    problems=_CHANGES,
    writes=True,
    limit="message",
    identity="needed",
)
def put(room: str, account_id: str) -> Response:
    """Add a member, or change one: {`role`?, `muted_until`?} → {`member`, `seq`?, `cursor`?}. For managers."""
    principal = authentication.need_account()
    fields = parameters.json_object() if has_body(request.environ) else {}  # null ends a mute
    given: dict[str, Any] = {"id": account_id}
    if fields.get("role") is not None:
        given["role"] = fields["role"]
    if "muted_until" in fields:
        _check_mute(principal, room, fields["muted_until"])  # before the role is given: nothing is half done
    outcome = submit("add-member", room, {}, member=given)
    if "muted_until" in fields:
        submit_besides("set-member", room, member={"id": account_id, "muted_until": fields["muted_until"]})
    told = outcome.ack() if isinstance(outcome, Stored) else {}
    return live({"member": _member(principal, room, account_id), **told})


@blueprint.delete("/rooms/<room>/members/<account_id>")
@described(
    answers={204: None}, problems=("invalid", *_CHANGES), writes=True, limit="message", identity="needed"
)
def remove(room: str, account_id: str) -> Response:
    """Remove a member. For managers."""
    authentication.need_account()
    submit("remove-member", room, {}, member={"id": account_id})
    return Response(status=204)


@blueprint.post("/directs")
@described(
    answers={200: room_types.RoomInfo, 201: room_types.RoomInfo},
    body=room_types.DirectBody,
    optional_body=True,
    problems=("account-unknown", "forbidden", "conflict", "rate-limited"),
    writes=True,
    limit="direct",
    identity="needed",
)
def begin() -> Response:
    """The direct room of the caller and 0 to 9 others: {`members`}; 201 and the room, 200 if it is there already."""
    principal, fields = authentication.need_account(), parameters.fields(needed=False)
    command = BeginDirect(ids(fields, _MOST_OTHERS))
    created = _chat().begin_direct(command, principal.identity or "", access.first_byte_at(), authentication.proof())
    answer = live(created.room, 200 if created.duplicate else 201)
    answer.headers["Location"] = url_for("rooms.snapshot", room=created.room["name"])
    return answer


def ids(fields: dict[str, Any], most: int) -> tuple[str, ...]:
    """Return the ids in the field `members`. Raises Invalid."""
    found = fields.get("members", [])
    if not isinstance(found, list) or len(found) > most or not all(isinstance(each, str) for each in found):
        raise Invalid("members", f"members is a list of at most {most} ids of accounts.")
    return tuple(found)


def _check_mute(principal: Principal, room: str, until: object) -> None:
    """Raise Invalid if `until` is no end of a mute; a caller without the right to mute is refused by the command."""
    found = _chat().read_with(lambda sql: rows.membership(sql, room, principal.account))
    if until is None or found is None or not allows(principal, MANAGE, found.kind, found.role):
        return
    if not isinstance(until, str):
        raise Invalid("muted_until", "muted_until is no text.")
    moments.due(until, _chat().now(), MOST_MUTED_DAYS, "muted_until")


def _member(principal: Principal, room: str, account_id: str) -> dict[str, Any]:
    """Return a member as it is now. Raises RoomUnknown, AccountUnknown if it has left meanwhile."""

    def work(sql: Sql) -> dict[str, Any]:
        return rows.needed(sql, room, principal.account, account_id).shown()

    return _chat().read_with(work)


def _chat() -> Chat:
    return services().chat
