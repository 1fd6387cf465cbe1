"""The page /inbox: the rooms of an account, with the news in each. A list and forms, without JavaScript too."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from ...hub.chat import Chat
from ...protocol import commands
from ...protocol.errors import Refused, Unauthenticated
from ...store.following.inbox import Entry
from ..http import access, authentication, security, site
from ..http.services import services
from ..transports import inbox_polls
from . import own
from .parts.answers import to, to_sign_in

blueprint = Blueprint("inbox_page", __name__)


blueprint.register_error_handler(Unauthenticated, to_sign_in)

@blueprint.get("/inbox")
def page() -> Response:
    """Show the rooms, those with mentions first, then those with unread messages."""
    return _page()


@blueprint.post("/inbox/read")
def read() -> Response:
    """Mark the form's room read."""
    form = request.form
    return _did("mark-read", form.get("room", ""), read={"id": _number(form.get("id", ""))})


@blueprint.post("/inbox/level")
def level() -> Response:
    """Set the notification level of the form's room."""
    return _did("set-level", request.form.get("room", ""), level=request.form.get("level"))


def _did(command: str, room: str, **inner: Any) -> Response:
    principal, _ = authentication.need_session()
    try:
        _chat().submit(
            commands.decode({"command": command, "room": room, **inner}), identity=principal.identity,
            address=security.address(), first_byte_at=access.first_byte_at(), proof=principal.proof,
        )  # fmt: skip
    except Refused as refused:
        return _page(refused)
    return to(site.url_for("inbox_page.page"))


def _page(refused: Refused | None = None) -> Response:
    principal, _ = authentication.need_session()
    state = inbox_polls.read(_chat(), principal)
    shown = [{"name": entry.name, **entry.shown()} for entry in sorted(state.entries, key=_importance)]
    return own.page(
        "inbox.html", principal, refused, heading="Inbox", here="inbox", rooms=shown, notices=state.notices
    )


def _importance(entry: Entry) -> tuple[bool, bool, str]:
    return not entry.mentions, not entry.unread, entry.name


def _number(digits: str) -> int:
    return int(digits) if digits.isdecimal() and len(digits) <= 15 else -1


def _chat() -> Chat:
    return services().chat
