"""Count the contents of a store: for operators, who may wait for a look at every event."""

from __future__ import annotations

from typing import Any

from ..protocol import events
from . import copying, reading
from .shapes import Sql


def rooms(sql: Sql) -> list[dict[str, Any]]:
    """{`room`, `title`, `head`: its cursor, `first`: seq that is kept, `events`, `bytes`, `last`: its time} of each."""
    found = []
    for room in copying.rooms(sql):
        row = sql.one(
            "SELECT sum(octet_length(body)), max(CASE WHEN seq = ? THEN at END) FROM event"
            " WHERE room_id = (SELECT id FROM room WHERE name = ?)", room.head, room.name,
        )  # fmt: skip
        assert row is not None
        count = room.head - room.floor
        found.append({
            "room": room.name, "title": room.title, "head": room.cursor, "first": room.floor + 1 if count else None,
            "events": count, "bytes": int(row[0] or 0), "last": None if row[1] is None else events.rfc3339(row[1]),
        })  # fmt: skip
    return found


def schema(sql: Sql) -> int:
    """Return the number of the last migration that was made."""
    row = sql.one("SELECT value FROM meta WHERE key = 'schema'")
    assert row is not None
    return int(row[0])


def totals(sql: Sql) -> dict[str, Any]:
    """Return {`schema`, `rooms`, `events`, `bytes`, `messages`, `quotes`, `waiting`, `client_ids`, `last`}."""
    each, census = rooms(sql), reading.census(sql)
    client_ids = sql.one("SELECT count(*) FROM sent")
    assert client_ids is not None
    return {
        "schema": schema(sql), "rooms": len(each), "events": census.events,
        "bytes": sum(room["bytes"] for room in each), "messages": census.messages, "quotes": census.quotes,
        "waiting": census.waiting, "client_ids": client_ids[0],
        "last": max((room["last"] for room in each if room["last"]), default=None),
    }  # fmt: skip
