"""Find out if a write can succeed now, by a write that changes nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

from ..protocol.errors import Draining, Refused, StorageFull
from ..store.base import Outcome
from .writer import Done

PATIENCE = 2.0
"""Seconds within which a write must be done; one that takes longer is stuck."""
GOOD_FOR = 0.5
"""Seconds for which an answer is good: frequent checks cost no more."""


class WriteProbe:
    """`submit` queues the write. Checks at the same time share one; none is queued behind a stuck one."""

    def __init__(self, submit: Callable[[Done], None]) -> None:
        self._submit = submit
        self._changed = threading.Condition()
        self._asked_at: float | None = None
        self._answered_at = float("-inf")
        self._ok = True

    def look(self) -> Literal["ok", "stuck", "failed", "ended"]:
        """Wait at most `PATIENCE` for the answer; if the last one is missing for so long, not at all."""
        with self._changed:
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
            if self._asked_at is not None:
                left = self._asked_at + PATIENCE - time.monotonic()
                if not self._changed.wait_for(lambda: self._asked_at is None, max(0.0, left)):
                    return "stuck"
            return "ok" if self._ok else "failed"

    def _done(self, outcome: Outcome | Refused) -> None:
        with self._changed:
            # On a full disk reading goes on, and the worker is of use.
            self._ok = not isinstance(outcome, Refused) or isinstance(outcome, StorageFull)
            self._asked_at, self._answered_at = None, time.monotonic()
            self._changed.notify_all()
