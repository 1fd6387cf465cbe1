"""The API and the page of the search; the page is a form, and works without JavaScript."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlencode

from flask import Blueprint, Response, current_app, make_response, request

from ..hub.chat import Chat
from ..hub.search import Order
from ..protocol import search_types
from ..protocol.errors import NotFound, ParameterInvalid, Refused
from ..protocol.question import MOST_CHARACTERS
from .http import conditional, parameters, problems, security, site
from .http.site import render_template, url_for
from .messages import live
from .runs import show_marked
from .spec.described import Example, described

blueprint = Blueprint("search", __name__, url_prefix="/api/v1")
pages = Blueprint("search_page", __name__)

_DEFAULT, _MOST = 20, 50
_CONTEXT = 25
"""Messages after a hit that the page of its room shows too."""


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
    limit = parameters.limit(_DEFAULT, _MOST)
    found = _found(parameters.one("q") or "", limit, parameters.one("before"), parameters.one("order"))
    answer = live(found)
    if found["has_more"]:
        conditional.next_page(answer, before=found["before"], limit=limit)
    return answer


@pages.get("/search")
def page() -> Response:
    """Show the form, and what was found."""
    asked, order = request.args.get("q", ""), request.args.get("order", "newest")
    found, refused = None, None
    try:
        if asked.strip():
            found = _found(asked, _DEFAULT, request.args.get("before"), order)
        elif not _chat().search.is_on:
            raise NotFound("Search is off on this server.")
    except Refused as problem:
        refused = problem
    html = render_template(
        "search.html", asked=asked[: 2 * MOST_CHARACTERS], order=order, found=found, address=_address,
        problem=None if refused is None else problems.body(refused), next_page=_next(found),
    )  # fmt: skip
    answer = make_response(html, 200 if refused is None else problems.body(refused)["status"])
    answer.headers["Cache-Control"] = "no-store"
    security.give_cookie(answer)
    if refused and refused.retry_in_ms:
        answer.headers["Retry-After"] = str(-(-refused.retry_in_ms // 1000))
    return answer


site.template_filter("marked")(lambda hit: show_marked(hit["message"], hit["marks"]))


def is_on() -> bool:
    """Return True if messages can be searched: pages show a link then."""
    return _chat().search.is_on


site.template_global("can_search", is_on)


def _found(asked: str, limit: int, before: str | None, order: str | None) -> dict[str, Any]:
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


def _address(hit: dict[str, Any]) -> str:
    """Return the address of the page that shows a hit in its room."""
    number = hit["message"]["id"]
    return url_for("pages.room", name=hit["room"], before=number + _CONTEXT, _anchor=f"m{number}")


def _next(found: dict[str, Any] | None) -> str | None:
    if found is None or not found["has_more"]:
        return None
    kept = {name: value for name, value in request.args.items() if name in ("q", "order")}
    return "?" + urlencode({**kept, "before": found["before"]})


def _chat() -> Chat:
    chat: Chat = current_app.extensions["quotechat"]
    return chat
