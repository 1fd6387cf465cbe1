"""The rules of messages: send, edit, delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...protocol import events, json, moments
from ...protocol.commands import DeleteMessage, EditMessage, SendMessage
from ...protocol.errors import Conflict, Forbidden, Invalid, MessageUnknown
from ...protocol.markup import text
from ...protocol.markup.mentions import Candidate
from ...protocol.rights.permissions import DELETE_OTHERS
from .. import presenting
from ..accounts import callers, held_names
from ..base import Scheduled, Stored
from ..files import attaching
from ..following import mentions
from ..maintenance.redaction import redact_message
from ..shapes import counted, in_order
from . import mentioning, positions, rights, waiting
from .asked import Asked
from .members import join_by_speaking

MOST_EDITS = 1000
"""Edits of one message: each stays in the log, with the whole text."""

# Reads of the common commands: prefetched together if that is faster (`likely_reads`).
PARENT = mentioning.PARENT
OWN = "SELECT identity, deleted, body, likes, dislikes, edits, reactions FROM message WHERE room_id = ? AND id = ?"


def send(asked: Asked, command: SendMessage) -> Stored | Scheduled:
    """Store a message, or schedule it."""
    said, write = command.message, asked.write
    if said.send_at is not None:
        asked.need_identity("Scheduling needs an identity, so that you can cancel it.")
    due = 0 if said.send_at is None else moments.due(said.send_at, write.at, asked.settings.schedule_days)
    parent = parent_of(asked, said.reply_to)
    files = attaching.waiting(asked.ledger.sql, asked.room.id, write.identity, said.files)
    if said.send_at is not None:
        waiting.check(asked)
        # A scheduled message does not hold its sender's name: nothing was sent under it yet.
        held_names.check(asked.ledger, asked.room, write, said.user, asked.settings.name_hold_ms)
        return waiting.schedule(asked, command, due)
    rights.check_pace(asked)
    # The last check is the first change: nothing below it refuses.
    held_names.hold(asked.ledger, asked.room, write, said.user, asked.settings.name_hold_ms)
    stored = say(asked, command, parent, files, write.runs, write.candidates)
    join_by_speaking(asked)
    return stored


def edit(asked: Asked, command: EditMessage) -> Stored:
    """Change the text of one's own message, or the descriptions of its files."""
    said, message_id = command.message, command.message.id
    body, counts, edits = _own(asked, message_id, "A deleted message cannot be edited.")
    if edits >= MOST_EDITS:
        raise Conflict(f"A message can be edited {MOST_EDITS:,} times.")
    message = json.own(body)
    presenting.messages(asked.ledger.sql, asked.room.id, [message])
    if said.files is not None:
        message["files"] = attaching.described(message.get("files", ()), said.files)
    called: mentioning.Called | None = None
    if said.message is not None:
        message["message"] = said.message
        message.pop("runs", None)
        runs, called = mentioning.mark(asked, said.message, asked.write.runs, asked.write.candidates)
        if runs is not None:
            message["runs"] = runs
    message["edited_at"] = events.rfc3339(asked.write.at)
    whole = counted(in_order(message), *counts)
    if called is not None and (called or _calls(body)):
        mentioning.change(asked, message_id, called)
    return asked.append(events.MESSAGE_EDITED, {"message": whole}, target=message_id)


def _calls(body: str) -> bool:
    """Return True if the stored message mentions somebody; the key stands in no text without a backslash."""
    return '"mention":' in body


def delete(asked: Asked, command: DeleteMessage) -> Stored:
    """Delete one's own message; managers, administrators of open rooms and the operator delete those of others."""
    message_id, identity, sql = command.message.id, asked.write.identity, asked.ledger.sql
    row = sql.one("SELECT identity, deleted FROM message WHERE room_id = ? AND id = ?", asked.room.id, message_id)
    own = row is not None and identity is not None and callers.owns(sql, identity, row[0])
    others = asked.may(DELETE_OTHERS)
    if not (own or others):
        asked.need_identity()
    if row is None:
        raise MessageUnknown(message_id)
    if not (own or others):
        raise Forbidden("Only the one who sent a message can change it.")
    if not own:
        rights.need_scope(asked, "manage")
    if row[1] is not None:
        # DELETE is idempotent (RFC 9110 §9.2.2): it is gone, and this is the event that did it.
        return asked.ledger.stored(asked.room, row[1])
    redact_message(sql, asked.room.id, message_id, asked.ledger.budget)
    mentions.forget(asked.ledger, asked.room, message_id)
    message: dict[str, Any] = {"id": message_id}
    if not (own or asked.write.operator):
        message["moderated"] = True
        asked.tell("message-removed", message=message_id)
    return asked.append(events.MESSAGE_DELETED, {"message": message}, target=message_id)


# --- Shared with scheduled messages ---------------------------------------------------------------


def say(
    asked: Asked,
    command: SendMessage,
    parent: dict[str, Any] | None,
    files: list[dict[str, Any]],
    runs: list[text.Run] | None,
    candidates: Sequence[Candidate],
) -> Stored:
    """Append a message to the log, and store its mentions."""
    said = command.message
    runs, called = mentioning.mark(asked, said.message, runs, candidates)
    called = mentioning.author(asked, said.reply_to) | called
    message = {
        "id": asked.room.head + 1,
        "user": said.user,
        "by": asked.standing.principal.id,
        "bot": asked.standing.principal.role == "bot" or None,
        "message": said.message,
        "runs": runs,
        "color": said.color,
        "reply_to": parent,
        "files": files or None,
        "at": events.rfc3339(asked.write.at),
        "client_id": command.client_id,
    }
    body = {name: value for name, value in message.items() if value is not None}
    last = asked.room.counts.last
    stored = asked.append(events.MESSAGE_SENT, {"message": body})
    attaching.attach(asked.ledger.sql, files, stored.seq)
    mentioning.note(asked, stored.seq, called)
    positions.read_own(asked, last)
    return stored


def _own(asked: Asked, message_id: int, deleted: str) -> tuple[str, tuple[int, int, str | None], int]:
    """Return body, counts and edits of the sender's own message; `deleted` is the refusal if it is deleted."""
    identity = asked.need_identity()
    row = asked.ledger.sql.one(OWN, asked.room.id, message_id)
    if row is None:
        raise MessageUnknown(message_id)
    if not callers.owns(asked.ledger.sql, identity, row[0]):
        raise Forbidden("Only the one who sent a message can change it.")
    if row[1] is not None:
        raise Conflict(deleted)
    return row[2], (row[3], row[4], row[6]), row[5]


def parent_if_kept(asked: Asked, message_id: int | None) -> dict[str, Any] | None:
    """As `parent_of`; the parent at the time of scheduling may be kept no longer."""
    try:
        return parent_of(asked, message_id)
    except Invalid:
        return None


def parent_of(asked: Asked, message_id: int | None) -> dict[str, Any] | None:
    """Return the excerpt of its parent that a reply shows, as it is now."""
    if message_id is None:
        return None
    row = asked.ledger.sql.one(PARENT, asked.room.id, message_id)
    if row is None:
        raise Invalid("reply_to", f"There is no message {message_id} in this room to reply to.")
    message = json.own(row[0])
    return {"id": message_id, "user": message["user"], **presenting.parent(message)}
