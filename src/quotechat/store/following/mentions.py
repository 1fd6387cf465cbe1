"""Mentions: read those of an account, in all rooms that it may read, and delete those of a message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ...protocol import json
from ...protocol.errors import RoomUnknown
from ...protocol.markup import text
from ...protocol.rights import permissions
from ...protocol.rights.principal import Principal
from .. import presenting, visibility
from ..base import PAGE_BYTES
from ..ledger import Ledger, Room
from ..shapes import PART, Row, Sql, counted

_FOUND = (
    "SELECT x.room_id, x.message_id, r.name, x.kind, x.seen FROM"
    " (SELECT room_id, message_id, kind, seen FROM mention WHERE account_id = ?"
    " UNION ALL SELECT y.room_id, y.message_id, y.kind, CASE WHEN y.message_id <= m.read_id THEN 1 ELSE 0 END"
    " FROM member m JOIN mention y ON y.account_id = 0 AND y.room_id = m.room_id WHERE m.account_id = ?"
    " AND NOT EXISTS (SELECT 1 FROM mention z WHERE z.account_id = m.account_id AND z.room_id = y.room_id"
    " AND z.message_id = y.message_id)) AS x"
    " JOIN room r ON r.id = x.room_id JOIN event e ON e.room_id = x.room_id AND e.seq = x.message_id"
    " JOIN message g ON g.room_id = x.room_id AND g.id = x.message_id"
    " LEFT JOIN member j ON j.account_id = ? AND j.room_id = x.room_id"
    " WHERE coalesce(g.identity, '') <> ? AND g.deleted IS NULL AND (e.at, x.room_id, x.message_id) < (?, ?, ?)"
    " AND r.name NOT LIKE ? AND {visible} AND (x.kind <> 'room' OR NOT EXISTS (SELECT 1 FROM blocked b"
    " JOIN account s ON s.id = b.other WHERE b.account_id = ? AND s.identity = g.identity))"
    " ORDER BY e.at DESC, x.room_id DESC, x.message_id DESC LIMIT ?"
)
"""Without the texts: of thousands of mentions only those of one page are read."""
_OPEN_AND_JOINED, _JOINED = "(r.kind = 'open' OR j.role IS NOT NULL)", "j.role IS NOT NULL"
_AT_ONCE = 20
"""Messages that one statement reads."""
_END = (2**62, 2**62, 2**62)


class Before(NamedTuple):
    """The mention before which to read: that of a message in a room."""

    room: str
    message: int


def read(sql: Sql, reader: Principal, before: Before | None, limit: int) -> dict[str, Any]:
    """Return {`mentions`, `has_more`}, the newest first, of the rooms that `reader` may read now.

    At most `limit`, up to the one that brings them to `PAGE_BYTES`.
    """
    account, only = reader.account or 0, reader.rooms
    place = _END if before is None else _place(sql, reader, before)
    if place is None:  # it is kept no longer, and neither are those before it
        return {"mentions": [], "has_more": False}
    visible = _OPEN_AND_JOINED if permissions.may_read(reader.role, "open", None) else _JOINED
    names = sorted(only or ())
    if only is not None:
        visible += f" AND r.name IN ({', '.join('?' * len(names))})"
    own = (account, account, account, reader.identity or "")
    found = list(sql.all(_FOUND.format(visible=visible), *own, *place, f"%{PART}%", *names, account, limit + 1))
    shown = list(_bounded(sql, found[:limit]))
    return {"mentions": shown, "has_more": len(shown) < len(found)}


def _bounded(sql: Sql, found: list[Row]) -> Iterator[dict[str, Any]]:
    """Yield the mentions `found` with their messages, up to the one that brings them to `PAGE_BYTES`."""
    size = 0
    for start in range(0, len(found), _AT_ONCE):
        some = found[start : start + _AT_ONCE]
        keys = " OR ".join(["(room_id = ? AND id = ?)"] * len(some))
        rows = sql.all(
            f"SELECT room_id, id, body, likes, dislikes, reactions FROM message WHERE {keys}",
            *(value for row in some for value in row[:2]),
        )
        messages = {(room_id, number): about for room_id, number, *about in rows}
        for row in some:
            body, *counts = messages[row[0], row[1]]
            yield _shown(sql, row, body, counts)
            size += len(body.encode())
            if size >= PAGE_BYTES:
                return


def forget(ledger: Ledger, room: Room, message_id: int) -> None:
    """Take away the mentions of a message that is deleted."""
    sql, key = ledger.sql, (room.id, message_id)
    rows = list(sql.all("SELECT account_id FROM mention WHERE room_id = ? AND message_id = ?", *key))
    if rows:
        sql.run("DELETE FROM mention WHERE room_id = ? AND message_id = ?", *key)
    for (account,) in rows:
        if account:
            ledger.move_inbox(account)


def _place(sql: Sql, reader: Principal, before: Before) -> Row | None:
    """Return the position of a message among all; None if it does not exist, or if `reader` may not read its room."""
    try:
        (room,) = visibility.room(sql, "r.id", before.room, reader)
    except RoomUnknown:
        return None
    return sql.one("SELECT at, room_id, seq FROM event WHERE room_id = ? AND seq = ?", room, before.message)


def _shown(sql: Sql, row: Row, body: str, counts: list[Any]) -> dict[str, Any]:
    room_id, _, room, kind, seen = row
    message = counted(text.bounded(json.own(body)), *counts)
    presenting.messages(sql, room_id, [message])
    return {"room": room, "message": message, "kind": kind} | ({} if seen else {"unread": True})
