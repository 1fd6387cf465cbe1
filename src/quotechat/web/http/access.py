"""Log requests: an id for each, and, if the operator wants it, a line for each.

The id goes into the header `X-Request-Id` and into problems. A line names the route, not the address, and nothing of
the caller or of message texts. A live socket or stream gets one line at its end.
"""

from __future__ import annotations

import logging
import os
import re
import time
from typing import Any, NamedTuple

from flask import Response, request
from flask.sansio.scaffold import Scaffold

from ...config import Settings
from ...live import handoff
from ...logs import about

log = logging.getLogger("quotechat.web.access")  # operators filter by this name (docs/how-to/monitor.md)

HEADER = "X-Request-Id"
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class LogFields(NamedTuple):
    """The fields with which the log lines of one connection begin."""

    method: str
    route: str


def install(scope: Scaffold, settings: Settings) -> None:
    """Give every request of `scope` an id; with `log_requests`, and for our own faults, a line."""

    # Before anything is done, also by an application around us, whose guards may refuse.
    @scope.url_value_preprocessor
    def begin(endpoint: str | None, values: dict[str, Any] | None) -> None:
        given = request.headers.get(HEADER, "") if settings.trusted_proxies else ""
        request.environ["quotechat.request_id"] = given_id(given) or new_id()
        request.environ["quotechat.began"] = time.perf_counter()
        if settings.log_requests:
            request.environ["quotechat.log_fields"] = LogFields(request.method, _route())

    @scope.after_request
    def end(answer: Response) -> Response:
        fields, request_id = LogFields(request.method, _route()), request.environ["quotechat.request_id"]
        answer.headers[HEADER] = request_id
        # The new owner of the socket logs it.
        taken = getattr(answer, "taken", False) or "quotechat.detached" in request.environ
        fault = answer.status_code >= 500
        if (settings.log_requests or fault) and not taken:
            line = _line(fields, request_id, answer.status_code, _length(answer), request.environ["quotechat.began"])
            log.log(logging.WARNING if fault else logging.INFO, "request", **line)
        return answer


def first_byte_at() -> float | None:
    """Return the time at which the first byte of this request came (time.monotonic), if its server tells."""
    given = handoff.of(request.environ)
    return None if given is None else given.first_byte_at


def given_id(text: str | None) -> str | None:
    """Return `text`, from a proxy, if it can be the id of a request."""
    return text if text is not None and _ID.fullmatch(text) else None


def new_id() -> str:
    """Make an id that no other request has."""
    return os.urandom(8).hex()


def of(environ: dict[str, Any]) -> LogFields | None:
    """Return the fields with which log lines of this request begin; None if there are none."""
    found: LogFields | None = environ.get("quotechat.log_fields")
    return found


def answered(fields: LogFields, request_id: str, status: int | None, size: int, began: float, transport: str) -> None:
    """Log a request that was answered without the server that accepted it; `status` is None if the client had gone."""
    log.info("request", **_line(fields, request_id, status, size, began, transport))


def ended(fields: LogFields, request_id: str, **what: Any) -> None:
    """Log the end of a live socket or stream."""
    log.info("connection", **about(request_id=request_id, method=fields.method, route=fields.route, **what))


def _line(
    fields: LogFields, request_id: str, status: int | None, size: int, began: float, transport: str = "http"
) -> dict[str, Any]:
    took = round((time.perf_counter() - began) * 1000, 2)
    return about(
        request_id=request_id, method=fields.method, route=fields.route, status=status, ms=took, bytes=size,
        transport=transport,
    )  # fmt: skip


def _route() -> str:
    return request.url_rule.rule if request.url_rule is not None else "(none)"


def _length(answer: Response) -> int:
    return 0 if answer.is_streamed else len(answer.get_data())
