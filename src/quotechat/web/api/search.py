"""The search for messages."""

from __future__ import annotations

from typing import Any, cast

from flask import Blueprint, Response

from ...hub.chat import Chat
from ...hub.search import Order
from ...protocol.errors import ParameterInvalid
from ...protocol.types import search_types
from ..http import conditional, parameters, security
from ..http.services import services
from ..spec.described import Example, described
from .messages import live

blueprint = Blueprint("search", __name__, url_prefix="/api/v1")

DEFAULT, _MOST = 20, 50


@blueprint.get("/search")
@described(
    answers={200: search_types.Found},
    query=("asked", "limit", "before_hit", "order"),
    problems=("invalid", "not-found", "rate-limited"),
    limit="search",
    identity="optional",
    examples=(Example("/api/v1/search?q=hello"), Example("/api/v1/search?q=from:Azin%20in:lobby&order=best&limit=5")),
)
def search() -> Response:
    """{`hits`, `has_more`, `before`?, `searched`?}: messages that have the words of `?q=`, the newest first.

    Only what the caller may read now, as it is now. 422 for a question that asks for nothing; 404 if search is off.
    """
    limit = parameters.limit(DEFAULT, _MOST)
    found = find(parameters.one("q") or "", limit, parameters.one("before"), parameters.one("order"))
    answer = live(found)
    if found["has_more"]:
        conditional.next_page(answer, before=found["before"], limit=limit)
    return answer


def is_on() -> bool:
    """Return True if messages can be searched."""
    return _chat().search.is_on


def find(asked: str, limit: int, before: str | None, order: str | None) -> dict[str, Any]:
    """Return the answer. Raises Invalid, ParameterInvalid, NotFound, RateLimited."""
    if order not in (None, "newest", "best"):
        raise ParameterInvalid("order is newest or best.", "order")
    principal = security.principal()
    chat = _chat()
    if chat.search.is_on:
        chat.limits.allow("search", *security.client())
    return chat.search.messages(
        principal, asked, before=before, limit=limit, order=cast(Order, order or "newest")
    )


def _chat() -> Chat:
    return services().chat
