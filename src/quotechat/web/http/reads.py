"""The cost of reading: a token bucket of rows per reader, so that nobody reads at the cost of the others.

A request is checked before it is answered, and pays afterwards for the rows it has read: it may go into debt once, and
then waits. People do not come near it (docs/reference/settings.md).
"""

from __future__ import annotations

from flask import Response, g, request
from flask.sansio.scaffold import Scaffold

from ...hub.budgets.limits import Limits
from . import security
from .services import services

REQUEST = 4
"""Rows that a read costs before it finds any."""
SEARCH = 20
"""Rows that a search costs besides."""
LOOKED_THROUGH = 5
"""Rows of a search that are not in its answer, at the cost of one that is."""
REFERENCE = 2000
"""Rows at whose cost the page of the reference is made."""
MOST_BEGUN = 500
"""Rows for which a stream or a subscription pays at most, when it begins."""
_READING = {
    *("rooms", "messages", "quotes", "polling", "pages", "cursors", "presence", "mentions"),
    *("room_pages", "reference"),
}
"""Blueprints whose GETs read the log, or make long pages."""


def install(scope: Scaffold) -> None:
    """Refuse reads of clients that have read too much, and let the others pay."""
    scope.before_request(_look)
    scope.after_request(_pay)


def count(rows: int) -> None:
    """Charge this request for so many rows."""
    g.quotechat_rows = g.get("quotechat_rows", 0) + rows


def charge_request() -> None:
    """Charge this request as one that reads. Raises RateLimited if its client has read too much."""
    _limits().afford("read", *security.client())
    count(REQUEST)


def count_search(looked: int) -> None:
    """Charge this request for a search that has looked through so many quotes."""
    count(SEARCH + looked // LOOKED_THROUGH)


def begun(limits: Limits, key: str, address: str, rows: int) -> None:
    """Charge client `key` for a subscription that begins with so many rows before it."""
    limits.spend("read", key, address, REQUEST + min(rows, MOST_BEGUN))


def _limits() -> Limits:
    chat = services().chat
    return chat.limits


def _look() -> None:
    if request.method in ("GET", "HEAD") and (request.blueprint or "").rpartition(".")[2] in _READING:
        charge_request()


def _pay(answer: Response) -> Response:
    rows = g.pop("quotechat_rows", 0)
    if rows:
        _limits().spend("read", *security.client(), rows)
    return answer
