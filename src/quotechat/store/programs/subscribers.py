"""Subscribers: readers whose position in each room the server keeps, by name. Statements only.

A position is a cursor: all up to it is done. It is the only thing that is kept, so an outage of a reader costs nothing,
and what was not acknowledged comes again. `hub` decides if the caller may do it.

The search's index is one more reader by position, under the same rule (`reading.checked`); its positions lie beside
what it makes of the log (`search.following` has the reason).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ...protocol.cursor import Cursor
from ...protocol.errors import Conflict, CursorUnknown
from ..accounts import accounts
from ..shapes import Sql

MOST = 20
"""Subscribers of one kind of one account."""
PULL, WEBHOOK = "pull", "webhook"
_OF_SUBSCRIBERS = ("subscribed", "delivery", "webhook")
"""Tables whose rows belong to one."""


class Subscriber(NamedTuple):
    """A name and its account; `all_rooms` if it follows every room that the account has joined."""

    id: int
    name: str
    all_rooms: bool
    at: int


class Position(NamedTuple):
    """A subscriber's position in a room; the oldest event that the room still has is above `floor`."""

    room_id: int
    cursor: Cursor
    head: int
    floor: int

    @property
    def gap(self) -> tuple[int, int] | None:
        """The events that were cut before the subscriber had acknowledged them: first and last seq."""
        return (self.cursor.seq + 1, self.floor) if self.cursor.seq < self.floor else None


def of_account(sql: Sql, account_id: int, kind: str = PULL) -> list[Subscriber]:
    """Return the subscribers of an account, by name."""
    rows = sql.all(
        "SELECT id, name, all_rooms, at FROM subscriber WHERE account_id = ? AND kind = ? ORDER BY name",
        account_id, kind,
    )  # fmt: skip
    return [Subscriber(row[0], row[1], bool(row[2]), row[3]) for row in list(rows)]


def find(sql: Sql, account_id: int, name: str, kind: str = PULL) -> Subscriber:
    """Return one of an account. Raises CursorUnknown."""
    row = sql.one(
        "SELECT id, name, all_rooms, at FROM subscriber WHERE account_id = ? AND kind = ? AND name = ?",
        account_id, kind, name,
    )  # fmt: skip
    if row is None:
        raise CursorUnknown()
    return Subscriber(row[0], row[1], bool(row[2]), row[3])


def make(sql: Sql, account_id: int, name: str, at: int, *, all_rooms: bool, kind: str = PULL) -> Subscriber:
    """Store a new subscriber, which follows no room yet. Raises Conflict if the account has too many."""
    sql.alone("subscriber")
    if len(of_account(sql, account_id, kind)) >= MOST:
        raise Conflict(f"An account may have {MOST} named cursors.")
    sql.run(
        "INSERT INTO subscriber (account_id, kind, name, all_rooms, at) VALUES (?, ?, ?, ?, ?)",
        account_id, kind, name, int(all_rooms), at,
    )  # fmt: skip
    return find(sql, account_id, name, kind)


def hold(sql: Sql, *ids: int) -> None:
    """Lock subscribers until the commit: whether they are there, and their positions, is read after this.

    They are locked after rooms, before accounts and the rows that belong to them, so no two transactions wait for each
    other's end.
    """
    for each in sorted(set(ids)):
        sql.run("UPDATE subscriber SET at = at WHERE id = ?", each)


def hold_all(sql: Sql, *account_ids: int) -> None:
    """Lock all subscribers of some accounts, as `hold` does."""
    found = "SELECT id FROM subscriber WHERE account_id = ?"
    hold(sql, *(row[0] for each in account_ids for row in list(sql.all(found, each))))


def hold_joins(sql: Sql, account_id: int) -> None:
    """Lock an account until the commit, after its subscribers: no join sets positions of those for all rooms.

    A join sets them in its own order, so a transaction that sets several of such a subscriber calls this first.
    """
    accounts.hold(sql, account_id)


def follow_all(sql: Sql, subscriber: Subscriber, all_rooms: bool) -> None:
    """Set whether it follows every room that its account has joined."""
    sql.run("UPDATE subscriber SET all_rooms = ? WHERE id = ?", int(all_rooms), subscriber.id)


def remove(sql: Sql, subscriber: Subscriber) -> None:
    """Forget it, with all positions."""
    hold(sql, subscriber.id)
    for table in _OF_SUBSCRIBERS:
        sql.run(f"DELETE FROM {table} WHERE subscriber_id = ?", subscriber.id)
    sql.run("DELETE FROM subscriber WHERE id = ?", subscriber.id)


def remove_all(sql: Sql, account_id: int) -> None:
    """Forget all subscribers of an account."""
    hold_all(sql, account_id)
    for table in _OF_SUBSCRIBERS:
        sql.run(
            f"DELETE FROM {table} WHERE subscriber_id IN (SELECT id FROM subscriber WHERE account_id = ?)", account_id
        )
    sql.run("DELETE FROM subscriber WHERE account_id = ?", account_id)


# --- Positions --------------------------------------------------------------------------------------


def positions(sql: Sql, subscriber: Subscriber) -> dict[str, Position]:
    """Return its positions by room, the room with the oldest newest event first.

    Rooms that were removed are left out; rights are not looked at.
    """
    rows = sql.all(
        "SELECT r.name, r.id, s.seq, s.tag, r.head, r.floor FROM subscribed s JOIN room r ON r.id = s.room_id"
        " WHERE s.subscriber_id = ? ORDER BY r.moved_at, r.name", subscriber.id,
    )  # fmt: skip
    return {row[0]: Position(row[1], Cursor(row[2], row[3] or None), row[4], row[5]) for row in list(rows)}


def place(sql: Sql, subscriber: Subscriber, room: str, cursor: Cursor) -> None:
    """Set its position in `room`, which it follows from here on; nothing if the room is there no more."""
    # In one statement: a join may set a position at the same moment.
    sql.run(
        "INSERT INTO subscribed (subscriber_id, room_id, seq, tag) SELECT ?, id, ?, ? FROM room WHERE name = ?"
        " ON CONFLICT (subscriber_id, room_id) DO UPDATE SET seq = excluded.seq, tag = excluded.tag, failures = 0,"
        " failing_since = NULL, try_at = NULL",
        subscriber.id, cursor.seq, cursor.tag or "", room,
    )  # fmt: skip


def move(sql: Sql, subscriber: Subscriber, position: Position, cursor: Cursor) -> None:
    """Move `position` to `cursor`, unless it is in a room that the subscriber does not follow any more."""
    sql.run(
        "UPDATE subscribed SET seq = ?, tag = ?, failures = 0, failing_since = NULL, try_at = NULL"
        " WHERE subscriber_id = ? AND room_id = ?",
        cursor.seq, cursor.tag or "", subscriber.id, position.room_id,
    )  # fmt: skip


def leave(sql: Sql, subscriber: Subscriber, rooms: Mapping[str, Position]) -> None:
    """Follow `rooms` no longer."""
    for position in rooms.values():
        sql.run("DELETE FROM subscribed WHERE subscriber_id = ? AND room_id = ?", subscriber.id, position.room_id)


def joined(sql: Sql, account_id: int, room_id: int, seq: int) -> None:
    """Let the subscribers that follow all rooms of an account begin in one that it joins at `seq`."""
    sql.run(
        "INSERT INTO subscribed (subscriber_id, room_id, seq, tag) SELECT id, ?, ?, '' FROM subscriber"
        " WHERE account_id = ? AND all_rooms = 1 ON CONFLICT DO NOTHING", room_id, seq, account_id,
    )  # fmt: skip


def left(sql: Sql, account_id: int, room_id: int) -> None:
    """Let the subscribers that follow all rooms of an account follow one no longer that it leaves."""
    sql.run(
        "DELETE FROM subscribed WHERE room_id = ? AND subscriber_id IN"
        " (SELECT id FROM subscriber WHERE account_id = ? AND all_rooms = 1)", room_id, account_id,
    )  # fmt: skip


def joined_rooms(sql: Sql, account_id: int) -> list[str]:
    """Return the rooms that an account has joined, by name."""
    rows = sql.all(
        "SELECT r.name FROM member m JOIN room r ON r.id = m.room_id WHERE m.account_id = ? ORDER BY r.name",
        account_id,
    )  # fmt: skip
    return [row[0] for row in list(rows)]


def as_joined(sql: Sql, account_id: int, starts: Mapping[str, Cursor]) -> dict[str, Cursor]:
    """Return the first positions in all rooms that an account has joined: of `starts`, else the head.

    `starts` were read earlier. The account is locked until the commit, after its subscribers: a join that is on its way
    is found here, and a later one finds the subscriber as this transaction leaves it.
    """
    hold_joins(sql, account_id)
    rows = sql.all(
        "SELECT r.name, r.head FROM member m JOIN room r ON r.id = m.room_id WHERE m.account_id = ?", account_id
    )
    return {room: starts.get(room, Cursor(head, None)) for room, head in list(rows)}
