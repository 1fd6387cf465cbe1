"""Members of rooms. Statements only; the rules decide if a caller may change them.

Whether a room is there, and whether the caller is a member of it, is one question: a closed room that is not the
caller's costs the same statements as a name that nobody uses.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..protocol import rooms
from ..protocol.errors import AccountUnknown, RoomUnknown
from .programs import subscribers
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
    """Add a member that has read up to `read`, the event and the count of messages at the head of the log."""
    subscribers.joined(sql, account, room_id, read[0])
    sql.run(
        "INSERT INTO member (account_id, room_id, role, read_id, read_n, at) VALUES (?, ?, ?, ?, ?, ?)",
        account, room_id, role, *read, at,
    )  # fmt: skip


def remove(sql: Sql, room_id: int, account: int) -> None:
    """Remove a member."""
    subscribers.left(sql, account, room_id)
    sql.run("DELETE FROM member WHERE account_id = ? AND room_id = ?", account, room_id)


class Member(NamedTuple):
    """A member, with its account."""

    account: int
    id: str
    name: str
    account_role: str
    role: str

    def shown(self) -> dict[str, Any]:
        """Return it as readers see it."""
        fields: dict[str, Any] = {"id": self.id, "user": self.name, "role": self.role}
        return fields | ({"bot": True} if self.account_role == "bot" else {})


_MEMBERS = (
    "SELECT a.id, a.key, a.name, a.role, m.role FROM member m JOIN account a ON a.id = m.account_id WHERE m.room_id = ?"
)


def one(sql: Sql, room_id: int, key: str) -> Member | None:
    """Return the member with that public id; None if it is no member."""
    row = sql.one(f"{_MEMBERS} AND a.key = ?", room_id, key)
    return None if row is None else Member(*row)


def needed(sql: Sql, room: str, asker: int | None, key: str) -> Member:
    """Return a member of the room of that name. Raises RoomUnknown, AccountUnknown."""
    found = membership(sql, room, asker)
    if found is None:
        raise RoomUnknown(room)
    member = one(sql, found.room_id, key)
    if member is None:
        raise AccountUnknown()
    return member


def listed(sql: Sql, room_id: int) -> list[Member]:
    """Return all members, by name."""
    found = [Member(*row) for row in sql.all(_MEMBERS, room_id)]
    return sorted(found, key=lambda each: (each.name, each.account))  # a database may sort by its language


def has_manager(sql: Sql, room_id: int, at: int, but: int = 0) -> bool:
    """Return True if a room has a manager, other than the account `but`, that can act at the time `at`."""
    return sql.one(
        "SELECT 1 FROM member m JOIN account a ON a.id = m.account_id WHERE m.room_id = ? AND m.role = 'manager'"
        " AND m.account_id <> ? AND (a.state = 'active' OR (a.state = 'banned' AND a.until <= ?)) LIMIT 1",
        room_id, but, at,
    ) is not None  # fmt: skip


def joined(sql: Sql, account: int) -> int:
    """Count the rooms that an account has joined."""
    row = sql.one("SELECT count(*) FROM member WHERE account_id = ?", account)
    return 0 if row is None else int(row[0])


def share_a_room(sql: Sql, account: int, other: int) -> bool:
    """Return True if both are members of one room."""
    return sql.one(
        "SELECT 1 FROM member m JOIN member o ON o.room_id = m.room_id WHERE m.account_id = ? AND o.account_id = ?"
        " LIMIT 1", account, other,
    ) is not None  # fmt: skip


def is_blocked(sql: Sql, account: int, by: int) -> bool:
    """Return True if the account `by` does not want to hear of `account`."""
    return sql.one("SELECT 1 FROM blocked WHERE account_id = ? AND other = ?", by, account) is not None


def join_default_rooms(sql: Sql, account: int, at: int) -> None:
    """Make a new account a member of the rooms that everybody joins."""
    rows = sql.all("SELECT id, head, messages, about FROM room WHERE kind = 'open' AND about <> '{}' ORDER BY id")
    for room_id, head, messages in [row[:3] for row in rows if rooms.parsed(row[3]).default]:
        add(sql, room_id, account, "member", (head, messages), at)


def count(sql: Sql, room_id: int) -> int:
    """Count the members of a room."""
    row = sql.one("SELECT count(*) FROM member WHERE room_id = ?", room_id)
    return 0 if row is None else int(row[0])
