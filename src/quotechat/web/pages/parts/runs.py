"""Runs of text as HTML; static/js/entries/runs.js does the same for later messages.

Written by hand: a page shows some thousand runs, and a template takes ten times as long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup, escape

# The innermost first.
_ELEMENTS = (("bold", "strong"), ("italic", "em"), ("underline", "u"), ("code", "code"))
_HTTP = re.compile("https?://", re.IGNORECASE)


def show_text(message: Mapping[str, Any]) -> Markup:
    """Return the text of a message: its runs, or the plain text if nothing is formatted."""
    runs = message.get("runs")
    if not runs:
        return escape(message.get("message") or "")
    return Markup("".join(map(_run, runs)))


def _run(run: Mapping[str, Any]) -> str:
    html = str(escape(run["text"]))
    # Code of several lines gets a block of its own.
    block = ' class="block"' if run.get("code") and "\n" in run["text"] else ""
    for style, element in _ELEMENTS:
        if run.get(style):
            html = f"<{element}{block if element == 'code' else ''}>{html}</{element}>"
    if run.get("mention"):
        html = f'<span class="mention">{html}</span>'
    href = run.get("href")
    if href and _HTTP.match(href):
        html = f'<a href="{escape(href)}" rel="noopener noreferrer nofollow ugc" target="_blank">{html}</a>'
    return html


def show_marked(message: Mapping[str, Any], marks: list[list[int]]) -> Markup:
    """Return the text of a message with `marks`, (start, length) in code points of its joined runs, highlighted."""
    runs: list[dict[str, Any]] = message.get("runs") or [{"text": message.get("message") or ""}]
    found: list[str] = []
    start = 0
    for run in runs:
        end = start + len(run["text"])
        for part, marked in _parts(start, end, marks):
            html = _run({**run, "text": run["text"][part[0] - start : part[1] - start]})
            found.append(f"<mark>{html}</mark>" if marked else html)
        start = end
    return Markup("".join(found))


def _parts(start: int, end: int, marks: list[list[int]]) -> Iterator[tuple[tuple[int, int], bool]]:
    """Yield the parts between `start` and `end`, each with True if it is marked."""
    at = start
    for first, length in marks:
        here, last = max(at, first), min(end, first + length)
        if here < last:
            if at < here:
                yield (at, here), False
            yield (here, last), True
            at = last
    if at < end:
        yield (at, end), False
