"""Hold polls on threads until there is news, within the budget of places.

Here lives how a pool thread waits for a reader. A poll that is parked waits in the web layer, and is only counted here.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from ..protocol.cursor import Cursor, Now
from ..store.base import Page
from .feed import Feed
from .feeds import Feeds, cursor_of
from .places import Places

_LOOK_FOR_PEER = 0.5
"""Seconds between two checks that a waiting client is still there, and may still be answered."""


class HeldPolls:
    """The held polls of one process. `held` counts them, with those that the web layer parks."""

    def __init__(self, feeds: Feeds, places: Places) -> None:
        self.held = 0
        self._feeds = feeds
        self._places = places
        self._lock = threading.Lock()

    def wait(
        self,
        room: str,
        after: Cursor | Now,
        limit: int,
        seconds: float,
        gone: Callable[[], bool] | None = None,
    ) -> Page:
        """As `read`; if there is nothing, wait for it, for 0.8 to 1.0 of `seconds`.

        Ends early with `retry_in_ms` if too many wait already or the worker drains, and without if
        `gone` says that the client has hung up.
        """
        feed = self._feeds.open(room)
        page = self._feeds.read(room, after, limit)
        if page.events or seconds <= 0:
            return page
        if self._feeds.ended or not self._places.take_for_poll():
            return early(page)
        self.hold(1)
        try:
            # Jitter: those whom one event wakes together do not come back together for ever.
            return self._hold(feed, page, limit, seconds * random.uniform(0.8, 1.0), gone)
        finally:
            self.hold(-1)
            self._places.leave_poll()

    def wait_any(
        self,
        after: dict[str, Cursor | Now],
        limit: int,
        seconds: float,
        gone: Callable[[], bool] | None = None,
    ) -> tuple[dict[str, Page], int | None]:
        """As `wait`, for several rooms at once: a page for each, and `retry_in_ms` if it ended early.

        `limit` holds for each room. It takes one place among the held polls, however many rooms there are.
        """
        feeds = [self._feeds.open(room) for room in after]
        pages = self._feeds.read_any(after, limit)
        if seconds <= 0 or any(page.events for page in pages.values()):
            return pages, None
        if self._feeds.ended or not self._places.take_for_poll():
            return pages, _hint()
        self.hold(1)
        news = threading.Event()
        try:
            for feed in feeds:
                feed.attend(news)
            return self._hold_any(feeds, pages, limit, seconds * random.uniform(0.8, 1.0), news, gone)
        finally:
            for feed in feeds:
                feed.leave(news)
            self.hold(-1)
            self._places.leave_poll()

    def hold(self, change: int) -> None:
        """Count `change` more held polls, or less."""
        with self._lock:
            self.held += change

    def _hold(
        self, feed: Feed, page: Page, limit: int, seconds: float, gone: Callable[[], bool] | None
    ) -> Page:
        position = cursor_of(page.cursor)
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return page
            seconds = left if gone is None else min(left, _LOOK_FOR_PEER)
            if feed.wait_beyond(position.seq, seconds) or feed.ended:
                found = self._feeds.read(feed.room, position, limit)
                if found.events:
                    return found
                feed = self._feeds.open(feed.room)
            if self._feeds.ended:
                return early(page)
            if gone is not None and gone():
                return page

    def _hold_any(
        self,
        feeds: list[Feed],
        pages: dict[str, Page],
        limit: int,
        seconds: float,
        news: threading.Event,
        gone: Callable[[], bool] | None,
    ) -> tuple[dict[str, Page], int | None]:
        positions = {room: cursor_of(page.cursor) for room, page in pages.items()}
        deadline = time.monotonic() + seconds
        while True:
            # Cleared before it is read: an event published from here on sets it again.
            news.clear()
            found = self._feeds.read_any(positions, limit)
            if any(page.events for page in found.values()):
                return found, None
            if self._feeds.ended:
                return pages, _hint()
            left = deadline - time.monotonic()
            if left <= 0 or (gone is not None and gone()):
                return pages, None
            ended = [place for place, feed in enumerate(feeds) if feed.ended]
            for place in ended:  # the room has another history, and these positions are part of it
                feeds[place] = self._feeds.open(feeds[place].room)
                feeds[place].attend(news)
            if ended:
                continue
            news.wait(min(left, _LOOK_FOR_PEER))


def early(page: Page) -> Page:
    """Return an empty answer before its time, and when to come back: spread, so that not all come at once."""
    return Page([], page.cursor, page.more, retry_in_ms=_hint())


def _hint() -> int:
    return random.randint(200, 1000)
