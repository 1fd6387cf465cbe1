"""Delete the messages of accounts that are gone, in portions, through the writer: readers hear of each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ...protocol.errors import MessageUnknown, Refused, RoomUnknown
from ...store.base import EraseMessage, Store, Write
from ...store.maintenance import erasing
from ..writer import PendingOutcome, Writer

_PORTION = 64
"""Deletions that go to the writer at once: messages of senders wait for some milliseconds more."""


class Eraser:
    """`step` is for the housekeeper's thread. `clock` gives ms since 1970."""

    def __init__(self, store: Store, writer: Writer, clock: Callable[[], int]) -> None:
        self._store = store
        self._writer = writer
        self._clock = clock
        self._ended = threading.Event()

    def close(self) -> None:
        """Begin no further portion."""
        self._ended.set()

    def step(self) -> bool:
        """Delete some messages of one account; return True if there may be more. Raises Refused."""
        if not self._store.read_with(erasing.is_left):
            return False
        now = self._clock()
        found = self._store.write_with(lambda sql: erasing.take(sql, now))
        if found is None:
            return False  # another worker does it
        left = self._store.read_with(lambda sql: erasing.messages(sql, found))
        reached = (found.room, found.message_id) if left else None
        try:
            for start in range(0, len(left), _PORTION):
                portion = left[start : start + _PORTION]
                if self._ended.is_set() or not self._erase(portion, nameless=found.nameless):
                    break
                reached = portion[-1]
        finally:
            # Also if this process stops: another one goes on at once.
            self._store.write_with(lambda sql: erasing.note(sql, found, reached))
        return True

    def _erase(self, portion: list[tuple[str, int]], *, nameless: bool) -> bool:
        """Return True if all are deleted. Leave the writer to others for as long as it took."""
        began = time.monotonic()
        answers = []
        for room, message in portion:
            answers.append(PendingOutcome())
            self._writer.submit(Write(EraseMessage(room, message, nameless), self._clock()), answers[-1].done)
        outcomes = [answer.wait() for answer in answers]
        self._ended.wait(min(time.monotonic() - began, 0.1))
        return not any(
            isinstance(each, Refused) and not isinstance(each, RoomUnknown | MessageUnknown) for each in outcomes
        )
