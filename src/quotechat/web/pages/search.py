"""The page of the search: a form, which works without JavaScript."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from ...protocol.errors import NotFound, Refused
from ...protocol.search.question import MOST_CHARACTERS
from ..api.search import DEFAULT, find, is_on
from ..http import security, site
from ..http.site import url_for
from .parts import answers
from .parts.runs import show_marked

blueprint = Blueprint("search_page", __name__)

_CONTEXT = 25
"""Messages after a hit that the page of its room shows too."""

site.template_filter("marked")(lambda hit: show_marked(hit["message"], hit["marks"]))
site.template_global("can_search", is_on)


@blueprint.get("/search")
def page() -> Response:
    """Show the form and the hits."""
    asked, order = request.args.get("q", ""), request.args.get("order", "newest")
    found, refused = None, None
    try:
        if asked.strip():
            found = find(asked, DEFAULT, request.args.get("before"), order)
        elif not is_on():
            raise NotFound("Search is off on this server.")
    except Refused as problem:
        refused = problem
    answer = answers.page(
        "search.html", refused, asked=asked[: 2 * MOST_CHARACTERS], order=order, found=found, address=_address,
        next_page=_next(found),
    )  # fmt: skip
    security.give_cookie(answer)
    return answer


def _address(hit: dict[str, Any]) -> str:
    """Return the address of the page that shows a hit in its room."""
    number = hit["message"]["id"]
    return url_for("pages.room", name=hit["room"], before=number + _CONTEXT, _anchor=f"m{number}")


def _next(found: dict[str, Any] | None) -> str | None:
    if found is None or not found["has_more"]:
        return None
    kept = {name: value for name, value in request.args.items() if name in ("q", "order")}
    return "?" + urlencode({**kept, "before": found["before"]})
