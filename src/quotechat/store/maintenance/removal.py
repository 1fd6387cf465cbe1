"""Remove a room for good: it is gone from the first transaction on, and its rows go in bounded ones after that.

It stands under a name that no client can ask for until all is deleted. Its quotes stay in the collection, as when
events are cut. The lobby is made anew at once, since every page begins there.
"""

from __future__ import annotations

from ...protocol.commands import LOBBY
from ...protocol.errors import RoomUnknown
from ..accounts import closing, sessions
from ..base import CreateRoom, Write
from ..files.attaching import drop
from ..ledger import Ledger
from ..rooms import create_room
from ..shapes import REMOVED, Sql
from ..tables import TABLES

_AT_ONCE = 200
"""Rows that one transaction deletes."""
_ROWS = {
    name: table.key_in_room
    for name, table in TABLES.items()
    # Members are gone at once, quotes stay.
    if table.of_a_room and name not in ("member", "quote")
}
"""The tables of a room: the rest of the primary key. The newest events are deleted first, so the rest is a log."""


def remove(sql: Sql, room: str, at: int) -> None:
    """Remove the room, in one open write transaction; `sweep` deletes its rows later. Raises RoomUnknown.

    Its hooks end: they would write into the next room of that name.
    """
    sql.alone("account")  # as others that make hooks and close accounts: before the room's row
    hooks = sessions.hooks_of(sql, room)
    # It locks the room, in every dialect.
    sql.run("UPDATE room SET floor = floor WHERE name = ?", room)
    row = sql.one("SELECT id FROM room WHERE name = ?", room)
    if row is None:
        raise RoomUnknown(room)
    # The same people may begin another one at once.
    sql.run("UPDATE room SET name = ?, pair = NULL WHERE id = ?", f"{REMOVED}{row[0]}", row[0])
    sql.run("DELETE FROM member WHERE room_id = ?", row[0])
    for _, bot in hooks:
        closing.close(sql, bot, at)
    if room == LOBBY:
        lobby = CreateRoom(LOBBY)
        create_room(Ledger(sql), lobby, Write(lobby, at), 2**31)


def is_left(sql: Sql) -> bool:
    """Return True if rows of a removed room are left."""
    return sql.one("SELECT 1 FROM room WHERE name LIKE ? LIMIT 1", f"{REMOVED}%") is not None


def sweep(sql: Sql) -> bool:
    """Delete a bounded number of rows of a removed room, in one open write transaction; whether there may be more."""
    row = sql.one("SELECT id FROM room WHERE name LIKE ? ORDER BY id LIMIT 1", f"{REMOVED}%")
    if row is None:
        return False
    sql.run("UPDATE room SET floor = floor WHERE id = ?", row[0])
    if not (_sweep_rows(sql, row[0]) or _free_quotes(sql, row[0])):
        sql.run("DELETE FROM room WHERE id = ?", row[0])
    return True


def _sweep_rows(sql: Sql, room_id: int) -> int:
    for table, key in _ROWS.items():
        columns = ", ".join(key)
        order = ", ".join(f"{column} DESC" for column in key)
        rows = list(
            sql.all(f"SELECT {columns} FROM {table} WHERE room_id = ? ORDER BY {order} LIMIT ?", room_id, _AT_ONCE)
        )
        condition = " AND ".join(f"{column} = ?" for column in key)
        for row in rows:
            if table == "file":
                drop(sql, "room_id = ? AND id = ?", room_id, *row)
            sql.run(f"DELETE FROM {table} WHERE room_id = ? AND {condition}", room_id, *row)
        if rows:
            return len(rows)
    return 0


def _free_quotes(sql: Sql, room_id: int) -> int:
    rows = list(sql.all("SELECT id FROM quote WHERE room_id = ? ORDER BY id LIMIT ?", room_id, _AT_ONCE))
    for (quote_id,) in rows:
        sql.run("UPDATE quote SET room_id = NULL, seq = NULL WHERE id = ?", quote_id)
    return len(rows)
