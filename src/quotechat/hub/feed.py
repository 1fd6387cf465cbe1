"""Per room: the tail of the log in memory, encoded once, and the Condition that its readers wait on.

A wake-up carries no data: a reader that wakes asks for "events after my cursor", here while that is in
the tail, else in the store. The rule is *read, then wait beyond what was read*: `wait_beyond(seq)` returns
at once if the head has passed `seq` in between, so no wake-up can fall into the gap.
"""

from __future__ import annotations

import threading
import time

from ..protocol import json
from ..protocol.events import MEMBER_LEFT, MESSAGE_DELETED, MESSAGE_EDITED, QUOTE_REMOVED, Event
from ..store.base import PAGE_BYTES, Head

MOST_EVENTS = 1000
MOST_BYTES = 1_000_000


class Feed:
    """The live end of one room. Events are published in seq order, without a hole."""

    def __init__(self, room: str, head: Head) -> None:
        self.room = room
        self._changed = threading.Condition()
        self._head = head
        self._floor = head.floor
        self._tail: list[Event] = []
        self._bytes = 0
        self._ended = False
        self._waiters: set[threading.Event] = set()
        self._waiting = 0
        self.used_at = time.monotonic()
        """The time at which a reader last asked for it (time.monotonic)."""

    @property
    def head(self) -> int:
        """Return the seq of the newest published event."""
        return self._head.seq

    def cursor(self) -> str:
        """Return the cursor at the head."""
        return self._head.cursor

    @property
    def ended(self) -> bool:
        """Return True if nothing more is published here: the worker drains, or the room has another history now."""
        return self._ended

    @property
    def size(self) -> int:
        """Return the bytes of the events that are kept in memory."""
        return self._bytes

    @property
    def awaited(self) -> bool:
        """Return True if a thread waits for news here."""
        return bool(self._waiting or self._waiters)

    def forget(self) -> None:
        """Drop the events in memory; the store has them."""
        with self._changed:
            self._tail, self._bytes = [], 0

    def publish(self, events: list[Event], after: str | None = None) -> bool:
        """Append the new ones of `events`, which are contiguous, wake the readers, and return True.

        Do nothing and return False if events are missing before the first one, or if they continue another
        history than this one: `after` is the cursor before the first.
        """
        with self._changed:
            if after is not None and not self._continues(after):
                return False
            new = [event for event in events if event.seq > self._head.seq]
            if not new:
                return True
            if new[0].seq != self._head.seq + 1:
                return False
            self._extend(new)
            self._wake()
            return True

    def cut(self, floor: int) -> None:
        """Drop the tail if events up to `floor` were deleted since: it may hold their text."""
        with self._changed:
            if floor > self._floor:
                self._floor = floor
                self._tail, self._bytes = [], 0

    def after(self, seq: int, limit: int = 500, most: int = PAGE_BYTES) -> list[Event] | None:
        """Return at most `limit` events above `seq`, oldest first, up to the one with which they reach `most` bytes.

        Return None if the tail begins later.
        """
        with self._changed:
            self.used_at = time.monotonic()
            missing = self._head.seq - seq
            if missing <= 0:
                return []
            if missing > len(self._tail):
                return None
            start = len(self._tail) - missing
            return _within(most, self._tail[start : start + limit])

    def cursor_at(self, seq: int) -> str | None:
        """Return the cursor at `seq`, if the tail knows it."""
        with self._changed:
            return self._cursor_at(seq)

    def wait_beyond(self, seq: int, seconds: float) -> bool:
        """Wait until the head is above `seq`, at most `seconds`; return True if it is."""
        deadline = time.monotonic() + seconds
        with self._changed:
            self._waiting += 1
            try:
                while self._head.seq <= seq and not self._ended:
                    left = deadline - time.monotonic()
                    if left <= 0:
                        break
                    self._changed.wait(left)
            finally:
                self._waiting -= 1
            return self._head.seq > seq

    def add_waiter(self, event: threading.Event) -> None:
        """Set `event` at each publish and at the end: for a reader that waits for several rooms at once."""
        with self._changed:
            self._waiters.add(event)

    def remove_waiter(self, event: threading.Event) -> None:
        """Stop setting `event`."""
        with self._changed:
            self._waiters.discard(event)

    def end(self) -> None:
        """Release the waiting readers, for good; see `ended`."""
        with self._changed:
            self._ended = True
            self._wake()

    def _cursor_at(self, seq: int) -> str | None:
        if seq == self._head.seq:
            return self._head.cursor
        back = self._head.seq - seq
        return self._tail[-back - 1].cursor if 0 < back < len(self._tail) else None

    def _continues(self, after: str) -> bool:
        known = self._cursor_at(int(after.partition(".")[0]))
        # Before the tail the cursor is unknown: only the store can compare it.
        return known == after

    def _wake(self) -> None:
        self._changed.notify_all()
        for event in self._waiters:
            event.set()

    def _extend(self, new: list[Event]) -> None:
        self._head = Head(new[-1].seq, new[-1].cursor)
        for place in range(len(new) - 1, -1, -1):
            # Events in memory may hold text that was deleted: the store serves them without it.
            if self._deletes_text(new[place], new[:place]):
                self._tail, self._bytes = [], 0
                new = new[place:]
                break
        self._tail.extend(new)
        self._bytes += sum(map(_size, new))
        if len(self._tail) > 2 * MOST_EVENTS or self._bytes > 2 * MOST_BYTES:
            self._shrink()

    def _deletes_text(self, event: Event, before: list[Event]) -> bool:
        """Return True if events in memory may hold text that `event` deletes: a message, or its excerpt in a reply."""
        if event.command in (MESSAGE_DELETED, QUOTE_REMOVED):
            return True
        if event.command == MEMBER_LEFT:  # of an account that has ended, whose name may go
            return b'"reason":"closed"' in event.body
        if event.command != MESSAGE_EDITED:
            return False
        answer = b'"reply_to":{"id":%d,' % json.own(event.body)["message"]["id"]
        return any(answer in each.body for each in (*self._tail, *before))

    def _shrink(self) -> None:
        # By half at a time, so that the cost of an append does not depend on the length of the tail.
        kept, size = 0, 0
        for event in reversed(self._tail):
            size += _size(event)
            if kept and (kept >= MOST_EVENTS or size > MOST_BYTES):
                size -= _size(event)
                break
            kept += 1
        self._tail = self._tail[-kept:]
        self._bytes = size


def _size(event: Event) -> int:
    """Return the bytes of an event in memory: its body is there twice, by itself and in the envelope."""
    return len(event.encoded) + len(event.body)


def _within(most: int, events: list[Event]) -> list[Event]:
    """Return the events up to the one with which they reach `most` bytes."""
    size = 0
    for count, event in enumerate(events, 1):
        size += len(event.encoded)
        if size >= most:
            return events[:count]
    return events
