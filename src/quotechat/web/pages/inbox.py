"""The page /inbox: the rooms of an account, with the news in each. A list and forms, without JavaScript too."""

from __future__ import annotations

import contextlib
from typing import Any

from flask import Blueprint, Response, request

from ...hub.chat import Chat
from ...protocol.errors import NotFound, Refused, Unauthenticated
from ...store.accounts import personal
from ...store.following.inbox import Entry, State
from ..http import authentication, quota, site
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


@blueprint.post("/inbox/notices/<int:notice_id>")
def dismiss(notice_id: int) -> Response:
    """Remove a notice; another page may have done so."""
    number = authentication.need_session()[1].account_id
    with contextlib.suppress(NotFound):
        quota.take_change()
        _chat().write_with(lambda sql: personal.dismiss(sql, number, notice_id))
    return to(site.url_for("inbox_page.page"))


@blueprint.post("/inbox/all")
def read_all() -> Response:
    """Mark every room read that has news; of very many, those for which the limit of marks is enough."""
    principal, _ = authentication.need_session()
    try:
        for entry in filter(_has_news, _shown(inbox_polls.read(_chat(), principal))):
            own.submit(principal, "mark-read", entry.name, read={"id": entry.last})
    except Refused as refused:
        return _page(refused)
    return to(site.url_for("inbox_page.page"))


def _did(command: str, room: str, **inner: Any) -> Response:
    principal, _ = authentication.need_session()
    try:
        own.submit(principal, command, room, **inner)
    except Refused as refused:
        return _page(refused)
    return to(site.url_for("inbox_page.page"))


def _page(refused: Refused | None = None) -> Response:
    principal, _ = authentication.need_session()
    state = inbox_polls.read(_chat(), principal)
    entries = _shown(state)
    return own.page(
        "inbox.html", principal, refused, heading="Inbox", here="inbox", notices=state.notices,
        rooms=[{"name": entry.name, **entry.shown()} for entry in entries], has_news=any(map(_has_news, entries)),
    )  # fmt: skip


def _shown(state: State) -> list[Entry]:
    """Return the rooms to show, the most important first."""
    return sorted((entry for entry in state.entries if entry.is_shown), key=_importance)


def _has_news(entry: Entry) -> bool:
    return bool(entry.unread or entry.mentions)


def _importance(entry: Entry) -> tuple[bool, bool, str]:
    return not entry.mentions, not entry.unread, entry.name


def _number(digits: str) -> int:
    return int(digits) if digits.isdecimal() and len(digits) <= 15 else -1


def _chat() -> Chat:
    return services().chat
