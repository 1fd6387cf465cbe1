"""Find rooms for one reader: one that is not for the reader is as if it were not there, after the same statements.

A right is read in the statement that reads the room, so it is that of the same moment.
"""

from __future__ import annotations

from ..protocol import permissions
from ..protocol.errors import RoomUnknown
from ..protocol.principal import Principal
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
