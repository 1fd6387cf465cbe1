"""The rights that each command needs, checked under the room's lock and before the look-up of repeats.

So a sender that has lost a right does not learn an earlier outcome, and nothing is stored for it, however long its
command was queued. The table itself is `protocol.rights.permissions`.
"""

from __future__ import annotations

from ...protocol import commands, rooms
from ...protocol.commands import (
    AddMember,
    AddQuote,
    CancelScheduled,
    DeleteMessage,
    EditMessage,
    Join,
    MarkRead,
    React,
    RemoveMember,
    RemoveQuote,
    ReportMessage,
    SendMessage,
    SetLevel,
    SetMember,
    SetRoom,
)
from ...protocol.errors import Conflict, Forbidden, RateLimited, ScopeMissing, Unauthenticated
from ...protocol.rights.permissions import CHANGE_OWN, MANAGE, READ, WRITE, WRITE_RESTRICTED
from ..base import CLOCKS_MS
from .asked import Asked

_NEEDS: dict[type, str] = {
    SendMessage: WRITE,
    EditMessage: CHANGE_OWN,
    React: CHANGE_OWN,
    # Their rules know the owner of the message, and of the quote.
    DeleteMessage: READ,
    CancelScheduled: READ,
    AddQuote: WRITE,
    RemoveQuote: READ,
    SetRoom: MANAGE,
    AddMember: MANAGE,
    SetMember: MANAGE,
    RemoveMember: MANAGE,
    Join: READ,
    ReportMessage: READ,
    MarkRead: READ,
    SetLevel: READ,
}
_SPEAKS = (SendMessage, EditMessage, React, AddQuote)
"""Commands that a mute forbids, and the archiving of a room."""
_FOR_ACCOUNTS = (Join, ReportMessage, SetRoom, AddMember, SetMember, RemoveMember)
"""Commands that need an account: a visitor is told to sign in."""
_LOOKS_BACK = 500
"""The newest events among which the last message of a visitor is looked for."""
_SPOKE = (
    "SELECT max(at) FROM event WHERE room_id = ? AND seq > ? AND at > ? AND at <= ? AND command = 'message-sent'"
    " AND identity"
)
_BLOCKED = (
    "SELECT 1 FROM member m JOIN blocked b ON b.account_id = m.account_id AND b.other = ? WHERE m.room_id = ?"
    " AND (SELECT count(*) FROM member o WHERE o.room_id = ?) = 2 LIMIT 1"
)


def check(asked: Asked, command: commands.Write) -> None:
    """Raise Forbidden, Unauthenticated, ScopeMissing or Conflict if the sender may not do `command` here."""
    if asked.room.kind == rooms.LOG:
        raise Forbidden("Nobody writes here: it is told by what is done.")
    if asked.write.operator:
        return
    if isinstance(command, AddQuote) and rooms.is_private(asked.room.kind):
        raise Forbidden("Quotes belong to everybody, and this room does not.")
    if isinstance(command, _FOR_ACCOUNTS):
        need_account(asked)
    if isinstance(command, SendMessage | EditMessage) and asked.room.kind == rooms.DIRECT:
        _check_blocked(asked)
    if not asked.may(_action(asked, command)):
        raise Forbidden(_reason(command))
    if not isinstance(command, _SPEAKS):
        return
    if asked.about.archived:
        raise Conflict("This room is archived: nothing more is written here.")
    left = (asked.standing.muted_until or 0) - asked.write.at
    if left > 0:
        raise Forbidden("You are muted in this room.", retry_in_ms=left)


def need_account(asked: Asked) -> int:
    """Return the key of the sender's account. Raises Unauthenticated."""
    number = asked.standing.principal.account
    if number is None:
        raise Unauthenticated("This needs an account: sign in, or send a token.")
    return number


def need_scope(asked: Asked, scope: str) -> None:
    """Raise ScopeMissing if the sender's token lacks `scope`."""
    if not asked.write.operator and scope not in asked.standing.principal.scopes:
        raise ScopeMissing(scope)


def check_pace(asked: Asked) -> None:
    """Raise RateLimited if the room is slow and the sender spoke a moment ago; managers may speak at any time.

    Looked up after repeats: the same message again is no second one.
    """
    slow_ms = asked.about.slow * 1000
    if not slow_ms or asked.write.continues or asked.may(MANAGE):
        return
    # A member that has left and come back has no time of its own.
    spoke_at = asked.standing.spoke_at or _spoke_at(asked, slow_ms)
    left = (spoke_at or 0) + slow_ms - asked.write.at
    if 0 < left <= slow_ms + CLOCKS_MS:  # more, if the clock was set back
        raise RateLimited(left, f"This room is slow: one message in {asked.about.slow} s.")


def _check_blocked(asked: Asked) -> None:
    """Raise Forbidden if the only other one in a direct room has blocked the sender."""
    row = asked.ledger.sql.one(_BLOCKED, asked.standing.principal.account, asked.room.id, asked.room.id)
    if row is not None:
        raise Forbidden("They take no direct messages from you.")


def _spoke_at(asked: Asked, slow_ms: int) -> int | None:
    """Return the time of the sender's last message among the newest events; senders without identity count as one."""
    identity = asked.write.identity
    of_it, values = (" IS NULL", ()) if identity is None else (" = ?", (identity,))
    now, before = asked.write.at, asked.room.head - _LOOKS_BACK
    row = asked.ledger.sql.one(_SPOKE + of_it, asked.room.id, before, now - slow_ms, now + CLOCKS_MS, *values)
    return None if row is None else row[0]


def _action(asked: Asked, command: commands.Write) -> str:
    if isinstance(command, SendMessage) and asked.about.posting == "managers":
        return WRITE_RESTRICTED
    if isinstance(command, RemoveMember) and command.member.id == asked.standing.principal.id:
        return READ
    return _NEEDS[type(command)]


def _reason(command: commands.Write) -> str:
    if isinstance(command, SetRoom | AddMember | SetMember | RemoveMember):
        return "Only managers of the room may do this."
    return "You may not write in this room." if isinstance(command, _SPEAKS) else "You may not do this."
