"""The rules: the conditions of each command, and the event that comes of it. One function for each command.

A rule checks all before it changes anything, so a refusal leaves no trace in the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ...protocol import commands, names, rooms
from ...protocol.commands import AddQuote, CancelScheduled, DeleteMessage, EditMessage, React, RemoveQuote, SendMessage
from ...protocol.errors import Forbidden, Refused
from .. import callers, erasing, held_names
from ..base import Cancelled, CreateRoom, Deliver, EraseMessage, Outcome, Scheduled, Stored, Write
from ..ledger import SENT, Ledger
from ..rooms import create_room
from . import delivery, messages, quotes, reactions, waiting
from .asked import Asked, Settings
from .delivery import STILL_WAITING, WAITING

__all__ = ["STILL_WAITING", "WAITING", "Settings", "apply", "apply_all", "foreseen"]


def apply_all(ledger: Ledger, writes: Sequence[Write], settings: Settings) -> list[Outcome | Refused]:
    """Do a batch, in order; one outcome or refusal for each."""
    outcomes: list[Outcome | Refused] = []
    for write in writes:
        try:
            outcomes.append(apply(ledger, write, settings))
        except Refused as refused:
            outcomes.append(refused)
    return outcomes


def apply(ledger: Ledger, write: Write, settings: Settings) -> Outcome:
    """Do one thing. Raises Refused, and then nothing has changed."""
    command = write.command
    if isinstance(command, CreateRoom):
        return create_room(ledger, command, write, settings.most_rooms)
    if isinstance(command, Deliver):
        return delivery.deliver(ledger, command, write, settings)
    if isinstance(command, EraseMessage):
        return erasing.erase(ledger, command, write)
    room = ledger.room(command.room)
    if room.kind == rooms.LOG:
        raise Forbidden("Nobody writes here: it is told by what is done.")
    # Before the look-up of repeats: a sender that has lost its rights does not learn an earlier outcome.
    callers.check(ledger.sql, command, write)
    earlier = ledger.earlier(room, command, write)
    if earlier is not None:
        return earlier
    outcome = _RULES[type(command)](Asked(ledger, room, write, settings), command)
    if isinstance(outcome, Stored):
        ledger.remember(room, command, write, seq=outcome.seq)
    else:
        ledger.remember(room, command, write, scheduled=outcome.scheduled["id"])
    return outcome


_RULES: dict[type, Callable[[Asked, Any], Stored | Scheduled | Cancelled]] = {
    SendMessage: messages.send,
    EditMessage: messages.edit,
    DeleteMessage: messages.delete,
    React: reactions.react,
    CancelScheduled: waiting.cancel,
    AddQuote: quotes.add,
    RemoveQuote: quotes.remove,
}


def foreseen(command: commands.Write, write: Write, room_id: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the single-row reads that `apply` will most likely make, as (statement, values).

    It may be wrong: a read that is missing here costs a round trip, and nothing else.
    """
    yield from callers.foreseen(command, write)
    if command.client_id is not None:
        yield SENT, (room_id, command.sender(write.identity), command.client_id)
    if isinstance(command, SendMessage):
        yield held_names.NAME, (room_id, names.skeleton(command.message.user))
        if command.message.reply_to is not None:
            yield messages.PARENT, (room_id, command.message.reply_to)
    elif isinstance(command, EditMessage) and write.identity is not None:
        yield messages.OWN, (room_id, command.message.id)
    elif isinstance(command, React) and write.identity is not None:
        yield from reactions.foreseen(command.message, write.identity, room_id)
