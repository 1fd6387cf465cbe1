"""Claim due messages, in the order in which they are due.

All workers hand over the same due messages at the same time. The one that locks a message first delivers it; the
others skip it, and must not deliver a later one of the same sender in the same room: the claim is no commit yet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

CLAIM = "SELECT id FROM scheduled WHERE id = ANY(%s) AND state = 'waiting' ORDER BY id FOR UPDATE SKIP LOCKED"
HOLD = "SELECT id FROM scheduled WHERE id = ANY(%s) ORDER BY id FOR UPDATE"
# Asked when the rooms are locked: what waits now was not delivered. The last column tells if one that is due before it
# is not handed over with these.
WAITING = (
    "SELECT s.id, s.room_id, s.identity, EXISTS (SELECT 1 FROM scheduled e WHERE e.identity = s.identity"
    " AND e.room_id = s.room_id AND e.state = 'waiting' AND (e.due_at, e.id) < (s.due_at, s.id)"
    " AND e.id <> ALL(%s)) FROM scheduled s WHERE s.id = ANY(%s) AND s.state = 'waiting' ORDER BY s.due_at, s.id"
)


def in_turn(claimed: Collection[int], waiting: Iterable[tuple[Any, ...]]) -> set[int]:
    """Return the ids of `claimed` before which no message of their sender and room waits that is not among them.

    `waiting` has the rows of `WAITING`. The others are found due again at the next look, as those that were skipped.
    """
    free: set[int] = set()
    held_up: set[tuple[int, str]] = set()
    for number, room_id, identity, is_behind in waiting:
        if is_behind or number not in claimed:
            held_up.add((room_id, identity))
        elif (room_id, identity) not in held_up:
            free.add(number)
    return free
