"""The pages that teach: the lab, and the steps to a chat server of one's own. Translation only.

The steps hold nothing of a room, so that all may read them, whatever `access` is.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from flask import Blueprint, Response, abort

from ...assets import static_dir
from ...in_turn import in_turn
from ...protocol import json
from ..http import security
from ..http.site import render_template
from .parts import answers, prose

blueprint = Blueprint("lessons", __name__)

ROOM = "lab"
"""The room that the lab sends its probes to; the page creates it."""

SILENT_ROOM = "lab-silence"
"""The room in which the lab measures the cost of silence; the page creates it, and nobody writes there."""


class Reader(NamedTuple):
    """A reader that the lab compares: its kind in static/js/lab/readers.js, its name, and its way of reading."""

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
    named = security.given_name() is not None  # and may write under no other name
    html = render_template("lab.html", room=ROOM, silent_room=SILENT_ROOM, readers=READERS, named=named)
    answer = answers.answered(html)
    security.give_cookie(answer)
    return answer


@blueprint.get("/learn")
def learn() -> Response:
    """Show the steps to a chat server of one's own, each with the fault that the next step fixes."""
    return answers.answered(render_template("learn.html", steps=_steps()))


@blueprint.get("/learn/<step>")
def step(step: str) -> Response:
    """Show one step: its fault, as a picture and as a toy, and its fix."""
    steps = {each["folder"]: each for each in _steps()}
    if step not in steps:
        abort(404)
    number = int(steps[step]["number"])
    return answers.answered(render_template(
        "step.html", step=steps[step], previous=_steps()[number - 1] if number else None,
        following=_steps()[number + 1] if number + 1 < len(steps) else None, printed=_printed, parts=prose.parts,
    ))  # fmt: skip


@in_turn
@cache
def _steps() -> list[dict[str, Any]]:
    """Return the steps in their order (tools/learn.py), each with its stories if it has a fault
    (tools/learn_stories.mjs), and with its text up to the fault and behind it."""
    steps: list[dict[str, Any]] = _read("steps.json")["steps"]
    stories: dict[str, Any] = _read("stories.json")
    for each in steps:
        # A colon leads to a block of the README, which the page has elsewhere.
        text = [paragraph for paragraph in each["text"] if not paragraph.endswith(":")]
        at = next((i for i, paragraph in enumerate(text) if paragraph.startswith("**The fault**")), len(text))
        each |= {"does": text[:at], "breaks": text[at + 1 :], "toy": stories.get(each["folder"])}
    return steps


def _read(name: str) -> Any:
    return json.loads((static_dir() / "learn" / name).read_bytes())


def _printed(account: dict[str, Any]) -> str:
    """Return the account of an attempt as break_it.py prints it."""
    lines = [f"{event['at']:6} ms  {event['actor']:9} {event['does']}" for event in account["events"]]
    sums = ", ".join(f"{name} {len(account[name])}" for name in ("lost", "repeated"))
    lines += ["", f"sent {account['sent']}, arrived {account['arrived']}, {sums}"]
    return "\n".join([*lines, f"FAULT: {account['fault']}" if account["fault"] else "No fault."])
