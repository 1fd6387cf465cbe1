"""The rules of docs/explanation/text.md, followed one by one: what protocol/markup/text.py does in linear time.

Where a URL ends and what is a word are taken from there; what pairs, what is code and what a run is, are not.
"""

from __future__ import annotations

import re
from typing import Any

from quotechat.protocol.markup.links import url_end
from quotechat.protocol.markup.text import _side, _trimmed

_STYLES = {"**": "bold", "*": "italic", "__": "underline"}
_GIVES = {"*": ["*"], "**": ["**"], "***": ["**", "*"], "__": ["__"]}
"""The markers that a row can give; the wider one first."""


class _Row:
    """A row of one marker, what is left of it, and the styles that begin after it and end before it."""

    def __init__(self, text: str, opens: bool) -> None:
        self.text, self.opens = text, opens
        self.starts: list[str] = []
        self.ends: list[str] = []


def parse(text: str) -> list[dict[str, Any]]:
    """The runs of `text`."""
    parts: list[tuple[str, dict[str, Any]] | _Row] = []
    opened: list[_Row] = []
    at = 0
    while at < len(text):
        after = at + 1
        own: dict[str, Any] = {}
        shown: str | None = None
        if text[at] == "`":
            after = _row_end(text, at)
            close = _code_end(text, at, after)
            if close is not None:
                shown, own = _trimmed(text[after:close]), {"code": True}
                after = close + (after - at)
        elif text[at] in "*_":
            after = _row_end(text, at)
            if text[at:after] in _GIVES:
                edge_before, word_before = _side(text[at - 1 : at])
                edge_after, word_after = _side(text[after : after + 1])
                row = _Row(text[at:after], not (edge_after or word_before))
                if not (edge_before or word_after):
                    _close(opened, row)
                if row.opens and row.text:
                    opened.append(row)
                parts.append(row)
                at = after
                continue
        elif re.compile(r"\n[ \t]*\n").match(text, at):
            opened.clear()
        elif scheme := re.compile("https?://", re.IGNORECASE).match(text, at):
            end = url_end(text, at, scheme.end())
            after = end if end > at else scheme.end()
            own = {"href": text[at:end]} if end > at else {}
        parts.append((text[at:after] if shown is None else shown, own))
        at = after
    return _joined(parts)


def _row_end(text: str, at: int) -> int:
    end = at
    while end < len(text) and text[end] == text[at]:
        end += 1
    return end


def _code_end(text: str, at: int, after: int) -> int | None:
    """Where the next row of as many backticks begins."""
    place = after
    while (place := text.find("`", place)) >= 0:
        end = _row_end(text, place)
        if end - place == after - at:
            crossed = re.search(r"\n[ \t]*\n", text[after:place]) is not None
            return None if crossed and after - at < 3 else place
        place = end
    return None


def _close(opened: list[_Row], row: _Row) -> None:
    """End, from the inside out, what `row` can end; what was opened in between is text."""
    while row.text:
        fits = [
            (place, marker)
            for place, each in reversed(list(enumerate(opened)))
            for marker in _GIVES[each.text] if marker in _GIVES[row.text]
        ]  # fmt: skip
        if not fits:
            return
        place, marker = fits[0]
        opener = opened[place]
        del opened[place:]
        opener.starts.append(_STYLES[marker])
        row.ends.append(_STYLES[marker])
        opener.text, row.text = opener.text[len(marker) :], row.text[len(marker) :]
        if opener.text:
            opened.append(opener)


def _joined(parts: list[tuple[str, dict[str, Any]] | _Row]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    styles: list[str] = []
    for part in parts:
        shown, own = (part.text, {}) if isinstance(part, _Row) else part
        if isinstance(part, _Row):
            for style in part.ends:
                styles.remove(style)
        run = {**dict.fromkeys(styles, True), **own}
        if shown and found and {**found[-1], "text": ""} == {**run, "text": ""}:
            found[-1]["text"] += shown
        elif shown:
            found.append({"text": shown, **run})
        if isinstance(part, _Row):
            styles += part.starts
    return found
