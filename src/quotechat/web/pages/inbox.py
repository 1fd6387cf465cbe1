"""The page /inbox: the rooms of an account, with what is new in each. A list and forms, without JavaScript too."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, make_response, redirect, request

from ...hub.chat import Chat
from ...protocol import commands
from ...protocol.errors import Refused, Unauthenticated
from ...store.following.inbox import Entry
from ..http import access, authentication, problems, security, site
from ..http.services import services
from ..transports import inbox_polls

blueprint = Blueprint("inbox_page", __name__)


@blueprint.errorhandler(Unauthenticated)
def _to_sign_in(_: Unauthenticated) -> Response:
    return _to(site.url_for("account_pages.sign_in", next=site.path()))


@blueprint.get("/inbox")
def page() -> Response:
    """Show the rooms, those with mentions first, then those with unread messages."""
    return _page()


@blueprint.post("/inbox/read")
def read() -> Response:
    """Marks the form's room read."""
    form = request.form
    return _did("mark-read", form.get("room", ""), read={"id": _number(form.get("id", ""))})


@blueprint.post("/inbox/level")
def level() -> Response:
    """Sets the level of the form's room."""
    return _did("set-level", request.form.get("room", ""), level=request.form.get("level"))


def _did(command: str, room: str, **inner: Any) -> Response:
    principal, _ = authentication.need_session()
    try:
        _chat().submit(
            commands.decode({"command": command, "room": room, **inner}), identity=principal.identity,
            address=security.address(), begun=access.begun(), proof=principal.proof,
        )  # fmt: skip
    except Refused as refused:
        return _page(refused)
    return _to(site.url_for("inbox_page.page"))


def _page(refused: Refused | None = None) -> Response:
    principal, _ = authentication.need_session()
    state = inbox_polls.read(_chat(), principal)
    problem = None if refused is None else problems.body(refused)
    shown = [{"name": entry.name, **entry.shown()} for entry in sorted(state.entries, key=_importance)]
    html = site.render_template(
        "inbox.html", account={"name": principal.name, "role": principal.role}, problem=problem, draft=request.form,
        site_title=authentication.services().people.site()["title"], heading="Inbox", here="inbox", rooms=shown,
        notices=state.notices,
    )  # fmt: skip
    answer = make_response(html, 200 if problem is None else problem["status"])
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _importance(entry: Entry) -> tuple[bool, bool, str]:
    return not entry.mentions, not entry.unread, entry.name


def _number(digits: str) -> int:
    return int(digits) if digits.isdecimal() and len(digits) <= 15 else -1


def _to(path: str) -> Response:
    answer = make_response(redirect(path, 303))
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _chat() -> Chat:
    return services().chat
