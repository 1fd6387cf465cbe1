"""Watch for commits of other processes, on a thread of its own.

Here lives when the store is checked; the feeds publish the news.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from ...protocol.errors import Refused
from ...store.base import Store
from ...supervision import Supervised
from ..feeds import Feeds
from .notifier import POLL_EVERY, Notifier

log = logging.getLogger(__name__)

_SPARE_EVERY = 1.0
"""Seconds between two checks of the memory that the feeds hold."""


class Watcher:
    """Bring `feeds` up to `store` when `notifier` says so, and every `POLL_EVERY` seconds if there is no notifier.

    `moved` is called after each commit of another process that is found, `hinted` with each hint of another process.
    """

    def __init__(
        self,
        store: Store,
        feeds: Feeds,
        notifier: Notifier | None,
        moved: Callable[[], None],
        hinted: Callable[[str], None],
    ) -> None:
        self._store = store
        self._feeds = feeds
        self._notifier = notifier
        self._moved = moved
        self._hinted = hinted
        self._closed = threading.Event()
        self.thread = Supervised("watcher", self._watch)

    def start(self) -> None:
        """Begin to watch; after the fork."""
        self.thread.start()

    def close(self) -> None:
        """End the thread, and close the notifier."""
        self._closed.set()
        if self._notifier is not None:
            self._notifier.stop()
        self.thread.join(5)
        if self._notifier is not None:
            self._notifier.close()

    def _watch(self) -> None:
        """Look for commits of other processes: at each wake-up, and every `POLL_EVERY` seconds without one."""
        seen: int | None = None
        rooms: set[str] | None = None
        spared_at = time.monotonic()
        while not self._closed.is_set():
            try:
                if rooms:
                    self._feeds.check(rooms)
                    self._moved()
                elif rooms is None and (version := self._store.version()) != seen:
                    self._feeds.check()
                    seen = version
                    self._moved()
                # After the commits: a hint may speak of one.
                for hint in self._notifier.hints() if self._notifier is not None else ():
                    self._hinted(hint)
                if time.monotonic() >= spared_at + _SPARE_EVERY:
                    spared_at = time.monotonic()
                    self._feeds.spare_memory()
            except Refused as away:
                log.warning("the store could not be watched: %s", away)
            except Exception:
                log.exception("the store could not be watched")
            if self._notifier is not None:
                rooms = self._notifier.wait()
            else:
                self._closed.wait(POLL_EVERY)
