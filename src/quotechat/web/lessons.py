"""The pages that teach: the lab, and the steps to a chat server of one's own. Translation only.

The steps hold nothing of a room, so that all may read them, whatever `access` is.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from flask import Blueprint, Response, abort, make_response

from ..assets import static_dir
from ..protocol import json
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


@blueprint.get("/learn")
def learn() -> Response:
    """Show the steps to a chat server of one's own, each with the fault that the next one mends."""
    return _lesson(render_template("learn.html", steps=_steps()))


@blueprint.get("/learn/<step>")
def step(step: str) -> Response:
    """Show one step: its fault, as a picture and as a toy, and how it is mended."""
    steps = _steps()
    if step not in steps:
        abort(404)
    names = list(steps)
    at = names.index(step)
    return _lesson(render_template(
        "step.html", step=step, number=at, shown=steps[step], steps=steps,
        previous=names[at - 1] if at else None, following=names[at + 1] if at + 1 < len(names) else None,
    ))  # fmt: skip


def _lesson(html: str) -> Response:
    answer = make_response(html)
    answer.headers["Cache-Control"] = "no-cache"
    return answer


@cache
def _steps() -> dict[str, Any]:
    """Return the steps in their order, by name, with their stories (tools/learn_stories.mjs)."""
    steps: dict[str, Any] = json.loads((static_dir() / "learn" / "stories.json").read_bytes())
    return steps
