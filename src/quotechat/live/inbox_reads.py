"""Read inboxes for their readers in a worker, in one transaction; on a thread of the pool.

The envelopes and answers are made here, and nothing else of an inbox is kept.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..protocol import inbox
from ..protocol.cursor import Cursor, Now
from ..store.following import inbox as stored
from ..store.following.inbox import Moved, State
from ..store.shapes import Sql
from .inbox_readers import Key


class Task(NamedTuple):
    """The work of one read for one inbox: read always if `whole`, else only if its revision or `bits` have moved."""

    key: Key
    revision: int
    rooms: array[int]
    own: array[int]
    bits: int
    positions: tuple[Cursor | Now, ...]
    """Cursors of the readers that are to be answered with the whole."""
    whole: bool
    polled: bool


class InboxUpdate(NamedTuple):
    """An inbox as one read found it, and the bytes to send to its readers."""

    revision: int
    rooms: array[int]
    own: array[int]
    bits: int
    cursor: str
    whole: bytes
    """The answer with the whole inbox; empty if each reader has it already."""
    changed: bytes
    """The envelope of the rooms of which those who follow are to be told, most for a changed state of the account's
    own; empty if there are none."""


class Found(NamedTuple):
    """The outcome of one read."""

    moved: dict[int, Moved]
    """Rooms whose counters moved."""
    counted: int
    """The bits of those rooms among them with new counts."""
    updates: dict[Key, InboxUpdate]
    rooms: dict[int, Moved]
    """Rooms that no reader had before."""


def look(sql: Sql, tasks: list[Task], known: Mapping[int, Moved], since: int | None) -> Found:
    """Find the rooms that have moved, and read the inboxes whose own state may have, or that are wanted whole.

    `known` are the rooms as the readers know them; `since` bounds the rooms that are read, in ms since 1970.
    """
    moved: dict[int, Moved] = {}
    counted = called = bits = 0
    spoke: set[int] = set()
    for room in stored.moved(sql, since):
        before = known.get(room.room)
        if before is None or before[:5] == room[:5]:
            continue
        moved[room.room] = room
        bits |= 1 << room.room
        if (before.last, before.messages) != (room.last, room.messages):
            counted |= 1 << room.room
            if stored.calls_all(sql, room.room, before.last):
                called |= 1 << room.room
            # A sender has read its own message: only this shows that its inbox has changed.
            spoke |= stored.senders(sql, room.room, before.last)
    revisions = stored.revisions(sql, {task.key.account for task in tasks})
    due = [
        task
        for task in tasks
        if task.whole
        or revisions.get(task.key.account, -1) != task.revision
        or task.key.account in spoke
        or task.bits & (bits & ~counted | called)
        or (task.polled and task.bits & bits)
    ]
    return some(sql, due, known, told=True)._replace(moved=moved, counted=counted)


def some(sql: Sql, tasks: list[Task], known: Mapping[int, Moved], *, told: bool = False) -> Found:
    """Read the inboxes of `tasks`; only the bytes for their readers are kept.

    Unless their readers are `told` of the rooms that have moved, their envelopes have those too.
    """
    read: stored.Rooms | None = {} if len(tasks) > 1 else None
    updates: dict[Key, InboxUpdate] = {}
    rooms: dict[int, Moved] = {}
    for task in tasks:
        state = stored.read(sql, *task.key, read)
        for each in state.entries:
            if each.room not in known and each.room not in rooms:
                rooms[each.room] = Moved(each.room, each.name, each.last, each.messages, each.news, 0)
        updates[task.key] = _update(task, state, set() if told else _moved(state, known), known)
    return Found({}, 0, updates, rooms)


def _moved(state: State, known: Mapping[int, Moved]) -> set[int]:
    """Return the rooms of an inbox that have moved since its readers were told; its cursor counts them."""
    return {
        each.room
        for each in state.entries
        if each.room in known and known[each.room][2:5] != (each.last, each.messages, each.news)
    }


def _update(task: Task, state: State, moved: set[int], known: Mapping[int, Moved]) -> InboxUpdate:
    """Return an update; those who follow already are sent the rooms that have `moved` too."""
    rooms, own, cursor = array("q", [entry.room for entry in state.entries]), state.own, state.cursor
    whole = b"" if all(inbox.is_at(each, cursor) for each in task.positions) else state.encoded(cursor)
    changed = b""
    if task.revision >= 0:
        before = dict(zip(task.rooms, task.own, strict=True))
        others = moved | {room for room, value in zip(rooms, own, strict=True) if before.pop(room, None) != value}
        gone = [known[room].name for room in before]
        if others or gone or state.revision != task.revision:
            changed = envelope(state.encoded(cursor, others, gone))
    return InboxUpdate(state.revision, rooms, own, _bits(rooms), cursor, whole, changed)


def envelope(answer: bytes) -> bytes:
    """Return the answer to a poll as an envelope."""
    return b'{"command":"inbox",' + answer[1:]


def _bits(rooms: Sequence[int]) -> int:
    """Return keys, in order, as bits."""
    found = bytearray(rooms[-1] // 8 + 1 if rooms else 0)
    for room in rooms:
        found[room >> 3] |= 1 << (room & 7)
    return int.from_bytes(found, "little")
