"""Keep the feeds of the rooms in use: opened, brought up to the store, read from, and bounded in memory together.

A read starts at a cursor and checks the head in the store first, so that every worker serves all events that any
worker has acknowledged (protocol §5, promise 4). Here is the table of feeds, and the choice of the feeds that are
dropped. There is no thread here, and nothing waits except for the store.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from ..protocol.cursor import Cursor, Now, cursor_of
from ..protocol.errors import CursorAhead, CursorExpired, HistoryChanged, RoomUnknown
from ..protocol.rights.principal import Principal
from ..store.base import Head, Page, Store, Stored
from . import listeners
from .feed import Feed

log = logging.getLogger(__name__)

PAGE = 500
"""Events in a page, if a reader gives no limit."""
MOST_BYTES = 32_000_000
"""Bytes in the tails of all rooms; beyond, the tails that were not read for longest are dropped."""
IDLE_SECONDS = 60.0
"""Seconds without use after which a feed without followers is dropped."""


class Feeds:
    """The feeds of one process, by room. Every method may be called from any thread."""

    def __init__(self, store: Store) -> None:
        self.ended = False
        self._store = store
        self._feeds: dict[str, Feed] = {}
        self._lock = threading.Lock()
        self._followers: list[Callable[[str], bool]] = []
        self._listeners: list[Callable[[str], None]] = []

    def __len__(self) -> int:
        return len(self._feeds)

    def listen(self, callback: Callable[[str], None]) -> None:
        """Call `callback` with a room's name after each publish there; it must not block."""
        self._listeners.append(callback)

    def followed_by(self, follows: Callable[[str], bool]) -> None:
        """Keep the feed of each room, by name, for which `follows` is true."""
        self._followers.append(follows)

    def open(self, room: str) -> Feed:
        """Return the live end of `room`. Raises RoomUnknown."""
        found = self._feeds.get(room)
        if found is not None:
            found.used_at = time.monotonic()
            return found
        head = self._store.head(room)
        with self._lock:
            found = self._feeds.setdefault(room, Feed(room, head))
        # Events committed between the read of the head and the entry were published to no feed.
        self._catch_up(found)
        if self.ended:
            found.end()
        return found

    def look(self, room: str, reader: Principal | None = None) -> Head:
        """Return the head of `room` in the store, and drop a feed that has another history.

        Raises RoomUnknown, also if `reader` may not read the room; None stands for this process itself.
        """
        feed = self._feeds.get(room)
        known = 0 if feed is None else feed.head
        head = self._store.head(room, reader)
        if feed is not None and _differs(feed, known, head):
            self._renew(feed)
        return head

    def read(self, room: str, after: Cursor | Now, limit: int, most: int, head: Head) -> Page:
        """Return the events after `after`: at most `limit`, up to the one with which they reach `most` bytes.

        `head` is what `look` has just returned. Raises RoomUnknown, CursorExpired, CursorAhead, HistoryChanged.
        """
        if isinstance(after, Now):
            return Page([], head.cursor)
        if after.seq > head.seq:
            raise CursorAhead()
        return self._from_memory(room, after, limit, most, head) or self._store.read(room, after, limit, most)

    def publish(self, room: str, stored: Sequence[Stored]) -> None:
        """Publish the commits of this process in `room`, in order, and wake its readers."""
        feed = self._feeds.get(room)
        if feed is None:
            return
        if not feed.publish([each.event for each in stored], stored[0].after):
            self._catch_up(feed)
        self._tell(room)

    def check(self, rooms: Iterable[str] | None = None) -> None:
        """Publish the commits of other processes in `rooms`, None for all."""
        asked = tuple(self._feeds if rooms is None else rooms)
        feeds = {room: feed for room in asked if (feed := self._feeds.get(room)) is not None}
        known = {room: feed.head for room, feed in feeds.items()}
        heads = self._store.heads(feeds)
        for room, feed in feeds.items():
            head = heads.get(room)
            if head is None or _differs(feed, known[room], head):
                self._renew(feed)
                continue
            feed.cut(head.floor)
            if head.seq > feed.head and self._catch_up(feed):
                self._tell(room)

    def spare_memory(self) -> None:
        """Drop memory that readers do not need now; a later reader reads from the store, and begins a feed anew."""
        with self._lock:
            held = list(self._feeds.values())
            for feed in idle(held, self._is_followed, time.monotonic()):
                del self._feeds[feed.room]
                feed.end()  # for a reader that has opened it just now
        shrink(held)

    def end(self) -> None:
        """Release all readers, for good: the worker drains. A feed that is opened later is ended at once."""
        self.ended = True
        with self._lock:
            feeds = list(self._feeds.values())
        for feed in feeds:
            feed.end()

    def _from_memory(self, room: str, after: Cursor, limit: int, most: int, head: Head) -> Page | None:
        """Return the page if the feed's tail holds all of it; None if only the store can tell."""
        feed = self._feeds.get(room)
        if feed is None:
            return None
        feed.cut(head.floor)
        # A tail behind the store may hold text that was deleted since; below the floor the store refuses.
        if feed.head < head.seq or after.seq < head.floor:
            return None
        there = feed.cursor_at(after.seq)
        if there is None or (after.tag is not None and str(after) != there):
            return None
        found = feed.after(after.seq, limit, most)
        if found is None:
            return None
        position = found[-1].cursor if found else there
        return Page(found, position, more=after.seq + len(found) < max(head.seq, feed.head))

    def _catch_up(self, feed: Feed) -> bool:
        """Publish the store's events beyond the feed; return True if there were any."""
        more, any_new = True, False
        while more:
            position = feed.cursor()
            try:
                page = self._store.read(feed.room, cursor_of(position), PAGE)
            except (CursorAhead, CursorExpired, HistoryChanged, RoomUnknown):
                self._renew(feed)
                return True
            # Another thread may have published meanwhile, and dropped the tail: the end of the page is missing then.
            published = feed.publish(page.events, position)
            any_new |= bool(page.events)
            more = page.more or not published
        return any_new

    def _renew(self, feed: Feed) -> None:
        """Drop `feed`: the store has another history, since an older copy took over or was restored.

        A reader that follows it then asks the store with its own cursor, and gets the refusal there.
        """
        with self._lock:
            if self._feeds.get(feed.room) is not feed:
                return
            del self._feeds[feed.room]
        log.warning("room %s has another history in the store than in memory", feed.room)
        feed.end()
        self._tell(feed.room)

    def _is_followed(self, room: str) -> bool:
        return any(follows(room) for follows in self._followers)

    def _tell(self, room: str) -> None:
        listeners.call(self._listeners, room)


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
    """Return the feeds without followers or waiting readers that were not used for `IDLE_SECONDS`."""
    return [
        feed
        for feed in feeds
        if now - feed.used_at > IDLE_SECONDS and not feed.awaited and not followed(feed.room)
    ]


def _differs(feed: Feed, known: int, head: Head) -> bool:
    """Return True if the store, at `head`, has another history than `feed`, whose head was `known` before the read."""
    return head.seq < known or feed.cursor_at(head.seq) not in (None, head.cursor)
