"""Limits: token buckets for requests, budgets for held connections.

The buckets of all workers of a machine may be in one table (`buckets`); each worker has its own budgets.

An identity costs nothing, so a client that drops it has a new one. Therefore an address has limits as well: those of
`per_address` clients, over all identities that come from it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from ...protocol.errors import Overloaded, RateLimited
from .buckets import Bucket, Buckets, OwnBuckets


class Rate(NamedTuple):
    """`burst` at once, then `per_second`; an address has that of `clients` at most, None for as many as of any kind."""

    burst: float
    per_second: float
    clients: int | None = None


class Budget(NamedTuple):
    """Bounds of the places held at once: by one client, and by all."""

    per_client: int
    all: int


class Limits:
    """`rates` for `allow`, `budgets` for `enter`; with `per_client` False only the totals hold.

    `per_address` is the number of clients whose limits one address may use up. `most_held` is the bound of all kinds
    together, half of it for one address. `clock` is the system's monotonic one
    if other processes share `buckets`.
    """

    def __init__(
        self,
        rates: dict[str, Rate],
        budgets: dict[str, Budget],
        *,
        per_client: bool = True,
        per_address: int = 50,
        most_held: int = 1_000_000,
        clock: Callable[[], float] = time.monotonic,
        buckets: Buckets | None = None,
    ) -> None:
        self._rates = rates
        self._budgets = budgets
        self.per_client = per_client
        """True if clients have limits; read only."""
        self._per_address = per_address
        self._most_held = most_held
        self._held_at: dict[str, int] = {}
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets = buckets or OwnBuckets()
        self._held: dict[str, dict[str, int]] = {kind: {} for kind in budgets}
        self._totals: dict[str, int] = dict.fromkeys(budgets, 0)

    def allow(self, kind: str, key: str, address: str = "") -> None:
        """Take one token of client `key` at `address`. Raises RateLimited with the time until there is one."""
        if not self.per_client:
            return
        rate = self._rates[kind]
        now = self._clock()
        wait = 0.0
        found: dict[str, float] = {}
        with self._buckets.locked():
            for name, times in self._shares_of(kind, key, address):
                found[name] = self._tokens(name, rate, times, now)
                wait = max(wait, (1 - found[name]) / (rate.per_second * times))
            # Of all or of none: a refusal costs nothing.
            for name, tokens in found.items() if wait <= 0 else ():
                self._buckets.put(name, Bucket(tokens - 1, now))
        if wait > 0:
            raise RateLimited(1 + int(wait * 1000))

    def afford(self, kind: str, key: str, address: str = "") -> None:
        """Check that client `key` at `address` may go on. Raises RateLimited with the time until it may.

        For requests whose cost shows afterwards: `spend` takes that, also more than there is.
        """
        if not self.per_client:
            return
        rate, now = self._rates[kind], self._clock()
        with self._buckets.locked():
            wait = max(
                -self._tokens(name, rate, times, now) / (rate.per_second * times)
                for name, times in self._shares_of(kind, key, address)
            )
        if wait > 0:
            raise RateLimited(1 + int(wait * 1000))

    def spend(self, kind: str, key: str, address: str, cost: float) -> None:
        """Take `cost` tokens of client `key` at `address`."""
        if not self.per_client:
            return
        rate, now = self._rates[kind], self._clock()
        with self._buckets.locked():
            for name, times in self._shares_of(kind, key, address):
                self._buckets.put(name, Bucket(self._tokens(name, rate, times, now) - cost, now))

    def refund(self, kind: str, key: str, address: str = "") -> None:
        """Give a token back that `allow` took for a request that came to nothing."""
        if not self.per_client:
            return
        now = self._clock()
        with self._buckets.locked():
            for name, times in self._shares_of(kind, key, address):
                self._buckets.put(name, Bucket(self._tokens(name, self._rates[kind], times, now) + 1, now))

    def left(self, kind: str, key: str) -> tuple[Rate, float] | None:
        """Return the rate that client `key` is held to and the tokens that it has; None if there is no limit."""
        if not self.per_client:
            return None
        rate = self._rates[kind]
        with self._buckets.locked():
            return rate, self._tokens(f"{kind} {key}", rate, 1, self._clock())

    def close(self) -> None:
        """Release the table of buckets."""
        self._buckets.close()

    def _tokens(self, name: str, rate: Rate, times: int, now: float) -> float:
        """Return the tokens that the bucket `name` has by now, which holds those of `times` clients."""
        most = rate.burst * times
        bucket = self._buckets.get(name)
        if bucket is None:
            return most
        return min(most, bucket.tokens + max(0.0, now - bucket.at) * rate.per_second * times)

    def _shares_of(self, kind: str, key: str, address: str) -> list[tuple[str, int]]:
        """As `_shares`, for the buckets of `kind`."""
        clients = self._rates[kind].clients
        return [
            (f"{kind} {name}", times if clients is None else min(times, clients))
            for name, times in self._shares(key, address)
        ]

    def enter(self, kind: str, key: str, address: str = "") -> None:
        """Hold one more; `leave` gives it back. Raises RateLimited for the client's limit, else Overloaded."""
        per_client, most = self._budgets[kind]
        shares = self._shares(key, address)
        with self._lock:
            held = self._held[kind]
            for name, times in shares if self.per_client else ():
                if held.get(name, 0) >= per_client * times:
                    raise RateLimited(1000, f"At most {per_client * times} at once.")
            of_address = max(per_client, self._most_held // 2)
            if address and self.per_client and self._held_at.get(address, 0) >= of_address:
                raise RateLimited(1000, f"At most {of_address} at once.")
            if self._totals[kind] >= most or sum(self._totals.values()) >= self._most_held:
                raise Overloaded()
            self._held_at[address] = self._held_at.get(address, 0) + 1
            for name, _ in shares:
                held[name] = held.get(name, 0) + 1
            self._totals[kind] += 1

    def leave(self, kind: str, key: str, address: str = "") -> None:
        """Give back the place that `enter` took."""
        with self._lock:
            held = self._held[kind]
            self._totals[kind] -= 1
            self._held_at[address] -= 1
            if not self._held_at[address]:
                del self._held_at[address]
            for name, _ in self._shares(key, address):
                held[name] -= 1
                if not held[name]:
                    del held[name]

    def _shares(self, key: str, address: str) -> list[tuple[str, int]]:
        """Return the counters to charge, and for how many clients' limits each stands."""
        return [(key, 1), (f"all at {address}", self._per_address)] if address else [(key, 1)]

    def held(self, kind: str) -> int:
        """Count the places held now, by all."""
        return self._totals[kind]
