"""Make rooms, up to a bound. A room without a message or a hook within a day gives its place to a new one."""

from __future__ import annotations

import secrets

from ..protocol import commands, cursor, rooms
from ..protocol.errors import Conflict
from .accounts.accounts import HOOK
from .base import Created, CreateRoom, Write
from .ledger import Ledger, Room
from .shapes import room_info

MOST_ROOMS = 1000
"""Open and closed rooms."""
MOST_DIRECTS = 100_000
_EMPTY_FOR = 86_400_000
"""Milliseconds after which a room without any event no longer counts."""
_ABANDONED = (
    "SELECT id, name FROM room WHERE head = 0 AND created_at <= ? AND name <> ? AND kind = 'open' AND NOT EXISTS"
    " (SELECT 1 FROM scheduled s WHERE s.room_id = room.id AND s.state IN ('waiting', 'refused'))"
    # A hook would write into the next room of that name.
    " AND NOT EXISTS (SELECT 1 FROM token t JOIN account a ON a.id = t.account_id"
    " WHERE a.settings = ? AND t.rooms = room.name)"
)
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


def create_room(ledger: Ledger, command: CreateRoom, write: Write, most: int = MOST_ROOMS) -> Created:
    """Make an open room with an empty log and a history of its own. Raises Conflict."""
    room = make_room(ledger, command.name, command.title, write.at, most=most)
    return Created(room_info(room.name, command.title, room.kind, room.about, room.head, room.chain, write.at))


def make_room(
    ledger: Ledger, name: str, title: str | None, at: int, *, most: int, kind: str = rooms.OPEN,
    pair: bytes | None = None,
) -> Room:  # fmt: skip
    """Add a room to the table and return it, locked. Raises Conflict if the name is taken, or there are `most`."""
    if ledger.sql.one("SELECT 1 FROM room WHERE name = ?", name):
        raise Conflict(f"There is a room {name} already.", "name")
    if kind == rooms.DIRECT:
        _check_directs(ledger, most)
    else:
        _make_place(ledger, at, most)
    genesis = secrets.token_bytes(cursor.CHAIN_BYTES)
    about = rooms.dumped(rooms.About(default=name == commands.LOBBY))
    ledger.sql.run(
        "INSERT INTO room (name, title, chain, floor_chain, created_at, moved_at, about, kind, pair)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", name, title, genesis, genesis, at, at, about, kind, pair,
    )  # fmt: skip
    return ledger.room(name)


def random_tail(length: int) -> str:
    """Return so many random letters and digits, which nobody guesses."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _check_directs(ledger: Ledger, most: int) -> None:
    row = ledger.sql.one("SELECT count(*) FROM room WHERE kind = 'direct'")
    if row is not None and row[0] >= most:
        raise Conflict(f"There are {most} direct rooms, and there may be no more.")


def _make_place(ledger: Ledger, at: int, most: int) -> None:
    """Remove the oldest unused room, if there are `most`. Raises Conflict if all are in use."""
    sql = ledger.sql
    row = sql.one("SELECT count(*) FROM room WHERE kind IN ('open', 'closed')")
    if row is None or row[0] < most:
        return
    values = (at - _EMPTY_FOR, commands.LOBBY, HOOK)
    unused = sql.all(f"{_ABANDONED} ORDER BY created_at, id LIMIT 50", *values)
    # The events of this transaction are not in the room's row yet.
    free = [number for number, name in unused if not ledger.has_locked(name)]
    if not free:
        raise Conflict(f"There are {most} rooms, and there may be no more.", "name")
    # It locks the room, in every dialect. Another machine may be the first to say or to schedule something there just
    # now: then the room stays, with all that it has.
    sql.run("UPDATE room SET floor = floor WHERE id = ?", free[0])
    if sql.one(f"{_ABANDONED} AND id = ?", *values, free[0]) is None:
        return
    sql.run("DELETE FROM room WHERE id = ?", free[0])
    for table in ("sent", "scheduled", "name", "member", "subscribed", "delivery"):
        sql.run(f"DELETE FROM {table} WHERE room_id = ?", free[0])
