"""The quotes API: a collection of quotations that users add."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from ...hub.chat import Chat
from ...protocol.commands import LOBBY
from ...protocol.errors import Invalid, ParameterInvalid
from ...protocol.types import body_types, wire
from ..http import conditional, parameters, reads
from ..http.services import services
from ..spec.described import Example, described
from .messages import live, remove_quote, submit_quote

blueprint = Blueprint("quotes", __name__, url_prefix="/api/v1")

_DEFAULT_LIMIT = 50
_MOST = 500
MOST_SEARCHED = 100
"""Characters of a search."""


@blueprint.get("/quotes")
@described(
    answers={200: wire.Quotes},
    conditional=True,
    query=("before", "limit", "q"),
    problems=("rate-limited",),
    examples=(Example("/api/v1/quotes?limit=20"), Example("/api/v1/quotes?q=less")),
)
def quotes() -> Response:
    """{`quotes`, `has_more`}: the newest first, with ids below `?before=`; `?q=` holds words to look for."""
    search = parameters.one("q") or ""
    if len(search) > MOST_SEARCHED:
        raise ParameterInvalid(f"At most {MOST_SEARCHED} characters are looked for.", "q")
    chat, before, limit = _chat(), parameters.before(), parameters.limit(_DEFAULT_LIMIT, _MOST)
    # Quotes are added and removed, and never changed.
    tag = conditional.tag(chat.newest_quote(), chat.removed_quotes(), before, limit, search)
    same = conditional.unchanged(tag)
    if same is not None:
        return same
    found = searched(search, before, limit)
    reads.count(len(found["quotes"]))
    answer = conditional.marked(live(found), tag)
    if found["has_more"]:
        conditional.next_page(answer, before=found["quotes"][-1]["id"], limit=limit)
    return answer


def searched(search: str, before: int | None, limit: int) -> dict[str, Any]:
    """Return {`quotes`, `has_more`}: the newest quotes, with the words of `search` if there are any."""
    if not search.strip():
        return _chat().quotes(before, limit)
    found = _chat().search.quotes(before, limit, search)
    reads.count_search(found.looked)
    return {"quotes": found.quotes, "has_more": found.has_more}


@blueprint.get("/quotes/<int:quote_id>")
@described(
    answers={200: wire.Quote},
    conditional=True,
    problems=("quote-unknown", "not-found", "rate-limited"),
    examples=(Example("/api/v1/quotes/1"),),
)
def one(quote_id: int) -> Response:
    """One quote."""
    found = _chat().quote(quote_id)
    tag = conditional.tag(found)
    return conditional.unchanged(tag) or conditional.marked(live(found), tag)


@blueprint.delete("/quotes/<int:quote_id>")
@described(
    answers={200: wire.QuoteRemoved},
    problems=("quote-unknown", "not-found", "forbidden", "conflict", "client-id-reused", "rate-limited", "room-unknown",
              "invalid"),
    writes=True,
    limit="message",
    identity="needed",
    examples=(Example("/api/v1/quotes/1"),),
)  # fmt: skip
def remove(quote_id: int) -> Response:
    """Remove one's own quote; managers of its room and administrators remove any."""
    return remove_quote(quote_id)


@blueprint.post("/quotes")
@described(
    answers={200: wire.AddedQuote, 201: wire.AddedQuote},
    body=body_types.QuoteBody,
    limit="message",
    problems=("conflict", "room-unknown", "client-id-reused", "rate-limited"),
    writes=True,
    identity="optional",
    examples=(Example("/api/v1/quotes", {"quote": "God is in the details.", "author": "Mies"}, status=201),),
)
def add() -> Response:
    """Add {`quote`, `author`}; 201 and the quote. Its room, the lobby unless `room` says otherwise, hears of it."""
    fields = parameters.json_object()
    room = fields.get("room", LOBBY)
    if not isinstance(room, str):
        raise Invalid("room", "room is no text.")
    return submit_quote(room, fields)


@blueprint.get("/quotes/random")
@described(
    answers={200: wire.Quote},
    problems=("quote-unknown", "rate-limited"),
    media=("application/json", "text/plain"),
    examples=(Example("/api/v1/quotes/random"), Example("/api/v1/quotes/random", headers={"Accept": "text/plain"})),
)
def chosen() -> Response:
    """A random quote; as one line of text if that is preferred."""
    quote = _chat().random_quote()
    if parameters.accepted("application/json", "text/plain") == "text/plain":
        line = f"{' '.join(quote['quote'].split())} – {quote['author']}\n"
        answer = Response(line, content_type="text/plain; charset=utf-8")
    else:
        answer = live(quote)
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Vary"] = "Accept"
    return answer


def _chat() -> Chat:
    return services().chat
