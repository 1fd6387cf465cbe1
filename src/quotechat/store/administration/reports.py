"""Reports of messages, for the managers of their rooms. Statements only.

Managers see the reports of their rooms; administrators those of open rooms, and of direct ones, which nobody manages,
but not what was said there.
"""

from __future__ import annotations

from typing import NamedTuple

from ...protocol import rooms
from ...protocol.errors import Forbidden, NotFound
from ...protocol.rights.principal import Principal
from ..base import PAGE_BYTES
from ..shapes import Row, Sql

_MOST_LOOKED_AT = 2000
"""Rows among which one look finds those that the asker may see."""
_KEYS = "r.id, o.name, o.kind, r.message_id, r.reason, r.at, r.state, a.key, a.name, c.key, m.role"
_COLUMNS = f"{_KEYS}, b.body"
_FROM = (
    "FROM report r JOIN room o ON o.id = r.room_id LEFT JOIN account a ON a.id = r.account_id"
    " LEFT JOIN account c ON c.id = r.closed_by"
    " LEFT JOIN member m ON m.room_id = r.room_id AND m.account_id = ?"
    " LEFT JOIN message b ON b.room_id = r.room_id AND b.id = r.message_id"
)


class Report(NamedTuple):
    """One report; `body` is the message as it is now, None if it is not for the asker, or kept no longer."""

    id: int
    room: str
    message_id: int
    reason: str
    at: int
    state: str
    by: str | None
    by_name: str | None
    closed_by: str | None
    body: str | None


def add(sql: Sql, room_id: int, message_id: int, account: int, reason: str, at: int) -> bool:
    """Store a report; return False if the account has reported the message, and nobody has looked at it."""
    key = (room_id, message_id, account)
    there = "SELECT 1 FROM report WHERE room_id = ? AND message_id = ? AND account_id = ? AND state = 'open'"
    if sql.one(there, *key) is not None:
        return False
    sql.run("INSERT INTO report (room_id, message_id, account_id, reason, at) VALUES (?, ?, ?, ?, ?)", *key, reason, at)
    return True


def listed(sql: Sql, reader: Principal, state: str, before: int | None, limit: int) -> tuple[list[Report], bool]:
    """Return reports in `state` that `reader` may see, the newest first, with ids below `before`; if there are more.

    At most `limit`, up to the one whose message brings them to `PAGE_BYTES`.
    """
    found: list[Report] = []
    size = 0
    # Without the texts: of thousands only those of one page are read.
    rows = sql.all(
        f"SELECT {_KEYS}, r.room_id {_FROM} WHERE r.state = ? AND r.id < ? ORDER BY r.id DESC LIMIT ?",
        reader.account or 0, state, 2**53 if before is None else before, _MOST_LOOKED_AT,
    )  # fmt: skip
    for *row, room_id in rows:
        if not _may_see(reader, row):
            continue
        if len(found) == limit or size >= PAGE_BYTES:
            return found, True
        body = sql.one("SELECT body FROM message WHERE room_id = ? AND id = ?", room_id, row[3])
        found.append(_report([*row, None if body is None else body[0]]))
        size += len((found[-1].body or "").encode())
    return found, False


def close(sql: Sql, reader: Principal, report_id: int, state: str) -> Report:
    """Set the state of a report. Raises NotFound, and Forbidden if `reader` may not decide it."""
    row = sql.one(f"SELECT {_COLUMNS} {_FROM} WHERE r.id = ?", reader.account or 0, report_id)
    if row is None or not _may_see(reader, row):
        raise NotFound("There is no such report.")
    if row[7] == reader.id and not reader.is_admin:
        raise Forbidden("Somebody else looks at what you report.")
    sql.run("UPDATE report SET state = ?, closed_by = ? WHERE id = ?", state, reader.account, report_id)
    return _report(row)._replace(state=state, closed_by=reader.id)


def _may_see(reader: Principal, row: Row) -> bool:
    return row[10] == "manager" or (reader.is_admin and row[2] in (rooms.OPEN, rooms.DIRECT))


def _report(row: Row) -> Report:
    body = row[11] if row[10] is not None or row[2] == rooms.OPEN else None
    return Report(row[0], row[1], row[3], row[4], row[5], row[6], row[7], row[8], row[9], body)
