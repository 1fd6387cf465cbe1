"""Hold polls on threads until there is news, within the budget of places.

A pool thread waits here for one reader. A parked poll waits in the web layer, and is only counted here.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from ..protocol.cursor import Cursor, Now, cursor_of
from ..protocol.errors import Refused
from ..store.base import PAGE_BYTES, Page
from .budgets.places import Places
from .feed import Feed
from .feeds import Feeds
from .room_handle import RoomHandle

_LOOK_FOR_PEER = 0.5
"""Seconds between two checks that a waiting client is still there, and may still be answered."""

Pages = dict[RoomHandle, Page]
Gone = Callable[[], bool]
"""Returns True if the client has hung up, or has lost its right to the answer."""


class HeldPolls:
    """The held polls of one process. `held` counts them, with those that the web layer parks."""

    def __init__(self, feeds: Feeds, places: Places) -> None:
        self.held = 0
        self._feeds = feeds
        self._places = places
        self._lock = threading.Lock()

    def wait(
        self, handle: RoomHandle, after: Cursor | Now, limit: int, seconds: float, gone: Gone | None = None
    ) -> Page:
        """As `RoomHandle.read`; if there is nothing, wait for it, for 0.8 to 1.0 of `seconds`.

        Ends early with `retry_in_ms` if too many wait already or the worker drains, and without if
        `gone` says that the client has hung up.
        """
        feed = handle.follow()
        page = handle.read(after, limit)
        if page.events or seconds <= 0:
            return page
        if self._feeds.ended or not self._places.take_for_poll():
            return early(page)
        self.hold(1)
        try:
            # Jitter: polls that one event wakes together do not come back together for ever.
            return self._hold(handle, feed, page, limit, seconds * random.uniform(0.8, 1.0), gone)
        finally:
            self.hold(-1)
            self._places.leave_poll()

    def wait_any(
        self, after: Mapping[RoomHandle, Cursor | Now], limit: int, seconds: float, gone: Gone | None = None
    ) -> tuple[dict[str, Page], int | None]:
        """As `wait`, for several rooms at once: a page for each, and `retry_in_ms` if it ended early.

        `limit` holds for each room. It takes one place among the held polls, however many rooms there are. Raises as
        `RoomHandle.read`, with the `room` that is at fault.
        """
        feeds = {handle: handle.follow() for handle in after}
        pages = _read_any(lambda handle, limit, left: handle.read(after[handle], limit, left), after, limit)
        if seconds <= 0 or any(page.events for page in pages.values()):
            return _by_name(pages), None
        if self._feeds.ended or not self._places.take_for_poll():
            return _by_name(pages), retry_in_ms()
        self.hold(1)
        news = threading.Event()
        try:
            for feed in feeds.values():
                feed.add_waiter(news)
            found, early_in = self._hold_any(feeds, pages, limit, seconds * random.uniform(0.8, 1.0), news, gone)
            return _by_name(found), early_in
        finally:
            for feed in feeds.values():
                feed.remove_waiter(news)
            self.hold(-1)
            self._places.leave_poll()

    def read_on(self, positions: Mapping[RoomHandle, Cursor], limit: int) -> dict[str, Page]:
        """Return a page for each room after its position, for readers that are held. Raises as `RoomHandle.read_on`."""

        def read_on(handle: RoomHandle, limit: int, left: int) -> Page:
            return handle.ended(handle.read_on(positions[handle], limit, left))

        return _by_name(_read_any(read_on, positions, limit))

    def hold(self, change: int) -> None:
        """Add `change` to the count of held polls; it may be negative."""
        with self._lock:
            self.held += change

    def _hold(
        self, handle: RoomHandle, feed: Feed, page: Page, limit: int, seconds: float, gone: Gone | None
    ) -> Page:
        position = cursor_of(page.cursor)
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return page
            seconds = left if gone is None else min(left, _LOOK_FOR_PEER)
            if feed.wait_beyond(position.seq, seconds) or feed.ended:
                found = handle.ended(handle.read_on(position, limit))
                if found.events:
                    return found
                feed = handle.follow()
            if self._feeds.ended:
                return early(page)
            if gone is not None and gone():
                return page

    def _hold_any(
        self,
        feeds: dict[RoomHandle, Feed],
        pages: Pages,
        limit: int,
        seconds: float,
        news: threading.Event,
        gone: Gone | None,
    ) -> tuple[Pages, int | None]:
        positions = {handle: cursor_of(page.cursor) for handle, page in pages.items()}
        deadline = time.monotonic() + seconds

        def read_on(handle: RoomHandle, limit: int, left: int) -> Page:
            return handle.ended(handle.read_on(positions[handle], limit, left))

        while True:
            # Cleared before it is read: an event published from here on sets it again.
            news.clear()
            found = _read_any(read_on, feeds, limit)
            if any(page.events for page in found.values()):
                return found, None
            if self._feeds.ended:
                return pages, retry_in_ms()
            left = deadline - time.monotonic()
            if left <= 0 or (gone is not None and gone()):
                return pages, None
            ended = [handle for handle, feed in feeds.items() if feed.ended]
            for handle in ended:  # the room has another history, and these positions are part of it
                feeds[handle] = handle.follow()
                feeds[handle].add_waiter(news)
            if ended:
                continue
            news.wait(min(left, _LOOK_FOR_PEER))


def _read_any(read: Callable[[RoomHandle, int, int], Page], handles: Iterable[RoomHandle], limit: int) -> Pages:
    """Return a page for each of `handles`; together they have the bytes of one.

    A room for which nothing is left has no events, and `more` as it is. The rooms take turns, so that a reader
    that asks again and again gets on in each.
    """
    found: Pages = {}
    left = PAGE_BYTES
    for handle in random.sample(in_order := list(handles), len(in_order)):
        with about(handle.room):
            found[handle] = read(handle, limit if left > 0 else 0, left)
        left -= sum(len(event.encoded) for event in found[handle].events)
    return {handle: found[handle] for handle in in_order}


def _by_name(pages: Pages) -> dict[str, Page]:
    return {handle.room: page for handle, page in pages.items()}


@contextlib.contextmanager
def about(room: str) -> Iterator[None]:
    """Note in a refusal that `room` is at fault: one of several."""
    try:
        yield
    except Refused as refused:
        refused.room = room
        raise


def early(page: Page) -> Page:
    """Return an empty answer that ends a poll before its time, with `retry_in_ms`."""
    return Page([], page.cursor, page.more, retry_in_ms=retry_in_ms())


def retry_in_ms() -> int:
    """Return the milliseconds after which a client that is answered early comes back: spread, to part the clients."""
    return random.randint(200, 1000)
