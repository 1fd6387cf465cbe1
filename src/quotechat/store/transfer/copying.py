"""A store as a stream of records, room by room in the order of the log, and a store made of one.

`dump` reads, within one transaction; `load` writes, some thousand events at a time, and checks the hash chain as it
goes. Export, import and move are these two, with a file between them or without.

A room that is loaded stands under a name that no client can ask for, of its random beginning, until it is complete:
then it gets its own in one transaction. So a load that ends too early has changed nothing that is seen, and the same
load again goes on behind the last event that is there – like any reader, from its cursor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from ...protocol import cursor, events, json
from ...protocol.errors import RoomUnknown
from ..base import Impossible, Progress
from ..disk.lock import InUse
from ..maintenance.redaction import Budget, pending, redact_message
from ..projections import Counts, Entry, project
from ..reading import is_redacted
from ..shapes import PART, Sql, schema
from . import carrying

_AT_ONCE = 5000
"""Events in one transaction."""
KEPT = {
    "scheduled": ("id", "identity", "client_id", "due_at", "message", "state", "seq", "code"),
    "sent": ("sender", "client_id", "hash", "at", "seq", "scheduled"),
    "name": ("skeleton", "identity", "at"),
    "member": ("account_id", "role", "level", "read_id", "read_n", "muted_until", "spoke_at", "at"),
    "report": ("message_id", "account_id", "reason", "at", "state", "closed_by"),
    "mention": ("account_id", "message_id", "kind", "seen"),
    "subscribed": ("subscriber_id", "seq", "tag"),
}
"""Private rows, which are not in the log, table by table: the columns beside ``room_id``."""
OF_ACCOUNTS = {"member": 7, "report": 7, "mention": 7, "subscribed": 11}
"""Tables of `KEPT` whose rows name accounts, so they go only with all accounts; and the migration that made each."""
_WITH_CODE = 3
"""The migration that gives scheduled messages a code."""
_WITH_KINDS = 7
"""The migration that gives rooms kinds and members."""
_WITH_EMOJI = 10
"""The migration that gives events an emoji."""
_ROOM = "name, title, created_at, floor, floor_chain, head, chain"
_KIND = ", kind, about, floor_messages, pair"
_LOGGED = "seq, command, at, body, tag, digest, target, identity, reaction, emoji"


# --- The records ----------------------------------------------------------------------------------


class Secret(NamedTuple):
    """The secret that signs identities."""

    secret: str


class Room(NamedTuple):
    """The room to which the records after it belong; times are milliseconds since 1970."""

    name: str
    title: str | None
    at: int
    floor: int
    floor_chain: bytes
    head: int
    chain: bytes
    kind: str = "open"
    about: str = "{}"
    floor_messages: int = 0
    pair: bytes | None = None

    @property
    def cursor(self) -> str:
        """The cursor at its head."""
        return cursor.at(self.head, self.chain)


class Logged(NamedTuple):
    """One event as the log has it; see the table ``event`` (store/migrations)."""

    seq: int
    command: str
    at: int
    body: str
    tag: str
    digest: bytes | None
    target: int | None
    identity: str | None
    reaction: int | None
    emoji: str | None = None


class Kept(NamedTuple):
    """A row of one of the tables in `KEPT`, or, before all rooms, of accounts, or a quote that has no event."""

    table: str
    row: dict[str, Any]


class Whole(NamedTuple):
    """All of the room has been told."""

    room: str


Record = Secret | Room | Logged | Kept | Whole


class Loaded(NamedTuple):
    """A room that is complete in the store; `there` if it was before. `hidden` until `publish`."""

    room: Room
    id: int
    there: bool


class Target(Protocol):
    """The methods that a load needs of a store."""

    def writing(self) -> AbstractContextManager[Sql]:
        """Open one durable write transaction."""

    def write_with(self, work: Callable[[Sql], None]) -> None:
        """Do `work` in one durable write transaction."""

    def adopt(self, secret: str) -> None:
        """Sign identities with `secret` from now on. Raises InUse if another process uses the store."""


# --- Out ------------------------------------------------------------------------------------------


def rooms(sql: Sql, only: Collection[str] = ()) -> list[Room]:
    """Return the rooms that there are, or those of `only`, by name. Raises RoomUnknown."""
    columns = _ROOM + (_KIND if schema(sql) >= _WITH_KINDS else "")
    found = [_room(row) for row in sql.all(f"SELECT {columns} FROM room ORDER BY name") if PART not in row[0]]
    unknown = set(only) - {room.name for room in found}
    if unknown:
        raise RoomUnknown(min(unknown))
    return [room for room in found if not only or room.name in only]


def dump(sql: Sql, secret: str | None, only: Collection[str] = ()) -> Iterator[Record]:
    """Yield all that the store holds, or the rooms `only` with their belongings, but not their members.

    Raises RoomUnknown.
    """
    if not only:
        if secret is not None:
            yield Secret(secret)
        for number, identity, body in sql.all("SELECT id, identity, body FROM quote WHERE seq IS NULL ORDER BY id"):
            yield Kept("quote", {"id": number, "identity": identity, "body": body})
        for each in carrying.dump(sql):
            yield Kept(*each)
    for room in rooms(sql, only):
        row = sql.one("SELECT id FROM room WHERE name = ?", room.name)
        assert row is not None
        yield room._replace(pair=None) if only else room
        # Text that is still to be redacted stays here.
        hidden = pending(sql, row[0])
        logged_columns = _LOGGED if schema(sql) >= _WITH_EMOJI else _LOGGED.removesuffix(", emoji")
        for event in sql.all(f"SELECT {logged_columns} FROM event WHERE room_id = ? ORDER BY seq", row[0]):
            logged = Logged(*event)
            body, digest = hidden.redacted(logged.body, logged.digest)
            yield logged._replace(body=body, digest=digest)
        for table, columns in KEPT.items():
            if table in OF_ACCOUNTS and (only or schema(sql) < OF_ACCOUNTS[table]):
                continue
            there = [column for column in columns if column != "code" or schema(sql) >= _WITH_CODE]
            for kept in sql.all(f"SELECT {', '.join(there)} FROM {table} WHERE room_id = ?", row[0]):
                yield Kept(table, dict.fromkeys(columns) | dict(zip(there, kept, strict=True)))
        yield Whole(room.name)


def _room(row: Any) -> Room:
    name, title, at, floor, floor_chain, head, chain, *more = row
    if more and more[3] is not None:
        more[3] = bytes(more[3])
    return Room(name, title, at, floor, bytes(floor_chain), head, bytes(chain), *more)


# --- In -------------------------------------------------------------------------------------------


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
            _adopt(store, record)
        elif isinstance(record, Room):
            _add_beside(store, beside)
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
        else:
            loading.kept(record)
    _add_beside(store, beside)
    progress(done, all_there_are)
    return found


def publish(store: Target, loaded: Iterable[Loaded]) -> None:
    """Give rooms that were loaded hidden their names, all at once."""
    with store.writing() as sql:
        for each in loaded:
            if not each.there:
                _give_name(sql, each.room.name, each.id)


def empty(sql: Sql) -> bool:
    """Return True if nothing was ever said here: there is no room, or only new ones."""
    return sql.one("SELECT 1 FROM room WHERE head > 0 AND name NOT LIKE ? LIMIT 1", f"%{PART}%") is None


class Broken(Impossible):
    """The records end too early or are damaged: the same again, complete, goes on from there."""


class _Taken(Impossible):
    """The store has something else under a number of the log."""


class _Loading:
    """One room on its way in."""

    def __init__(self, store: Target, room: Room) -> None:
        self._store, self._room = store, room
        self._seq, self._chain = room.floor, room.floor_chain
        self._events: list[Logged] = []
        self._kept: list[Kept] = []
        self._scheduled: list[dict[str, Any]] = []
        self._of_scheduled: list[dict[str, Any]] = []
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
            self._kept.append(record)
            if len(self._kept) == _AT_ONCE:
                self._flush()

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
        self._events, self._kept = [], []

    def _write(self) -> None:
        with self._store.writing() as sql:
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
    """A room that is loaded, which an earlier load may have begun: its key, and what is there."""

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
    row = sql.one("SELECT id, head FROM room WHERE name = ?", name)
    if row is not None:
        if not _is_new(sql, row[0], row[1]):
            raise Impossible(f"there is a room {name} already, made meanwhile; nothing is overwritten")
        _discard(sql, row[0])
    sql.run("UPDATE room SET name = ? WHERE id = ?", name, room_id)


def _discard(sql: Sql, room_id: int) -> None:
    for table in ("redaction", "event", "message", "reaction", "emoji_reaction", "quote", *KEPT):
        sql.run(f"DELETE FROM {table} WHERE room_id = ?", room_id)
    sql.run("DELETE FROM room WHERE id = ?", room_id)


def _add(sql: Sql, table: str, room_id: int, row: dict[str, Any]) -> None:
    columns = KEPT[table]
    places = ", ".join("?" * (len(columns) + 1))
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
            columns = KEPT["scheduled"][1:]
            places = ", ".join("?" * (1 + len(columns)))
            added = sql.one(
                f"INSERT INTO scheduled (room_id, {', '.join(columns)}) VALUES ({places}) RETURNING id",
                room_id, *(row[column] for column in columns),
            )  # fmt: skip
            assert added is not None
            moved[row["id"]] = added[0]
    return moved


# --- Beside the rooms -----------------------------------------------------------------------------


def _adopt(store: Target, record: Secret) -> None:
    with store.writing() as sql:
        new = empty(sql)
    if not new:
        return
    try:
        store.adopt(record.secret)
    except InUse as fault:
        # Its workers would go on signing with the old one, and some with the new.
        raise Impossible(f"{fault}; stop the server first: the file carries identities") from fault


def _add_beside(store: Target, records: list[Kept]) -> None:
    """Add the records that stand before all rooms."""
    _add_quotes(store, [each.row for each in records if each.table == "quote"])
    rows = [(each.table, each.row) for each in records if each.table != "quote"]
    if rows:
        store.write_with(lambda sql: carrying.load(sql, rows, new=empty(sql)))


def _add_quotes(store: Target, rows: list[dict[str, Any]]) -> None:
    """Add quotes that have no event. Those that came with the program are there already if a server has run."""
    if not rows:
        return
    with store.writing() as sql:
        for row in rows:
            there = sql.one("SELECT body FROM quote WHERE id = ?", row["id"])
            if there is None:
                removed = 0 if json.own(row["body"]).get("removed") else None
                values = (row["id"], row["identity"], row["body"], removed)
                sql.run("INSERT INTO quote (id, identity, body, removed) VALUES (?, ?, ?, ?)", *values)
            elif _said(there[0]) != _said(row["body"]):
                raise Impossible(f"quote {row['id']} is another one here; load into a store of its own")


def _said(body: str) -> tuple[str, str]:
    quote = json.own(body)
    return quote["quote"], quote["author"]


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
