"""The API of reports, for managers of rooms and administrators."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from ...hub.chat import Chat
from ...protocol import json
from ...protocol.errors import Invalid, ParameterInvalid
from ...protocol.events import rfc3339
from ...protocol.markup import text
from ...protocol.rights.principal import Principal
from ...protocol.types import account_types as types
from ...store.accounts import callers
from ...store.administration import audit
from ...store.administration import reports as rows
from ...store.administration.reports import Report
from ...store.shapes import Sql
from ..http import authentication, parameters
from ..http.services import services
from ..spec.described import described
from .messages import live

blueprint = Blueprint("moderation", __name__, url_prefix="/api/v1")

_DEFAULT, _MOST = 50, 200
_BEGINNING = 200
"""Characters of a message that a page of reports shows."""
STATES = ("open", "done", "dismissed")


@blueprint.get("/reports")
@described(
    answers={200: types.Reports}, query=("state", "before", "limit"), problems=("scope-missing",), identity="needed"
)
def reports() -> Response:
    """{`reports`, `has_more`}, the newest first: of rooms that one manages; for administrators, of open rooms too.

    They see those of direct rooms as well, but not what was said there.
    """
    principal, state = authentication.need_account(), parameters.one("state") or "open"
    if state not in STATES:
        raise ParameterInvalid(f"A state is one of: {', '.join(STATES)}.", "state")
    limit, before = parameters.limit(_DEFAULT, _MOST), parameters.before()
    found, more = _chat().read_with(lambda sql: rows.listed(sql, principal, state, before, limit))
    return live({"reports": [shown(each) for each in found], "has_more": more})


@blueprint.patch("/reports/<int:report_id>")
@described(
    answers={200: types.Report},
    body=types.ReportBody,
    problems=("not-found", "forbidden", "scope-missing"),
    writes=True,
    identity="needed",
)
def close(report_id: int) -> Response:
    """Say what came of a report: {`state`: `done` or `dismissed`} → the report."""
    return live(shown(closed(authentication.need_account(), report_id, parameters.json_object().get("state"))))


def closed(principal: Principal, report_id: int, state: object) -> Report:
    """Close a report, and tell the log. Raises Invalid, NotFound, Forbidden."""
    if not isinstance(state, str) or state not in STATES[1:]:
        raise Invalid("state", "A report is done or dismissed.")
    chat = _chat()

    def work(sql: Sql) -> Report:
        present = callers.present(sql, principal, chat.now())
        assert present is not None
        found = rows.close(sql, present, report_id, state)
        audit.tell(sql, chat.now(), "report-closed", by=principal, room=found.room, message=found.message_id,
                   detail=state)  # fmt: skip
        return found

    return chat.write_with(work)


def listed(principal: Principal) -> list[dict[str, Any]]:
    """Return the open reports that `principal` may see, for a page; each has the `beginning` of the message."""
    found, _ = _chat().read_with(lambda sql: rows.listed(sql, principal, "open", None, _DEFAULT))
    return [shown(each) | {"beginning": _beginning(each)} for each in found]


def _beginning(found: Report) -> str:
    """Return how the message begins, without the marks of its formatting; of one without a text, its file's name."""
    message = {} if found.body is None else json.own(found.body)
    return "" if "message" not in message else text.excerpt_of(message, _BEGINNING)


def shown(found: Report) -> dict[str, Any]:
    """Return a report as the API has it."""
    message: dict[str, Any] = {"id": found.message_id}
    if found.body is not None:
        body = json.own(found.body)
        message |= {name: body[name] for name in ("user", "by", "message", "deleted") if name in body}
    report: dict[str, Any] = {
        "id": found.id, "room": found.room, "message": message, "reason": found.reason, "at": rfc3339(found.at),
        "state": found.state,
    }  # fmt: skip
    if found.by is not None:
        report["by"] = {"id": found.by, "name": found.by_name}
    return report if found.closed_by is None else report | {"closed_by": found.closed_by}


def _chat() -> Chat:
    return services().chat
