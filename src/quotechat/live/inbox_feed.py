"""Tell the inboxes of accounts to the sockets, streams and held polls of a worker.

Something has moved: then one read, in one transaction, finds the rooms that have, and the accounts whose own state
has. What each reader is told follows from that read alone, and reads follow one on the other, so no reader goes back.
Without a reader of an inbox nothing is read, and a message costs one look at an empty table.

Rooms and readers meet as sets of bits: those whose rooms moved alike get the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from functools import partial
from typing import Any

from ..hub.chat import Chat
from ..protocol import inbox, json
from ..protocol.cursor import START, Cursor, Now
from ..protocol.rights.principal import Principal
from ..store.following import inbox as stored
from ..store.following.inbox import Moved, State
from ..store.shapes import Sql
from .inbox_readers import Follower, Found, Key, Reading, Task, Waiter
from .reactor import Reactor

GATHER = 0.25
"""Seconds between two reads for news, which gather what moved between them."""
OVERLAP_MS = 5000
"""For which an event may carry an earlier time than one committed before it: clocks of machines differ."""
WHOLE_EVERY = 10.0
"""Seconds between two reads of all rooms, whatever their times say."""


class InboxFeed:
    """One for each worker. All methods run on the reactor's thread, but for `signal` and `_read`."""

    def __init__(self, reactor: Reactor, chat: Chat) -> None:
        self._reactor = reactor
        self._chat = chat
        self._readings: dict[Key, Reading] = {}
        self._keys: dict[Follower | Waiter, Key] = {}
        self._known: dict[int, Moved] = {}
        self._since: int | None = None
        self._whole_at = 0.0
        self._read_at = 0.0
        self._busy = self._again = False
        self._armed: float | None = None

    # --- Readers ----------------------------------------------------------------------------------

    def follow(self, follower: Follower, principal: Principal, after: Cursor | Now) -> None:
        """Tell `follower` all that is new behind `after`, then that it has caught up, and all that comes."""
        self.unfollow(follower)
        self._reading(follower, principal).begins[follower] = after
        self._wake(0)

    def unfollow(self, follower: Follower) -> None:
        """Tell it no more."""
        reading = self._of(follower)
        if reading is not None:
            reading.without(follower)
            self._forget(follower, reading)

    def resume(self, follower: Follower) -> None:
        """Go on with a follower whose socket was full: it is told the whole."""
        reading = self._of(follower)
        if reading is not None and follower in reading.late:
            reading.late.discard(follower)
            reading.begins[follower] = START
            self._wake(GATHER)

    def cursor(self, follower: Follower) -> str | None:
        """Return the cursor of what it has been told; None if that is not all there is."""
        reading = self._of(follower)
        return self._cursor(reading) if reading is not None and follower in reading.followers else None

    def hold(self, waiter: Waiter, principal: Principal) -> None:
        """Answer `waiter` when the inbox is elsewhere."""
        self._reading(waiter, principal).waiters.add(waiter)
        self._wake(0)

    def end(self, waiter: Waiter) -> None:
        """Answer `waiter` with the next read, also if that finds nothing."""
        waiter.inbox_ends = True
        self._wake(0)

    def leave(self, waiter: Waiter) -> None:
        """Answer it no more."""
        reading = self._of(waiter)
        if reading is not None:
            reading.waiters.discard(waiter)
            self._forget(waiter, reading)

    def signal(self) -> None:
        """Note that something was committed, here or elsewhere; from any thread."""
        if self._readings:
            self._reactor.call(partial(self._wake, GATHER))

    def look(self) -> None:
        """Once a second: a signal may have been lost."""
        if self._readings:
            self._wake(GATHER)

    def _reading(self, reader: Follower | Waiter, principal: Principal) -> Reading:
        key = self._keys[reader] = Key(principal.account or 0, principal.rooms)
        return self._readings.setdefault(key, Reading())

    def _of(self, reader: Follower | Waiter) -> Reading | None:
        key = self._keys.get(reader)
        return None if key is None else self._readings.get(key)

    def _forget(self, reader: Follower | Waiter, reading: Reading) -> None:
        key = self._keys.pop(reader)
        if not reading.used:
            del self._readings[key]
        if not self._readings:
            self._known.clear()
            self._since = None

    # --- One read after the other -----------------------------------------------------------------

    def _wake(self, gather: float) -> None:
        """Read at the next time that is `gather` seconds after the read before."""
        due = max(time.monotonic(), self._read_at + gather)
        if self._busy:
            self._again = True
        elif self._armed is None or due < self._armed:
            self._armed = due
            self._reactor.later(due, partial(self._begin, due))

    def _begin(self, due: float) -> None:
        if self._armed != due or self._busy:
            return
        self._armed = None
        now = time.monotonic()
        self._read_at = now
        if now - self._whole_at > WHOLE_EVERY:
            self._since, self._whole_at = None, now
        tasks = [self._task(key, reading, now) for key, reading in self._readings.items()]
        if tasks:
            self._busy = True
            self._reactor.read(partial(self._read, tasks, self._since), self._found)

    def _task(self, key: Key, reading: Reading, now: float) -> Task:
        polled = bool(reading.waiters) and now >= reading.answered_at + reading.pace
        whole = reading.revision < 0 or bool(reading.begins) or any(each.inbox_ends for each in reading.waiters)
        if polled and not whole:
            there = self._cursor(reading)
            whole = any(not inbox.is_at(each.inbox_after, there) for each in reading.waiters)
        return Task(key, reading.revision, reading.bits, whole, polled)

    def _read(self, tasks: list[Task], since: int | None) -> Found:
        """Read what moved, in one transaction; on a thread of the pool."""
        return self._chat.read_with(lambda sql: self._look(sql, tasks, since))

    def _look(self, sql: Sql, tasks: list[Task], since: int | None) -> Found:
        moved: dict[int, Moved] = {}
        counted = called = bits = 0
        spoke: set[int] = set()
        for room in stored.moved(sql, since):
            before = self._known.get(room.room)
            if before is None or before[:5] == room[:5]:
                continue
            moved[room.room] = room
            bits |= 1 << room.room
            if (before.last, before.messages) != (room.last, room.messages):
                counted |= 1 << room.room
                if stored.calls_all(sql, room.room, before.last):
                    called |= 1 << room.room
                # A sender has read its own message, which nothing else tells.
                spoke |= stored.senders(sql, room.room, before.last)
        revisions = stored.revisions(sql, {task.key.account for task in tasks})
        states = {
            task.key: stored.read(sql, *task.key)
            for task in tasks
            if task.whole
            or revisions.get(task.key.account, -1) != task.revision
            or task.key.account in spoke
            or task.bits & (bits & ~counted | called)
            or (task.polled and task.bits & bits)
        }
        return Found(moved, counted, states)

    def _found(self, found: object) -> None:
        self._busy = False
        if isinstance(found, Found):
            self._take(found)
        if self._again:
            self._again = False
            self._wake(GATHER)

    def _take(self, found: Found) -> None:
        self._known |= found.moved
        if found.moved:
            newest = max(room.at for room in found.moved.values())
            self._since = max(self._since or 0, newest - OVERLAP_MS)
        for each in found.states.values():
            for entry in each.entries:
                at = self._known[entry.room].at if entry.room in self._known else 0
                self._known[entry.room] = Moved(
                    entry.room, entry.name, entry.last, entry.messages, entry.news, at
                )
        moved = sum(1 << room for room in found.moved)
        encoded: dict[int, bytes] = {}
        for key, reading in list(self._readings.items()):
            state, before, begun = found.states.get(key), reading.bits, list(reading.followers)
            if state is not None or before & moved:
                reading.at = None
            if state is not None:
                self._tell_state(reading, state)
            # Not of a room that it has left since: what is said there is none of its business.
            self._tell_news(begun, before & reading.bits & found.counted, encoded)
            self._answer(reading, state)
        if self._since is None and self._known:
            self._since = self._chat.now() - OVERLAP_MS

    # --- What readers are told --------------------------------------------------------------------

    def _tell_news(self, followers: list[Follower], bits: int, encoded: dict[int, bytes]) -> None:
        if not bits or not followers:
            return
        if bits not in encoded:
            rooms = [self._known[room] for room in _numbers(bits)]
            counts = {room.name: {"last": room.last, "messages": room.messages} for room in rooms}
            encoded[bits] = json.dumps({"command": "news", "rooms": counts})
        for follower in followers:
            self._send(follower, encoded[bits])

    def _tell_state(self, reading: Reading, state: State) -> None:
        own = {entry.room: entry.own for entry in state.entries}
        changed = {room for room, value in own.items() if reading.own.get(room) != value}
        gone = [name for room, name in reading.names.items() if room not in own]
        tells = bool(changed or gone or reading.revision != state.revision)
        reading.revision, reading.own = state.revision, own
        reading.names = {entry.room: entry.name for entry in state.entries}
        reading.bits = sum(1 << room for room in own)
        if tells and reading.followers:
            encoded = json.dumps(_envelope(state, changed, gone))
            for follower in list(reading.followers):
                self._send(follower, encoded)
        for follower, after in list(reading.begins.items()):
            self._begin_with(reading, follower, after, state)

    def _begin_with(self, reading: Reading, follower: Follower, after: Cursor | Now, state: State) -> None:
        cursor = state.cursor
        del reading.begins[follower]
        reading.followers.add(follower)
        if not inbox.is_at(after, cursor):
            follower.inbox_tells({"command": "inbox", **state.shown()})
        follower.inbox_tells({"command": "caught-up", "room": inbox.INBOX, "cursor": cursor})

    def _send(self, follower: Follower, encoded: bytes) -> None:
        """Send an envelope, unless the socket is full: nothing is queued for a slow reader, it begins anew later."""
        reading = self._of(follower)
        if reading is None or follower not in reading.followers:
            return
        if follower.blocked:
            reading.followers.discard(follower)
            reading.late.add(follower)
        else:
            follower.inbox_sends(encoded)

    def _answer(self, reading: Reading, state: State | None) -> None:
        if not reading.waiters:
            return
        there, now = self._cursor(reading), time.monotonic()
        due = reading.answered_at + reading.pace
        encoded = b""
        for waiter in list(reading.waiters):
            if isinstance(waiter.inbox_after, Now) and reading.revision >= 0:
                waiter.inbox_after = Cursor(reading.revision, there.partition(".")[2])
            if not inbox.is_at(waiter.inbox_after, there) and state is not None and (now >= due or waiter.inbox_ends):
                encoded = encoded or json.dumps(state.shown())
                reading.answered_at = now
                waiter.inbox_found(state, encoded)
            elif waiter.inbox_ends and state is not None:
                waiter.inbox_found(None, nothing(there))
        if any(not inbox.is_at(each.inbox_after, there) for each in reading.waiters):
            self._reactor.later(max(now, due) + 0.001, partial(self._wake, 0))

    def _cursor(self, reading: Reading) -> str:
        if reading.at is None:
            news = ((room, self._known[room].news) for room in sorted(reading.own))
            reading.at = inbox.cursor(reading.revision, news)
        return reading.at


def nothing(cursor: str) -> bytes:
    """Return the answer that tells of nothing new."""
    return b'{"cursor":"%b","rooms":{}}' % cursor.encode()


def _envelope(state: State, changed: Collection[int], gone: list[str]) -> dict[str, Any]:
    return {"command": "inbox", **state.shown(changed)} | ({"gone": gone} if gone else {})


def _numbers(bits: int) -> list[int]:
    """Return the places of the bits that are set."""
    found = []
    while bits:
        lowest = bits & -bits
        found.append(lowest.bit_length() - 1)
        bits ^= lowest
    return found


def open_feed(reactor: Reactor, chat: Chat) -> None:
    """Give `reactor` the inboxes of `chat`."""
    feed = InboxFeed(reactor, chat)
    reactor.inbox = feed
    chat.on_move(feed.signal)
    reactor.every_sweep(feed.look)


