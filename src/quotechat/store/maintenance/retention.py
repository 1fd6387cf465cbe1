"""Forget the oldest events of a room, and their projections.

Always a prefix of the log: the room's floor rises in the same transaction, and the chain at the floor is kept, so
the rest still verifies, and a cursor at the floor goes on. The projections of an event go with it:

* Messages that were sent in the prefix are gone from snapshots and history, with their reactions. Later events
  that change them stay in the log and change nothing, now and when all is rebuilt.
* A reply that stays shows no excerpt of a message that is gone, as if that had been deleted.
* The room counts them among its messages still.
* Quotes are a collection: they stay, without their place in the room.
* `client_id`s are remembered as long as ever: a repeat of a forgotten event is told so, and nothing is stored twice.
"""

from __future__ import annotations

from typing import NamedTuple

from ...protocol import cursor
from ...protocol.errors import RoomUnknown
from ..base import Impossible
from ..files.attaching import drop
from ..shapes import Row, Sql
from ..tables import TABLES
from .redaction import Budget, redact_excerpts


class Prefix(NamedTuple):
    """The events of a room to forget: `first` to `last`, of the `head` there are."""

    first: int
    last: int
    head: int


def older(sql: Sql, room: str, before: int) -> Prefix:
    """Return the events of `room` that stand before the first one of the time `before` or later. Raises RoomUnknown."""
    room_id, floor, _, head = _room(sql, room)
    row = sql.one("SELECT seq FROM event WHERE room_id = ? AND at >= ? ORDER BY seq LIMIT 1", room_id, before)
    return Prefix(floor + 1, head if row is None else row[0] - 1, head)


def cut(sql: Sql, room: str, before: int, limit: int) -> int:
    """Forget at most `limit` of them, in one open write transaction; return how many.

    Raises RoomUnknown, and Impossible if the history is not complete: a cut would hide that.
    """
    # It locks the room, in every dialect.
    sql.run("UPDATE room SET floor = floor WHERE name = ?", room)
    room_id, start, chain, _ = _room(sql, room)
    floor = start
    rows = sql.all(
        "SELECT seq, at, body, tag, digest FROM event WHERE room_id = ? AND seq > ? ORDER BY seq LIMIT ?",
        room_id, start, limit,
    )  # fmt: skip
    for seq, at, body, tag, digest in list(rows):
        if at >= before:
            break
        chain = cursor.extend(chain, seq, bytes(digest) if digest is not None else cursor.digest(body.encode()))
        if seq != floor + 1 or cursor.tag(chain) != tag:
            raise Impossible(f"{room}: event {floor + 1} is not whole; `quotechat verify` says more")
        floor = seq
    if floor > start:
        sql.run(
            "UPDATE room SET floor = ?, floor_chain = ?, last = CASE WHEN last <= ? THEN 0 ELSE last END,"
            " floor_messages = floor_messages + (SELECT count(*) FROM message WHERE room_id = ? AND id <= ?)"
            " WHERE id = ?", floor, chain, floor, room_id, floor, room_id,
        )  # fmt: skip
        _forget(sql, room_id, start, floor)
    return floor - start


def _forget(sql: Sql, room_id: int, start: int, floor: int) -> None:
    """All that the events above `start` up to `floor` hold and made."""
    answered = sql.all(
        "SELECT DISTINCT reply_to FROM message WHERE room_id = ? AND reply_to > ? AND reply_to <= ? AND id > ?",
        room_id, start, floor, floor,
    )  # fmt: skip
    answered = list(answered)
    drop(sql, "room_id = ? AND message_id <= ?", room_id, floor)
    for table in TABLES.values():
        if table.cut is not None:
            sql.run(f"DELETE FROM {table.name} WHERE room_id = ? AND {table.cut} <= ?", room_id, floor)
    sql.run("UPDATE quote SET room_id = NULL, seq = NULL WHERE room_id = ? AND seq <= ?", room_id, floor)
    budget = Budget()
    for (parent,) in answered:
        redact_excerpts(sql, room_id, parent, budget)


def _room(sql: Sql, room: str) -> tuple[int, int, bytes, int]:
    """Return its key, floor, chain at the floor, and head."""
    row: Row | None = sql.one("SELECT id, floor, floor_chain, head FROM room WHERE name = ?", room)
    if row is None:
        raise RoomUnknown(room)
    return row[0], row[1], bytes(row[2]), row[3]
