"""Addresses and visitors that may not write, for a time. Accounts are not barred: they are banned."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ...protocol import events
from ...protocol.errors import Forbidden
from ..base import Write
from ..shapes import Sql

_UNTIL = "SELECT until FROM bar WHERE key = ?"
_HOLDS = "SELECT max(until) FROM bar WHERE key IN (?, ?)"
_VISITOR = re.compile(r"visitor-[0-9a-f]{16}")


class Bar(NamedTuple):
    """One row; `until` is in milliseconds since 1970."""

    key: str
    until: int
    made_by: int
    reason: str | None


def key_of(identity: str) -> str:
    """Return the key of a visitor, from which its identity cannot be found."""
    return f"visitor-{hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()}"


def is_visitor(key: str) -> bool:
    """Return True if `key` is that of a visitor."""
    return _VISITOR.fullmatch(key) is not None


def check(sql: Sql, write: Write) -> None:
    """Raise Forbidden if the writing visitor is barred, or its address."""
    if not _is_visitors(write):
        return
    row = sql.one(_HOLDS, *_keys(write))
    if row is not None and row[0] is not None and row[0] > write.at:
        raise Forbidden(f"Without an account nothing may be written from here until {events.rfc3339(row[0])}.")


def likely_reads(write: Write) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the read of `check`, as (statement, values)."""
    if _is_visitors(write):
        yield _HOLDS, _keys(write)


def put(sql: Sql, bar: Bar) -> None:
    """Bar an address, or change the end of its bar."""
    sql.run(
        "INSERT INTO bar (key, until, made_by, reason) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
        " until = excluded.until, made_by = excluded.made_by, reason = excluded.reason", *bar,
    )  # fmt: skip


def lift(sql: Sql, key: str) -> bool:
    """Let visitors write from an address again; return False if it was not barred."""
    there = sql.one(_UNTIL, key) is not None
    sql.run("DELETE FROM bar WHERE key = ?", key)
    return there


def listed(sql: Sql, now: int) -> list[Bar]:
    """Return the bars that hold, by address."""
    rows = sql.all("SELECT key, until, made_by, reason FROM bar WHERE until > ? ORDER BY key", now)
    return [Bar(*row) for row in rows]


def _is_visitors(write: Write) -> bool:
    # The identities of accounts, and of users of an application around us, have a prefix.
    known = write.address is not None or write.identity is not None
    return known and not write.operator and ":" not in (write.identity or "")


def _keys(write: Write) -> tuple[str, str]:
    """Return the keys of address and visitor; without one of them, the other twice."""
    address = write.address or ""
    return address, address if write.identity is None else key_of(write.identity)
