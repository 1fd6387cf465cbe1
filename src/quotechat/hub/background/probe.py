"""Find out if a write can succeed now, by a write that changes nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

from ...protocol.errors import Draining, Refused, StorageFull
from ...store.base import Outcome
from ...supervision import State, Supervised
from ..writer import Done

PATIENCE = 2.0
"""Seconds within which a write must be done; one that takes longer is stuck."""
_CHECK_EVERY = 0.05
"""Seconds between two looks at the writer's thread while its answer is missing."""
GOOD_FOR = 0.5
"""Seconds for which an answer is good: frequent checks cost no more."""


class WriteProbe:
    """`submit` queues the write for the thread `writer`.

    Checks at the same time share one write; none is queued behind a stuck one.
    """

    def __init__(self, submit: Callable[[Done], None], writer: Supervised) -> None:
        self._submit = submit
        self._writer = writer
        self._changed = threading.Condition()
        self._asked_at: float | None = None
        self._answered_at = float("-inf")
        self._ok = True

    def look(self) -> State | Literal["stuck", "failed"]:
        """Wait at most `PATIENCE` for the answer; if the last one is missing for so long, not at all.

        A thread that is not well is named at once: its state may be another one when the answer comes.
        """
        with self._changed:
            if (state := self._writer.state) != "ok":
                return state
            if self._asked_at is None and time.monotonic() - self._answered_at > GOOD_FOR:
                self._asked_at = time.monotonic()
                try:
                    self._submit(self._done)
                except Draining:
                    self._asked_at = None
                    return "ended"
                except Refused:
                    self._asked_at = None
                    return "failed"
            while self._asked_at is not None:
                left = self._asked_at + PATIENCE - time.monotonic()
                if left <= 0:
                    return "stuck"
                self._changed.wait(min(left, _CHECK_EVERY))
                if (state := self._writer.state) != "ok":
                    return state
            return "ok" if self._ok else "failed"

    def _done(self, outcome: Outcome | Refused) -> None:
        with self._changed:
            # On a full disk reading goes on, and the worker is of use.
            self._ok = not isinstance(outcome, Refused) or isinstance(outcome, StorageFull)
            self._asked_at, self._answered_at = None, time.monotonic()
            self._changed.notify_all()
