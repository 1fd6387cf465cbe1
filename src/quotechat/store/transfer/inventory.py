"""Count the contents of a store, for operators: every event is read, which takes time."""

from __future__ import annotations

from typing import Any

from ...protocol import events
from .. import reading
from ..shapes import Sql
from . import copying

_WITH_ACCOUNTS = 2
"""The migration that made the tables of accounts."""


def rooms(sql: Sql) -> list[dict[str, Any]]:
    """{`room`, `kind`, `title`, `head`: its cursor, `first`: seq that is kept, `events`, `bytes`, `last`: its time}."""
    found = []
    for room in copying.rooms(sql):
        row = sql.one(
            "SELECT sum(octet_length(body)), max(CASE WHEN seq = ? THEN at END) FROM event"
            " WHERE room_id = (SELECT id FROM room WHERE name = ?)", room.head, room.name,
        )  # fmt: skip
        assert row is not None
        count = room.head - room.floor
        found.append({
            "room": room.name, "kind": room.kind, "title": room.title, "head": room.cursor,
            "first": room.floor + 1 if count else None, "events": count, "bytes": int(row[0] or 0),
            "last": None if row[1] is None else events.rfc3339(row[1]),
        })  # fmt: skip
    return found


def schema(sql: Sql) -> int:
    """Return the number of the last migration that was made."""
    row = sql.one("SELECT value FROM meta WHERE key = 'schema'")
    assert row is not None
    return int(row[0])


def totals(sql: Sql, at: int, idle_ms: int) -> dict[str, Any]:
    """Return {`schema`, `rooms`, `events`, `bytes`, `messages`, `quotes`, `waiting`, `client_ids`, `last`}, and
    {`accounts`, `sessions`, `tokens`}: accounts that are not closed, and what is valid at `at`.

    A session ends `idle_ms` after its last use. A store that was not migrated yet has no accounts.
    """
    each, census = rooms(sql), reading.census(sql)
    return {
        "schema": schema(sql), "rooms": len(each), "events": census.events,
        "bytes": sum(room["bytes"] for room in each), "messages": census.messages, "quotes": census.quotes,
        "waiting": census.waiting, "client_ids": _count(sql, "sent"),
        **(signed_in(sql, at, idle_ms) if schema(sql) >= _WITH_ACCOUNTS else {}),
        "last": max((room["last"] for room in each if room["last"]), default=None),
    }  # fmt: skip


def signed_in(sql: Sql, at: int, idle_ms: int) -> dict[str, int]:
    """Return {`accounts`, `sessions`, `tokens`}; see `totals`."""
    return {
        "accounts": _count(sql, "account WHERE state <> 'closed'"),
        "sessions": _count(sql, "session WHERE ends_at > ? AND used_at > ?", at, at - idle_ms),
        "tokens": _count(sql, "token WHERE ends_at IS NULL OR ends_at > ?", at),
    }


def _count(sql: Sql, rows: str, *values: Any) -> int:
    row = sql.one(f"SELECT count(*) FROM {rows}", *values)
    assert row is not None
    return int(row[0])
