"""Work that no sender waits for: redactions that deletions have left, and rows that have been kept long enough.

Each transaction is bounded, and followed by a pause of three times its length: senders get most of the time.
Every worker does this, and goes on from the point that another one or a restart has left. The clock is an argument.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from ...protocol.errors import Refused, RoomUnknown
from ...protocol.rooms import AUDIT
from ...store.base import CommitFailed, Impossible, Store
from ...supervision import Supervised

log = logging.getLogger(__name__)

LOOK_EVERY = 2.0
"""Seconds between two looks at whether another worker has left something to redact."""
PRUNE_EVERY = 3600.0
_FIRST_PRUNE = 5.0
"""Seconds after the start; workers that are replaced often prune all the same."""
_MOST_CUT = 500
"""Acts of administration that one transaction forgets."""
_SHARE = 3.0
_LEAST_PAUSE = 0.01


class Housekeeper:
    """`clock` gives ms since 1970; `remember_ms` is how long a client_id is remembered, `audit_ms` the log `@audit`.

    `steps` are further work of the same kind: each does some, and returns True if there is more.
    """

    def __init__(
        self, store: Store, clock: Callable[[], int], remember_ms: int, audit_ms: int = 365 * 86_400_000,
        steps: Sequence[Callable[[], bool]] = (),
    ) -> None:  # fmt: skip
        self._store = store
        self._clock = clock
        self._remember_ms = remember_ms
        self._audit_ms = audit_ms
        self._steps = steps
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._prune_at = time.monotonic() + _FIRST_PRUNE
        self.thread = Supervised("housekeeper", self._run)

    def start(self) -> None:
        """Begin; after the fork."""
        self.thread.start()

    def wake(self) -> None:
        """Look for work now: something was deleted."""
        self._wake.set()

    def close(self) -> None:
        """End the thread, after the transaction that is open."""
        self._ended.set()
        self._wake.set()
        self.thread.join(5)

    def _run(self) -> None:
        while not self._ended.is_set():
            self._wake.clear()
            began = time.monotonic()
            try:
                more = self._do_some()
            except (Refused, CommitFailed) as fault:
                log.warning("housekeeping was put off: %s", fault)
                more = False
            if more:
                self._ended.wait(max(_LEAST_PAUSE, _SHARE * (time.monotonic() - began)))
            else:
                self._wake.wait(LOOK_EVERY)

    def _do_some(self) -> bool:
        """Run one bounded transaction of each kind; return True if there is more to do now."""
        more = self._store.redact()
        for step in self._steps:
            more |= step()
        if time.monotonic() >= self._prune_at:
            now = self._clock()
            if self._store.prune(now - self._remember_ms, now) or self._cut_audit(now):
                return True
            self._prune_at = time.monotonic() + PRUNE_EVERY
        return more

    def _cut_audit(self, now: int) -> bool:
        """Forget some acts of administration that are old enough; return True if there may be more."""
        try:
            return self._store.cut(AUDIT, now - self._audit_ms, _MOST_CUT) == _MOST_CUT
        except RoomUnknown:
            return False
        except Impossible as fault:
            log.error("the log of administration is not whole: %s", fault)
            return False
