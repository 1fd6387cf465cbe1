"""Runs of text as HTML; static/js/runs.js does the same for later messages.

Written by hand: a page shows some thousand runs, and a template takes ten times as long.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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
    for style, element in _ELEMENTS:
        if run.get(style):
            html = f"<{element}>{html}</{element}>"
    href = run.get("href")
    if href and _HTTP.match(href):
        html = f'<a href="{escape(href)}" rel="noopener noreferrer nofollow ugc" target="_blank">{html}</a>'
    return html
