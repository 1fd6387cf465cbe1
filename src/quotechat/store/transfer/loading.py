"""Make a store of records: some thousand events in one transaction, with the hash chain checked on the way.

A room that is loaded stands under a name that no client can ask for, of its random beginning, until it is complete:
then it gets its own in one transaction. So a load that ends too early has changed nothing that is seen, and the same
load again goes on behind the last event that is there – like any reader, from its cursor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from ...protocol import cursor, events, json
from ..base import Impossible, Progress
from ..files.moving import Arriving, Piece
from ..maintenance.redaction import Budget, redact_as, redact_message
from ..projections import Counts, Entry, project
from ..reading import is_redacted
from ..shapes import PART, Sql
from ..tables import TABLES
from .beside import Target, add_beside, adopt
from .copying import KEPT, OF_ACCOUNTS, Broken, Kept, Logged, Record, Room, Secret, Whole

_AT_ONCE = 5000
"""Events in one transaction."""
_LATER = 0
"""In place of the message of a file that belongs to a scheduled one, until that is there."""


class Loaded(NamedTuple):
    """A room that is complete in the store; `there` if it was before. `hidden` until `publish`."""

    room: Room
    id: int
    there: bool


def load(
    store: Target, records: Iterable[Record], progress: Progress, all_there_are: int, *, hidden: bool = False
) -> list[Loaded]:
    """Store `records`; return the rooms, as they are now. With `hidden` they keep their names to themselves.

    Raises Impossible if a room of that name has another history, Broken if the records are not complete; the rooms
    that are complete before them stay, and the same again goes on behind them.
    """
    found: list[Loaded] = []
    done, loading = 0, None
    beside: list[Kept] = []
    for record in records:
        if isinstance(record, Secret):
            adopt(store, record)
        elif isinstance(record, Room):
            add_beside(store, beside)
            loading, beside = _Loading(store, record), []
        elif loading is None:
            assert isinstance(record, Kept)
            beside.append(record)
        elif isinstance(record, Whole):
            found.append(loading.finish(hidden=hidden))
        elif isinstance(record, Logged):
            loading.event(record)
            done += 1
            if done % 1000 == 0:
                progress(done, all_there_are)
        elif isinstance(record, Piece):
            loading.piece(record)
        else:
            loading.kept(record)
    add_beside(store, beside)
    progress(done, all_there_are)
    return found


def publish(store: Target, loaded: Iterable[Loaded]) -> None:
    """Give rooms that were loaded hidden their names, all at once."""
    with store.writing() as sql:
        for each in loaded:
            if not each.there:
                _give_name(sql, each.room.name, each.id)


class _Taken(Impossible):
    """The store has something else under a number of the log."""


class _Loading:
    """One room on its way in."""

    def __init__(self, store: Target, room: Room) -> None:
        self._store, self._room = store, room
        self._seq, self._chain = room.floor, room.floor_chain
        self._events: list[Logged] = []
        self._redacted: list[Logged] = []
        self._kept: list[Kept] = []
        self._scheduled: list[dict[str, Any]] = []
        self._of_scheduled: list[dict[str, Any]] = []
        self._files: list[dict[str, Any]] = []
        self._contents = Arriving(store)
        self._cleared = False
        self._messages = bytearray()
        """Of each event from the floor on, whether it brought a message that is not deleted."""
        with store.writing() as sql:
            self._there = _is_there(sql, room)
            begun = _Begun(0, room.head, "", Counts()) if self._there else _begun(sql, room)
        self._id, self._stored, self._tag, self._counts = begun
        self._found = self._stored
        """The rows that an earlier load had stored."""

    def event(self, event: Logged) -> None:
        """Take the next event. Raises Impossible if it does not continue the history so far."""
        if event.seq != self._seq + 1:
            raise Broken(f"{self._room.name}: event {self._seq + 1} is missing; {event.seq} is the next")
        digest = event.digest if event.digest is not None else cursor.digest(event.body.encode())
        self._seq, self._chain = event.seq, cursor.extend(self._chain, event.seq, digest)
        if cursor.tag(self._chain) != event.tag or not (event.digest is None or is_redacted(event.body)):
            raise Broken(f"{self._room.name}: event {event.seq}: its content or history was changed")
        self._note(event)
        if self._seq > self._stored:
            self._events.append(event)
            if len(self._events) == _AT_ONCE:
                self._flush()
        elif self._seq == self._stored and not self._there and event.tag != self._tag:
            with self._store.writing() as sql:
                _discard(sql, self._id)
            raise Impossible(
                f"{self._room.name}: another history of it had been begun here, and is thrown away now; try again"
            )
        elif event.digest is not None and not self._there:
            # Its words may have gone since an earlier load.
            self._redacted.append(event)
            if len(self._redacted) == _AT_ONCE:
                self._flush()

    def _note(self, event: Logged) -> None:
        """Note the events that brought a message that is there. Raises Broken if one changes another."""
        floor, target = self._room.floor, event.target
        self._messages.append(event.command == events.MESSAGE_SENT)
        if target is None or target <= floor:
            return
        if target >= event.seq or not self._messages[target - floor - 1]:
            raise Broken(f"{self._room.name}: event {event.seq}: there is no message {target} to change")
        if event.command == events.MESSAGE_DELETED:
            self._messages[target - floor - 1] = False

    def kept(self, record: Kept) -> None:
        """A row beside the log."""
        if self._there:
            return
        if (record.row.get("seq") or 0) > self._room.head:
            raise Broken(f"{self._room.name}: a client_id or a scheduled message names an event beyond the head")
        if record.table == "scheduled":
            # No worker delivers it before the room is complete.
            self._scheduled.append(record.row)
        elif record.table == "sent" and record.row["scheduled"] is not None:
            self._of_scheduled.append(record.row)
        else:
            if record.table == "file" and record.row["scheduled"] is not None:
                self._files.append(record.row)
                record = Kept("file", record.row | {"scheduled": None, "message_id": _LATER})
            self._kept.append(record)
            if len(self._kept) == _AT_ONCE:
                self._flush()

    def piece(self, piece: Piece) -> None:
        """A part of the content of a file. Raises Broken."""
        if self._there:
            return
        if self._kept:
            # The files first: a server that runs beside this removes contents that no file has.
            self._flush()
        try:
            self._contents.take(piece)
        except Impossible as fault:
            raise Broken(f"{self._room.name}: {fault}") from None

    def finish(self, *, hidden: bool) -> Loaded:
        """End the room: it is complete. Raises Impossible if it is not."""
        room = self._room
        if (self._seq, self._chain) != (room.head, room.chain):
            raise Broken(f"{room.name}: the log ends at event {self._seq}, but its head is {room.head}")
        if not self._there:
            self._check_scheduled()
            self._flush()
            with self._store.writing() as sql:
                self._clear(sql)
                moved = _add_scheduled(sql, self._id, self._scheduled)
                for row in self._of_scheduled:
                    _add(sql, "sent", self._id, row | {"scheduled": moved.get(row["scheduled"], row["scheduled"])})
                for row in self._files:
                    sql.run(
                        "UPDATE file SET message_id = NULL, scheduled = ? WHERE id = ?",
                        moved.get(row["scheduled"], row["scheduled"]), row["id"],
                    )  # fmt: skip
                if not hidden:
                    _give_name(sql, room.name, self._id)
        return Loaded(room, self._id, self._there)

    def _check_scheduled(self) -> None:
        """A repeat is answered with the message that waits: it has to be this room's. Raises Broken."""
        own = {row["id"] for row in self._scheduled}
        if any(row["seq"] is None and row["scheduled"] not in own for row in self._of_scheduled):
            raise Broken(f"{self._room.name}: a client_id names a scheduled message that is not there")

    def _flush(self) -> None:
        try:
            self._write()
        except _Taken:
            # It can never be complete here.
            with self._store.writing() as sql:
                _discard(sql, self._id)
            raise
        self._events, self._kept, self._redacted = [], [], []

    def _write(self) -> None:
        with self._store.writing() as sql:
            for event in self._redacted:
                redact_as(sql, self._id, event.seq, event.tag, event.body, event.digest)
            if self._events:
                self._append(sql)
            if self._kept:
                self._clear(sql)
            for record in self._kept:
                _add(sql, record.table, self._id, record.row)

    def _append(self, sql: Sql) -> None:
        _check_quotes(sql, self._room.name, self._events)
        for event in self._events:
            sql.run(
                "INSERT INTO event (room_id, seq, command, at, body, tag, digest, target, identity, reaction, emoji)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self._id, *event,
            )  # fmt: skip
            target = event.target
            if event.command == events.MESSAGE_DELETED and target is not None and target <= self._found:
                # It was deleted since an earlier load, which still had the text.
                redact_message(sql, self._id, target, Budget.unbounded())
            body = json.own(event.body)
            entry = Entry(self._id, event.seq, event.command, body, target, *event[7:])
            project(sql, entry, self._counts, self._room.floor)
        self._stored = self._seq
        counts = self._counts
        sql.run(
            "UPDATE room SET head = ?, chain = ?, last = ?, messages = ?, news = ?, moved_at = ? WHERE id = ?",
            self._seq, self._chain, counts.last, counts.messages, counts.news, self._events[-1].at, self._id,
        )  # fmt: skip

    def _clear(self, sql: Sql) -> None:
        """Remove the private rows of an earlier load: they may have changed since."""
        if not self._cleared:
            for table in KEPT:
                sql.run(f"DELETE FROM {table} WHERE room_id = ?", self._id)
            self._cleared = True


def _is_there(sql: Sql, room: Room) -> bool:
    """Return True if the store has that room already, with the same history. Raises Impossible if with another."""
    row = sql.one("SELECT id, head, chain FROM room WHERE name = ?", room.name)
    if row is None:
        return False
    if (row[1], bytes(row[2])) == (room.head, room.chain):
        return True
    if not _is_new(sql, row[0], row[1]):
        raise Impossible(f"there is a room {room.name} already, with another history; nothing is overwritten")
    return False


def _is_new(sql: Sql, room_id: int, head: int) -> bool:
    """Return True if nothing was ever said in it, as in the lobby of a server that has only been started."""
    return head == 0 and sql.one("SELECT 1 FROM scheduled WHERE room_id = ? LIMIT 1", room_id) is None


class _Begun(NamedTuple):
    """A room that is being loaded, perhaps begun by an earlier load: its key, and its state."""

    id: int
    head: int
    tag: str
    counts: Counts


def _begun(sql: Sql, room: Room) -> _Begun:
    """Begin the load of `room`, or go on with an earlier one. Raises Impossible."""
    hidden = f"{room.name}{PART}{room.floor_chain.hex()}"
    others = sql.all("SELECT id, name FROM room WHERE name LIKE ?", f"{room.name}{PART}%")
    for other, name in list(others):
        if name != hidden:
            _discard(sql, other)
    if room.pair is not None and sql.one("SELECT 1 FROM room WHERE pair = ? AND name <> ?", room.pair, hidden):
        raise Impossible(f"{room.name}: the same people have a direct room here already")
    columns = "id, head, chain, last, messages, news"
    row = sql.one(f"SELECT {columns} FROM room WHERE name = ?", hidden)
    if row is None:
        row = sql.one(
            "INSERT INTO room (name, title, created_at, floor, floor_chain, head, chain, kind, floor_messages,"
            f" messages, moved_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING {columns}",
            hidden, room.title, room.at, room.floor, room.floor_chain, room.floor, room.floor_chain, room.kind,
            room.floor_messages, room.floor_messages, room.at,
        )  # fmt: skip
        assert row is not None
    # They may have changed since an earlier load.
    sql.run(
        "UPDATE room SET title = ?, kind = ?, about = ?, pair = ? WHERE id = ?",
        room.title, room.kind, room.about, room.pair, row[0],
    )  # fmt: skip
    return _Begun(row[0], row[1], cursor.tag(bytes(row[2])), Counts(*row[3:]))


def _give_name(sql: Sql, name: str, room_id: int) -> None:
    # It locks the room, in every dialect: a sender may write in it just now.
    sql.run("UPDATE room SET floor = floor WHERE name = ?", name)
    row = sql.one("SELECT id, head FROM room WHERE name = ?", name)
    if row is not None:
        if not _is_new(sql, row[0], row[1]):
            raise Impossible(f"there is a room {name} already, made meanwhile; nothing is overwritten")
        _keep_members(sql, row[0], room_id)
        _discard(sql, row[0])
    sql.run("UPDATE room SET name = ? WHERE id = ?", name, room_id)


def _keep_members(sql: Sql, empty: int, room_id: int) -> None:
    """Let the members of an empty room go on in the open one that takes its place, as if they joined it now."""
    columns = "account_id, room_id, role, level, read_id, read_n, muted_until, at"
    sql.run(
        f"INSERT INTO member ({columns}) SELECT m.account_id, r.id, m.role, m.level, r.head, r.messages,"
        " m.muted_until, m.at FROM member m, room r WHERE m.room_id = ? AND r.id = ? AND r.kind = 'open'"
        " ON CONFLICT DO NOTHING", empty, room_id,
    )  # fmt: skip
    sql.run(
        "INSERT INTO subscribed (subscriber_id, room_id, seq, tag) SELECT s.subscriber_id, r.id, r.head, ''"
        " FROM subscribed s, room r WHERE s.room_id = ? AND r.id = ? AND r.kind = 'open' ON CONFLICT DO NOTHING",
        empty, room_id,
    )  # fmt: skip


def _discard(sql: Sql, room_id: int) -> None:
    for table in TABLES.values():
        if table.of_a_room:
            sql.run(f"DELETE FROM {table.name} WHERE room_id = ?", room_id)
    sql.run("DELETE FROM room WHERE id = ?", room_id)


def _add(sql: Sql, table: str, room_id: int, row: dict[str, Any]) -> None:
    columns = KEPT[table]
    places = ", ".join("?" * (len(columns) + 1))
    if table == "file" and sql.one("SELECT 1 FROM file WHERE id = ?", row["id"]):
        raise _Taken(f"the file {row['id']} is there already, in another room: import without files")
    # Positions of subscribers name none, and a mention of a whole room has the account 0.
    owner = row.get("account_id") if table in OF_ACCOUNTS else None
    if owner and sql.one("SELECT 1 FROM account WHERE id = ?", owner) is None:
        raise Impossible(f"a {table} is an account that is not there: load all rooms and accounts together")
    sql.run(
        f"INSERT INTO {table} (room_id, {', '.join(columns)}) VALUES ({places})",
        room_id, *(row[column] for column in columns),
    )  # fmt: skip


def _add_scheduled(sql: Sql, room_id: int, rows: list[dict[str, Any]]) -> dict[int, int]:
    """Add scheduled messages under their ids, or under new ones if others have them: {old: new}."""
    if not rows:
        return {}
    numbers = [row["id"] for row in rows]
    between = sql.all("SELECT id FROM scheduled WHERE id >= ? AND id <= ?", min(numbers), max(numbers))
    taken = {number for (number,) in between}
    for row in rows:
        if row["id"] not in taken:
            _add(sql, "scheduled", room_id, row)
    moved = {}
    for row in rows:
        if row["id"] in taken:
            columns = [each for each in KEPT["scheduled"] if each != "id"]
            places = ", ".join("?" * (1 + len(columns)))
            added = sql.one(
                f"INSERT INTO scheduled (room_id, {', '.join(columns)}) VALUES ({places}) RETURNING id",
                room_id, *(row[column] for column in columns),
            )  # fmt: skip
            assert added is not None
            moved[row["id"]] = added[0]
    return moved


def _check_quotes(sql: Sql, room: str, logged: list[Logged]) -> None:
    """Quotes of all rooms share their numbers, which the log has for ever."""
    added = [json.own(each.body)["quote"]["id"] for each in logged if each.command == events.QUOTE_ADDED]
    if not added:
        return
    sql.alone("quote")
    between = sql.all("SELECT id FROM quote WHERE id >= ? AND id <= ?", min(added), max(added))
    taken = {number for (number,) in between} & set(added)
    taken |= {number for number, times in Counter(added).items() if times > 1}
    if taken:
        raise _Taken(f"{room}: quote {min(taken)} is another one here; load into a store of its own")
