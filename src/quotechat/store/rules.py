"""The rules: the conditions of each command, and the event that comes of it. One function for each command.

A rule checks all before it changes anything, so a refusal leaves no trace in the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from msgspec import structs

from ..protocol import commands, events, json, names, text
from ..protocol.commands import AddQuote, CancelScheduled, DeleteMessage, EditMessage, React, RemoveQuote, SendMessage
from ..protocol.errors import (
    Conflict,
    Forbidden,
    Invalid,
    MessageUnknown,
    QuoteUnknown,
    RateLimited,
    Refused,
    ScheduledUnknown,
    Unauthenticated,
)  # fmt: skip
from ..protocol.principal import account_id
from . import callers, held_names, presenting
from .base import Cancelled, CreateRoom, Deliver, Nothing, Outcome, Scheduled, Stored, Write
from .ledger import SENT, Ledger, Room
from .redaction import redact_message, redact_quote
from .rooms import MOST_ROOMS, create_room
from .shapes import Sql, content_of, counted, in_order, removed_quote

MOST_WAITING = 100
"""Scheduled messages of one identity that may wait, those that were refused included."""
MOST_WAITING_OF_ADDRESS = 500
"""Scheduled messages from one address that may wait, over all its identities."""
MOST_EDITS = 1000
"""Edits of one message: each stays in the log, with the whole text."""
_VALUES = {"like": 1, "dislike": -1, "none": 0}

# Reads of the common commands: prefetched together if that is faster (`foreseen`).
_PARENT = "SELECT body FROM message WHERE room_id = ? AND id = ?"
_OWN = "SELECT identity, deleted, body, likes, dislikes, edits FROM message WHERE room_id = ? AND id = ?"
_COUNTS = "SELECT likes, dislikes, deleted FROM message WHERE room_id = ? AND id = ?"
_REACTION = "SELECT value FROM reaction WHERE room_id = ? AND message_id = ? AND identity = ?"
WAITING = (
    "SELECT r.name, s.identity, s.client_id, s.message FROM scheduled s JOIN room r"
    " ON r.id = s.room_id WHERE s.id = ? AND s.state = 'waiting'"
)
STILL_WAITING = "SELECT 1 FROM scheduled WHERE id = ? AND state = 'waiting'"


@dataclass(frozen=True)
class Settings:
    """The operator's settings for the rules."""

    schedule_days: int = 365
    name_hold_ms: int = 86_400_000
    most_rooms: int = MOST_ROOMS


class Asked(NamedTuple):
    """A command under its rule: its transaction, room, sender and bounds."""

    ledger: Ledger
    room: Room
    write: Write
    settings: Settings

    def need_identity(self, reason: str | None = None) -> str:
        """Return the sender's identity. Raises Unauthenticated."""
        if self.write.identity is None:
            raise Unauthenticated(reason) if reason else Unauthenticated()
        return self.write.identity

    def append(
        self, event: str, body: dict[str, Any], *, target: int | None = None, reaction: int | None = None
    ) -> Stored:
        """Store the event that comes of it."""
        return self.ledger.append(self.room, event, body, self.write, target=target, reaction=reaction)


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
        return _deliver(ledger, command, write, settings)
    room = ledger.room(command.room)
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


def _send(asked: Asked, command: SendMessage) -> Stored | Scheduled:
    said, write = command.message, asked.write
    if said.send_at is not None:
        asked.need_identity("Scheduling needs an identity, so that you can cancel it.")
    due = 0 if said.send_at is None else commands.due(said.send_at, write.at, asked.settings.schedule_days)
    parent = _parent(asked, said.reply_to)
    if said.send_at is not None:
        _check_waiting(asked)
        # A scheduled message holds no name: nothing was sent under it yet.
        held_names.check(asked.ledger, asked.room, write, said.user, asked.settings.name_hold_ms)
        return _schedule(asked, command, due)
    # The last check is the first change: nothing below it refuses.
    held_names.hold(asked.ledger, asked.room, write, said.user, asked.settings.name_hold_ms)
    return _say(asked, command, parent, write.runs)


def _edit(asked: Asked, command: EditMessage) -> Stored:
    message_id = command.message.id
    body, likes, dislikes, edits = _own(asked, message_id, "A deleted message cannot be edited.")
    if edits >= MOST_EDITS:
        raise Conflict(f"A message can be edited {MOST_EDITS:,} times.")
    message = json.own(body)
    presenting.messages(asked.ledger.sql, asked.room.id, [message])
    message["message"] = command.message.message
    message.pop("runs", None)
    if asked.write.runs is not None:
        message["runs"] = asked.write.runs
    message["edited_at"] = events.rfc3339(asked.write.at)
    whole = counted(in_order(message), likes, dislikes)
    return asked.append(events.MESSAGE_EDITED, {"message": whole}, target=message_id)


def _delete(asked: Asked, command: DeleteMessage) -> Stored:
    message_id, identity = command.message.id, asked.write.identity
    row = asked.ledger.sql.one(
        "SELECT identity, deleted FROM message WHERE room_id = ? AND id = ?", asked.room.id, message_id
    )
    operator = asked.write.operator
    if row and row[1] is not None and (
        operator or (identity is not None and callers.owns(asked.ledger.sql, identity, row[0]))
    ):
        # DELETE is idempotent (RFC 9110 §9.2.2): it is gone, and this is the event that did it.
        return asked.ledger.stored(asked.room, row[1])
    if not operator:
        _own(asked, message_id, "This message is deleted.")
    elif row is None:
        raise MessageUnknown(message_id)
    redact_message(asked.ledger.sql, asked.room.id, message_id, asked.ledger.budget)
    return asked.append(events.MESSAGE_DELETED, {"message": {"id": message_id}}, target=message_id)


def _react(asked: Asked, command: React) -> Stored:
    message_id, value = command.message.id, _VALUES[command.message.reaction]
    identity = asked.need_identity()
    sql, key = asked.ledger.sql, (asked.room.id, message_id)
    row = sql.one(_COUNTS, *key)
    if row is None:
        raise MessageUnknown(message_id)
    if row[2] is not None:
        raise Conflict("This message is deleted.")
    was = sql.one(_REACTION, *key, identity)
    before = was[0] if was else 0
    if value == before:
        return _last_reaction(asked, message_id)
    likes = row[0] + (value == 1) - (before == 1)
    dislikes = row[1] + (value == -1) - (before == -1)
    body = {"message": {"id": message_id, "likes": likes, "dislikes": dislikes}}
    return asked.append(events.REACTIONS_CHANGED, body, target=message_id, reaction=value)


def _last_reaction(asked: Asked, message_id: int) -> Stored:
    """It is so already: the answer names the event that last touched the message, and none is added."""
    row = asked.ledger.sql.one(
        "SELECT max(seq) FROM event WHERE room_id = ? AND target = ? AND command = ?",
        asked.room.id, message_id, events.REACTIONS_CHANGED,
    )  # fmt: skip
    return asked.ledger.stored(asked.room, row[0] if row and row[0] is not None else message_id)


def _cancel(asked: Asked, command: CancelScheduled) -> Cancelled:
    identity, scheduled_id = asked.need_identity(), command.scheduled.id
    row = asked.ledger.sql.one(
        "SELECT identity, state FROM scheduled WHERE id = ? AND room_id = ?", scheduled_id, asked.room.id
    )
    if row is None or (row[0] == identity and row[1] not in ("waiting", "refused")):
        raise ScheduledUnknown(scheduled_id)
    if row[0] != identity:
        raise Forbidden()
    cancelled = Cancelled(asked.ledger.waiting(scheduled_id))
    asked.ledger.cancel(scheduled_id, keep=command.client_id is not None)
    return cancelled


def _add_quote(asked: Asked, command: AddQuote) -> Stored:
    # Quotes of all rooms share their numbers, and only this room is locked.
    asked.ledger.sql.alone("quote")
    row = asked.ledger.sql.one("SELECT coalesce(max(id), 0) + 1 FROM quote")
    assert row is not None
    quote: dict[str, Any] = {"id": row[0], "quote": command.quote.quote, "author": command.quote.author}
    quote["at"] = events.rfc3339(asked.write.at)
    if command.client_id is not None:
        quote["client_id"] = command.client_id
    return asked.append(events.QUOTE_ADDED, {"quote": quote})


def _remove_quote(asked: Asked, command: RemoveQuote) -> Stored:
    quote_id, identity, sql = command.quote.id, asked.need_identity(), asked.ledger.sql
    row = sql.one("SELECT room_id, identity, removed, body FROM quote WHERE id = ?", quote_id)
    # One whose event is kept no longer belongs to no room.
    if row is None or row[0] not in (None, asked.room.id):
        raise QuoteUnknown()
    if not callers.owns(sql, identity, row[1]):
        raise Forbidden("Only the one who added a quote can remove it.")
    if row[2] is not None:
        return asked.ledger.stored(asked.room, row[2])
    redact_quote(sql, asked.room.id, quote_id)
    return asked.append(events.QUOTE_REMOVED, {"quote": removed_quote(json.own(row[3]))})


_RULES: dict[type, Callable[[Asked, Any], Stored | Scheduled | Cancelled]] = {
    SendMessage: _send,
    EditMessage: _edit,
    DeleteMessage: _delete,
    React: _react,
    CancelScheduled: _cancel,
    AddQuote: _add_quote,
    RemoveQuote: _remove_quote,
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
            yield _PARENT, (room_id, command.message.reply_to)
    elif isinstance(command, EditMessage) and write.identity is not None:
        yield _OWN, (room_id, command.message.id)
    elif isinstance(command, React) and write.identity is not None:
        yield _COUNTS, (room_id, command.message.id)
        yield _REACTION, (room_id, command.message.id, write.identity)


# --- Scheduled messages ---------------------------------------------------------------------------


def _check_waiting(asked: Asked) -> None:
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


def _schedule(asked: Asked, command: SendMessage, due: int) -> Scheduled:
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
    return Scheduled(asked.ledger.waiting(row[0]))


def _deliver(ledger: Ledger, command: Deliver, write: Write, settings: Settings) -> Outcome:
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
    parent = _parent_if_kept(asked, said.reply_to)
    try:
        # The conditions of a send hold now: the name may have become another's since.
        held_names.hold(ledger, room, asked.write, said.user, settings.name_hold_ms)
    except Refused as refused:
        _refuse_due(sql, command.id, refused)
        return Nothing()
    stored = _say(asked, send, parent, runs)
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


# --- Shared by rules ------------------------------------------------------------------------------


def _say(
    asked: Asked, command: SendMessage, parent: dict[str, Any] | None, runs: list[text.Run] | None
) -> Stored:
    said = command.message
    message = {
        "id": asked.room.head + 1,
        "user": said.user,
        "by": account_id(asked.write.identity),
        "bot": callers.is_bot(asked.ledger.sql, asked.write.identity) or None,
        "message": said.message,
        "runs": runs,
        "color": said.color,
        "reply_to": parent,
        "at": events.rfc3339(asked.write.at),
        "client_id": command.client_id,
    }
    body = {name: value for name, value in message.items() if value is not None}
    return asked.append(events.MESSAGE_SENT, {"message": body})


def _own(asked: Asked, message_id: int, deleted: str) -> tuple[str, int, int, int]:
    """Return body, likes, dislikes and edits of the sender's own message; `deleted` is the refusal if it is deleted."""
    identity = asked.need_identity()
    row = asked.ledger.sql.one(_OWN, asked.room.id, message_id)
    if row is None:
        raise MessageUnknown(message_id)
    if not callers.owns(asked.ledger.sql, identity, row[0]):
        raise Forbidden("Only the one who sent a message can change it.")
    if row[1] is not None:
        raise Conflict(deleted)
    return row[2], row[3], row[4], row[5]


def _parent_if_kept(asked: Asked, message_id: int | None) -> dict[str, Any] | None:
    """As `_parent`; the parent at the time of scheduling may be kept no longer."""
    try:
        return _parent(asked, message_id)
    except Invalid:
        return None


def _parent(asked: Asked, message_id: int | None) -> dict[str, Any] | None:
    """Return the excerpt of its parent that a reply shows, as it is now."""
    if message_id is None:
        return None
    row = asked.ledger.sql.one(_PARENT, asked.room.id, message_id)
    if row is None:
        raise Invalid("reply_to", f"There is no message {message_id} in this room to reply to.")
    message = json.own(row[0])
    return {"id": message_id, "user": message["user"], **presenting.parent(message)}
