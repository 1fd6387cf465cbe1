"""Follow the log: bring an index up to the rooms, a bounded number of events in one transaction.

The index takes each message as it is now, and moves its position in the same transaction. An event that comes later
brings the message again, so nothing depends on when it is read.

A position is that of any subscriber (`store.programs.subscribers`): seq and tag for each room, and `reading.checked`
says if it still holds. It alone is stored elsewhere, beside the documents: those of SQLite are in another file, two
files do not commit together, and a step must take neither the lock nor the flush of a sender.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple

from ...protocol import cursor, events, json
from ...protocol.errors import CursorAhead, CursorExpired, HistoryChanged
from .. import reading
from ..base import Transactions
from ..shapes import PART, Row, Sql
from .documents import of_message, of_quote
from .index import MINUTE, MOST_DOCS, QUOTES, Index, Place, Writer

MOST_EVENTS = 200
"""Events read in one step; as many documents are dropped."""
MOST_SECONDS = 1.0
"""Seconds of one step, whose transaction is open meanwhile: long messages take long."""
_AT_ONCE = 100
"""Events between two looks at the clock."""
_MOST_QUOTES = 200
_SAMPLES = 50
"""Events of a part of the index by which the first division is made."""
_END = 2**62
_MESSAGE_EVENTS = {events.MESSAGE_SENT, events.MESSAGE_EDITED, events.MESSAGE_DELETED}
_FORGETTING = {events.MESSAGE_EDITED, events.MESSAGE_DELETED}


class Done(NamedTuple):
    """One step: the number of `events` read, if words were `dropped`, and if there is `more` to do."""

    events: int
    dropped: bool
    more: bool


class Room(NamedTuple):
    """The end and the beginning of a room's log."""

    id: int
    head: int
    chain: bytes
    floor: int
    floor_chain: bytes


def follow(log: Sql, writer: Writer, most: int = MOST_EVENTS) -> Done:
    """Bring the index `writer` nearer to `log`."""
    places = writer.places()
    rooms = rooms_of(log)
    if not places:
        writer.divide(even_times(log, rooms.values(), MOST_DOCS))
    left, dropped, end = most, False, time.monotonic() + MOST_SECONDS
    for room_id in sorted(places.keys() - rooms.keys() - {QUOTES}):
        left, dropped = left - 1, True
        if writer.drop_up_to(room_id, _END, most):
            return Done(0, dropped=True, more=True)
        writer.settle(room_id, None)
    for room in rooms.values():
        place = places.get(room.id)
        if place == (room.head, cursor.tag(room.chain), room.floor):
            continue
        if left <= 0 or (left < most and time.monotonic() > end):
            return Done(most - left, dropped, more=True)
        done = _room(log, writer, room, place, left, end)
        left, dropped = left - max(1, done.events), dropped or done.dropped
        if done.more:
            return Done(most - left, dropped, more=True)
    done = _quotes(log, writer, places.get(QUOTES))
    return Done(most - left + done.events, dropped or done.dropped, done.more)


def rooms_of(log: Sql) -> dict[int, Room]:
    """Return all rooms by key, without those that are being loaded or removed."""
    rows = log.all("SELECT id, name, head, chain, floor, floor_chain FROM room ORDER BY id")
    return {
        key: Room(key, head, chain, floor, floor_chain)
        for key, name, head, chain, floor, floor_chain in rows
        if PART not in name
    }


def even_times(log: Sql, rooms: Iterable[Room], most: int) -> list[int]:
    """Return minutes between which the rooms have about `most` events, from a sample of these."""
    step = max(1, most // _SAMPLES)
    times, skip = [], step - 1
    for room in rooms:
        for seq in range(room.floor + 1 + skip, room.head + 1, step):
            row = log.one("SELECT at FROM event WHERE room_id = ? AND seq = ?", room.id, seq)
            times += [row[0]] if row is not None else []
        skip = (skip - (room.head - room.floor)) % step
    times.sort()
    return sorted({at - at % MINUTE for at in times[_SAMPLES::_SAMPLES] if at >= MINUTE})


# --- One room ---------------------------------------------------------------------------------------


def _room(log: Sql, writer: Writer, room: Room, place: Place | None, most: int, end: float) -> Done:
    if place is not None and not _continues(log, room, place):
        # Another history has this room's key: a store that was restored, or a room that was loaded anew.
        if writer.drop_up_to(room.id, _END, most):
            return Done(0, dropped=True, more=True)
        writer.settle(room.id, None)
        place = None
    if place is None:
        place = Place(room.floor, cursor.tag(room.floor_chain), room.floor)
    dropped = False
    if place.floor < room.floor:
        dropped = True
        if writer.drop_up_to(room.id, room.floor, most):
            return Done(0, dropped=True, more=True)
        tag = cursor.tag(room.floor_chain) if place.seq <= room.floor else place.tag
        place = Place(max(place.seq, room.floor), tag, room.floor)
    rows = list(
        log.all(
            "SELECT seq, tag, command, target FROM event WHERE room_id = ? AND seq > ? ORDER BY seq LIMIT ?",
            room.id, place.seq, most,
        )
    )  # fmt: skip
    taken = 0
    while taken < len(rows) and (taken == 0 or time.monotonic() < end):
        some = rows[taken : taken + _AT_ONCE]
        dropped = _take(log, writer, room.id, some) or dropped
        place = Place(some[-1][0], some[-1][1], room.floor)
        taken += len(some)
    writer.settle(room.id, place)
    return Done(taken, dropped, place.seq < room.head)


def _take(log: Sql, writer: Writer, room_id: int, rows: list[Row]) -> bool:
    """Take the messages of these events as they are now; True if words may have gone."""
    changed = sorted({seq if target is None else target for seq, _, command, target in rows
                      if command in _MESSAGE_EVENTS})  # fmt: skip
    if not changed:
        return False
    marks = ", ".join("?" * len(changed))
    there = list(
        log.all(
            f"SELECT id, identity, body FROM message WHERE room_id = ? AND deleted IS NULL AND id IN ({marks})",
            room_id, *changed,
        )
    )  # fmt: skip
    # One by one as they are written: a database ends a transaction that is left alone for long.
    writer.put(of_message(room_id, number, identity, json.own(body)) for number, identity, body in there)
    ids = {row[0] for row in there}
    writer.drop(room_id, [each for each in changed if each not in ids])
    return any(command in _FORGETTING for _, _, command, _ in rows)


def _continues(log: Sql, room: Room, place: Place) -> bool:
    """Return True if `place` is a position in the history that `room` has now."""
    if place.floor > room.floor:
        return False
    try:
        reading.checked(log, cursor.Cursor(place.seq, place.tag), *room)
    except CursorExpired:
        return True  # cut meanwhile: it goes on at the floor
    except (CursorAhead, HistoryChanged):
        return False
    return True


# --- Quotes -----------------------------------------------------------------------------------------


def quotes_place(log: Sql) -> Place:
    """Return the state of the collection of quotes: the newest id, and how many were removed from which store."""
    newest = log.one("SELECT coalesce(max(id), 0) FROM quote")
    removed = log.one("SELECT count(*) FROM quote WHERE removed IS NOT NULL")
    lobby = log.one("SELECT created_at FROM room ORDER BY id LIMIT 1")
    assert newest is not None and removed is not None
    return Place(newest[0], f"{lobby[0] if lobby else 0}", removed[0])


def _quotes(log: Sql, writer: Writer, place: Place | None) -> Done:
    now = quotes_place(log)
    if place is not None and (place.tag != now.tag or place.seq > now.seq or place.floor > now.floor):
        if writer.drop_up_to(QUOTES, _END, _MOST_QUOTES):
            return Done(0, dropped=True, more=True)
        place = None
    place = place or Place(0, now.tag, now.floor)
    dropped = place.floor != now.floor
    if dropped:
        writer.drop(QUOTES, [row[0] for row in log.all("SELECT id FROM quote WHERE removed IS NOT NULL")])
    rows = []
    if place.seq < now.seq:
        rows = list(
            log.all(
                "SELECT id, body, removed FROM quote WHERE id > ? ORDER BY id LIMIT ?", place.seq, _MOST_QUOTES
            )
        )
        writer.put(of_quote(json.own(body)) for _, body, removed in rows if removed is None)
    last = rows[-1][0] if rows else now.seq
    if rows or place != now:
        writer.settle(QUOTES, Place(last, now.tag, now.floor))
    return Done(len(rows), dropped, last < now.seq)


# --- Progress ---------------------------------------------------------------------------------------


def reached(store: Transactions, index: Index) -> tuple[int, int]:
    """Return the number of events of all rooms that the index has read, and the number of all events."""
    with index.reading() as reader:
        places = {} if reader is None else reader.places()
    rooms = store.read_with(rooms_of).values()
    read = sum(min(places[room.id].seq, room.head) - room.floor for room in rooms if room.id in places)
    return read, sum(room.head - room.floor for room in rooms)
