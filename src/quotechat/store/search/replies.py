"""Find the answers to a caller's messages, for `mentions:me`: they mention it, and no term of theirs says so."""

from __future__ import annotations

from collections.abc import Container

from ..shapes import Sql
from .index import Hit

_FOUND = (
    "SELECT e.at, m.room_id, m.message_id FROM mention m JOIN event e ON e.room_id = m.room_id AND e.seq = m.message_id"
    " WHERE m.account_id = ? AND m.kind = 'reply' ORDER BY e.at DESC LIMIT ?"
)


def hits(sql: Sql, account: int | None, rooms: Container[int], most: int) -> frozenset[Hit]:
    """Return the newest answers to messages of `account` that are in `rooms`, of at most `most` in all rooms."""
    rows = sql.all(_FOUND, account, most) if account is not None else ()
    return frozenset(Hit(*row) for row in rows if row[1] in rooms)
