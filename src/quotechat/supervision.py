"""Faults that end nothing but themselves: counted by place; a thread that met one begins again after a pause.

Nothing of quotechat is imported.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Literal

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.5
"""Seconds between a thread's fault and its next begin; doubled with each fault that follows soon, up to:"""
LONGEST_PAUSE = 10.0
WELL_AFTER = 60.0
"""Seconds without a fault after which the pause is the first one again."""

State = Literal["ok", "restarting", "ended"]

_counted: Counter[str] = Counter()
_lock = threading.Lock()


def count(place: str) -> None:
    """Count a fault that was met at `place`, such as a thread's name."""
    with _lock:
        _counted[place] += 1


def counted() -> dict[str, int]:
    """Faults of this process since its start, by place."""
    with _lock:
        return dict(_counted)


class Supervised:
    """A thread that does `work`. A fault of `work` is logged and counted; it is called again after a pause.

    It ends when `work` returns; `work` must be able to go on from any state that a fault left.
    """

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self.name = name
        self._work = work
        self._ending = threading.Event()
        self._paused = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Return True if the thread has begun and not ended; it may be in a pause."""
        return self._thread.is_alive()

    @property
    def state(self) -> State:
        """`ok`, also before the start; `restarting` in a pause after a fault; `ended`."""
        if self._thread.ident is not None and not self.alive:
            return "ended"
        return "restarting" if self._paused else "ok"

    def join(self, seconds: float) -> None:
        """Wait at most `seconds` for the end; `work` was told to return. A pause ends now, and a fault is the last."""
        self._ending.set()
        if self.alive:
            self._thread.join(seconds)

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            last, began = self._ending.is_set(), time.monotonic()
            try:
                self._work()
                return
            # Also SystemExit, which would end the thread without a word.
            except BaseException:
                log.exception("the thread %s met a fault and begins again", self.name)
            count(self.name)
            if last:
                return
            pause = FIRST_PAUSE if time.monotonic() - began > WELL_AFTER else pause
            self._paused = True
            self._ending.wait(pause)
            self._paused = False
            pause = min(2 * pause, LONGEST_PAUSE)
