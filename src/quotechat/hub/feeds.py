"""Bound the memory of all rooms' feeds together, and choose those that go. Pure: the clock is an argument."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .feed import Feed

MOST_BYTES = 32_000_000
"""Bytes in the tails of all rooms; beyond, those unread for longest are read from the store."""
IDLE_SECONDS = 60.0
"""A feed without followers goes when it has not been used for so many seconds."""


def shrink(feeds: Iterable[Feed]) -> None:
    """Drop tails, the least recently used first, until all have `MOST_BYTES` at most."""
    by_use = sorted(feeds, key=lambda feed: feed.used_at)
    size = sum(feed.size for feed in by_use)
    for feed in by_use:
        if size <= MOST_BYTES:
            return
        size -= feed.size
        feed.forget()


def idle(feeds: Iterable[Feed], followed: Callable[[str], bool], now: float) -> list[Feed]:
    """Return those without followers or waiting readers that were not used for `IDLE_SECONDS`."""
    return [
        feed
        for feed in feeds
        if now - feed.used_at > IDLE_SECONDS and not feed.awaited and not followed(feed.room)
    ]
