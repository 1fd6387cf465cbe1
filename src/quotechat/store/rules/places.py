"""Read the place of an account in a room, as this transaction leaves it."""

from __future__ import annotations

from ...protocol import rooms
from ..following import inbox
from .asked import Asked

_PLACE = "SELECT read_id, read_n, level FROM member WHERE account_id = ? AND room_id = ?"


def place(asked: Asked, account: int) -> tuple[tuple[int, int], str | None] | None:
    """Return the position and the level of an account; None if it is no member."""
    row = asked.ledger.sql.one(_PLACE, account, asked.room.id)
    if row is None:
        return None
    return asked.ledger.positions.get((account, asked.room.id), (row[0], row[1])), row[2]


def entry(asked: Asked, account: int) -> inbox.Entry:
    """Return the place of the room in the inbox of a member."""
    room, counts, sql = asked.room, asked.room.counts, asked.ledger.sql
    title = sql.one("SELECT title FROM room WHERE id = ?", room.id)
    (read_id, read_n), level = place(asked, account) or ((None, None), None)
    found = inbox.Entry(
        room.id, room.name, title[0] if title else None, room.kind, counts.last, counts.messages, counts.news,
        read_id, read_n, level, 0 if read_id is None else inbox.mentions_in(sql, account, room.id, read_id),
        tuple(inbox.people_of(sql, account).get(room.id, ())) if room.kind == rooms.DIRECT else (),
    )  # fmt: skip
    return found.with_level(inbox.wanted_level(sql, account))
