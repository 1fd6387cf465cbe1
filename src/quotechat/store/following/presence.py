"""The time at which accounts were last here, in rows of their own: senders lock the account's row while they write."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from ...protocol import json
from ...protocol.errors import Forbidden, RoomUnknown
from ...protocol.rights.permissions import LIST_MEMBERS, allows
from ...protocol.rights.principal import Principal
from .. import members
from ..shapes import Sql

MOST_SHOWN = 1000
"""Members of a room that are shown, those that were here last."""
_AT_ONCE = 10_000
"""Accounts that one statement writes."""
_SETTINGS = "SELECT settings FROM account WHERE id = ?"


class Seen(NamedTuple):
    """A member of a room, and when it was last here, in milliseconds since 1970."""

    id: str
    identity: str
    at: int


def write(sql: Sql, identities: Collection[str], at: int) -> None:
    """Note that the accounts with these identities are here."""
    wanted = sorted(identities)
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        # In one order: two workers that waited for each other would both be late.
        sql.run(
            f"INSERT INTO presence (account_id, seen_at) SELECT id, ? FROM account WHERE identity IN ({_marks(some)})"
            " ORDER BY id ON CONFLICT (account_id) DO UPDATE SET seen_at = excluded.seen_at", at, *some,
        )  # fmt: skip


def of_room(sql: Sql, principal: Principal, room: str, since: int, here: Collection[str] = ()) -> list[Seen]:
    """Return the members of `room` that were here since then, or whose identity is in `here`.

    Without those that hide it, or have blocked the asker; none at all for one that hides it. Raises RoomUnknown, and
    Forbidden if the members are not the asker's to see.
    """
    found = members.membership(sql, room, principal.account)
    if found is None:
        raise RoomUnknown(room)
    if not allows(principal, LIST_MEMBERS, found.kind, found.role):
        raise Forbidden("The members of this room are not yours to see.")
    own = sql.one(_SETTINGS, principal.account)
    if own is None or _hides(own[0]):
        return []
    known = sorted(here)[:MOST_SHOWN]
    rows = sql.all(
        "SELECT a.key, a.identity, coalesce(p.seen_at, 0), a.settings FROM member m"
        " JOIN account a ON a.id = m.account_id LEFT JOIN presence p ON p.account_id = a.id"
        f" WHERE m.room_id = ? AND (p.seen_at >= ?{_or_known(known)})"
        " AND NOT EXISTS (SELECT 1 FROM blocked b WHERE b.account_id = a.id AND b.other = ?)"
        f" ORDER BY coalesce(p.seen_at, 0) DESC, a.id LIMIT {MOST_SHOWN}", found.room_id, since, *known,
        principal.account,
    )  # fmt: skip
    return [Seen(*row[:3]) for row in rows if not _hides(row[3])]


def _or_known(known: Collection[str]) -> str:
    return f" OR a.identity IN ({_marks(known)})" if known else ""


def _marks(values: Collection[str]) -> str:
    return ", ".join("?" * len(values))


def _hides(settings: str) -> bool:
    return bool(json.own(settings).get("presence") == "off")
