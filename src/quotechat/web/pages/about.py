"""The page about a room: its topic, its members, its settings. Forms, without JavaScript too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, request

from ...hub.chat import Chat
from ...protocol import commands, inbox
from ...protocol.errors import Invalid, Refused, Unauthenticated
from ...protocol.rights.permissions import LIST_MEMBERS, MANAGE, allows
from ...protocol.rights.principal import Principal
from ...store import listing, members
from ...store.following import inbox as stored
from ...store.shapes import Sql
from ..api import hooks
from ..http import access, authentication, security, site
from .parts import faces, forms
from .parts.answers import to, to_sign_in
from .rooms import chat, page

blueprint = Blueprint("about_page", __name__)
blueprint.register_error_handler(Unauthenticated, to_sign_in)

LEVELS = {
    "everything": "every message",
    "mentions": "mentions of me",
    "nothing": "nothing",
    "hidden": "nothing, and keep it out of the column",
}
_CHECKED = ("archived", "default")
_MUTED = {"mute": "+1h", "unmute": None}


@blueprint.get("/rooms/<name>/about")
def about(name: str) -> Response:
    """Show a room from outside."""
    return _about(name)


@blueprint.post("/rooms/<name>/about")
def change(name: str) -> Response:
    """Change the settings of a room that were changed in the form."""

    def act(room: dict[str, Any]) -> None:
        if changes := _changes(room):
            _submit("set-room", name, about=changes)

    return _do(name, "settings", act)


@blueprint.post("/rooms/<name>/join")
def join(name: str) -> Response:
    """Join an open room."""
    return _do(name, "joining", lambda _: _submit("join", name))


@blueprint.post("/rooms/<name>/leave")
def leave(name: str) -> Response:
    """Leave a room; a closed room is unknown to the caller afterwards."""
    principal = authentication.need_account()
    try:
        _submit("remove-member", name, member={"id": principal.id})
    except Refused as refused:
        return _about(name, "joining", refused)
    return to(site.url_for("room_pages.all_rooms"))


@blueprint.post("/rooms/<name>/level")
def level(name: str) -> Response:
    """Set the caller's notification level for a room."""
    return _do(name, "level", lambda _: _submit("set-level", name, level=request.form.get("level")))


@blueprint.post("/rooms/<name>/members")
def add(name: str) -> Response:
    """Add the person that the form names."""
    who = request.form.get("member", "").strip().removeprefix("@")
    return _do(name, "members", lambda _: _submit("add-member", name, member={"name": who}))


@blueprint.post("/rooms/<name>/members/<account_id>")
def change_member(name: str, account_id: str) -> Response:
    """Change a member; `do` names the action."""

    def act(_: Mapping[str, Any]) -> None:
        what = request.form.get("do", "")
        if what in ("manager", "member"):
            _submit("set-member", name, member={"id": account_id, "role": what})
        elif what in _MUTED:
            _submit("set-member", name, member={"id": account_id, "muted_until": _MUTED[what]})
        elif what == "remove":
            _submit("remove-member", name, member={"id": account_id})
        else:
            raise Invalid("do", "Nothing is known under this word.")

    return _do(name, "members", act)


@blueprint.post("/rooms/<name>/hooks")
def new_hook(name: str) -> Response:
    """Make a hook, and show its address once."""
    principal = authentication.need_account()
    try:
        hook, secret = authentication.services().hooks.make(
            principal, name, request.form.get("hook", ""), address=security.address(), proof=authentication.proof()
        )
    except Refused as refused:
        return _about(name, "hooks", refused)
    return _about(name, hook_url=hooks.address_of(hook, secret))


@blueprint.post("/rooms/<name>/hooks/<token_id>")
def end_hook(name: str, token_id: str) -> Response:
    """Revoke a hook; its messages stay."""
    principal = authentication.need_account()
    return _do(name, "hooks", lambda _: authentication.services().hooks.remove(principal, name, token_id))


def _do(name: str, part: str, act: Any) -> Response:
    """Run the action and return to the page, or show the refusal beside its form."""
    principal = authentication.need_account()
    try:
        chat().open(principal, name)
        act(_read(chat(), principal, name)[0])
    except Refused as refused:
        return _about(name, part, refused)
    return to(site.url_for("about_page.about", name=name))


def _submit(command: str, room: str, **inner: Any) -> None:
    chat().submit(
        commands.decode({"command": command, "room": room, **inner}), identity=security.identity(),
        address=security.address(), first_byte_at=access.first_byte_at(), proof=authentication.proof(),
    )  # fmt: skip


def _changes(room: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that were changed in the form, as the command takes them. Raises Invalid."""
    found: dict[str, Any] = {**forms.changed(_shown(room)), **forms.ticked(_CHECKED)}
    for field in ("title", "topic"):
        if field in found:
            found[field] = found[field].strip() or None
    if "slow" in found:
        slow = found["slow"].strip() or "0"
        if not (slow.isascii() and slow.isdigit() and len(slow) < 6):
            raise Invalid("slow", "The pause is a whole number of seconds.")
        found["slow"] = int(slow)
    if "everything" in request.form:
        found["everything"] = True
    return found


def _shown(room: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings of a room, as its form shows them."""
    usual = {"title": "", "topic": "", "posting": "all", "kind": "open", "slow": 0}
    return {field: str(room.get(field, value)) for field, value in usual.items()}


@site.template_filter("seen")
def seen_words(present: str | int) -> str:
    """Return the presence of a member in words."""
    if present == "here":
        return "here now"
    minutes = int(present)
    count, unit = (minutes // 60, "hour") if minutes >= 60 else (minutes, "minute")
    return f"here {count} {unit}{'' if count == 1 else 's'} ago"


def _about(name: str, part: str = "", refused: Refused | None = None, *, hook_url: str = "") -> Response:
    principal = security.principal()
    chat().open(principal, name)  # one that is not theirs is not there
    room, people = _read(chat(), principal, name)
    place = room.get("you", {})
    kind = room.get("kind", "open")
    seen = people is not None and principal.has_account
    present = chat().presence.of_room(principal, name) if seen else {}
    can_manage = kind != "direct" and allows(principal, MANAGE, kind, place.get("role"))
    found = authentication.services().hooks.listed(principal, name) if can_manage else []
    return page(
        "about.html", refused, heading=faces.called(room, name), room=name,
        current=name, about=room, asked=_asked(room) if part == "settings" else room, kind=kind, part=part,
        people=people, place=place, present=present, levels=LEVELS,
        level=place.get("level") or _usual_level(principal, kind), has_account=principal.has_account, me=principal.id,
        is_admin=principal.is_admin, can_manage=can_manage,
        hooks=[hooks.shown(each) for each in found], hook_url=hook_url,
    )  # fmt: skip


def _usual_level(principal: Principal, kind: str) -> str:
    """Return the level of a room for which the caller has set none."""
    wanted = chat().read_with(lambda sql: stored.wanted_level(sql, principal.account or 0))
    return inbox.default_level(kind, wanted)


def _asked(room: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings as they are, but for those that were changed in a form that was refused."""
    found = {**room, **forms.changed(_shown(room)), **forms.ticked(_CHECKED)}
    return found | {"everything": "everything" in request.form}


def _read(chat: Chat, principal: Principal, name: str) -> tuple[dict[str, Any], list[dict[str, Any]] | None]:
    """Return the room, and its members if `principal` may see them."""

    def work(sql: Sql) -> tuple[dict[str, Any], list[dict[str, Any]] | None]:
        room = listing.one(sql, name, principal.account)
        found = members.membership(sql, name, principal.account)
        if found is None or not allows(principal, LIST_MEMBERS, found.kind, found.role):
            return room, None
        return room, [each.shown() for each in members.listed(sql, found.room_id)]

    return chat.read_with(work)
