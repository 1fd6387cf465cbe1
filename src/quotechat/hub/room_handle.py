"""One room, open for one reader: there is no other way to read a room.

The handle decides how far a right to read extends. The statement of the store that gives the head of the log also
tells if the reader may read the room now; all events up to that head are the reader's. Beyond it the right ends at an
event of the log (`protocol.rights.readership`): it does not depend on the moment at which the news of that event
arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..protocol.cursor import Cursor, Now
from ..protocol.errors import Unauthenticated
from ..protocol.events import Event
from ..protocol.rights import readership
from ..protocol.rights.principal import Principal
from ..store.base import PAGE_BYTES, Head, Page, Store
from .feed import Feed
from .feeds import PAGE, Feeds


class RoomHandle:
    """Made by `Chat.open`. `principal` is None for the server itself, which may read everything.

    A handle is for one thread at a time.
    """

    __slots__ = ("_feeds", "_fresh", "_store", "principal", "room", "since")

    def __init__(self, room: str, principal: Principal | None, store: Store, feeds: Feeds) -> None:
        """Open `room`. Raises RoomUnknown if there is no such room, or if `principal` may not read it."""
        self.room = room
        self.principal = principal
        self.since = 0
        """The seq of the head of the log when the right to read was last confirmed."""
        self._store = store
        self._feeds = feeds
        self._fresh: Head | None = self.check()

    def check(self) -> Head:
        """Return the head of the log, as any process committed it. Raises RoomUnknown if the right has ended."""
        head = self._feeds.look(self.room, self.principal)
        self.since = head.seq
        return head

    # --- Reading the present ----------------------------------------------------------------------

    def snapshot(self, limit: int) -> dict[str, Any]:
        """Return the latest messages and the cursor behind them, in one transaction; see `Store.snapshot`."""
        return self._store.snapshot(self.room, limit, self._identity, self.principal)

    def messages(self, before: int | None, limit: int) -> dict[str, Any]:
        """Return the messages with ids below `before`, as they are now; see `Store.messages`."""
        return self._store.messages(self.room, before, limit, self._identity, self.principal)

    def scheduled(self) -> list[dict[str, Any]]:
        """Return the reader's scheduled messages. Raises Unauthenticated, RoomUnknown."""
        if self._identity is None:
            raise Unauthenticated()
        return self._store.scheduled(self.room, self._identity, self.principal)

    def head(self) -> Head:
        """Return the head of the log. Raises RoomUnknown."""
        return self._head_once()

    def read(self, after: Cursor | Now, limit: int = PAGE, most: int = PAGE_BYTES) -> Page:
        """Return the events after `after`, now: at most `limit`, up to the one with which they reach `most` bytes.

        Raises RoomUnknown, CursorExpired, CursorAhead, HistoryChanged.
        """
        page = self._feeds.read(self.room, after, limit, most, self._head_once())
        return self.ended(self._cut(page, self.since))

    def place(self, after: Cursor | Now) -> Page:
        """Return a page without events, at the complete cursor for `after`. Raises as `read`."""
        return self.read(after, limit=0)

    # --- Going on ---------------------------------------------------------------------------------

    def follow(self) -> Feed:
        """Return the live end of the room. Raises RoomUnknown."""
        return self._feeds.open(self.room)

    def read_on(self, after: Cursor, limit: int = PAGE, most: int = PAGE_BYTES) -> Page:
        """As `read`, for a reader that is held: up to the next event at which a right to read may end.

        The right is not checked again, so the reader must have had it at `after`.
        """
        page = self._feeds.read(self.room, after, limit, most, self._feeds.look(self.room))
        return self._cut(page, 0)

    def ends_with(self, event: Event) -> bool | None:
        """Return True if the reader's right ends with `event`, None if only `check` can tell."""
        if self.principal is None or event.seq <= self.since:
            return False
        return readership.ends(event, self.principal)

    def ended(self, page: Page) -> Page:
        """Return `page`; if the reader's right ends with it, `more` is False, since this reader gets no more."""
        if page.more and page.events and self.ends_with(page.events[-1]):
            return Page(page.events, page.cursor)
        return page

    def _cut(self, page: Page, since: int) -> Page:
        place = None if self.principal is None else readership.first_change(page.events, since)
        if place is None:
            return page
        events = page.events[: place + 1]
        return Page(events, events[-1].cursor, page.more or len(events) < len(page.events))

    def _head_once(self) -> Head:
        """Return the head that was found when the room was opened, once; then the present one."""
        head, self._fresh = self._fresh or self.check(), None
        return head

    @property
    def _identity(self) -> str | None:
        return None if self.principal is None else self.principal.identity


Opener = Callable[[str], RoomHandle]
"""Opens a room for a reader, by its name. Raises RoomUnknown."""
