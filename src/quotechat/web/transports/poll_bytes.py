"""The bytes of answers to polls."""

from __future__ import annotations

from ...hub.chat import Page


def body(page: Page) -> bytes:
    """Return the answer to a poll; its events are encoded already, once for all readers."""
    hint = b"" if page.retry_in_ms is None else b',"retry_in_ms":%d' % page.retry_in_ms
    return b"{" + fields(page) + hint + b"}"


def fields(page: Page) -> bytes:
    """Return `events`, `cursor` and `more`, without the braces around them."""
    events = b",".join([event.encoded for event in page.events])
    more = b"true" if page.more else b"false"
    return b'"events":[%b],"cursor":"%b","more":%b' % (events, page.cursor.encode(), more)
