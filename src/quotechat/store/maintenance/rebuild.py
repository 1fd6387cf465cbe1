"""Make the projections anew from the log: messages, reactions and quotes follow from the events.

Shipped quotes have no event and stay. `sent`, `scheduled` and `name` are not projections: their contents are
private, and the log does not tell it.
"""

from __future__ import annotations

from collections.abc import Callable

from ...protocol import json
from ..projections import Counts, Entry, project
from ..shapes import REMOVED, Sql
from ..tables import TABLES

_REMOVED = "SELECT id FROM room WHERE name LIKE ?"


def rebuild(sql: Sql, progress: Callable[[int, int], None]) -> int:
    """Drop and rebuild, in one open write transaction; how many events were replayed.

    `progress` is called with the events done and all there are, now and then.
    """
    count = sql.one("SELECT count(*) FROM event")
    assert count is not None
    for table in TABLES.values():
        if table.projected:
            sql.run(f"DELETE FROM {table.name}")
    # Of a room that is being removed only the quotes stay, and part of the log may be gone.
    sql.run(f"DELETE FROM quote WHERE seq IS NOT NULL AND room_id NOT IN ({_REMOVED})", f"{REMOVED}%")
    removed = {row[0] for row in sql.all(_REMOVED, f"{REMOVED}%")}
    floors, counts = {}, {}
    for room_id, floor, cut in sql.all("SELECT id, floor, floor_messages FROM room"):
        floors[room_id], counts[room_id] = floor, Counts(messages=cut)
    done = 0
    rows = sql.all(
        "SELECT room_id, seq, command, body, target, identity, reaction, emoji FROM event ORDER BY room_id, seq"
    )
    for room_id, seq, command, body, *private in rows:
        if room_id not in removed:
            entry = Entry(room_id, seq, command, json.own(body), *private)
            project(sql, entry, counts[room_id], floors[room_id])
        done += 1
        if done % 1000 == 0:
            progress(done, count[0])
    for room_id in counts.keys() - removed:
        found = counts[room_id]
        sql.run("UPDATE room SET last = ?, messages = ? WHERE id = ?", found.last, found.messages, room_id)
    progress(done, count[0])
    return done
