"""Limits: token buckets for what comes in, budgets for what is held. Each worker keeps its own."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from ..protocol.errors import Overloaded, RateLimited

_MOST_CLIENTS = 100_000
"""Clients remembered per kind; who is forgotten begins with a full bucket."""


class Rate(NamedTuple):
    """`burst` at once, then `per_second`."""

    burst: float
    per_second: float


class Budget(NamedTuple):
    """How many may be held at once: by one client, and by all."""

    per_client: int
    all: int


class Limits:
    """`rates` for `allow`, `budgets` for `enter`; with `per_client` False only the totals hold."""

    def __init__(
        self,
        rates: dict[str, Rate],
        budgets: dict[str, Budget],
        *,
        per_client: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rates = rates
        self._budgets = budgets
        self._per_client = per_client
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, OrderedDict[str, tuple[float, float]]] = {kind: OrderedDict() for kind in rates}
        self._held: dict[str, dict[str, int]] = {kind: {} for kind in budgets}
        self._totals: dict[str, int] = dict.fromkeys(budgets, 0)

    def allow(self, kind: str, key: str) -> None:
        """Take one token of client `key`. Raises RateLimited with the time until there is one."""
        if not self._per_client:
            return
        burst, per_second = self._rates[kind]
        now = self._clock()
        with self._lock:
            buckets = self._buckets[kind]
            tokens, at = buckets.pop(key, (burst, now))
            tokens = min(burst, tokens + (now - at) * per_second)
            if tokens < 1:
                buckets[key] = (tokens, now)
                raise RateLimited(1 + int((1 - tokens) / per_second * 1000))
            buckets[key] = (tokens - 1, now)
            if len(buckets) > _MOST_CLIENTS:
                buckets.popitem(last=False)

    def left(self, kind: str, key: str) -> tuple[Rate, float] | None:
        """The rate that client `key` is held to and the tokens that it has; None where there is no limit."""
        if not self._per_client:
            return None
        rate = self._rates[kind]
        with self._lock:
            tokens, at = self._buckets[kind].get(key, (rate.burst, 0.0))
        return rate, min(rate.burst, tokens + (self._clock() - at) * rate.per_second)

    def enter(self, kind: str, key: str) -> None:
        """Hold one more; `leave` gives it back. Raises RateLimited for the client's limit, else Overloaded."""
        per_client, most = self._budgets[kind]
        with self._lock:
            held = self._held[kind]
            if self._per_client and held.get(key, 0) >= per_client:
                raise RateLimited(1000, f"At most {per_client} at once.")
            if self._totals[kind] >= most:
                raise Overloaded()
            held[key] = held.get(key, 0) + 1
            self._totals[kind] += 1

    def leave(self, kind: str, key: str) -> None:
        """Give back what `enter` took."""
        with self._lock:
            held = self._held[kind]
            self._totals[kind] -= 1
            if held[key] == 1:
                del held[key]
            else:
                held[key] -= 1

    def held(self, kind: str) -> int:
        """How many are held now, by all."""
        return self._totals[kind]
