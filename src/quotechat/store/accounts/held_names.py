"""Holders of names in a room: the identity that last sent something under a name holds it, for a time.

A scheduled message holds nothing, and one identity holds few names: nobody keeps names from others unseen.
"""

from __future__ import annotations

from ...protocol import names
from ...protocol.errors import Conflict
from ...protocol.rights.principal import account_id
from ..base import Write
from ..ledger import Ledger, Room
from ..shapes import Row
from . import callers

MOST_NAMES = 5
"""Names that one identity may hold in a room; a further name replaces the one that it used longest ago."""
_TOUCH = 60_000
"""Milliseconds for which a held name is not written again; of a short hold only a part, or it would end in use."""
_TOUCH_SHARE = 20
NAME = "SELECT identity, at FROM name WHERE room_id = ? AND skeleton = ?"


def check(ledger: Ledger, room: Room, write: Write, user: str, hold_ms: int) -> Row | None:
    """Return the row of a name: its last user's identity, and the time. Refuse a name that another identity holds."""
    if account_id(write.identity) is not None or callers.check_free(ledger.sql, user, write.at, write.identity):
        return None  # the name of an account is its own in every room
    row = ledger.sql.one(NAME, room.id, names.skeleton(user))
    if row and row[0] != write.identity and write.at - row[1] < hold_ms:
        raise Conflict(f"The name {user} is in use in this room: choose another, or sign in if it is yours.", "user")
    return row


def hold(ledger: Ledger, room: Room, write: Write, user: str, hold_ms: int) -> None:
    """Let this sender hold a name from now on. Refuse it if another identity holds it."""
    row, who = check(ledger, room, write, user, hold_ms), write.identity
    if who is None or account_id(who) is not None:
        return
    own = row if row is not None and row[0] == who else None
    if own is not None and write.at - own[1] < min(_TOUCH, hold_ms // _TOUCH_SHARE):
        return
    ledger.sql.run(
        "INSERT INTO name (room_id, skeleton, identity, at) VALUES (?, ?, ?, ?) ON CONFLICT"
        " (room_id, skeleton) DO UPDATE SET identity = excluded.identity, at = excluded.at",
        room.id, names.skeleton(user), who, write.at,
    )  # fmt: skip
    if own is None:
        ledger.finally_run(
            "DELETE FROM name WHERE room_id = ? AND identity = ? AND skeleton NOT IN"
            " (SELECT skeleton FROM name WHERE room_id = ? AND identity = ? ORDER BY at DESC, skeleton LIMIT ?)",
            room.id, who, room.id, who, MOST_NAMES,
        )  # fmt: skip
