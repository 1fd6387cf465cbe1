"""The rules of the log: what each command needs, and what it changes. One set for every database.

A `Ledger` lives for one transaction, in which the rooms that it touches are locked. It speaks SQL that
SQLite and PostgreSQL both understand, through `Sql`. Each rule checks all before it changes anything, so
a refusal leaves no trace in the batch.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..protocol import commands, cursor, events, json, names, text
from ..protocol.commands import AddQuote, CancelScheduled, DeleteMessage, EditMessage, React, SendMessage
from ..protocol.errors import (
    ClientIdReused,
    Conflict,
    Forbidden,
    Invalid,
    MessageUnknown,
    RateLimited,
    RoomUnknown,
    ScheduledUnknown,
    Unauthenticated,
)  # fmt: skip
from .base import Cancelled, Created, CreateRoom, Deliver, Nothing, Outcome, Scheduled, Stored, Write

MOST_WAITING = 100
"""Scheduled messages of one identity that may wait."""
_NAME_TOUCH = 60_000
"""Milliseconds for which a held name is not written again."""
_VALUES = {"like": 1, "dislike": -1, "none": 0}

Row = Sequence[Any]


class Sql(Protocol):
    """One open transaction; ``?`` marks a parameter."""

    def one(self, statement: str, *values: Any) -> Row | None: ...
    def all(self, statement: str, *values: Any) -> Iterable[Row]: ...
    def run(self, statement: str, *values: Any) -> None: ...


@dataclass(frozen=True)
class Rules:
    """What the operator may set."""

    schedule_days: int = 365
    name_hold_ms: int = 86_400_000


@dataclass(slots=True)
class Room:
    """A room that this transaction has locked; `head` and `chain` run ahead of the table until `flush`."""

    id: int
    name: str
    head: int
    chain: bytes
    changed: bool = False


class Ledger:
    """One transaction's work."""

    def __init__(self, sql: Sql, rules: Rules) -> None:
        self._sql = sql
        self._rules = rules
        self._rooms: dict[str, Room] = {}

    def apply(self, write: Write) -> Outcome:
        """Do one thing. Raises Refused, and then nothing has changed."""
        command = write.command
        if isinstance(command, CreateRoom):
            return self._create_room(command, write)
        if isinstance(command, Deliver):
            return self._deliver(command, write)
        room = self._room(command.room)
        earlier = self._earlier(room, command, write)
        if earlier is not None:
            return earlier
        if isinstance(command, SendMessage):
            return self._send(room, command, write)
        if isinstance(command, EditMessage):
            return self._edit(room, command, write)
        if isinstance(command, DeleteMessage):
            return self._delete(room, command, write)
        if isinstance(command, React):
            return self._react(room, command, write)
        if isinstance(command, CancelScheduled):
            return self._cancel(room, command, write)
        return self._add_quote(room, command, write)

    def flush(self) -> None:
        """Write the heads; the last thing before the commit."""
        for room in self._rooms.values():
            if room.changed:
                self._sql.run("UPDATE room SET head = ?, chain = ? WHERE id = ?", room.head, room.chain, room.id)

    # --- The rules --------------------------------------------------------------------------------

    def _create_room(self, command: CreateRoom, write: Write) -> Created:
        if self._sql.one("SELECT 1 FROM room WHERE name = ?", command.name):
            raise Conflict(f"There is a room {command.name} already.", "name")
        genesis = secrets.token_bytes(cursor.CHAIN_BYTES)
        self._sql.run(
            "INSERT INTO room (name, title, chain, floor_chain, created_at) VALUES (?, ?, ?, ?, ?)",
            command.name, command.title, genesis, genesis, write.at,
        )  # fmt: skip
        return Created(described(command.name, command.title, 0, genesis, write.at))

    def _send(self, room: Room, command: SendMessage, write: Write) -> Outcome:
        said = command.message
        if said.send_at is not None and write.identity is None:
            raise Unauthenticated("Scheduling needs an identity, so that you can cancel it.")
        due = 0 if said.send_at is None else commands.due(said.send_at, write.at, self._rules.schedule_days)
        parent = self._parent(room, said.reply_to)
        if said.send_at is not None:
            self._check_waiting(write)
        # The last check is the first change: nothing below it refuses.
        self._hold_name(room, said.user, write)
        if said.send_at is not None:
            return self._schedule(room, command, due, write)
        stored = self._say(room, command, parent, write)
        self._remember(room, command, write, seq=stored.seq)
        return stored

    def _say(self, room: Room, command: SendMessage, parent: dict[str, Any] | None, write: Write) -> Stored:
        said = command.message
        seq = room.head + 1
        message: dict[str, Any] = {"id": seq, "user": said.user, "message": said.message}
        runs = text.runs(said.message)
        if runs is not None:
            message["runs"] = runs
        if said.color is not None:
            message["color"] = said.color
        if parent is not None:
            message["reply_to"] = parent
        message["at"] = events.rfc3339(write.at)
        if command.client_id is not None:
            message["client_id"] = command.client_id
        body = json.dumps(message)
        self._sql.run(
            "INSERT INTO message (room_id, id, identity, body, reply_to) VALUES (?, ?, ?, ?, ?)",
            room.id, seq, write.identity, body.decode(), said.reply_to,
        )  # fmt: skip
        return self._append(room, events.MESSAGE_SENT, b'{"message":' + body + b"}", write)

    def _check_waiting(self, write: Write) -> None:
        waiting = self._sql.one(
            "SELECT count(*) FROM scheduled WHERE identity = ? AND state = 'waiting'", write.identity
        )
        if waiting and waiting[0] >= MOST_WAITING:
            raise RateLimited(60_000, f"At most {MOST_WAITING} of your messages may wait.")

    def _schedule(self, room: Room, command: SendMessage, due: int, write: Write) -> Scheduled:
        said = command.message
        message = {"user": said.user, "message": said.message}
        message |= {"color": said.color} if said.color is not None else {}
        plain: dict[str, Any] = message | ({"reply_to": said.reply_to} if said.reply_to is not None else {})
        row = self._sql.one(
            "INSERT INTO scheduled (room_id, identity, client_id, due_at, message, state)"
            " VALUES (?, ?, ?, ?, ?, 'waiting') RETURNING id",
            room.id, write.identity, command.client_id, due, json.dumps(plain).decode(),
        )  # fmt: skip
        assert row is not None
        self._remember(room, command, write, scheduled=row[0])
        return Scheduled(waiting_message(row[0], due, room.name, plain, command.client_id))

    def _deliver(self, command: Deliver, write: Write) -> Outcome:
        row = self._sql.one(
            "SELECT s.id, r.name, s.identity, s.client_id, s.message FROM scheduled s JOIN room r"
            " ON r.id = s.room_id WHERE s.id = ? AND s.state = 'waiting'", command.id,
        )  # fmt: skip
        if row is None:
            return Nothing()
        room = self._room(row[1])
        # Again under the room's lock: another machine may have been first.
        if not self._sql.one("SELECT 1 FROM scheduled WHERE id = ? AND state = 'waiting'", command.id):
            return Nothing()
        said = commands.NewMessage(**json.loads(row[4]))
        send = SendMessage(message=said, room=room.name, client_id=row[3])
        stored = self._say(room, send, self._parent(room, said.reply_to), Write(send, write.at, row[2]))
        self._sql.run("UPDATE scheduled SET state = 'sent', seq = ? WHERE id = ?", stored.seq, command.id)
        # Its client_id now answers with the event.
        if send.client_id is not None:
            self._sql.run(
                "UPDATE sent SET seq = ? WHERE room_id = ? AND sender = ? AND client_id = ?",
                stored.seq, room.id, said.user, send.client_id,
            )  # fmt: skip
        return stored

    def _edit(self, room: Room, command: EditMessage, write: Write) -> Stored:
        message_id = command.message.id
        body, likes, dislikes = self._own(room, message_id, write, "A deleted message cannot be edited.")
        body["message"] = command.message.message
        runs = text.runs(command.message.message)
        body.pop("runs", None)
        if runs is not None:
            body["runs"] = runs
        body["edited_at"] = events.rfc3339(write.at)
        now = in_order(body)
        encoded = json.dumps(now).decode()
        self._sql.run("UPDATE message SET body = ? WHERE room_id = ? AND id = ?", encoded, room.id, message_id)
        whole = json.dumps({"message": counted(now, likes, dislikes)})
        stored = self._append(room, events.MESSAGE_EDITED, whole, write, target=message_id)
        self._remember(room, command, write, seq=stored.seq)
        return stored

    def _delete(self, room: Room, command: DeleteMessage, write: Write) -> Stored:
        message_id = command.message.id
        row = self._sql.one(
            "SELECT identity, deleted FROM message WHERE room_id = ? AND id = ?", room.id, message_id
        )
        if row and row[1] is not None and write.identity is not None and row[0] == write.identity:
            # DELETE is idempotent (RFC 9110 §9.2.2): it is gone, and this is the event that did it.
            return self._stored(room, row[1], duplicate=True)
        self._own(room, message_id, write, "This message is deleted.")
        body = b'{"message":{"id":%d}}' % message_id
        stored = self._append(room, events.MESSAGE_DELETED, body, write, target=message_id)
        Blanking(self._sql, room.id, message_id).delete(stored.seq)
        self._remember(room, command, write, seq=stored.seq)
        return stored

    def _react(self, room: Room, command: React, write: Write) -> Stored:
        message_id, value = command.message.id, _VALUES[command.message.reaction]
        if write.identity is None:
            raise Unauthenticated()
        key = (room.id, message_id)
        row = self._sql.one(
            "SELECT likes, dislikes, deleted FROM message WHERE room_id = ? AND id = ?", *key
        )
        if row is None:
            raise MessageUnknown(message_id)
        if row[2] is not None:
            raise Conflict("This message is deleted.")
        was = self._sql.one(
            "SELECT value FROM reaction WHERE room_id = ? AND message_id = ? AND identity = ?",
            *key, write.identity,
        )  # fmt: skip
        before = was[0] if was else 0
        if value == before:
            return self._unchanged(room, command, write)
        likes = row[0] + (value == 1) - (before == 1)
        dislikes = row[1] + (value == -1) - (before == -1)
        set_reaction(self._sql, room.id, message_id, write.identity, value, likes, dislikes)
        body = json.dumps({"message": {"id": message_id, "likes": likes, "dislikes": dislikes}})
        stored = self._append(
            room, events.REACTIONS_CHANGED, body, write, target=message_id, reaction=value
        )
        self._remember(room, command, write, seq=stored.seq)
        return stored

    def _unchanged(self, room: Room, command: React, write: Write) -> Stored:
        """It is so already: the answer names the event that last touched the message, and none is added."""
        message_id = command.message.id
        row = self._sql.one(
            "SELECT max(seq) FROM event WHERE room_id = ? AND target = ? AND command = ?",
            room.id, message_id, events.REACTIONS_CHANGED,
        )  # fmt: skip
        seq = row[0] if row and row[0] is not None else message_id
        self._remember(room, command, write, seq=seq)
        return self._stored(room, seq, duplicate=True)

    def _cancel(self, room: Room, command: CancelScheduled, write: Write) -> Cancelled:
        if write.identity is None:
            raise Unauthenticated()
        scheduled_id = command.scheduled.id
        row = self._sql.one(
            "SELECT identity, state FROM scheduled WHERE id = ? AND room_id = ?", scheduled_id, room.id
        )
        if row is None or (row[0] == write.identity and row[1] != "waiting"):
            raise ScheduledUnknown(scheduled_id)
        if row[0] != write.identity:
            raise Forbidden()
        self._sql.run("UPDATE scheduled SET state = 'cancelled' WHERE id = ?", scheduled_id)
        self._remember(room, command, write, scheduled=scheduled_id)
        return Cancelled(self._waiting(scheduled_id))

    def _add_quote(self, room: Room, command: AddQuote, write: Write) -> Stored:
        row = self._sql.one("SELECT coalesce(max(id), 0) + 1 FROM quote")
        assert row is not None
        quote: dict[str, Any] = {"id": row[0], "quote": command.quote.quote, "author": command.quote.author}
        quote["at"] = events.rfc3339(write.at)
        if command.client_id is not None:
            quote["client_id"] = command.client_id
        body = json.dumps(quote)
        self._sql.run(
            "INSERT INTO quote (id, room_id, seq, identity, body) VALUES (?, ?, ?, ?, ?)",
            quote["id"], room.id, room.head + 1, write.identity, body.decode(),
        )  # fmt: skip
        stored = self._append(room, events.QUOTE_ADDED, b'{"quote":' + body + b"}", write)
        self._remember(room, command, write, seq=stored.seq)
        return stored

    # --- Repeats ----------------------------------------------------------------------------------

    def _earlier(self, room: Room, command: commands.Write, write: Write) -> Outcome | None:
        """The first outcome, where this is a repeat. Raises ClientIdReused."""
        if command.client_id is None:
            return None
        row = self._sql.one(
            "SELECT hash, seq, scheduled FROM sent WHERE room_id = ? AND sender = ? AND client_id = ?",
            room.id, sender(command, write.identity), command.client_id,
        )  # fmt: skip
        if row is None:
            return None
        if row[0] != content_hash(command):
            raise ClientIdReused()
        if row[1] is not None:
            return self._stored(room, row[1], duplicate=True)
        kind = Cancelled if isinstance(command, CancelScheduled) else Scheduled
        return kind(self._waiting(row[2]), duplicate=True)

    def _remember(
        self,
        room: Room,
        command: commands.Write,
        write: Write,
        *,
        seq: int | None = None,
        scheduled: int | None = None,
    ) -> None:
        if command.client_id is None:
            return
        self._sql.run(
            "INSERT INTO sent (room_id, sender, client_id, hash, at, seq, scheduled) VALUES (?, ?, ?, ?, ?, ?, ?)",
            room.id, sender(command, write.identity), command.client_id, content_hash(command), write.at,
            seq, scheduled,
        )  # fmt: skip

    # --- What the rules share ---------------------------------------------------------------------

    def _room(self, name: str) -> Room:
        room = self._rooms.get(name)
        if room is None:
            row = self._sql.one("SELECT id, head, chain FROM room WHERE name = ?", name)
            if row is None:
                raise RoomUnknown(name)
            room = self._rooms[name] = Room(row[0], name, row[1], bytes(row[2]))
        return room

    def _append(
        self,
        room: Room,
        command: str,
        body: bytes,
        write: Write,
        *,
        target: int | None = None,
        reaction: int | None = None,
    ) -> Stored:
        seq = room.head + 1
        chain = cursor.extend(room.chain, seq, cursor.digest(body))
        tag = cursor.tag(chain)
        self._sql.run(
            "INSERT INTO event (room_id, seq, command, at, body, tag, target, identity, reaction)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            room.id, seq, command, write.at, body.decode(), tag, target, write.identity, reaction,
        )  # fmt: skip
        room.head, room.chain, room.changed = seq, chain, True
        where = f"{seq}.{tag}"
        return Stored(room.name, seq, where, events.event(room.name, seq, where, command, write.at, body))

    def _stored(self, room: Room, seq: int, *, duplicate: bool) -> Stored:
        row = self._sql.one(
            "SELECT seq, tag, command, at, body FROM event WHERE room_id = ? AND seq = ?", room.id, seq
        )
        if row is None:
            raise Conflict("This was stored before; its event is kept no longer.")
        found = event_of(room.name, row)
        return Stored(room.name, seq, found.cursor, found, duplicate)

    def _waiting(self, scheduled_id: int) -> dict[str, Any]:
        row = self._sql.one(
            "SELECT s.id, s.due_at, r.name, s.message, s.client_id FROM scheduled s"
            " JOIN room r ON r.id = s.room_id WHERE s.id = ?", scheduled_id,
        )  # fmt: skip
        assert row is not None
        return waiting_message(row[0], row[1], row[2], json.loads(row[3]), row[4])

    def _own(self, room: Room, message_id: int, write: Write, deleted: str) -> tuple[dict[str, Any], int, int]:
        """The message, its likes and dislikes; only for the one who sent it."""
        if write.identity is None:
            raise Unauthenticated()
        row = self._sql.one(
            "SELECT identity, deleted, body, likes, dislikes FROM message WHERE room_id = ? AND id = ?",
            room.id, message_id,
        )  # fmt: skip
        if row is None:
            raise MessageUnknown(message_id)
        if row[0] != write.identity:
            raise Forbidden("Only the one who sent a message can change it.")
        if row[1] is not None:
            raise Conflict(deleted)
        return json.loads(row[2]), row[3], row[4]

    def _parent(self, room: Room, message_id: int | None) -> dict[str, Any] | None:
        """What a reply shows of the message that it answers, as it is now."""
        if message_id is None:
            return None
        row = self._sql.one("SELECT body FROM message WHERE room_id = ? AND id = ?", room.id, message_id)
        if row is None:
            raise Invalid("reply_to", f"There is no message {message_id} in this room to reply to.")
        body = json.loads(row[0])
        if body.get("deleted"):
            return {"id": message_id, "user": body["user"], "deleted": True}
        return {"id": message_id, "user": body["user"], "excerpt": text.excerpt(body["message"])}

    def _hold_name(self, room: Room, user: str, write: Write) -> None:
        """Refuse a name that a living identity holds; else it is this sender's from now on."""
        skeleton = names.skeleton(user)
        row = self._sql.one(
            "SELECT identity, at FROM name WHERE room_id = ? AND skeleton = ?", room.id, skeleton
        )
        if row and row[0] != write.identity and write.at - row[1] < self._rules.name_hold_ms:
            raise Conflict(f"The name {user} is in use in this room.", "user")
        if write.identity is None or (row and row[0] == write.identity and write.at - row[1] < _NAME_TOUCH):
            return
        self._sql.run(
            "INSERT INTO name (room_id, skeleton, identity, at) VALUES (?, ?, ?, ?) ON CONFLICT"
            " (room_id, skeleton) DO UPDATE SET identity = excluded.identity, at = excluded.at",
            room.id, skeleton, write.identity, write.at,
        )  # fmt: skip


class Blanking:
    """Takes a message's text out of everything that is kept. Numbers, tags and the chain stay."""

    def __init__(self, sql: Sql, room_id: int, message_id: int) -> None:
        self._sql = sql
        self._room = room_id
        self._id = message_id

    def delete(self, seq: int) -> None:
        """`seq` is the event that deletes it."""
        row = self._sql.one("SELECT body FROM message WHERE room_id = ? AND id = ?", self._room, self._id)
        assert row is not None
        stub = deleted_stub(json.loads(row[0]))
        self._sql.run(
            "UPDATE message SET body = ?, likes = 0, dislikes = 0, deleted = ?, reply_to = NULL"
            " WHERE room_id = ? AND id = ?", json.dumps(stub).decode(), seq, self._room, self._id,
        )  # fmt: skip
        self._sql.run("DELETE FROM reaction WHERE room_id = ? AND message_id = ?", self._room, self._id)
        for event in self._events_of(self._id):
            self._blank(event, lambda body: {"message": deleted_stub(body["message"])})
        self._excerpts()

    def _excerpts(self) -> None:
        replies = self._sql.all(
            "SELECT id, body FROM message WHERE room_id = ? AND reply_to = ?", self._room, self._id
        )
        for reply, body in list(replies):
            self._sql.run(
                "UPDATE message SET body = ? WHERE room_id = ? AND id = ?",
                json.dumps(without_excerpt(json.loads(body))).decode(), self._room, reply,
            )  # fmt: skip
            for event in self._events_of(reply):
                self._blank(event, lambda body: {"message": without_excerpt(body["message"])})

    def _events_of(self, message_id: int) -> list[Row]:
        """The events that hold the message's text: the one that sent it and its edits."""
        sent = self._sql.all(
            "SELECT seq, body, digest FROM event WHERE room_id = ? AND seq = ?", self._room, message_id
        )
        edits = self._sql.all(
            "SELECT seq, body, digest FROM event WHERE room_id = ? AND target = ? AND command = ?",
            self._room, message_id, events.MESSAGE_EDITED,
        )  # fmt: skip
        return [*sent, *edits]

    def _blank(self, event: Row, blanked: Any) -> None:
        seq, body, digest = event
        # The digest of what stood here first: with it the chain still verifies.
        first = digest if digest is not None else cursor.digest(body.encode())
        self._sql.run(
            "UPDATE event SET body = ?, digest = ? WHERE room_id = ? AND seq = ?",
            json.dumps(blanked(json.loads(body))).decode(), first, self._room, seq,
        )  # fmt: skip


# --- Shapes ---------------------------------------------------------------------------------------

_ORDER = (
    "id", "user", "message", "runs", "color", "reply_to", "likes", "dislikes", "at", "edited_at", "deleted",
    "client_id",
)  # fmt: skip


def in_order(message: dict[str, Any]) -> dict[str, Any]:
    """The fields of a message in the protocol's order."""
    return {name: message[name] for name in _ORDER if name in message}


def counted(message: dict[str, Any], likes: int, dislikes: int) -> dict[str, Any]:
    """`message` with its counts; what holds nothing is left out."""
    if likes:
        message["likes"] = likes
    if dislikes:
        message["dislikes"] = dislikes
    return in_order(message) if likes or dislikes else message


def deleted_stub(message: dict[str, Any]) -> dict[str, Any]:
    """What stays of a deleted message."""
    return {"id": message["id"], "user": message["user"], "at": message["at"], "deleted": True}


def without_excerpt(message: dict[str, Any]) -> dict[str, Any]:
    """A reply whose parent was deleted."""
    parent = message.get("reply_to")
    if parent is None:
        return message
    return message | {"reply_to": {"id": parent["id"], "user": parent["user"], "deleted": True}}


def described(name: str, title: str | None, head: int, chain: bytes, at: int) -> dict[str, Any]:
    """A room as the API shows it."""
    shown: dict[str, Any] = {"name": name}
    if title:
        shown["title"] = title
    return shown | {"cursor": cursor.at(head, chain), "at": events.rfc3339(at)}


def waiting_message(
    scheduled_id: int, due: int, room: str, message: dict[str, Any], client_id: str | None
) -> dict[str, Any]:
    """A scheduled message as its sender sees it."""
    own = message | ({"client_id": client_id} if client_id is not None else {})
    return {"id": scheduled_id, "send_at": events.rfc3339(due), "room": room, "message": own}


def event_of(room: str, row: Row) -> events.Event:
    """The event in a row of seq, tag, command, at, body."""
    return events.event(room, row[0], f"{row[0]}.{row[1]}", row[2], row[3], row[4].encode())


def set_reaction(
    sql: Sql, room_id: int, message_id: int, identity: str, value: int, likes: int, dislikes: int
) -> None:
    """One person's reaction and the counts that come of it."""
    sql.run(
        "UPDATE message SET likes = ?, dislikes = ? WHERE room_id = ? AND id = ?",
        likes, dislikes, room_id, message_id,
    )  # fmt: skip
    if value == 0:
        sql.run(
            "DELETE FROM reaction WHERE room_id = ? AND message_id = ? AND identity = ?",
            room_id, message_id, identity,
        )  # fmt: skip
    else:
        sql.run(
            "INSERT INTO reaction (room_id, message_id, identity, value) VALUES (?, ?, ?, ?) ON CONFLICT"
            " (room_id, message_id, identity) DO UPDATE SET value = excluded.value",
            room_id, message_id, identity, value,
        )  # fmt: skip


def sender(command: commands.Write, identity: str | None) -> str:
    """In whose name a `client_id` is unique (protocol §7, Who is who)."""
    if isinstance(command, SendMessage):
        return command.message.user
    if identity is not None:
        return identity
    return command.quote.author if isinstance(command, AddQuote) else ""


def content_hash(command: commands.Write) -> bytes:
    """Equal for equal content."""
    return hashlib.blake2b(commands.content(command), digest_size=16).digest()

