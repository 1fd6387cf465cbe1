"""Scheduled messages: when one is due, it is handed to the writer.

Every worker does this; the store delivers each message once, whoever asks. The clock is an argument.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ..protocol.errors import Refused
from ..store.base import Store

log = logging.getLogger(__name__)

LOOK_EVERY = 0.5
"""Seconds between two looks: another worker may have stored one that is due soon."""
MOST_AT_ONCE = 500
_TRY_AGAIN = 0.05
"""Seconds between two deliveries that follow on each other."""


class Scheduler:
    """`deliver` gets the ids of due messages and returns when they are stored, with the code of each that was refused.

    `clock` gives ms since 1970.
    """

    def __init__(
        self, store: Store, deliver: Callable[[list[int]], dict[int, str]], clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._deliver = deliver
        self._clock = clock
        self._wake = threading.Event()
        self._ended = False
        self._refused: dict[int, str] = {}
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)

    def start(self) -> None:
        """Begin; what is overdue is delivered at once."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it still looks."""
        return self._thread.is_alive()

    def wake(self) -> None:
        """Something was scheduled."""
        self._wake.set()

    def close(self) -> None:
        """End the thread."""
        self._ended = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def deliver_due(self) -> int:
        """Hand over what is due; how many."""
        ids = self._store.due(self._clock(), MOST_AT_ONCE)
        refused = self._deliver(ids) if ids else {}
        for each in refused.keys() - self._refused.keys():
            log.warning("scheduled message %d could not be delivered yet: %s", each, refused[each])
        self._failures = self._failures + 1 if refused else 0
        self._refused = refused
        return len(ids)

    def _run(self) -> None:
        while not self._ended:
            try:
                # Another try, but not at once, and later each time.
                least = min(LOOK_EVERY, _TRY_AGAIN * 2 ** min(self._failures, 8)) if self.deliver_due() else 0.0
                pause = max(least, self._pause())
            except Refused as away:
                log.warning("scheduled messages could not be looked at: %s", away)
                pause = LOOK_EVERY
            except Exception:
                log.exception("scheduled messages could not be looked at")
                pause = LOOK_EVERY
            self._wake.wait(pause)
            self._wake.clear()

    def _pause(self) -> float:
        due = self._store.next_due()
        return LOOK_EVERY if due is None else min(LOOK_EVERY, max(0.0, (due - self._clock()) / 1000))
