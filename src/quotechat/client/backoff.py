"""Pauses between attempts: full jitter under a ceiling that doubles, so that many clients spread out."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """The pauses after failures in a row. All times in seconds."""

    def __init__(self, least: float = 0.5, most: float = 30.0, chance: Callable[[], float] = random.random) -> None:
        self._least = least
        self._most = most
        self._chance = chance
        self._failures = 0

    def next(self, asked: float = 0.0) -> float:
        """Return the next pause. `asked` is the server's own request; the jitter comes on top, so it is never less."""
        ceiling = min(self._most, self._least * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return self.stretched(asked) + self._chance() * ceiling

    def stretched(self, asked: float) -> float:
        """Return a pause that the server asked for without any failure, longer by up to a quarter."""
        return asked * (1 + self._chance() / 4)

    def reset(self) -> None:
        """Forget the failures: call it when data was received, not when a connection merely opened."""
        self._failures = 0

    def fresh(self) -> Backoff:
        """Return a back-off with the same settings that has seen no failure."""
        return Backoff(self._least, self._most, self._chance)
