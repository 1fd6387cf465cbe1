"""Split a paragraph of the small Markdown that the READMEs of the steps use. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_PARTS = re.compile(
    r"`(?P<code>[^`]+)`|\*\*(?P<strong>[^*]+)\*\*|\*(?P<em>[^*]+)\*|\[(?P<link>[^]]+)\]\((?P<to>[^)]+)\)"
)


class Part(NamedTuple):
    """A piece of text: its kind is "text", "code", "strong", "em" or "link"; a link has a destination."""

    kind: str
    text: str
    to: str = ""


def parts(paragraph: str) -> Iterator[Part]:
    """Yield the pieces of a paragraph in their order."""
    end = 0
    for found in _PARTS.finditer(paragraph):
        if found.start() > end:
            yield Part("text", paragraph[end : found.start()])
        kind = str(found.lastgroup)
        if kind == "to":
            yield Part("link", found["link"], found["to"])
        else:
            yield Part(kind, found[kind])
        end = found.end()
    if end < len(paragraph):
        yield Part("text", paragraph[end:])
