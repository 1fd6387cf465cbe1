"""Accounts, sessions, tokens and links as the API shows them; and links, made of codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import request

from ....hub.accounts.clients import SignedIn
from ....protocol import moments
from ....protocol.errors import Invalid
from ....protocol.events import rfc3339
from ....store.accounts.accounts import Account
from ....store.accounts.bars import Bar
from ....store.accounts.sessions import Session, Token
from ....store.accounts.tickets import Ticket
from ...http import authentication, site
from ...http.services import services


def account(found: Account, *, whole: bool = False, ids: Mapping[int, str] = {}) -> dict[str, Any]:
    """Return an account; `whole` for itself and for administrators. `ids` are public ids by store key."""
    shown: dict[str, Any] = {"id": found.key, "name": found.name, "role": found.role, "at": rfc3339(found.made_at)}
    if found.role == "bot":
        shown["bot"] = True
    if found.keeper is not None and found.keeper in ids:
        shown["keeper"] = ids[found.keeper]
    state = found.state_at(services().chat.now())
    if state != "active":
        shown["state"] = state
    if whole:
        shown["password"] = found.password is not None
        if found.made_by is not None and found.made_by in ids:
            shown["made_by"] = ids[found.made_by]
        if found.seen_at is not None:
            shown["seen_at"] = rfc3339(found.seen_at)
        if state == "banned" and found.until is not None:
            shown["until"] = rfc3339(found.until)
    return shown


def own(found: Account) -> dict[str, Any]:
    """Return an account as it is shown to itself, with who made it and who keeps it."""
    return account(found, whole=True, ids=makers_of([found]))


def makers_of(found: Iterable[Account]) -> Mapping[int, str]:
    """Return the public ids of the keepers and makers of accounts, by store key."""
    keys = {key for each in found for key in (each.keeper, each.made_by) if key is not None}
    return authentication.services().people.ids(keys) if keys else {}


def session(found: Session, this: bytes | None = None) -> dict[str, Any]:
    """Return a session; `this` is the hash of the one that asks."""
    shown: dict[str, Any] = {
        "id": found.id, "label": found.label, "at": rfc3339(found.at), "used_at": rfc3339(found.used_at),
        "expires_at": rfc3339(found.ends_at),
    }  # fmt: skip
    for name in ("agent", "address"):
        if getattr(found, name) is not None:
            shown[name] = getattr(found, name)
    return shown | ({"this": True} if found.hash == this else {})


def signed_in(found: SignedIn) -> dict[str, Any]:
    """Return the answer with which a session begins."""
    return {"account": own(found.account), "session": session(found.session, found.session.hash)}


def token(found: Token) -> dict[str, Any]:
    """Return a token, without its secret."""
    shown: dict[str, Any] = {
        "id": found.id, "name": found.name, "scopes": found.scopes.split(), "at": rfc3339(found.at),
    }  # fmt: skip
    if found.rooms is not None:
        shown["rooms"] = found.rooms.split()
    if found.used_at is not None:
        shown["used_at"] = rfc3339(found.used_at)
    if found.ends_at is not None:
        shown["expires_at"] = rfc3339(found.ends_at)
    return shown


def ticket(found: Ticket, makers: dict[int, str]) -> dict[str, Any]:
    """Return an invitation; `makers` are public ids by store key."""
    shown: dict[str, Any] = {
        "id": found.id, "kind": found.kind, "uses": found.uses, "used": found.used,
        "expires_at": rfc3339(found.ends_at),
    }  # fmt: skip
    if found.role is not None:
        shown["role"] = found.role
    if found.rooms is not None:
        shown["rooms"] = found.rooms.split()
    if found.made_by in makers:
        shown["by"] = makers[found.made_by]
    if found.note is not None:
        shown["note"] = found.note
    return shown


def bar(found: Bar) -> dict[str, Any]:
    """Return an address from which visitors may not write, or a visitor who may not."""
    shown = {"address": found.key, "until": rfc3339(found.until)}
    return shown if found.reason is None else shown | {"reason": found.reason}


def link(kind: str, code: str) -> str:
    """Return the address of a link; the code stands behind the #, which no log and no proxy sees."""
    public: str = services().settings.public_url
    return f"{public or request.host_url.rstrip('/') + site.base()}/{kind}#{code}"


def span(value: object, field: str, now: int) -> int:
    """Milliseconds from `now` on to a time such as ``+7d``, or an RFC 3339 time. Raises Invalid."""
    if not isinstance(value, str):
        raise Invalid(field, f"{field} is no text.")
    try:
        return moments.due(value, now, 3650) - now
    except Invalid as fault:
        raise Invalid(field, fault.detail.replace("send_at", field)) from None


def until(value: object, field: str, now: int) -> int:
    """Return the time that `span` gives, in milliseconds since 1970."""
    return now + span(value, field, now)


def day(ms: int) -> str:
    """Format a day, for a page."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).strftime("%Y-%m-%d %H:%M UTC")
