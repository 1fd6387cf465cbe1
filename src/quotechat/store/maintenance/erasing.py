"""Delete all messages of an account, some at a time: which account is next, and how far that has come.

It is kept in the table ``erasure``, so that any process goes on with it after a restart. One at a time does.
"""

from __future__ import annotations

from typing import NamedTuple

from ...protocol import events, json
from ...protocol.rooms import is_private
from ..accounts import callers
from ..accounts.accounts import Account
from ..base import EraseMessage, Nothing, Stored, Write
from ..following import mentions
from ..ledger import Ledger
from ..shapes import PART, Sql, nameless_stub
from .redaction import redact_member, redact_message

AT_ONCE = 500
"""Messages between two notes of how far it has come."""
LEASE_MS = 15_000
"""For how long a process that does this keeps others from it."""
_AS_MEMBER = (
    "SELECT seq AS id FROM event WHERE room_id = ? AND seq > ?"
    " AND command IN ('member-joined', 'member-changed', 'member-left') AND body LIKE ?"
)
_COLUMNS = "account_id, at, nameless, room, message_id"


class Erasure(NamedTuple):
    """The messages of an account after message `message_id` of the room named `room` are left to delete.

    `at` is when it began, or a moment later: each that begins has a later one.
    """

    account_id: int
    at: int
    nameless: bool
    room: str
    message_id: int


def begin(sql: Sql, account: Account, at: int, *, nameless: bool) -> None:
    """Let all messages of an account be deleted; with `nameless` they lose its name too. One that runs begins anew.

    If that one is nameless, it stays so.
    """
    sql.run(
        "INSERT INTO erasure (account_id, at, nameless, moderated) VALUES (?, ?, ?, ?) ON CONFLICT (account_id)"
        " DO UPDATE SET nameless = CASE WHEN erasure.nameless = 1 THEN 1 ELSE excluded.nameless END,"
        " moderated = excluded.moderated, room = '', message_id = 0,"
        " at = CASE WHEN excluded.at > erasure.at THEN excluded.at ELSE erasure.at + 1 END",
        account.id, at, int(nameless), int(not nameless),
    )  # fmt: skip


def is_left(sql: Sql) -> bool:
    """Return True if any is left to do."""
    return sql.one("SELECT 1 FROM erasure LIMIT 1") is not None


def take(sql: Sql, now: int) -> Erasure | None:
    """Return one that no other process is doing, and keep others from it for a while."""
    # One that ends far ahead is from before the clock was set back.
    free, ends = "(lease_until <= ? OR lease_until > ?)", (now, now + 2 * LEASE_MS)
    row = sql.one(
        f"UPDATE erasure SET lease_until = ? WHERE account_id = (SELECT account_id FROM erasure WHERE {free}"
        f" ORDER BY at, account_id LIMIT 1) AND {free} RETURNING {_COLUMNS}", now + LEASE_MS, *ends, *ends,
    )  # fmt: skip
    return None if row is None else Erasure(row[0], row[1], bool(row[2]), row[3], row[4])


def messages(sql: Sql, erasure: Erasure, limit: int = AT_ONCE) -> list[tuple[str, int]]:
    """Return the next messages to delete, as (room, id); none if all are gone.

    If the name is to go too, also the events that name the account as a member; their number is their seq.
    """
    row = sql.one("SELECT identity, key FROM account WHERE id = ?", erasure.account_id)
    identities = sorted({row[0]} | callers.claimed(sql, row[0])) if row is not None else []
    found: list[tuple[str, int]] = []
    rooms = sql.all("SELECT id, name, kind FROM room WHERE name >= ? ORDER BY name", erasure.room) if identities else []
    for room_id, name, kind in list(rooms):
        if PART in name:
            continue
        after = erasure.message_id if name == erasure.room else 0
        marks = ", ".join("?" * len(identities))
        own = f"SELECT id FROM message WHERE room_id = ? AND id > ? AND identity IN ({marks})"
        values = (room_id, after, *identities)
        if erasure.nameless and row is not None and is_private(kind):
            own, values = f"{own} UNION {_AS_MEMBER}", (*values, room_id, after, f'%"id":"{row[1]}"%')
        rows = sql.all(f"{own} ORDER BY id LIMIT ?", *values, limit - len(found))
        found += [(name, each) for (each,) in rows]
        if len(found) >= limit:
            break
    return found


def note(sql: Sql, erasure: Erasure, reached: tuple[str, int] | None) -> None:
    """Note how far it has come and let others go on; None for all that there was.

    If `begin` was called again since `take`, nothing is noted: messages that are deleted already may keep the name.
    """
    sql.run("UPDATE erasure SET lease_until = 0 WHERE account_id = ?", erasure.account_id)
    # The row is locked now.
    if sql.one("SELECT 1 FROM erasure WHERE account_id = ? AND at = ?", erasure.account_id, erasure.at) is None:
        return
    if reached is None:
        sql.run("DELETE FROM erasure WHERE account_id = ?", erasure.account_id)
        sql.run(
            "DELETE FROM claim WHERE account_id IN (SELECT id FROM account WHERE id = ? AND state = 'closed')",
            erasure.account_id,
        )
    else:
        sql.run("UPDATE erasure SET room = ?, message_id = ? WHERE account_id = ?", *reached, erasure.account_id)


def erase(ledger: Ledger, command: EraseMessage, write: Write) -> Stored | Nothing:
    """Delete one message; one that is deleted already may lose its author's name. Raises RoomUnknown."""
    room, sql = ledger.room(command.room), ledger.sql
    row = sql.one("SELECT deleted FROM message WHERE room_id = ? AND id = ?", room.id, command.id)
    if row is None:
        if command.nameless:
            redact_member(sql, room.id, command.id)
        return Nothing()
    gone = row[0] is not None
    if not gone or command.nameless:
        redact_message(sql, room.id, command.id, ledger.budget, nameless=command.nameless)
    stored = None
    if not gone:
        mentions.forget(ledger, room, command.id)
        body = {"message": {"id": command.id} | ({} if command.nameless else {"moderated": True})}
        stored = ledger.append(room, events.MESSAGE_DELETED, body, write, target=command.id)
    if command.nameless:
        shown = sql.one("SELECT body FROM message WHERE room_id = ? AND id = ?", room.id, command.id)
        assert shown is not None
        left = json.own(shown[0])
        stub = json.dumps(nameless_stub(left) | ({"moderated": True} if "moderated" in left else {})).decode()
        sql.run("UPDATE message SET body = ? WHERE room_id = ? AND id = ?", stub, room.id, command.id)
    return stored or Nothing()
