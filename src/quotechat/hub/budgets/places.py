"""Bound the threads that wait, for news or for the disk. Some are always left for requests that need not wait."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from ...protocol.errors import Overloaded

PATIENCE = 0.5
"""Seconds that a sender waits for a place, since one was taken or given back: while the disk answers, one is free
again within milliseconds, and while it does not, those that wait would take the threads of readers one after the other.
"""


class Places:
    """Places of one worker with so many `threads`: at most `polls` for held polls, and some left of all."""

    def __init__(self, threads: int, polls: int) -> None:
        self._most_polls = polls
        self._most = max(1, threads - max(1, threads // 8))
        self._polls = self._senders = 0
        self._moved_at = time.monotonic()
        self._free = threading.Condition()

    def take_for_poll(self) -> bool:
        """Take a place for a poll, if there is one; never waits."""
        with self._free:
            if self._polls >= self._most_polls or self._polls + self._senders >= self._most:
                return False
            self._polls += 1
            return True

    def leave_poll(self) -> None:
        """Give the place of a poll back."""
        with self._free:
            self._polls -= 1
            self._free.notify()

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        """Hold a place for a sender that waits for the disk. Raises Overloaded, at once or after `PATIENCE`."""
        with self._free:
            left = max(0.0, self._moved_at + PATIENCE - time.monotonic())
            if not self._free.wait_for(lambda: self._polls + self._senders < self._most, left):
                raise Overloaded()
            self._moved_at = time.monotonic()
            self._senders += 1
        try:
            yield
        finally:
            with self._free:
                self._moved_at = time.monotonic()
                self._senders -= 1
                self._free.notify()
