"""One transaction's work on the log: rooms, numbers, the hash chain, and answers to repeats.

A `Ledger` lives for one transaction, in which the rooms that it touches are locked. It speaks SQL that
SQLite and PostgreSQL both understand, through `Sql`. The needs and work of each command are in `rules`.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from ..protocol import commands, cursor, events, json, rooms
from ..protocol.errors import ClientIdReused, Conflict, RoomUnknown
from ..protocol.rights.principal import HOST, has_own_id
from . import presenting
from .base import Cancelled, CreateRoom, Outcome, Scheduled, Stored, Write
from .maintenance.redaction import Budget
from .projections import Counts, Entry, project
from .shapes import Sql, content_of, event_of, waiting_message

ROOM_COLUMNS = "id, head, chain, kind, about, last, messages, news"
ROOM = f"SELECT {ROOM_COLUMNS} FROM room WHERE name = ?"
_MOVE = "UPDATE room SET head = ?, chain = ?, last = ?, messages = ?, news = ?, moved_at = ? WHERE id = ?"
_MOVE_REVISION = (
    "INSERT INTO inbox_revision (account_id, revision) VALUES (?, 1)"
    " ON CONFLICT (account_id) DO UPDATE SET revision = inbox_revision.revision + 1"
)
SENT = "SELECT hash, seq, scheduled FROM sent WHERE room_id = ? AND sender = ? AND client_id = ?"


@dataclass(slots=True)
class Room:
    """A room that this transaction has locked; `head`, `chain` and `counts` are ahead of the table until `flush`."""

    id: int
    name: str
    head: int
    chain: bytes
    kind: str
    about: str
    counts: Counts
    moved_at: int | None = None
    """The time of the newest event of this transaction in the room (milliseconds since 1970), or None."""


class Ledger:
    """See above; `sql` is the open transaction."""

    def __init__(self, sql: Sql) -> None:
        self.sql = sql
        self.budget = Budget()
        """The rows that all deletions of this transaction may redact."""
        self._rooms: dict[str, Room] = {}
        self._last: dict[tuple[str, tuple[Any, ...]], None] = {}
        self._acts: list[tuple[int, dict[str, Any]]] = []
        self._revisions: set[int] = set()
        self.positions: dict[tuple[int, int], tuple[int, int]] = {}
        """By account and room, the id up to which it has read and the number of those messages; for `flush`."""

    def room(self, name: str) -> Room:
        """Return the room of that name, locked. Raises RoomUnknown."""
        room = self.find(name)
        if room is None:
            raise RoomUnknown(name)
        return room

    def find(self, name: str) -> Room | None:
        """Return the room of that name, locked; None if there is none."""
        room = self._rooms.get(name)
        if room is None:
            row = self.sql.one(ROOM, name)
            if row is None:
                return None
            room = self._rooms[name] = _room(name, row)
        return room

    def read_rooms(self, names: Collection[str]) -> None:
        """Read many rooms, which are locked already, with one statement."""
        if names:
            marks = ", ".join("?" * len(names))
            rows = self.sql.all(f"SELECT name, {ROOM_COLUMNS} FROM room WHERE name IN ({marks})", *names)
            self._rooms |= {name: _room(name, row) for name, *row in list(rows) if name not in self._rooms}

    def touch(self, account: int) -> None:
        """Move the revision of an account: its rights have changed."""
        self._revisions.add(account)

    def move_inbox(self, account: int) -> None:
        """Move the cursor of an account's inbox: its own part of that has changed."""
        self._revisions.add(account)

    def has_locked(self, name: str) -> bool:
        """Return True if this transaction has used the room of that name."""
        return name in self._rooms

    def append(
        self,
        room: Room,
        command: str,
        body: dict[str, Any],
        write: Write,
        *,
        target: int | None = None,
        reaction: int | None = None,
        emoji: str | None = None,
    ) -> Stored:
        """Append the next event of `room`, with its changes to the projections."""
        before = cursor.at(room.head, room.chain)
        entry = Entry(room.id, room.head + 1, command, body, target, write.identity, reaction, emoji)
        encoded = json.dumps(body)
        chain = cursor.extend(room.chain, entry.seq, cursor.digest(encoded))
        tag = cursor.tag(chain)
        self.sql.run(
            "INSERT INTO event (room_id, seq, command, at, body, tag, target, identity, reaction)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            room.id, entry.seq, command, write.at, encoded.decode(), tag, target, write.identity, reaction,
        )  # fmt: skip
        if emoji is not None:
            self.sql.run("UPDATE event SET emoji = ? WHERE room_id = ? AND seq = ?", emoji, room.id, entry.seq)
        project(self.sql, entry, room.counts)
        room.head, room.chain, room.moved_at = entry.seq, chain, write.at
        where = f"{entry.seq}.{tag}"
        event = events.event(room.name, entry.seq, where, command, write.at, encoded)
        return Stored(room.name, entry.seq, where, event, after=before)

    def finally_run(self, statement: str, *values: Any) -> None:
        """Run `statement` once before the commit, when all reads are done: the rows it touches are not read again."""
        self._last[statement, values] = None

    def tell(self, at: int, what: str, **about: str | int | None) -> None:
        """Note an act for the log `@audit`, which `flush` appends (`store.administration.audit`)."""
        self._acts.append((at, {"what": what} | {name: value for name, value in about.items() if value is not None}))

    def audit_room(self, at: int) -> Room:
        """Return the log `@audit`, locked; make it if it does not exist."""
        # It locks the room, in every dialect.
        self.sql.run("UPDATE room SET floor = floor WHERE name = ?", rooms.AUDIT)
        if self.sql.one("SELECT 1 FROM room WHERE name = ?", rooms.AUDIT) is None:
            genesis = secrets.token_bytes(cursor.CHAIN_BYTES)
            self.sql.run(
                "INSERT INTO room (name, title, chain, floor_chain, created_at, moved_at, kind)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                rooms.AUDIT, "Audit", genesis, genesis, at, at, rooms.LOG,
            )  # fmt: skip
            self.sql.run("UPDATE room SET floor = floor WHERE name = ?", rooms.AUDIT)
        return self.room(rooms.AUDIT)

    def flush(self) -> None:
        """Write the heads; the last thing before the commit."""
        for statement, values in self._last:
            self.sql.run(statement, *values)
        for key, read in self.positions.items():
            self.sql.run("UPDATE member SET read_id = ?, read_n = ? WHERE account_id = ? AND room_id = ?", *read, *key)
        # In one order, after the rooms, so that transactions do not wait for each other in a circle. Not in the row of
        # the account, which other transactions lock until they commit: two of them would wait for each other.
        for account in sorted(self._revisions):
            self.sql.run(_MOVE_REVISION, account)
        for at, act in self._acts:
            # Last of all: a transaction that has locked the log waits for no other.
            self.append(self.audit_room(at), events.AUDIT, {"audit": act}, Write(CreateRoom(rooms.AUDIT), at))
        for room in self._rooms.values():
            if room.moved_at is not None:
                counts = room.counts
                self.sql.run(
                    _MOVE, room.head, room.chain, counts.last, counts.messages, counts.news, room.moved_at, room.id
                )

    # --- Repeats ----------------------------------------------------------------------------------

    def earlier(self, room: Room, command: commands.Write, write: Write) -> Outcome | None:
        """Return the first outcome if this is a repeat. Raises ClientIdReused."""
        if command.client_id is None:
            return None
        row = self.sql.one(SENT, room.id, command.sender(write.identity), command.client_id)
        if row is None:
            name = former_sender(command, write)
            row = None if name is None else self.sql.one(SENT, room.id, name, command.client_id)
            if row is None or row[0] != _digest(command):
                return None  # it is new; another user with that name may have used the client_id
        elif row[0] != _hash(command, write):
            raise ClientIdReused()
        if row[1] is not None:
            return self.stored(room, row[1])
        waiting = self.waiting(row[2])
        if not isinstance(command, commands.SendMessage):
            return Cancelled(waiting, duplicate=True)
        # A cancelled message has lost its text; the repeat has it.
        waiting["message"] = content_of(command.message) | waiting["message"]
        return Scheduled(waiting, duplicate=True)

    def remember(
        self, room: Room, command: commands.Write, write: Write, *, seq: int | None = None, scheduled: int | None = None
    ) -> None:
        """Store the answer for repeats of `command`."""
        if command.client_id is None:
            return
        self.sql.run(
            "INSERT INTO sent (room_id, sender, client_id, hash, at, seq, scheduled) VALUES (?, ?, ?, ?, ?, ?, ?)",
            room.id, command.sender(write.identity), command.client_id, _hash(command, write), write.at, seq, scheduled,
        )  # fmt: skip

    def stored(self, room: Room, seq: int) -> Stored:
        """Return the event `seq`, which was stored before."""
        row = self.sql.one("SELECT seq, tag, command, at, body FROM event WHERE room_id = ? AND seq = ?", room.id, seq)
        if row is None:
            raise Conflict("This was stored before; its event is kept no longer.")
        found = event_of(room.name, presenting.events(self.sql, room.id, [row], redacting=True)[0])
        return Stored(room.name, seq, found.cursor, found, duplicate=True)

    def cancel(self, scheduled_id: int, *, keep: bool) -> None:
        """Delete the text of a scheduled message, and its row too unless repeats of a client_id are answered from it.

        `keep` is True if the command that cancels it has such a client_id.
        """
        if keep or self.sql.one("SELECT 1 FROM sent WHERE scheduled = ?", scheduled_id):
            self.sql.run(
                "UPDATE scheduled SET state = 'cancelled', message = '{}', code = NULL, source = NULL WHERE id = ?",
                scheduled_id,
            )
        else:
            self.sql.run("DELETE FROM scheduled WHERE id = ?", scheduled_id)

    def waiting(self, scheduled_id: int) -> dict[str, Any]:
        """Return the scheduled message as its sender sees it."""
        row = self.sql.one(
            "SELECT s.id, s.due_at, r.name, s.message, s.client_id, s.code FROM scheduled s"
            " JOIN room r ON r.id = s.room_id WHERE s.id = ?", scheduled_id,
        )  # fmt: skip
        assert row is not None
        return waiting_message(row[0], row[1], row[2], json.own(row[3]), row[4], row[5])


def _room(name: str, row: Sequence[Any]) -> Room:
    head, chain, kind, about = row[1:5]
    return Room(row[0], name, head, bytes(chain), kind, about, Counts(row[5], row[6], row[7]))


def former_sender(command: commands.Write, write: Write) -> str | None:
    """Return the sender of a message in rows of earlier versions, in which the name of a user of the host was it."""
    is_of_host = (write.identity or "").startswith(HOST)
    return command.message.user if is_of_host and isinstance(command, commands.SendMessage) else None


def _hash(command: commands.Write, write: Write) -> bytes:
    """Return a hash of the content, without the name of a sender with an id: it may change between two sends."""
    if isinstance(command, commands.SendMessage) and has_own_id(write.identity):
        command = replace(command, message=replace(command.message, user=""))
    return _digest(command)


def _digest(command: commands.Write) -> bytes:
    return hashlib.blake2b(command.content(), digest_size=16).digest()
