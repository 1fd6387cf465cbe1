"""The bytes of polls: of a request that may be repeated, and of answers."""

from __future__ import annotations

import re
from typing import Any

from ...hub.chat import Page
from ...live import handoff
from ...live.detach import is_guarded

_TARGET = re.compile(rb"GET [^ ?#]*\?([^ #]*) ")
_PARAMETER = re.compile(rb"([^&=]*)=?([^&]*)(?:&|$)")
_CURSOR = re.compile(rb"[0-9]+(?:\.[0-9a-f]+)?")


def body(page: Page) -> bytes:
    """Return the answer to a poll; its events are encoded already, once for all readers."""
    hint = b"" if page.retry_in_ms is None else b',"retry_in_ms":%d' % page.retry_in_ms
    return b"{" + fields(page) + hint + b"}"


def fields(page: Page) -> bytes:
    """Return `events`, `cursor` and `more`, without the braces around them."""
    events = b",".join([event.encoded for event in page.events])
    more = b"true" if page.more else b"false"
    return b'"events":[%b],"cursor":"%b","more":%b' % (events, page.cursor.encode(), more)


def around_the_cursor(environ: dict[str, Any]) -> tuple[bytes, bytes] | None:
    """Return the bytes of a poll before its cursor and after it, if the next poll may be answered here."""
    if is_guarded(environ):
        return None
    raw = handoff.need(environ).raw
    if raw is None or environ.get("HTTP_TRANSFER_ENCODING") or environ.get("CONTENT_LENGTH"):
        return None
    target = _TARGET.match(raw)
    if target is None or raw.find(b"\r\n\r\n") != len(raw) - 4:
        return None
    # The parameter that the application reads: not the content of another one or of a fragment.
    found = [each for each in _PARAMETER.finditer(raw, *target.span(1)) if each[1] == b"after"]
    if len(found) != 1 or not _CURSOR.fullmatch(found[0][2]):
        return None
    return raw[: found[0].start(2)], raw[found[0].end(2) :]
