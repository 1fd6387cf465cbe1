"""Members of rooms. Statements only; the rules decide who may change them.

Whether a room is there, and whether the caller is a member of it, is one question: a closed room that is not the
caller's costs the same statements as a name that nobody uses.
"""

from __future__ import annotations

from typing import NamedTuple

from .shapes import Sql

MOST_MEMBERS = 5000
"""Members of a closed room."""
MOST_JOINED = 2000
"""Rooms that one account may have joined."""


class Membership(NamedTuple):
    """A room, and the caller's place in it: `role` is ``member``, ``manager``, or None if it is no member."""

    room_id: int
    kind: str
    about: str
    role: str | None
    muted_until: int | None


def membership(sql: Sql, room: str, account: int | None) -> Membership | None:
    """Return the room of that name with the membership of `account`; None if there is no such room. One statement."""
    row = sql.one(
        "SELECT r.id, r.kind, r.about, m.role, m.muted_until FROM room r LEFT JOIN member m"
        " ON m.room_id = r.id AND m.account_id = ? WHERE r.name = ?", account or 0, room,
    )  # fmt: skip
    return None if row is None else Membership(*row)


def add(sql: Sql, room_id: int, account: int, role: str, read: tuple[int, int], at: int) -> None:
    """Add a member, who has read up to the event and the count of messages `read`."""
    sql.run(
        "INSERT INTO member (account_id, room_id, role, read_id, read_n, at) VALUES (?, ?, ?, ?, ?, ?)",
        account, room_id, role, *read, at,
    )  # fmt: skip


def remove(sql: Sql, room_id: int, account: int) -> None:
    """Remove a member."""
    sql.run("DELETE FROM member WHERE account_id = ? AND room_id = ?", account, room_id)


def count(sql: Sql, room_id: int) -> int:
    """Count the members of a room."""
    row = sql.one("SELECT count(*) FROM member WHERE room_id = ?", room_id)
    return 0 if row is None else int(row[0])
