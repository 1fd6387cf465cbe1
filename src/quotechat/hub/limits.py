"""Limits: token buckets for what comes in, budgets for what is held. Each worker keeps its own.

An identity costs nothing, so whoever drops it has a new one. Therefore an address has limits as well: those of
`per_address` clients, whatever identities come from it.
"""

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
    """`rates` for `allow`, `budgets` for `enter`; with `per_client` False only the totals hold.

    `per_address` is the number of clients whose limits one address may use up.
    """

    def __init__(
        self,
        rates: dict[str, Rate],
        budgets: dict[str, Budget],
        *,
        per_client: bool = True,
        per_address: int = 50,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rates = rates
        self._budgets = budgets
        self.per_client = per_client
        """Whether clients have limits; read only."""
        self._per_address = per_address
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, OrderedDict[str, tuple[float, float]]] = {kind: OrderedDict() for kind in rates}
        self._held: dict[str, dict[str, int]] = {kind: {} for kind in budgets}
        self._totals: dict[str, int] = dict.fromkeys(budgets, 0)

    def allow(self, kind: str, key: str, address: str = "") -> None:
        """Take one token of client `key` at `address`. Raises RateLimited with the time until there is one."""
        if not self.per_client:
            return
        burst, per_second = self._rates[kind]
        now = self._clock()
        wait = 0.0
        found: dict[str, float] = {}
        with self._lock:
            buckets = self._buckets[kind]
            for name, times in self._shares(key, address):
                tokens, at = buckets.pop(name, (burst * times, now))
                found[name] = min(burst * times, tokens + (now - at) * per_second * times)
                wait = max(wait, (1 - found[name]) / (per_second * times))
            for name, tokens in found.items():
                # Of all or of none: a refusal costs nothing.
                buckets[name] = (tokens if wait > 0 else tokens - 1, now)
            while len(buckets) > _MOST_CLIENTS:
                buckets.popitem(last=False)
        if wait > 0:
            raise RateLimited(1 + int(wait * 1000))

    def refund(self, kind: str, key: str, address: str = "") -> None:
        """Give a token back that `allow` took for what came to nothing."""
        if not self.per_client:
            return
        burst, _ = self._rates[kind]
        with self._lock:
            for name, times in self._shares(key, address):
                found = self._buckets[kind].get(name)
                if found is not None:
                    self._buckets[kind][name] = (min(burst * times, found[0] + 1), found[1])

    def left(self, kind: str, key: str) -> tuple[Rate, float] | None:
        """The rate that client `key` is held to and the tokens that it has; None where there is no limit."""
        if not self.per_client:
            return None
        rate = self._rates[kind]
        with self._lock:
            tokens, at = self._buckets[kind].get(key, (rate.burst, 0.0))
        return rate, min(rate.burst, tokens + (self._clock() - at) * rate.per_second)

    def enter(self, kind: str, key: str, address: str = "") -> None:
        """Hold one more; `leave` gives it back. Raises RateLimited for the client's limit, else Overloaded."""
        per_client, most = self._budgets[kind]
        shares = self._shares(key, address)
        with self._lock:
            held = self._held[kind]
            for name, times in shares if self.per_client else ():
                if held.get(name, 0) >= per_client * times:
                    raise RateLimited(1000, f"At most {per_client * times} at once.")
            if self._totals[kind] >= most:
                raise Overloaded()
            for name, _ in shares:
                held[name] = held.get(name, 0) + 1
            self._totals[kind] += 1

    def leave(self, kind: str, key: str, address: str = "") -> None:
        """Give back what `enter` took."""
        with self._lock:
            held = self._held[kind]
            self._totals[kind] -= 1
            for name, _ in self._shares(key, address):
                held[name] -= 1
                if not held[name]:
                    del held[name]

    def _shares(self, key: str, address: str) -> list[tuple[str, int]]:
        """What is counted of whom, and of how many clients each may have the limits."""
        return [(key, 1), (f"all at {address}", self._per_address)] if address else [(key, 1)]

    def held(self, kind: str) -> int:
        """How many are held now, by all."""
        return self._totals[kind]
