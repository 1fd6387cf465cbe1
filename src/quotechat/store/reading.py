"""Reads, for every database: each function gets one open read transaction.

Only the parts common to all dialects stand here; how a transaction begins is the backend's.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator
from typing import Any

from ..protocol import cursor, json
from ..protocol.cursor import Cursor, Now
from ..protocol.errors import CursorAhead, CursorExpired, HistoryChanged, MalformedJson, QuoteUnknown, RoomUnknown
from ..protocol.markup import text
from ..protocol.rights.principal import Principal
from . import listing, presenting, visibility
from .accounts import callers
from .base import PAGE_BYTES, Census, Due, Head, Page, Step
from .shapes import (
    DELETED_ACCOUNT,
    PART,
    REMOVED,
    BoundedSql,
    Row,
    Sql,
    counted,
    deleted_stub,
    event_of,
    removed_quote,
    room_info,
    waiting_message,
    without_excerpt,
)  # fmt: skip

_MOST_NAMED = 1000
_MOST_OF_ONE = 20
"""Due messages of one sender in one room that one look returns."""


def head(sql: Sql, room: str, reader: Principal | None = None) -> Head:
    """Return the end of the log of `room`. Raises RoomUnknown."""
    row = visibility.room(sql, "r.head, r.chain, r.floor", room, reader)
    return Head(row[0], cursor.at(row[0], row[1]), row[2])


def heads(sql: Sql, rooms: Collection[str]) -> dict[str, Head]:
    """Return the heads of those of `rooms` that there are."""
    if not rooms:
        return {}
    # Of many, all: databases bound the values of a statement.
    names = list(rooms) if len(rooms) <= _MOST_NAMED else []
    condition = f" WHERE name IN ({', '.join('?' * len(names))})" if names else ""
    rows = sql.all(f"SELECT name, head, chain, floor FROM room{condition}", *names)
    return {name: Head(seq, cursor.at(seq, chain), floor) for name, seq, chain, floor in rows}


def page(sql: BoundedSql, room: str, after: Cursor | Now, limit: int, most: int = PAGE_BYTES) -> Page:
    """Events after a cursor that is checked first."""
    row = sql.one(f"SELECT id, head, chain, floor, floor_chain, {presenting.REDACTING} FROM room WHERE name = ?", room)
    if row is None:
        raise RoomUnknown(room)
    room_id, end, chain, floor, floor_chain, redacting = row
    if isinstance(after, Now):
        return Page([], cursor.at(end, chain))
    start, position = checked(sql, after, room_id, end, chain, floor, floor_chain)
    rows = sql.within(
        most,
        "SELECT seq, tag, command, at, body FROM event WHERE room_id = ? AND seq > ? ORDER BY seq LIMIT ?",
        room_id, start, limit, order="seq",
    )  # fmt: skip
    found = [event_of(room, each) for each in presenting.events(sql, room_id, rows, redacting=bool(redacting))]
    if found:
        position = found[-1].cursor
    return Page(found, position, more=start + len(found) < end)


def checked(
    sql: Sql, after: Cursor, room_id: int, end: int, chain: bytes, floor: int, floor_chain: bytes
) -> tuple[int, str]:
    """Return the seq to read after and the whole cursor there, the one rule for every position in a log.

    Raises CursorAhead, CursorExpired or HistoryChanged if it cannot be served exactly.
    """
    seq, tag = after
    if seq > end:
        raise CursorAhead()
    if seq < floor:
        if after != cursor.START:
            raise CursorExpired()
        seq = floor  # a bare 0 is the oldest event kept
    if seq == end:
        there = cursor.tag(chain)
    elif seq == floor:
        there = cursor.tag(floor_chain)
    else:
        row = sql.one("SELECT tag FROM event WHERE room_id = ? AND seq = ?", room_id, seq)
        assert row is not None, "the log has a hole"
        there = row[0]
    if tag is not None and tag != there:
        raise HistoryChanged()
    return seq, f"{seq}.{there}"


def snapshot(
    sql: BoundedSql, room: str, limit: int, identity: str | None, reader: Principal | None = None
) -> dict[str, Any]:
    """Return the latest messages and the cursor at which they are so, and the room as `reader` sees it."""
    row = visibility.room(sql, "r.id, r.head, r.chain", room, reader)
    found: dict[str, Any] = {"room": room, "cursor": cursor.at(row[1], row[2])}
    if reader is not None:
        found["about"] = listing.one(sql, room, reader.account)
    return found | _stretch(sql, row[0], None, limit, identity)


def messages(
    sql: BoundedSql, room: str, before: int | None, limit: int, identity: str | None, reader: Principal | None = None
) -> dict[str, Any]:
    """Return older messages."""
    return _stretch(sql, visibility.room(sql, "r.id", room, reader)[0], before, limit, identity)


def _stretch(sql: BoundedSql, room_id: int, before: int | None, limit: int, identity: str | None) -> dict[str, Any]:
    """Return the last `limit` messages before an event, with their quotes and the reader's own marks."""
    end = 2**62 if before is None else before
    rows = list(
        sql.within(
            PAGE_BYTES,
            "SELECT id, identity, body, likes, dislikes, reactions FROM message WHERE room_id = ? AND id < ?"
            " ORDER BY id DESC LIMIT ?", room_id, end, limit, order="id DESC",
        )
    )[::-1]  # fmt: skip
    has_more = bool(rows) and _is_older(sql, room_id, rows[0][0])
    found = [counted(text.bounded(json.own(row[2])), *row[3:]) for row in rows]
    presenting.messages(sql, room_id, found)
    stretch: dict[str, Any] = {"messages": found, "has_more": has_more}
    quotes = _quotes_between(sql, room_id, rows[0][0] if has_more else 0, end, limit)
    if quotes:
        stretch["quotes"] = quotes
    mine = {} if identity is None or not rows else _mine(sql, room_id, identity, rows)
    return stretch | ({"mine": mine} if mine else {})


def _is_older(sql: Sql, room_id: int, message_id: int) -> bool:
    """Return True if the room has a message before this one."""
    return sql.one("SELECT 1 FROM message WHERE room_id = ? AND id < ? LIMIT 1", room_id, message_id) is not None


def _quotes_between(sql: BoundedSql, room_id: int, start: int, end: int, limit: int) -> list[dict[str, Any]]:
    rows = sql.within(
        PAGE_BYTES,
        "SELECT seq, body FROM quote WHERE room_id = ? AND seq > ? AND seq < ? AND removed IS NULL"
        " ORDER BY seq DESC LIMIT ?",
        room_id, start, end, limit, order="seq DESC",
    )  # fmt: skip
    return [json.own(body) | {"seq": seq} for seq, body in rows][::-1]


def _mine(sql: Sql, room_id: int, identity: str, rows: list[Row]) -> dict[str, Any]:
    identities = _own(sql, identity)
    own = [row[0] for row in rows if row[1] in identities]
    reacted = sql.all(
        "SELECT message_id, value, identity FROM reaction WHERE room_id = ? AND message_id BETWEEN ? AND ?"
        f" AND identity IN ({_marks(identities)})", room_id, rows[0][0], rows[-1][0], *identities,
    )  # fmt: skip
    # What the account itself has set goes before what a visitor had that it has claimed.
    in_order = sorted(reacted, key=lambda row: (row[2] == identity, row[2]))
    reactions = {str(message_id): "like" if value > 0 else "dislike" for message_id, value, _ in in_order}
    emoji = _own_emoji(sql, room_id, identities, rows[0][0], rows[-1][0])
    return {
        name: value for name, value in (("messages", own), ("reactions", reactions), ("emoji", emoji)) if value
    }


def _own_emoji(sql: Sql, room_id: int, identities: list[str], first: int, last: int) -> dict[str, list[str]]:
    """Return the emoji with which `identities` reacted to the messages `first` to `last`: {id: emoji}."""
    found: dict[str, list[str]] = {}
    rows = sql.all(
        "SELECT DISTINCT message_id, emoji FROM emoji_reaction WHERE room_id = ? AND message_id BETWEEN ? AND ?"
        f" AND identity IN ({_marks(identities)}) ORDER BY message_id, emoji", room_id, first, last, *identities,
    )  # fmt: skip
    for message_id, emoji in rows:
        found.setdefault(str(message_id), []).append(emoji)
    return found


def rooms(sql: Sql, reader: Principal | None = None) -> list[dict[str, Any]]:
    """Return the rooms that `reader` may read, by name, as `listing` shows them; all for the server itself."""
    if reader is not None:
        return listing.visible(sql, reader)
    rows = sql.all(
        "SELECT name, title, kind, about, head, chain, created_at, last, messages FROM room ORDER BY name"
    )
    return [room_info(*row) for row in rows if PART not in row[0]]


def scheduled(sql: Sql, room: str, identity: str, reader: Principal | None = None) -> list[dict[str, Any]]:
    """Return the scheduled messages that wait."""
    room_id, own = visibility.room(sql, "r.id", room, reader)[0], _own(sql, identity)
    rows = sql.all(
        f"SELECT id, due_at, message, client_id, code FROM scheduled WHERE room_id = ? AND identity IN ({_marks(own)})"
        " AND state IN ('waiting', 'refused') ORDER BY due_at, id", room_id, *own,
    )  # fmt: skip
    return [waiting_message(row[0], row[1], room, json.own(row[2]), row[3], row[4]) for row in rows]


def scheduled_anywhere(sql: Sql, identity: str) -> list[dict[str, Any]]:
    """Return the scheduled messages that wait, of all rooms that were not removed."""
    own = _own(sql, identity)
    rows = sql.all(
        "SELECT s.id, s.due_at, r.name, s.message, s.client_id, s.code FROM scheduled s JOIN room r ON r.id = s.room_id"
        f" WHERE s.identity IN ({_marks(own)}) AND s.state IN ('waiting', 'refused') ORDER BY s.due_at, s.id", *own,
    )  # fmt: skip
    return [
        waiting_message(row[0], row[1], row[2], json.own(row[3]), row[4], row[5]) for row in rows if PART not in row[2]
    ]


def _own(sql: Sql, identity: str) -> list[str]:
    """Return `identity` and, of an account, those of the visitors that it has claimed."""
    return [identity, *sorted(callers.claimed(sql, identity))]


def _marks(values: Collection[str]) -> str:
    return ", ".join("?" * len(values))


def due(sql: Sql, now: int, limit: int) -> list[Due]:
    """Return scheduled messages that are due, a few of each sender in each room, so that none holds up the others."""
    rows = sql.all(
        "SELECT id, identity, source, room_id FROM (SELECT id, identity, source, room_id, due_at,"
        " row_number() OVER (PARTITION BY identity ORDER BY due_at, id) AS place,"
        " row_number() OVER (PARTITION BY identity, room_id ORDER BY due_at, id) AS place_in_room"
        " FROM scheduled WHERE state = 'waiting' AND due_at <= ?) AS d"
        " WHERE place_in_room <= ? ORDER BY place, due_at, id LIMIT ?",
        now, _MOST_OF_ONE, limit,
    )  # fmt: skip
    return [Due(*row) for row in rows]


def waiting(sql: Sql) -> int:
    """Count the scheduled messages that wait."""
    row = sql.one("SELECT count(*) FROM scheduled WHERE state = 'waiting'")
    return 0 if row is None else int(row[0])


def next_due(sql: Sql) -> int | None:
    """Return the time of the next scheduled message."""
    row = sql.one("SELECT min(due_at) FROM scheduled WHERE state = 'waiting'")
    return None if row is None else row[0]


def quotes(sql: BoundedSql, before: int | None, limit: int) -> dict[str, Any]:
    """Return the newest quotes with ids below `before`, up to the one with which they reach `PAGE_BYTES`."""
    rows = list(
        sql.within(
            PAGE_BYTES, "SELECT id, body FROM quote WHERE id < ? AND removed IS NULL ORDER BY id DESC LIMIT ?",
            2**62 if before is None else before, limit, order="id DESC",
        )
    )  # fmt: skip
    more = bool(rows) and sql.one("SELECT 1 FROM quote WHERE id < ? AND removed IS NULL LIMIT 1", rows[-1][0])
    return {"quotes": [json.own(body) for _, body in rows], "has_more": bool(more)}


def newest_quote(sql: Sql) -> int:
    """Return the highest id, or 0."""
    row = sql.one("SELECT max(id) FROM quote WHERE removed IS NULL")
    return 0 if row is None or row[0] is None else int(row[0])


def quote(sql: Sql, quote_id: int) -> dict[str, Any]:
    """Return one quote."""
    row = sql.one("SELECT body FROM quote WHERE id = ? AND removed IS NULL", quote_id)
    if row is None:
        raise QuoteUnknown()
    found: dict[str, Any] = json.own(row[0])
    return found


def removed_quotes(sql: Sql) -> int:
    """Count the quotes that were removed."""
    row = sql.one("SELECT count(*) FROM quote WHERE removed IS NOT NULL")
    return 0 if row is None else int(row[0])


def quote_room(sql: Sql, quote_id: int) -> str | None:
    """Return the room whose log has the quote."""
    row = sql.one("SELECT r.name FROM quote q LEFT JOIN room r ON r.id = q.room_id WHERE q.id = ?", quote_id)
    if row is None:
        raise QuoteUnknown()
    found: str | None = row[0]
    return found


def random_quote(sql: Sql) -> dict[str, Any]:
    """Return a random quote; in place of a removed quote the next one above."""
    newest = newest_quote(sql)
    if not newest:
        raise QuoteUnknown("There is no quote yet.")
    chosen = sql.one(
        "SELECT body FROM quote WHERE id >= ? AND removed IS NULL ORDER BY id LIMIT 1", 1 + secrets.randbelow(newest)
    )
    assert chosen is not None
    found: dict[str, Any] = json.own(chosen[0])
    return found


def room_id(sql: Sql, room: str) -> int:
    """Return the key of `room`. Raises RoomUnknown."""
    row = sql.one("SELECT id FROM room WHERE name = ?", room)
    if row is None:
        raise RoomUnknown(room)
    found: int = row[0]
    return found


def census(sql: Sql) -> Census:
    """Count each kind of row."""
    tables = ("room", "event", "message", "quote", "scheduled WHERE state = 'waiting'")
    rows = [sql.one(f"SELECT count(*) FROM {table}") for table in tables]
    return Census(*[row[0] for row in rows if row is not None])


def verify(sql: Sql) -> Iterator[Step]:
    """Recompute every chain from its floor and compare all that is kept with it."""
    for room_id, name, end, chain, floor, floor_chain in list(
        sql.all("SELECT id, name, head, chain, floor, floor_chain FROM room ORDER BY id")
    ):
        if name.startswith(REMOVED):
            continue
        expected, seq = bytes(floor_chain), floor
        rows = sql.all("SELECT seq, body, tag, digest FROM event WHERE room_id = ? ORDER BY seq", room_id)
        for found, body, tag, digest in rows:
            seq += 1
            if found != seq:
                yield Step(name, seq, end, f"it is missing; the next is {found}")
                break
            kept = bytes(digest) if digest is not None else cursor.digest(body.encode())
            expected = cursor.extend(expected, seq, kept)
            whole = cursor.tag(expected) == tag and (digest is None or is_redacted(body))
            yield Step(name, seq, end, None if whole else "its content or history was changed")
        else:
            if seq != end:
                yield Step(name, seq, end, f"the log ends here, but its head is {end}")
            elif expected != bytes(chain):
                yield Step(name, seq, end, "the head has another history")


def is_redacted(body: str) -> bool:
    """Return True if redaction (store/maintenance/redaction.py) would change nothing in the `body` of an event.

    Only then may a digest stand for the text that was there: beside any other body it would prove words never said.
    """
    try:
        found = json.loads(body)
        if "quote" in found:
            return len(found) == 1 and bool(found["quote"] == removed_quote(found["quote"]))
        if "member" in found:
            return found.keys() <= {"member", "reason", "by"} and bool(found["member"]["user"] == DELETED_ACCOUNT)
        message = found["message"]
        stub = message == deleted_stub(message)
        without = "reply_to" in message and message == without_excerpt(message)
    except (MalformedJson, LookupError, TypeError):
        return False
    return len(found) == 1 and (stub or without)
