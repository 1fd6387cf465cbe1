"""The pages of moderation: reports on /admin, the audit log on /admin/audit, and reporting a message."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from ...protocol import commands, events, json
from ...protocol.errors import MessageUnknown, Refused, Unauthenticated
from ...protocol.rooms import AUDIT
from ...store.accounts import accounts
from ...store.shapes import Sql
from ..api import moderation
from ..http import access, authentication, parameters, security, site
from ..http.services import services
from . import own
from .parts.answers import to, to_sign_in

blueprint = Blueprint("moderation_pages", __name__)
blueprint.register_error_handler(Unauthenticated, to_sign_in)

_SHOWN = 100
_ACTS = (
    "SELECT e.seq, e.at, e.body FROM event e JOIN room r ON r.id = e.room_id WHERE r.name = ? AND e.seq < ?"
    " ORDER BY e.seq DESC LIMIT ?"
)


@blueprint.post("/admin/reports/<int:report_id>")
def close(report_id: int) -> Response:
    """Set the state of a report."""
    try:
        moderation.closed(own.administrator(), report_id, request.form.get("state"))
    except Refused as refused:
        return own.administration("reports", refused)
    return to(site.url_for("own_pages.admin"))


@blueprint.get("/admin/audit")
def audit() -> Response:
    """Show the audit log, the newest acts first."""
    principal, before = own.administrator(), parameters.before()
    chat = services().chat
    found = chat.read_with(lambda sql: _acts(sql, 2**53 if before is None else before))
    return own.page(
        "audit.html", principal, None, here="admin", heading="What was done", acts=found[:_SHOWN],
        has_more=len(found) > _SHOWN,
    )  # fmt: skip


@blueprint.get("/rooms/<name>/messages/<int:message_id>/report")
def report(name: str, message_id: int) -> Response:
    """Show the form that reports a message."""
    if message_id >= 2**53:
        raise MessageUnknown(message_id)
    return _report(name, message_id)


@blueprint.post("/rooms/<name>/messages/<int:message_id>/report")
def reported(name: str, message_id: int) -> Response:
    """Report a message."""
    chat = services().chat
    command = commands.ReportMessage(
        message=commands.MessageId(message_id), reason=request.form.get("reason", ""), room=name
    )
    try:
        chat.submit(
            command, identity=security.identity(), address=security.address(), first_byte_at=access.first_byte_at(),
            proof=authentication.proof(),
        )  # fmt: skip
    except Refused as refused:
        return _report(name, message_id, refused)
    return to(site.url_for("pages.room", name=name))


def _report(name: str, message_id: int, refused: Refused | None = None) -> Response:
    principal, _ = authentication.need_session()
    chat = services().chat
    chat.open(principal, name)  # one that is not theirs is not there
    return own.page(
        "report.html", principal, refused, here="", heading="Report a message", room=name, message_id=message_id,
        most=commands.MOST_REASON,
    )  # fmt: skip


def _acts(sql: Sql, before: int) -> list[dict[str, Any]]:
    rows = list(sql.all(_ACTS, AUDIT, before, _SHOWN + 1))
    found = [{"seq": seq, "at": events.rfc3339(at), **json.own(body)["audit"]} for seq, at, body in rows]
    keys = {each[name] for each in found for name in ("by", "account") if name in each}
    names = accounts.names_by_key(sql, keys)
    for each in found:
        each |= {name: names.get(each[name], each[name]) for name in ("by", "account") if name in each}
    return found
