"""Find rooms for one reader: a room that it may not read is as one that does not exist, after the same statements.

A right is read in the statement that reads the room, so it is that of the same moment.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..protocol import rooms as rules
from ..protocol.errors import RoomUnknown
from ..protocol.rights import permissions
from ..protocol.rights.principal import Principal
from .shapes import PART, Row, Sql

_MEMBERSHIP = "LEFT JOIN member m ON m.account_id = ? AND m.room_id = r.id"


def room(sql: Sql, columns: str, name: str, reader: Principal | None) -> Row:
    """Return `columns` of the room `name`, which is `r`; `reader` is None for the server itself.

    Raises RoomUnknown, also if `reader` may not read the room.
    """
    if reader is None:
        row = sql.one(f"SELECT {columns} FROM room r WHERE r.name = ?", name)
        if row is None:
            raise RoomUnknown(name)
        return row
    if PART in name or (reader.rooms is not None and name not in reader.rooms):
        raise RoomUnknown(name)
    row = sql.one(
        f"SELECT {columns}, r.kind, m.role FROM room r {_MEMBERSHIP} WHERE r.name = ?", reader.account or 0, name
    )
    if row is None or not permissions.may_read(reader.role, row[-2], row[-1]):
        raise RoomUnknown(name)
    return row[:-2]


def may_read(sql: Sql, name: str, reader: Principal) -> bool:
    """Return True if `reader` may read the room `name`; False also if there is none."""
    try:
        room(sql, "r.id", name, reader)
    except RoomUnknown:
        return False
    return True


def rooms(sql: Sql, columns: str, reader: Principal | None) -> list[Row]:
    """Return `columns` of the rooms that `reader` may read, by name, which is the first; never the log `@audit`."""
    if reader is None:
        return list(sql.all(f"SELECT {columns} FROM room r ORDER BY r.name"))
    rows = sql.all(
        f"SELECT {columns}, r.kind, m.role FROM room r {_MEMBERSHIP}"
        " WHERE r.kind = 'open' OR m.role IS NOT NULL ORDER BY r.name",
        reader.account or 0,
    )  # fmt: skip
    return [
        row[:-2]
        for row in rows
        if permissions.may_read(reader.role, row[-2], row[-1]) and (reader.rooms is None or row[0] in reader.rooms)
    ]


def lost(sql: Sql, held: Mapping[Principal, Collection[str]]) -> dict[Principal, set[str]]:
    """Return those of the rooms that readers follow which they may read no more, though no event tells of it.

    That is so in rooms in whose log no membership stands: open ones, for guests, and that of administration.
    """
    asked = {reader: {name for name in names if is_silent(reader, name)} for reader, names in held.items()}
    names = sorted(set().union(*asked.values()))
    if not names:
        return {}
    rows = sql.all(f"SELECT name, kind FROM room WHERE name IN ({_marks(names)})", *names)
    kinds: dict[str, str] = {name: kind for name, kind in rows}  # noqa: C416  # rows are sequences, for mypy
    accounts = sorted({reader.account or 0 for reader, silent in asked.items() if silent})
    roles = {
        (account, name): role
        for account, name, role in sql.all(
            "SELECT m.account_id, r.name, m.role FROM member m JOIN room r ON r.id = m.room_id"
            f" WHERE m.account_id IN ({_marks(accounts)}) AND r.name IN ({_marks(names)})", *accounts, *names,
        )
    }  # fmt: skip

    def ended(reader: Principal, name: str) -> bool:
        kind = kinds.get(name)
        if kind is None or rules.is_private(kind):
            return False  # the log tells, or the feed of a room that was removed
        return not permissions.may_read(reader.role, kind, roles.get((reader.account or 0, name)))

    found = {reader: {name for name in silent if ended(reader, name)} for reader, silent in asked.items()}
    return {reader: names for reader, names in found.items() if names}


def is_silent(reader: Principal, room: str) -> bool:
    """Return True if the right of `reader` to read `room` may end without an event."""
    return reader.role == "guest" or room == rules.AUDIT


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" * len(values))
