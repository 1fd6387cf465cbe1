"""The rules: the conditions of each command, and the event that comes of it. One function for each command.

A rule checks all before it changes anything, so a refusal leaves no trace in the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ...protocol import commands, names
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
from ...protocol.errors import Refused, RoomUnknown
from ..accounts import bars, callers, held_names
from ..base import (
    Accepted,
    BeginDirect,
    Cancelled,
    CreateRoom,
    Deliver,
    EraseMessage,
    Outcome,
    Scheduled,
    Stored,
    Write,
)
from ..ledger import SENT, Ledger, former_sender
from ..maintenance import erasing
from . import delivery, members, mentioning, messages, positions, quotes, reactions, reports, rights, rooms, waiting
from .asked import Asked, Settings, ask
from .delivery import STILL_WAITING, WAITING

__all__ = ["STILL_WAITING", "WAITING", "Settings", "apply", "apply_all", "likely_reads"]


def apply_all(ledger: Ledger, writes: Sequence[Write], settings: Settings) -> list[Outcome | Refused]:
    """Do a batch, in order; one outcome or refusal for each. Of the parts of one text all are refused, or none."""
    if {type(write.command) for write in writes} >= {AddQuote, BeginDirect}:
        # In one order, whichever comes first: else two batches could wait for each other.
        ledger.sql.alone("direct")
        ledger.sql.alone("quote")
    outcomes: list[Outcome | Refused] = []
    for number, write in enumerate(writes):
        if write.continues and outcomes and isinstance(outcomes[-1], Refused):
            outcomes.append(outcomes[-1])
            continue
        is_continued = number + 1 < len(writes) and writes[number + 1].continues
        try:
            outcomes.append(apply(ledger, write, settings, _parts_after(writes, number) if is_continued else ()))
        except Refused as refused:
            outcomes.append(refused)
    return outcomes


def _parts_after(writes: Sequence[Write], number: int) -> Sequence[Write]:
    """Return the parts that continue the text of which the write `number` is the first part."""
    end = number + 1
    while not writes[number].continues and end < len(writes) and writes[end].continues:
        end += 1
    return writes[number + 1 : end]


def apply(ledger: Ledger, write: Write, settings: Settings, parts: Sequence[Write] = ()) -> Outcome:
    """Do one thing. Raises Refused, and then nothing has changed.

    `parts` continue its text. They have its sender, time and room, so what is checked for it holds for them too; only
    whether the client_id of each was used before is looked up for each.
    """
    command = write.command
    bars.check(ledger.sql, write)
    if isinstance(command, CreateRoom):
        return rooms.create(ledger, command, write, settings)
    if isinstance(command, BeginDirect):
        return rooms.begin_direct(ledger, command, write, settings)
    if isinstance(command, Deliver):
        return delivery.deliver(ledger, command, write, settings)
    if isinstance(command, EraseMessage):
        return erasing.erase(ledger, command, write)
    try:
        asked = ask(ledger, command.room, write, settings)
    except RoomUnknown:
        if not isinstance(command, CancelScheduled):
            raise
        asked = waiting.without_room(ledger, command, write, settings)
    else:
        callers.check_name(asked.standing, command)
        rights.check(asked, command)
    earlier = ledger.earlier(asked.room, command, write)
    for part in parts:
        assert isinstance(part.command, SendMessage)
        ledger.earlier(asked.room, part.command, part)  # refused with this one, if its client_id was used
    if earlier is not None:
        return earlier
    outcome = _RULES[type(command)](asked, command)
    if isinstance(outcome, Stored):
        ledger.remember(asked.room, command, write, seq=outcome.seq)
    elif not isinstance(outcome, Accepted):
        ledger.remember(asked.room, command, write, scheduled=outcome.scheduled["id"])
    return outcome


_RULES: dict[type, Callable[[Asked, Any], Stored | Scheduled | Cancelled | Accepted]] = {
    SendMessage: messages.send,
    EditMessage: messages.edit,
    DeleteMessage: messages.delete,
    React: reactions.react,
    CancelScheduled: waiting.cancel,
    AddQuote: quotes.add,
    RemoveQuote: quotes.remove,
    SetRoom: rooms.change,
    Join: members.join,
    ReportMessage: reports.report,
    AddMember: members.add,
    SetMember: members.change,
    RemoveMember: members.remove,
    MarkRead: positions.mark_read,
    SetLevel: positions.set_level,
}


def likely_reads(command: commands.Write, write: Write, room_id: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the single-row reads that `apply` will most likely make, as (statement, values).

    It may be wrong: a read that is missing here costs a round trip, and nothing else.
    """
    yield from bars.likely_reads(write)
    yield from callers.likely_reads(command, write, room_id)
    if command.client_id is not None:
        for sender in (command.sender(write.identity), former_sender(command, write)):
            if sender is not None:
                yield SENT, (room_id, sender, command.client_id)
    if isinstance(command, SendMessage):
        yield held_names.NAME, (room_id, names.skeleton(command.message.user))
        if command.message.reply_to is not None:
            yield messages.PARENT, (room_id, command.message.reply_to)
        yield from mentioning.likely_reads(write.candidates, room_id, write.identity)
    elif isinstance(command, EditMessage) and write.identity is not None:
        yield messages.OWN, (room_id, command.message.id)
        yield from mentioning.likely_reads(write.candidates, room_id, write.identity)
    elif isinstance(command, React) and write.identity is not None:
        yield from reactions.likely_reads(command.message, write.identity, room_id)
