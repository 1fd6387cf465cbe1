"""Find the rooms that a caller may read now: each search does so in the transaction that reads messages."""

from __future__ import annotations

from typing import NamedTuple

from ...protocol.rights.principal import Principal
from .. import visibility
from ..shapes import PART, Sql


class Seen(NamedTuple):
    """A room that a caller may read."""

    name: str
    kind: str


def visible(sql: Sql, principal: Principal) -> dict[int, Seen]:
    """Return the rooms that `principal` may read, by key."""
    rows = visibility.rooms(sql, "r.name, r.id, r.kind", principal)
    return {key: Seen(name, kind) for name, key, kind in rows if PART not in name}
