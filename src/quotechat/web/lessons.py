"""The pages that teach: the lab. Translation only."""

from __future__ import annotations

from typing import NamedTuple

from flask import Blueprint, Response, make_response

from . import security
from .site import render_template

blueprint = Blueprint("lessons", __name__)

ROOM = "lab"
"""The room that the lab sends its probes to; the page creates it."""

SILENT_ROOM = "lab-silence"
"""The room in which the lab measures the cost of silence; the page creates it, and nobody writes there."""


class Reader(NamedTuple):
    """A reader that the lab compares: its kind in static/js/lab/readers.js, its name, and how it reads."""

    kind: str
    name: str
    about: str


READERS = [
    Reader("short-poll", "Short polling", "Asks from its cursor at each interval, and is answered at once."),
    Reader("long-poll", "Long polling", "Asks from its cursor; the server holds the request until there is news."),
    Reader("websocket", "WebSocket", "Opens a socket from its cursor; the server pushes."),
    Reader("ndjson", "NDJSON stream", "One answer that does not end, a line of JSON for each event, from its cursor."),
    Reader("sse", "Server-sent events", "The same in the form that browsers have a class for."),
    Reader("naive", "WebSocket without a cursor",
           "As in a tutorial: it gets the history once, then listens for what comes."),
]  # fmt: skip


@blueprint.get("/lab")
def lab() -> Response:
    """Show the readers side by side, measured by one page."""
    answer = make_response(render_template("lab.html", room=ROOM, silent_room=SILENT_ROOM, readers=READERS))
    answer.headers["Cache-Control"] = "no-store"
    security.give_cookie(answer)
    return answer
