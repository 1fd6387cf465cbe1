"""The rules of messages that wait: schedule and cancel. Their delivery is in `delivery`."""

from __future__ import annotations

from ...protocol import json
from ...protocol.commands import CancelScheduled, SendMessage
from ...protocol.errors import Forbidden, RateLimited, RoomUnknown, ScheduledUnknown
from ...protocol.rights.principal import Principal
from ..accounts import callers
from ..accounts.callers import Standing
from ..base import Cancelled, Scheduled, Write
from ..files import attaching
from ..ledger import Ledger
from ..shapes import content_of
from .asked import Asked, Settings

MOST_WAITING = 100
"""Scheduled messages of one identity that may wait, those that were refused included."""
MOST_WAITING_OF_ADDRESS = 500
"""Scheduled messages from one address that may wait, over all its identities."""

_OWN = (
    "SELECT 1 FROM scheduled s JOIN room r ON r.id = s.room_id WHERE s.id = ? AND r.name = ?"
    " AND (s.identity = ? OR s.identity IN"
    " (SELECT c.identity FROM claim c JOIN account a ON a.id = c.account_id WHERE a.identity = ?))"
    " AND (s.state IN ('waiting', 'refused')"
    " OR EXISTS (SELECT 1 FROM sent WHERE sent.scheduled = s.id AND sent.client_id = ?))"
)
"""One statement for any name of a room, so that its cost does not show which rooms there are."""


def check(asked: Asked) -> None:
    """Raise RateLimited if too many messages of this sender wait."""
    sql, write = asked.ledger.sql, asked.write
    row = sql.one(
        "SELECT count(*) FROM scheduled WHERE identity = ? AND state IN ('waiting', 'refused')", write.identity
    )
    if row and row[0] >= MOST_WAITING:
        raise RateLimited(60_000, f"At most {MOST_WAITING} of your messages may wait.")
    if write.source is None:
        return
    row = sql.one("SELECT count(*) FROM scheduled WHERE source = ?", write.source)
    if row and row[0] >= MOST_WAITING_OF_ADDRESS:
        raise RateLimited(60_000, f"At most {MOST_WAITING_OF_ADDRESS} messages from one address may wait.")


def schedule(asked: Asked, command: SendMessage, due: int) -> Scheduled:
    """Keep a message until it is due."""
    said = command.message
    message = content_of(said)
    if asked.write.runs is not None:
        # Made by now, and not in the transaction that delivers it.
        message["runs"] = asked.write.runs
    row = asked.ledger.sql.one(
        "INSERT INTO scheduled (room_id, identity, client_id, due_at, message, state, source)"
        " VALUES (?, ?, ?, ?, ?, 'waiting', ?) RETURNING id",
        asked.room.id, asked.write.identity, command.client_id, due, json.dumps(message).decode(), asked.write.source,
    )  # fmt: skip
    assert row is not None
    attaching.reserve(asked.ledger.sql, said.files, row[0])
    return Scheduled(asked.ledger.waiting(row[0]))


def without_room(ledger: Ledger, command: CancelScheduled, write: Write, settings: Settings) -> Asked:
    """Return a command that cancels a message of its sender in a room that its sender may not read any more.

    Raises RoomUnknown unless the message waits, was refused, or was cancelled by the same `client_id`.
    """
    identity = write.identity
    values = (command.scheduled.id, command.room, identity, identity, command.client_id)
    if identity is None or ledger.sql.one(_OWN, *values) is None:
        raise RoomUnknown(command.room)
    return Asked(ledger, ledger.room(command.room), write, settings, Standing(Principal(identity)))


def cancel(asked: Asked, command: CancelScheduled) -> Cancelled:
    """Cancel a message that waits, or put one away that was refused."""
    identity, scheduled_id = asked.need_identity(), command.scheduled.id
    row = asked.ledger.sql.one(
        "SELECT identity, state FROM scheduled WHERE id = ? AND room_id = ?", scheduled_id, asked.room.id
    )
    own = row is not None and callers.owns(asked.ledger.sql, identity, row[0])
    if row is None or (own and row[1] not in ("waiting", "refused")):
        raise ScheduledUnknown(scheduled_id)
    if not own:
        raise Forbidden()
    cancelled = Cancelled(asked.ledger.waiting(scheduled_id))
    asked.ledger.cancel(scheduled_id, keep=command.client_id is not None)
    return cancelled
