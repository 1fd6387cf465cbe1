"""Bring the index of the search up to the log, on a thread of its own.

Each step is short and followed by a pause, a long one while this process stores: senders get nearly all of the time.
It looks at the log by itself: no sender waits for it, wakes it or knows of it. Of all processes on a store one indexes.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable

from ...protocol.errors import Refused
from ...store.base import CommitFailed, Store
from ...store.search.following import follow
from ...store.search.index import Index
from ...supervision import Supervised

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0
"""Seconds between two looks at the log; a search looks itself through newer events."""
_OTHERS_EVERY = 5.0
"""Seconds between two looks at whether the process that indexes has ended."""
_AT_ONCE = 100
"""Events of one step: some milliseconds."""
_PAUSE, _PAUSE_WHILE_SENDING = 1.0, 15.0
"""Pause after a step, as a multiple of its time; the long one if this process has stored anything meanwhile.

A search may be up to 500 events of a room behind and misses nothing, so senders come first.
"""
_LEAST_PAUSE = 0.01
TIDY_AFTER = 20.0
"""Seconds after words were dropped before they are taken off the disk; together with others, since that costs."""
_TIDY_AGAIN = 1.0


class Indexer:
    """Follow `store` with `index`; `stored` counts the events that this process has stored."""

    def __init__(self, store: Store, index: Index, stored: Callable[[], int]) -> None:
        self._store = store
        self._index = index
        self._stored = stored
        self._ended = threading.Event()
        self._seen: int | None = None
        self._stepped_at = 0.0
        self._last_stored = 0
        # Words that an earlier process dropped may still be there.
        self._tidy_at: float | None = time.monotonic()
        self.thread = Supervised("indexer", self._run)

    def start(self) -> None:
        """Begin; after the fork."""
        self.thread.start()

    def close(self) -> None:
        """End the thread, after the step that is open, and release the index."""
        self._ended.set()
        self.thread.join(5)
        self._index.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            began, stored = time.monotonic(), self._last_stored
            self._last_stored = self._stored()
            try:
                pause = self._step()
            except (Refused, CommitFailed, sqlite3.OperationalError, OSError) as fault:
                log.warning("indexing was put off: %s", fault)
                self._seen, pause = None, _OTHERS_EVERY
            share = _PAUSE if self._last_stored == stored else _PAUSE_WHILE_SENDING
            self._ended.wait(pause or max(_LEAST_PAUSE, share * (time.monotonic() - began)))

    def _step(self) -> float:
        """Take one step; return the seconds to wait, 0 if there is more to do."""
        version = self._store.version()
        # A step now and then without a commit finds an index that was deleted, or that is to be made anew.
        if version == self._seen and time.monotonic() < self._stepped_at + _OTHERS_EVERY:
            self._tidy()
            return LOOK_EVERY
        self._stepped_at = time.monotonic()
        done = self._index.step(lambda log, writer: follow(log, writer, _AT_ONCE))
        if done is None:
            return _OTHERS_EVERY
        if done.dropped:
            self._tidy_at = self._tidy_at or time.monotonic() + TIDY_AFTER
        self._tidy()
        if done.more:
            return 0.0
        self._seen = version
        return LOOK_EVERY

    def _tidy(self) -> None:
        if self._tidy_at is not None and time.monotonic() >= self._tidy_at:
            done = self._index.tidy()
            self._tidy_at = None if done else time.monotonic() + _TIDY_AGAIN
