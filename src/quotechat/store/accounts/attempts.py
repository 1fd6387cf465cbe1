"""Count attempts to sign in, in the store, so that all workers and machines count alike.

An address and a known device have a bucket: so many tries at once, then one in a while. A name has a count of
failures, after which strange devices wait longer and longer.
"""

from __future__ import annotations

import hashlib

from ..base import CLOCKS_MS
from ..shapes import Sql

FREE_FAILURES = 5
"""Failures of a name after which the next try from a strange device has to wait."""
LONGEST_WAIT_MS = 60_000
_FORGOTTEN_MS = 86_400_000
"""Milliseconds without an attempt after which the failures of a name are forgotten."""


def key(kind: str, text: str) -> bytes:
    """Return the key of a count; names and addresses cannot be read from it."""
    return hashlib.blake2b(f"{kind}\n{text}".encode(), digest_size=16).digest()


def take(sql: Sql, of: bytes, now: int, *, at_once: int, every_ms: int) -> int:
    """Take one attempt from a bucket, and return 0; or return the milliseconds until there is one, and take nothing."""
    sql.alone("attempt")
    row = sql.one("SELECT try_at FROM attempt WHERE key = ?", of)
    # The time at which the bucket is full again: the generic cell rate algorithm.
    full_at = now if row is None else max(now, _in_reach(row[0], now, at_once * every_ms))
    wait = int(full_at - now - (at_once - 1) * every_ms)
    if wait > 0:
        return wait
    _set(sql, of, 0, full_at + every_ms)
    return 0


def begin(sql: Sql, of: bytes, now: int) -> int:
    """Begin an attempt for a name, and return 0; or return the milliseconds until it may be tried.

    It counts as failed until `clear`, so that tries side by side are counted too.
    """
    sql.alone("attempt")
    row = sql.one("SELECT failures, try_at FROM attempt WHERE key = ?", of)
    failures = 0 if row is None or now - row[1] > _FORGOTTEN_MS else int(row[0])
    if row is not None and failures >= FREE_FAILURES and now < _in_reach(row[1], now, LONGEST_WAIT_MS):
        return int(row[1] - now)
    count_now = failures + 1
    pause = 0 if count_now < FREE_FAILURES else min(LONGEST_WAIT_MS, 1000 * 2 ** min(count_now - FREE_FAILURES, 6))
    _set(sql, of, count_now, now + pause)
    return 0


def clear(sql: Sql, of: bytes) -> None:
    """Forget the failures of a name: its account has signed in."""
    sql.run("DELETE FROM attempt WHERE key = ?", of)


def forgive(sql: Sql, of: bytes, now: int) -> None:
    """Take back one failure, since the password was not checked. Earlier failures still count."""
    sql.run("UPDATE attempt SET failures = failures - 1, try_at = ? WHERE key = ? AND failures > 0", now, of)


def gather(sql: Sql, of: bytes, now: int, every_ms: int) -> int:
    """Count one more; at most once in `every_ms` return the count since the last time, else 0."""
    sql.alone("attempt")
    row = sql.one("SELECT failures, try_at FROM attempt WHERE key = ?", of)
    count, told_at = (1, 0) if row is None else (int(row[0]) + 1, int(row[1]))
    due = now - _in_reach(told_at, now, every_ms) >= every_ms
    _set(sql, of, 0 if due else count, now if due else told_at)
    return count if due else 0


def _in_reach(at: int, now: int, most_ms: int) -> int:
    """Return a kept time that is at most so far ahead; 0 for another one, since the clock was wrong then."""
    return at if at <= now + most_ms + CLOCKS_MS else 0


def _set(sql: Sql, of: bytes, failures: int, try_at: int) -> None:
    sql.run(
        "INSERT INTO attempt (key, failures, try_at) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
        " failures = excluded.failures, try_at = excluded.try_at", of, failures, try_at,
    )  # fmt: skip
