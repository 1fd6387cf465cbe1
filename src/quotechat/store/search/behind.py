"""Read events that the index has not reached: the newest ones of each room, a bounded number of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ...protocol import events
from ..shapes import Sql
from .following import Room
from .index import Hit, Place

MOST_BEHIND = 500
"""Events of a room behind the index that a search looks through itself; five times as many of all rooms."""


def messages(sql: Sql, rooms: Iterable[Room], places: Mapping[int, Place]) -> tuple[list[Hit], bool]:
    """Return the messages sent or edited behind the index, the newest first, and True if there are more."""
    found: list[Hit] = []
    left, late = 5 * MOST_BEHIND, False
    for room in rooms:
        place = places.get(room.id)
        if place is not None and place.seq >= room.head:
            continue
        most = min(left, MOST_BEHIND)
        start = room.floor if place is None else max(place.seq, room.floor)
        late = late or room.head - start > most
        if most > 0:
            found += _news(sql, room, start, most)
        left -= min(most, room.head - start)
    return sorted(found, reverse=True), late


def _news(sql: Sql, room: Room, start: int, most: int) -> Iterator[Hit]:
    """Yield the messages of `room` that events after `start` sent or edited."""
    rows = sql.all(
        "SELECT seq, command, target, at FROM event WHERE room_id = ? AND seq > ? ORDER BY seq DESC LIMIT ?",
        room.id, start, most,
    )  # fmt: skip
    edited: set[int] = set()
    for seq, command, target, at in list(rows):
        if command == events.MESSAGE_SENT:
            yield Hit(at, room.id, seq)
        elif command == events.MESSAGE_EDITED and target > room.floor:
            edited.add(target)
    for target in edited:
        row = sql.one("SELECT at FROM event WHERE room_id = ? AND seq = ?", room.id, target)
        if row is not None:
            yield Hit(row[0], room.id, target)
