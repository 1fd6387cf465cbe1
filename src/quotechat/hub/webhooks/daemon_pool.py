"""A pool of daemon threads for lanes: a few, and more only while receivers hold those up.

A thread that waits for a receiver costs nothing. Threads that are all busy wait for each other's turn at the
interpreter, on two cores longer than the calls take.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

FEW = 2
"""Threads for items that are quick."""
HELD_UP = 0.02
"""Seconds after which an item counts as held up, so that two more threads may start."""
_IDLE_SECONDS = 5.0
"""Seconds without an item after which a thread ends."""

T = TypeVar("T")


class DaemonPool(Generic[T]):
    """Run `work` for each item that is `put`, on daemon threads, in no order. `work` handles its own exceptions."""

    def __init__(self, work: Callable[[T], None], name: str) -> None:
        self._work = work
        self._name = name
        self._items: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._busy: dict[int, float] = {}
        """By thread: the time at which it took its item (time.monotonic)."""

    @property
    def has_waiting(self) -> bool:
        """Return True if an item waits for a thread."""
        return not self._items.empty()

    def put(self, item: T) -> None:
        """Queue `item`; call `start_threads` afterwards."""
        self._items.put(item)

    def start_threads(self) -> None:
        """Start the threads that the items need now. Call it again soon while items wait."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        busy, now = list(self._busy.values()), time.monotonic()
        held_up = sum(now - since > HELD_UP for since in busy)
        while len(self._threads) < min(len(busy) + self._items.qsize(), FEW + 2 * held_up):
            self._threads.append(threading.Thread(target=self._run, name=self._name, daemon=True))
            self._threads[-1].start()

    def close(self, seconds: float) -> None:
        """End the threads when they are done with their items, and wait for that at most `seconds`."""
        for _ in self._threads:
            self._items.put(None)
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while (item := self._next()) is not None:
            self._busy[threading.get_ident()] = time.monotonic()
            try:
                self._work(item)
            finally:
                del self._busy[threading.get_ident()]

    def _next(self) -> T | None:
        try:
            return self._items.get(timeout=_IDLE_SECONDS)
        except queue.Empty:
            return None
