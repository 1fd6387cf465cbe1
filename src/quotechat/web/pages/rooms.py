"""The pages about rooms: all of them, a new one, a direct message. Forms, without JavaScript too."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, request

from ...hub.chat import Chat
from ...protocol.errors import AccountUnknown, Conflict, Invalid, Refused, Unauthenticated
from ...protocol.rights.permissions import BEGIN_DIRECT, CREATE_CLOSED, CREATE_ROOM
from ...protocol.rights.principal import Principal
from ...store import listing
from ...store.accounts.accounts import Account
from ...store.base import BeginDirect
from ..http import access, authentication, reads, security, site
from ..http.services import services
from .parts import answers
from .parts.answers import to, to_sign_in

blueprint = Blueprint("room_pages", __name__)

_SHOWN = 100
_MOST_OTHERS = 9
_MOMENT_MS = 10_000
"""Milliseconds after which a form for a room is not the same one again."""


blueprint.register_error_handler(Unauthenticated, to_sign_in)

# --- All rooms --------------------------------------------------------------------------------------


@blueprint.get("/rooms")
def all_rooms() -> Response:
    """Show all rooms that the caller may read, with their titles and topics."""
    principal = security.principal()
    found = chat().rooms(principal)
    reads.count(len(found))
    words = request.args.get("q", "")[:100]
    shown = [each for each in found if each.get("kind") != "direct" and _has(each, words)]
    return page("rooms.html", heading="All rooms", search=words, rooms=shown, can_create=_can_create(principal))


def _has(room: Mapping[str, Any], words: str) -> bool:
    text = " ".join((room["name"], room.get("title", ""), room.get("topic", ""))).casefold()
    return all(word in text for word in words.casefold().split())


# --- A new room -------------------------------------------------------------------------------------


@blueprint.get("/new-room")
def new() -> Response:
    """Show the form for a new room."""
    return _new()


@blueprint.post("/rooms")
def create() -> Response:
    """Create the form's room and go there."""
    form = request.form
    kind, principal = form.get("kind", "open"), security.principal()
    try:
        if kind not in ("open", "closed"):
            raise Invalid("kind", "A room is open or closed.")
        authentication.need_right(principal, CREATE_CLOSED if kind == "closed" else CREATE_ROOM)
        room = chat().create_room(
            form.get("name", ""), form.get("title", ""), security.identity(), security.address(),
            access.first_byte_at(),
            kind=kind, proof=authentication.proof(), form=form.get("client_id", ""),
        )  # fmt: skip
    except Refused as refused:
        if isinstance(refused, Conflict) and kind == "open" and _has_just_made(principal):
            return to(site.url_for("pages.room", name=form["name"]))
        return _new(refused)
    return to(site.url_for("pages.room", name=room["name"]))


def _has_just_made(principal: Principal) -> bool:
    """Return True if the caller has made the form's open room this moment, as by a double click.

    Who made a room is known of accounts; a visitor is led to one that has that title, and in which nothing was said.
    """
    name, title = request.form.get("name", ""), request.form.get("title", "")
    try:
        chat().open(principal, name)
        room = chat().read_with(lambda sql: listing.one(sql, name, principal.account))
    except Refused:
        return False
    manages = room.get("you", {}).get("role") == "manager"
    is_own = manages if principal.has_account else room["cursor"].startswith("0.")
    age = chat().now() - datetime.fromisoformat(room["at"]).timestamp() * 1000
    return is_own and room.get("title", "") == title and abs(age) < _MOMENT_MS


def _new(refused: Refused | None = None) -> Response:
    principal = security.principal()
    return page(
        "new_room.html", refused, heading="New room", can_create=_can_create(principal),
        can_close=authentication.may(principal, CREATE_CLOSED), client_id=answers.form_id(refused),
    )  # fmt: skip


def _can_create(principal: Principal) -> bool:
    return authentication.may(principal, CREATE_ROOM)


# --- A direct message -------------------------------------------------------------------------------


@blueprint.get("/directs")
def direct() -> Response:
    """Show the people to whom one may write."""
    return _direct()


@blueprint.post("/directs")
def begin() -> Response:
    """Begin the direct room with the form's people, or find it, and go there."""
    principal = authentication.need_account()
    try:
        chosen = tuple(dict.fromkeys(request.form.getlist("member")))
        if len(chosen) > _MOST_OTHERS:
            raise Invalid("members", f"At most {_MOST_OTHERS} others are in a direct room.")
        created = chat().begin_direct(
            BeginDirect(chosen), principal.identity or "", access.first_byte_at(), authentication.proof()
        )
    except Refused as refused:
        return _direct(refused)
    return to(site.url_for("pages.room", name=created.room["name"]))


def _direct(refused: Refused | None = None) -> Response:
    principal = authentication.need_account()
    search = request.values.get("q", "")[:100]
    found = authentication.services().people.listed(search, _SHOWN, None, principal)
    now = services().chat.now()
    chosen = {each.key: each for each in _chosen(principal)}
    others = chosen | {each.key: each for each in found[:_SHOWN]}
    people = [each for each in others.values() if each.key != principal.id and each.is_active(now)]
    return page(
        "direct.html", refused, heading="Message somebody", search=search, people=people, has_more=len(found) > _SHOWN,
        chosen=chosen, can_write_to=authentication.may(principal, BEGIN_DIRECT),
    )  # fmt: skip


def _chosen(principal: Principal) -> Iterator[Account]:
    """Yield those who are chosen already: a search for others keeps them."""
    for key in dict.fromkeys(request.values.getlist("member")[: 2 * _MOST_OTHERS]):
        with contextlib.suppress(AccountUnknown):
            yield authentication.services().people.one(key, principal)


# --- Inside -----------------------------------------------------------------------------------------


def page(template: str, refused: Refused | None = None, **about: Any) -> Response:
    """Render a page, with the refusal if there is one; a visitor gets a cookie with an identity."""
    answer = answers.page(template, refused, **about)
    security.give_cookie(answer)
    return answer


def chat() -> Chat:
    """Return the chat of this application."""
    return services().chat
