"""The rules of an account's read position in a room and of its notification level. They make no event."""

from __future__ import annotations

from ...protocol.commands import MarkRead, SetLevel
from ...protocol.errors import Forbidden
from ..base import Accepted
from . import members, rights
from .asked import Asked
from .places import place

_UNSEEN = "SELECT 1 FROM mention WHERE account_id = ? AND room_id = ? AND message_id <= ? AND seen = 0 LIMIT 1"
_SET_SEEN = "UPDATE mention SET seen = ? WHERE account_id = ? AND room_id = ?"
"""Of those alone that change: an account may have thousands of mentions in a room."""


def mark_read(asked: Asked, command: MarkRead) -> Accepted:
    """Move the sender's position in the room: forwards, or with `back` anywhere."""
    account = rights.need_account(asked)
    wanted, room = command.read, asked.room
    found = place(asked, account)
    if found is None:
        members.enter_quietly(asked, account)
        found = ((room.head, room.counts.messages), None)
    read = before = found[0]
    if wanted.id >= room.counts.last and not (wanted.back and wanted.id < before[0]):
        # All is read: nothing is left over after a deletion.
        read = (max(before[0], min(wanted.id, room.head)), room.counts.messages)
    elif wanted.back or wanted.id > before[0]:
        read = (wanted.id, _messages_up_to(asked, wanted.id))
    _see(asked, account, read[0], back=wanted.back)
    if read != before:
        _move(asked, account, read)
    return Accepted({"read": {"id": read[0], "messages": read[1]}})


def read_own(asked: Asked, last: int) -> None:
    """Note that the sender of the newest message has read it, if all before it, up to `last`, was read."""
    ledger, room, account = asked.ledger, asked.room, asked.standing.principal.account
    if account is None or asked.standing.read_id is None:
        return
    read_id = ledger.positions.get((account, room.id), (asked.standing.read_id, 0))[0]
    if read_id >= last:
        ledger.positions[account, room.id] = (room.head, room.counts.messages)


def set_level(asked: Asked, command: SetLevel) -> Accepted:
    """Set the sender's notification level for the room."""
    account, sql = rights.need_account(asked), asked.ledger.sql
    found = place(asked, account)
    if found is None:
        raise Forbidden("Only members of the room have a level.")
    if found[1] != command.level:
        sql.run(
            "UPDATE member SET level = ? WHERE account_id = ? AND room_id = ?", command.level, account, asked.room.id
        )
        asked.ledger.move_inbox(account)
    return Accepted({"level": command.level})


def _messages_up_to(asked: Asked, message_id: int) -> int:
    """Count the messages that were sent up to this one; of those that are kept no longer all count."""
    sql, room = asked.ledger.sql, asked.room
    row = sql.one("SELECT n FROM message WHERE room_id = ? AND id <= ? ORDER BY id DESC LIMIT 1", room.id, message_id)
    if row is None:
        row = sql.one("SELECT floor_messages FROM room WHERE id = ?", room.id)
    return 0 if row is None else int(row[0])


def _move(asked: Asked, account: int, read: tuple[int, int]) -> None:
    asked.ledger.positions[account, asked.room.id] = read
    asked.ledger.move_inbox(account)


def _see(asked: Asked, account: int, read_id: int, *, back: bool) -> None:
    """Mark the mentions up to the position seen, and with `back` those above it unseen."""
    sql, key = asked.ledger.sql, (account, asked.room.id, read_id)
    if sql.one(_UNSEEN, *key) is not None:
        sql.run(f"{_SET_SEEN} AND message_id <= ? AND seen = 0", 1, *key)
        asked.ledger.move_inbox(account)
    if back:
        sql.run(f"{_SET_SEEN} AND message_id > ? AND seen = 1", 0, *key)
