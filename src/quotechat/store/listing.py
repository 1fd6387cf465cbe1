"""List rooms as one reader sees them: those that it may read, with its own membership in each."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Any, NamedTuple

from ..protocol import events, rooms
from ..protocol.errors import RoomUnknown
from ..protocol.rights.permissions import READ, allows
from ..protocol.rights.principal import Principal
from . import members
from .ledger import Room
from .shapes import PART, Row, Sql, room_info

_ROOM = "r.name, r.title, r.kind, r.about, r.head, r.chain, r.created_at, r.last, r.messages"
_OWN = "m.role, m.at, m.read_id, m.read_n, m.level, m.muted_until"
_ALL = (
    f"SELECT r.id, {_ROOM}, {_OWN} FROM room r LEFT JOIN member m ON m.room_id = r.id AND m.account_id = ?"
    " WHERE r.kind = 'open'"
    f" UNION ALL SELECT r.id, {_ROOM}, {_OWN} FROM member m JOIN room r ON r.id = m.room_id"
    " WHERE m.account_id = ? AND r.kind NOT IN ('open', 'log')"
)
_ONE = (
    f"SELECT r.id, {_ROOM}, {_OWN} FROM room r LEFT JOIN member m ON m.room_id = r.id AND m.account_id = ?"
    " WHERE r.name = ?"
)
_COUNTS = (
    "SELECT o.room_id, count(*) FROM member m JOIN room r ON r.id = m.room_id JOIN member o ON o.room_id = m.room_id"
    " WHERE m.account_id = ? AND r.kind = 'closed' GROUP BY o.room_id"
)
_PEOPLE = (
    "SELECT o.room_id, a.key, a.name FROM member m JOIN room r ON r.id = m.room_id JOIN member o ON o.room_id ="
    " m.room_id JOIN account a ON a.id = o.account_id WHERE m.account_id = ? AND r.kind = 'direct'"
    " AND o.account_id <> m.account_id"
)
_PLACE = 10
"""The column at which the caller's own membership begins."""


class Own(NamedTuple):
    """The caller's own membership."""

    role: str
    at: int
    read_id: int
    read_n: int
    level: str | None
    muted_until: int | None

    def shown(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        fields: dict[str, Any] = {"role": self.role, "joined": events.rfc3339(self.at)}
        fields["read"] = {"id": self.read_id, "messages": self.read_n}
        if self.level is not None:
            fields["level"] = self.level
        if self.muted_until is not None:
            fields["muted_until"] = events.rfc3339(self.muted_until)
        return fields


def visible(sql: Sql, principal: Principal, *, joined: bool = False) -> list[dict[str, Any]]:
    """Return the rooms that `principal` may read, by name, or those that it has joined; archived ones are left out."""
    account = principal.account or 0
    counts = {row[0]: row[1] for row in sql.all(_COUNTS, account)} if account else {}
    people = _people(sql.all(_PEOPLE, account)) if account else {}
    found = []
    for row in sorted(sql.all(_ALL, account, account), key=lambda row: str(row[1])):
        number, name, kind, role = row[0], row[1], row[3], row[_PLACE]
        if PART in name or (joined and role is None) or not allows(principal, READ, kind, role):
            continue
        if principal.rooms is not None and name not in principal.rooms:
            continue
        room = _info(row, counts.get(number), people.get(number, []))
        if not room.get("archived"):
            found.append(room)
    return found


def one(sql: Sql, room: str, account: int | None) -> dict[str, Any]:
    """Return one room as `account` sees it, which may read it. Raises RoomUnknown."""
    row = sql.one(_ONE, account or 0, room)
    if row is None:
        raise RoomUnknown(room)
    count = members.count(sql, row[0]) if row[3] == rooms.CLOSED else None
    others = members.listed(sql, row[0]) if row[3] == rooms.DIRECT else []
    return _info(row, count, [(each.id, each.name) for each in others if each.account != account])


def shown(
    room: Room, title: str | None, at: int, you: Own | None, count: int | None, people: list[tuple[str, str]] | None
) -> dict[str, Any]:
    """Return a room that was made at `at`, in the transaction that makes it."""
    fields = room_info(room.name, title, room.kind, room.about, room.head, room.chain, at)
    return _with_members(fields, room.kind, count, people or [], you)


def _info(row: Row, count: int | None, people: list[tuple[str, str]]) -> dict[str, Any]:
    you = None if row[_PLACE] is None else Own(*row[_PLACE:])
    return _with_members(room_info(*row[1:_PLACE]), row[3], count, people, you)


def _with_members(
    fields: dict[str, Any], kind: str, count: int | None, people: list[tuple[str, str]], you: Own | None
) -> dict[str, Any]:
    if kind == rooms.CLOSED and count is not None:
        fields["members"] = count
    if kind == rooms.DIRECT:
        fields["with"] = [{"id": key, "name": name} for key, name in people]
    if you is not None:
        fields["you"] = you.shown()
    return fields


def _people(rows: Iterable[Row]) -> dict[int, list[tuple[str, str]]]:
    found: dict[int, list[tuple[str, str]]] = {}
    for room_id, key, name in rows:
        found.setdefault(room_id, []).append((key, name))
    return {room_id: sorted(people, key=itemgetter(1)) for room_id, people in found.items()}
