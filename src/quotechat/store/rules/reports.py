"""The rule of reports: a message is reported to the managers of its room."""

from __future__ import annotations

from ...protocol.commands import ReportMessage
from ...protocol.errors import Conflict, MessageUnknown
from ..administration import reports
from ..base import Accepted
from . import rights
from .asked import Asked


def report(asked: Asked, command: ReportMessage) -> Accepted:
    """Report a message; the same person reports it once until that is looked at."""
    account, sql, message_id = rights.need_account(asked), asked.ledger.sql, command.message.id
    row = sql.one("SELECT deleted FROM message WHERE room_id = ? AND id = ?", asked.room.id, message_id)
    if row is None:
        raise MessageUnknown(message_id)
    if row[0] is not None:
        raise Conflict("This message is deleted.")
    if reports.add(sql, asked.room.id, message_id, account, command.reason, asked.write.at):
        asked.tell("reported", message=message_id)
    return Accepted({})
