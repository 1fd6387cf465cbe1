"""Make rooms, up to a bound. A room without a message within a day gives its place to a new one."""

from __future__ import annotations

import secrets

from ..protocol import commands, cursor, rooms
from ..protocol.errors import Conflict
from .base import Created, CreateRoom, Write
from .ledger import Ledger
from .shapes import described

MOST_ROOMS = 1000
_EMPTY_FOR = 86_400_000
"""Milliseconds after which a room without any event no longer counts."""
_ABANDONED = (
    "SELECT id, name FROM room WHERE head = 0 AND kind <> 'log' AND created_at <= ? AND name <> ? AND NOT EXISTS"
    " (SELECT 1 FROM scheduled s WHERE s.room_id = room.id AND s.state IN ('waiting', 'refused'))"
    " ORDER BY created_at, id LIMIT 50"
)


def create_room(ledger: Ledger, command: CreateRoom, write: Write, most: int = MOST_ROOMS) -> Created:
    """Make a room with an empty log and a history of its own. Raises Conflict."""
    if ledger.sql.one("SELECT 1 FROM room WHERE name = ?", command.name):
        raise Conflict(f"There is a room {command.name} already.", "name")
    _make_place(ledger, write.at, most)
    about = rooms.About(default=command.name == commands.LOBBY)
    genesis = secrets.token_bytes(cursor.CHAIN_BYTES)
    ledger.sql.run(
        "INSERT INTO room (name, title, chain, floor_chain, created_at, moved_at, about) VALUES (?, ?, ?, ?, ?, ?, ?)",
        command.name, command.title, genesis, genesis, write.at, write.at, rooms.dumped(about),
    )  # fmt: skip
    return Created(described(command.name, command.title, 0, genesis, write.at))


def _make_place(ledger: Ledger, at: int, most: int) -> None:
    """Remove the oldest unused room, if there are `most`. Raises Conflict if all are in use."""
    sql = ledger.sql
    row = sql.one("SELECT count(*) FROM room")
    if row is None or row[0] < most:
        return
    unused = sql.all(_ABANDONED, at - _EMPTY_FOR, commands.LOBBY)
    # The events of this transaction are not in the room's row yet.
    free = [number for number, name in unused if not ledger.has_locked(name)]
    if not free:
        raise Conflict(f"There are {most} rooms, and there may be no more.", "name")
    # Another machine may be the first to say something there just now: then the room stays, with all that it has.
    sql.run("DELETE FROM room WHERE id = ? AND head = 0", free[0])
    for table in ("sent", "scheduled", "name", "member"):
        sql.run(
            f"DELETE FROM {table} WHERE room_id = ? AND NOT EXISTS (SELECT 1 FROM room WHERE id = ?)", free[0], free[0]
        )
