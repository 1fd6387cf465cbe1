"""Deliver a scheduled message that is due: the conditions of a send hold at that moment."""

from __future__ import annotations

from dataclasses import replace

from msgspec import structs

from ...protocol import commands, json
from ...protocol.commands import SendMessage
from ...protocol.errors import Refused, Unauthenticated
from .. import callers, held_names
from ..base import Deliver, Nothing, Outcome, Write
from ..ledger import Ledger
from ..shapes import Sql
from . import messages
from .asked import Asked, Settings

WAITING = (
    "SELECT r.name, s.identity, s.client_id, s.message FROM scheduled s JOIN room r"
    " ON r.id = s.room_id WHERE s.id = ? AND s.state = 'waiting'"
)
STILL_WAITING = "SELECT 1 FROM scheduled WHERE id = ? AND state = 'waiting'"


def deliver(ledger: Ledger, command: Deliver, write: Write, settings: Settings) -> Outcome:
    """Send a message that waits, or give it back to its sender."""
    sql = ledger.sql
    row = sql.one(WAITING, command.id)
    if row is None:
        return Nothing()
    room = ledger.room(row[0])
    # Again under the room's lock: another machine may have been first.
    if not sql.one(STILL_WAITING, command.id):
        return Nothing()
    kept = json.own(row[3])
    runs = kept.pop("runs", None)
    said = commands.NewMessage(**kept)
    try:
        name = callers.current_name(sql, row[1], write.at)
    except Unauthenticated as refused:
        _refuse_due(sql, command.id, refused)
        return Nothing()
    if name is not None:
        said = structs.replace(said, user=name)
    send = SendMessage(message=said, room=room.name, client_id=row[2])
    asked = Asked(ledger, room, replace(write, identity=row[1]), settings)
    parent = messages.parent_if_kept(asked, said.reply_to)
    try:
        # The conditions of a send hold now: the name may have become another's since.
        held_names.hold(ledger, room, asked.write, said.user, settings.name_hold_ms)
    except Refused as refused:
        _refuse_due(sql, command.id, refused)
        return Nothing()
    stored = messages.say(asked, send, parent, runs)
    # The text is the log's from now on, which knows how to forget it.
    sql.run(
        "UPDATE scheduled SET state = 'sent', seq = ?, message = '{}', source = NULL WHERE id = ?",
        stored.seq, command.id,
    )  # fmt: skip
    # Its client_id now answers with the event.
    if send.client_id is not None:
        sql.run(
            "UPDATE sent SET seq = ? WHERE room_id = ? AND sender = ? AND client_id = ?",
            stored.seq, room.id, send.sender(row[1]), send.client_id,
        )  # fmt: skip
    return stored


def _refuse_due(sql: Sql, scheduled_id: int, refused: Refused) -> None:
    """Leave a due message with its sender, and say why it was not sent."""
    sql.run(
        "UPDATE scheduled SET state = 'refused', code = ?, source = NULL WHERE id = ?", refused.code, scheduled_id
    )
