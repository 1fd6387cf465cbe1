"""Deliver a scheduled message that is due: the conditions of a send hold at that moment."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from ...protocol import commands, json
from ...protocol.commands import SendMessage
from ...protocol.errors import RateLimited, Refused
from ...protocol.markup import mentions
from ..accounts import bars, held_names
from ..base import Deliver, Nothing, Outcome, Write
from ..files import attaching
from ..ledger import Ledger
from ..shapes import Sql
from . import messages, rights
from .asked import Asked, Settings, ask
from .members import join_by_speaking

WAITING = (
    "SELECT r.name, s.identity, s.client_id, s.message FROM scheduled s JOIN room r"
    " ON r.id = s.room_id WHERE s.id = ? AND s.state = 'waiting'"
)
STILL_WAITING = "SELECT 1 FROM scheduled WHERE id = ? AND state = 'waiting'"


def deliver(ledger: Ledger, command: Deliver, write: Write, settings: Settings) -> Outcome:
    """Send a scheduled message, or leave it with its sender if it is refused."""
    sql = ledger.sql
    row = sql.one(WAITING, command.id)
    if row is None:
        return Nothing()
    ledger.room(row[0])
    # Again under the room's lock: another machine may have been first.
    if not sql.one(STILL_WAITING, command.id):
        return Nothing()
    kept = json.own(row[3])
    runs = kept.pop("runs", None)
    scheduled = SendMessage(message=msgspec.convert(kept, commands.NewMessage), room=row[0], client_id=row[2])
    try:
        asked = ask(ledger, row[0], replace(write, identity=row[1]), settings)
        bars.check(sql, asked.write)
        send = _signed(asked, scheduled)
        # The conditions of a send hold now: a right may have ended, or the name become another's since.
        rights.check(asked, send)
        rights.check_pace(asked)
        files = attaching.waiting(sql, asked.room.id, row[1], send.message.files, command.id)
        held_names.hold(ledger, asked.room, asked.write, send.message.user, settings.name_hold_ms)
    except RateLimited:
        raise  # later it is sent
    except Refused as refused:
        _refuse_due(sql, command.id, refused)
        return Nothing()
    room = asked.room
    parent = messages.parent_if_kept(asked, send.message.reply_to)
    stored = messages.say(asked, send, parent, files, runs, mentions.candidates(send.message.message, runs))
    # From now on the text is in the log, from which it can be deleted.
    sql.run(
        "UPDATE scheduled SET state = 'sent', seq = ?, message = '{}', source = NULL WHERE id = ?",
        stored.seq, command.id,
    )  # fmt: skip
    if send.client_id is not None:
        # It now answers with the event, unless it was forgotten and used for something else since. It is a client_id of
        # the account, or of the name: a visitor's whose message the account has claimed, or of an earlier version.
        for sender in {scheduled.sender(row[1]), scheduled.message.user}:
            sql.run(
                "UPDATE sent SET seq = ? WHERE room_id = ? AND sender = ? AND client_id = ? AND scheduled = ?",
                stored.seq, room.id, sender, send.client_id, command.id,
            )  # fmt: skip
    join_by_speaking(asked)
    return stored


def _signed(asked: Asked, send: SendMessage) -> SendMessage:
    """Return the message under the name that its account has by now."""
    principal = asked.standing.principal
    if not principal.has_account or principal.name is None:
        return send
    return replace(send, message=replace(send.message, user=principal.name))


def _refuse_due(sql: Sql, scheduled_id: int, refused: Refused) -> None:
    """Leave a due message with its sender, with the code of its refusal."""
    sql.run(
        "UPDATE scheduled SET state = 'refused', code = ?, source = NULL WHERE id = ?", refused.code, scheduled_id
    )
