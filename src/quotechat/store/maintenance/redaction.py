"""Take text out of events that stay: numbers, tags and the chain remain as they are.

The digest of the first body is kept beside a redacted event; with it the chain still verifies.

A message may have any number of edits and replies, and all rooms wait for a transaction. So a transaction redacts a
bounded number of events; the rest stands in the table ``redaction`` and is done in later ones. Until then nothing
of it is served: `presenting` hides it from readers, and `Pending` from copies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ...protocol import cursor, json
from ..shapes import (  # fmt: skip
    DELETED_ACCOUNT,
    Row,
    Sql,
    deleted_stub,
    nameless_parent,
    nameless_stub,
    removed_quote,
    schema,
    without_excerpt,
)

MOST_EVENTS = 200
"""Events redacted in one transaction."""
MOST_BYTES = 500_000
"""Bytes of events redacted in one transaction; one event more is."""
_AT_ONCE = 20
_SCHEMA = 4
"""The migration that makes the table."""
_WITH_NAMES = 8
"""The migration that adds the column `nameless`."""
_END = 2**62
_Change = Callable[[dict[str, Any]], dict[str, Any]]
_REPLIES = (
    "SELECT m.id, m.body, e.seq, e.body, e.digest FROM message m JOIN event e ON e.room_id = m.room_id AND e.seq = m.id"
    " WHERE m.room_id = ? AND m.id IN (SELECT id FROM message WHERE room_id = ? AND reply_to = ? AND id > ?"
    " ORDER BY id LIMIT ?) ORDER BY m.id"
)
"""The numbers by the index first: in one statement SQLite would rather look through all that came later in the room."""
_OF_TARGET = (
    "SELECT seq, body, digest FROM event WHERE room_id = ? AND seq IN (SELECT seq FROM event WHERE room_id = ?"
    " AND target = ? AND seq > ? ORDER BY seq LIMIT ?) ORDER BY seq"
)


class Budget:
    """The events that one transaction may still redact."""

    def __init__(self, events: int = MOST_EVENTS, size: int = MOST_BYTES) -> None:
        self._events, self._bytes = events, size

    @property
    def spent(self) -> bool:
        """Return True if nothing is left."""
        return self._events <= 0 or self._bytes <= 0

    def spend(self, size: int) -> None:
        """Charge one event of `size` bytes."""
        self._events -= 1
        self._bytes -= size

    @classmethod
    def unbounded(cls) -> Budget:
        """Return a budget without a bound, for an operator's work that holds up no sender."""
        return cls(_END, _END)


class _Place(NamedTuple):
    """How far a redaction has come: event `seq` of the message `holder`, the one that goes or a reply to it."""

    holder: int
    seq: int


def redact_message(sql: Sql, room_id: int, message_id: int, budget: Budget, *, nameless: bool = False) -> None:
    """Take a message's text out of its events, and out of the excerpts in replies to it: now or later.

    With `nameless` the name of its author goes too, also if the text went before.
    """
    _begin(sql, room_id, message_id, _Place(message_id, 0), budget, nameless=nameless)


def redact_excerpts(sql: Sql, room_id: int, message_id: int, budget: Budget) -> None:
    """Take the excerpts out of replies to a message that is kept no longer: now or later."""
    _begin(sql, room_id, message_id, _Place(message_id, _END), budget)


def is_left(sql: Sql) -> bool:
    """Return True if anything waits to be redacted."""
    return sql.one("SELECT 1 FROM redaction LIMIT 1") is not None


def redact_some(sql: Sql) -> bool:
    """Redact some of the rest, in one open write transaction; return True if there may be more."""
    budget = Budget()
    while not budget.spent:
        row = sql.one("SELECT room_id, message_id FROM redaction ORDER BY room_id, message_id LIMIT 1")
        if row is None:
            return False
        # It locks the room, in every dialect; a read before it may be out of date.
        sql.run("UPDATE room SET floor = floor WHERE id = ?", row[0])
        found = sql.one("SELECT holder, seq, nameless FROM redaction WHERE room_id = ? AND message_id = ?", *row)
        if found is None:
            break  # another process has done it
        _go_on(sql, row[0], row[1], _Place(*found[:2]), budget, nameless=bool(found[2]))
    return True


def _begin(
    sql: Sql, room_id: int, message_id: int, place: _Place, budget: Budget, *, nameless: bool = False
) -> None:
    # One that is on its way begins anew if the name is to go too.
    again = "UPDATE SET holder = excluded.holder, seq = excluded.seq, nameless = 1" if nameless else "NOTHING"
    sql.run(
        "INSERT INTO redaction (room_id, message_id, holder, seq, nameless) VALUES (?, ?, ?, ?, ?)"
        f" ON CONFLICT (room_id, message_id) DO {again}", room_id, message_id, *place, int(nameless),
    )  # fmt: skip
    _go_on(sql, room_id, message_id, place, budget, nameless=nameless)


def _go_on(sql: Sql, room_id: int, message_id: int, place: _Place, budget: Budget, *, nameless: bool) -> None:
    key = (room_id, message_id)
    own, reply = (nameless_stub, nameless_parent) if nameless else (deleted_stub, without_excerpt)
    for at, row in _held(sql, room_id, message_id, place, nameless=nameless):
        if budget.spent:
            sql.run("UPDATE redaction SET holder = ?, seq = ? WHERE room_id = ? AND message_id = ?", *place, *key)
            return
        _redact(sql, room_id, row, own if at.holder == message_id else reply)
        budget.spend(len(row[1]))
        place = at
    sql.run("DELETE FROM redaction WHERE room_id = ? AND message_id = ?", *key)


def redact_quote(sql: Sql, room_id: int, quote_id: int) -> None:
    """Take a quote's text out of the event that added it, if that is kept."""
    row = sql.one("SELECT seq FROM quote WHERE id = ? AND room_id = ?", quote_id, room_id)
    event = row and sql.one("SELECT body, digest FROM event WHERE room_id = ? AND seq = ?", room_id, row[0])
    if row is None or not event:
        return
    body = json.dumps({"quote": removed_quote(json.own(event[0])["quote"])}).decode()
    digest = event[1] if event[1] is not None else cursor.digest(event[0].encode())
    sql.run("UPDATE event SET body = ?, digest = ? WHERE room_id = ? AND seq = ?", body, digest, room_id, row[0])


def redact_member(sql: Sql, room_id: int, seq: int) -> None:
    """Take the name out of an event that tells of a member, if `seq` is one."""
    row = sql.one("SELECT body, digest FROM event WHERE room_id = ? AND seq = ?", room_id, seq)
    body = {} if row is None else json.own(row[0])
    if row is None or "member" not in body:
        return
    changed = json.dumps(body | {"member": body["member"] | {"user": DELETED_ACCOUNT}}).decode()
    digest = row[1] if row[1] is not None else cursor.digest(row[0].encode())
    if changed != row[0]:
        sql.run("UPDATE event SET body = ?, digest = ? WHERE room_id = ? AND seq = ?", changed, digest, room_id, seq)


def redact_as(sql: Sql, room_id: int, seq: int, tag: str, body: str, digest: bytes | None) -> None:
    """Redact an event as it was redacted in another store, with the row of the message that it sent."""
    sql.run(
        "UPDATE event SET body = ?, digest = ? WHERE room_id = ? AND seq = ? AND tag = ?",
        body, digest, room_id, seq, tag,
    )  # fmt: skip
    row = sql.one("SELECT body FROM message WHERE room_id = ? AND id = ?", room_id, seq)
    if row is None:
        return
    shown, there = json.own(row[0]), json.own(body).get("message", {})
    if "deleted" in there:
        moderated = {"moderated": True} if "moderated" in shown else {}
        changed = there | moderated
    elif there.get("reply_to", {}).get("user") == DELETED_ACCOUNT:
        changed = nameless_parent(shown)
    else:
        return
    sql.run("UPDATE message SET body = ? WHERE room_id = ? AND id = ?", json.dumps(changed).decode(), room_id, seq)


# --- The events that hold a message's words -------------------------------------------------------


def _held(
    sql: Sql, room_id: int, message_id: int, place: _Place, *, nameless: bool
) -> Iterator[tuple[_Place, Row]]:
    """Yield the events after `place`: those of the message itself, then those of each reply to it."""
    holder, seq = place
    if seq < holder:
        for row in list(sql.all("SELECT seq, body, digest FROM event WHERE room_id = ? AND seq = ?", room_id, holder)):
            yield _Place(holder, row[0]), row
    yield from _changes(sql, room_id, place)
    while replies := list(sql.all(_REPLIES, room_id, room_id, message_id, holder, _AT_ONCE)):
        for holder, shown, seq, body, digest in replies:
            _strip(sql, room_id, holder, shown, nameless=nameless)
            yield _Place(holder, seq), (seq, body, digest)
            if '"edited_at":' in shown:
                yield from _changes(sql, room_id, _Place(holder, seq))


def _changes(sql: Sql, room_id: int, place: _Place) -> Iterator[tuple[_Place, Row]]:
    """Yield the later events that target `place.holder`: its edits hold text, reactions do not."""
    holder, seq = place
    while seq < _END:
        rows = list(sql.all(_OF_TARGET, room_id, room_id, holder, seq, _AT_ONCE))
        for row in rows:
            seq = row[0]
            yield _Place(holder, seq), row
        if len(rows) < _AT_ONCE:
            return


def _strip(sql: Sql, room_id: int, reply: int, shown: str, *, nameless: bool) -> None:
    """Delete the message's author from the reply's row, and the excerpt that version 0.1 kept there."""
    if nameless or '"excerpt":' in shown:
        change = nameless_parent if nameless else without_excerpt
        body = json.dumps(change(json.own(shown))).decode()
        sql.run("UPDATE message SET body = ? WHERE room_id = ? AND id = ?", body, room_id, reply)


def _redact(sql: Sql, room_id: int, row: Row, change: _Change) -> None:
    seq, encoded, digest = row
    body, first = redacted(encoded, digest, change)
    if body != encoded:
        statement = "UPDATE event SET body = ?, digest = ? WHERE room_id = ? AND seq = ?"
        sql.run(statement, body, first, room_id, seq)


def redacted(encoded: str, digest: bytes | None, change: _Change) -> tuple[str, bytes | None]:
    """Return the body of an event after `change`, and the digest of its first body."""
    body = json.own(encoded)
    if "user" not in body.get("message", {}):
        return encoded, digest  # it carries an id and perhaps counts, and no text
    changed = json.dumps(body | {"message": change(body["message"])}).decode()
    if changed == encoded:
        return encoded, digest
    return changed, digest if digest is not None else cursor.digest(encoded.encode())


# --- Pending work ---------------------------------------------------------------------------------


class Pending(NamedTuple):
    """The messages of a room whose text may still stand in the log: in `own` events, in `excerpts` of replies."""

    own: frozenset[int]
    excerpts: frozenset[int]
    nameless: frozenset[int] = frozenset()
    """Those whose author's name goes too."""

    def redacted(self, encoded: str, digest: bytes | None) -> tuple[str, bytes | None]:
        """Return the body and digest of an event as they will be."""
        if not self.excerpts:
            return encoded, digest
        message = json.own(encoded).get("message", {})
        parent = message.get("reply_to", {}).get("id")
        if message.get("id") in self.own:
            change = nameless_stub if message["id"] in self.nameless else deleted_stub
            return redacted(encoded, digest, change)
        if parent in self.excerpts:
            return redacted(encoded, digest, nameless_parent if parent in self.nameless else without_excerpt)
        return encoded, digest


def pending(sql: Sql, room_id: int) -> Pending:
    """Return the pending redactions of a room; none in a store without the table, which only the commands open."""
    made = schema(sql)
    if made < _SCHEMA:
        return Pending(frozenset(), frozenset())
    nameless = "nameless" if made >= _WITH_NAMES else "0"
    rows = list(sql.all(f"SELECT message_id, holder, seq, {nameless} FROM redaction WHERE room_id = ?", room_id))
    own = frozenset(message for message, holder, seq, _ in rows if holder == message and seq < _END)
    return Pending(own, frozenset(row[0] for row in rows), frozenset(row[0] for row in rows if row[3]))
