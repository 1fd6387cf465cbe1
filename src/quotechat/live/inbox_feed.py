"""Send the inboxes of accounts to the sockets, streams and held polls of a worker.

After a commit one read, in one transaction, finds the rooms that have moved, and the accounts whose own state has.
Envelopes and answers follow from that read alone, and one read follows the other, so no reader goes back. For a reader
that begins, its inbox is read at once. Without a reader of an inbox nothing is read, and a message costs one look-up in
an empty table.

The rooms of a reader are a set of bits: readers with the same moved rooms get the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from itertools import islice

from ..hub.chat import Chat
from ..protocol import inbox, json
from ..protocol.cursor import START, Cursor, Now
from ..protocol.rights.principal import Principal
from ..store.following.inbox import Moved
from ..store.shapes import Sql
from . import inbox_reads
from .inbox_readers import PACE_OF_MANY, Follower, Key, Reading, Waiter
from .inbox_reads import Found, InboxUpdate, Task, envelope
from .reactor import Reactor

GATHER = 0.25
"""Seconds between two reads for news; the moves between them are sent together."""
OVERLAP_MS = 5000
"""Milliseconds by which an event's time may be earlier than that of one committed before: clocks differ."""
WHOLE_EVERY = 10.0
"""Seconds between two reads of all rooms, also of those with an old time."""
MOST_AT_ONCE = 32
"""Inboxes that one read takes up, so that only a few answers are in memory if thousands of readers begin together."""
_NOTHING_FOUND = Found({}, 0, {}, {})


class InboxFeed:
    """The readers of inboxes in one worker. All methods run on the reactor's thread, but for `signal` and `_read`."""

    def __init__(self, reactor: Reactor, chat: Chat) -> None:
        self._reactor = reactor
        self._chat = chat
        self._readings: dict[Key, Reading] = {}
        self._keys: dict[Follower | Waiter, Key] = {}
        self._answered: dict[Key, float] = {}
        """The times of the last answers to held polls of inboxes that have no reader now (time.monotonic)."""
        self._known: dict[int, Moved] = {}
        """The rooms of all readings, as sent to their readers."""
        self._since: int | None = None
        self._whole_at = 0.0
        self._fresh: dict[Key, None] = {}
        """Inboxes to be read for a reader that begins or ends, even if nothing has moved."""
        self._stale = False
        """True if something may have moved since the last read for all inboxes, at `_looked_at` (time.monotonic)."""
        self._looked_at = 0.0
        self._busy = False
        self._scheduled_at: float | None = None

    # --- Readers ----------------------------------------------------------------------------------

    def follow(self, follower: Follower, principal: Principal, after: Cursor | Now) -> None:
        """Send `follower` all that is new after `after`, then `caught-up`, then all news."""
        self.unfollow(follower)
        self._reading(follower, principal).begins[follower] = after
        self._read_soon(self._keys[follower])

    def unfollow(self, follower: Follower) -> None:
        """Send `follower` nothing more."""
        reading = self._of(follower)
        if reading is not None:
            reading.without(follower)
            self._forget(follower, reading)

    def resume(self, follower: Follower) -> None:
        """Go on with a follower whose socket was full: it is sent the whole inbox."""
        reading = self._of(follower)
        if reading is not None and follower in reading.late:
            reading.late.discard(follower)
            reading.begins[follower] = START
            self._reactor.later(time.monotonic() + GATHER, partial(self._read_soon, self._keys[follower]))

    def cursor(self, follower: Follower) -> str | None:
        """Return the cursor that `follower` has been sent; None if that is not the newest."""
        reading = self._of(follower)
        return self._cursor(reading) if reading is not None and follower in reading.followers else None

    def hold(self, waiter: Waiter, principal: Principal) -> None:
        """Hold `waiter` until the inbox has moved from its cursor, then answer it."""
        self._reading(waiter, principal).waiters.add(waiter)
        self._read_soon(self._keys[waiter])

    def end(self, waiter: Waiter) -> None:
        """Answer `waiter` with the next read, also if that finds nothing."""
        waiter.inbox_ends = True
        if waiter in self._keys:
            self._read_soon(self._keys[waiter])

    def leave(self, waiter: Waiter) -> None:
        """Hold `waiter` no longer, and do not answer it."""
        reading = self._of(waiter)
        if reading is not None:
            reading.waiters.discard(waiter)
            self._forget(waiter, reading)

    def signal(self) -> None:
        """Note that something was committed, here or elsewhere; from any thread."""
        if self._readings:
            self._reactor.call(self.look)

    def look(self) -> None:
        """Read for news, soon. Called once a second, too: a signal may have been lost."""
        if self._answered:
            since = time.monotonic() - PACE_OF_MANY
            self._answered = {key: at for key, at in self._answered.items() if at > since}
        if self._readings:
            self._stale = True
            self._schedule()

    def _reading(self, reader: Follower | Waiter, principal: Principal) -> Reading:
        key = self._keys[reader] = Key(principal.account or 0, principal.rooms)
        if key not in self._readings:
            self._readings[key] = Reading(self._answered.pop(key, 0.0))
        return self._readings[key]

    def _of(self, reader: Follower | Waiter) -> Reading | None:
        key = self._keys.get(reader)
        return None if key is None else self._readings.get(key)

    def _forget(self, reader: Follower | Waiter, reading: Reading) -> None:
        key = self._keys.pop(reader)
        if not reading.used:
            del self._readings[key]
            if reading.answered_at:
                self._answered[key] = reading.answered_at
        if not self._readings:
            self._known = {}  # a new one: a read that is under way uses the old one
            self._since = None

    # --- One read after the other -----------------------------------------------------------------

    def _read_soon(self, key: Key) -> None:
        """Read the inbox of `key`, soon."""
        if key in self._readings:
            self._fresh[key] = None
            self._schedule()

    def _schedule(self) -> None:
        """Schedule the next read: at once if readers begin, for news `GATHER` seconds after the last one."""
        if self._busy or not (self._fresh or self._stale):
            return
        now = time.monotonic()
        due = now if self._fresh else max(now, self._looked_at + GATHER)
        if self._scheduled_at is None or due < self._scheduled_at:
            self._scheduled_at = due
            self._reactor.later(due, partial(self._begin, due))

    def _begin(self, due: float) -> None:
        if self._scheduled_at != due or self._busy:
            return
        self._scheduled_at = None
        now = time.monotonic()
        looks = self._stale and now >= self._looked_at + GATHER
        fresh = list(islice(self._fresh, MOST_AT_ONCE))
        for key in fresh:
            del self._fresh[key]
        if looks:
            self._stale, self._looked_at = False, now
            if now - self._whole_at > WHOLE_EVERY:
                self._since, self._whole_at = None, now
            fresh = [key for key in self._readings if key not in self._fresh]
        tasks = [self._task(key, self._readings[key], now) for key in fresh if key in self._readings]
        if looks or any(task.whole for task in tasks):
            self._busy = True
            work = partial(self._read, tasks, self._known, self._since, looks=looks)
            self._reactor.read(work, partial(self._found, tasks, self._known, looks=looks))
        else:
            self._found(tasks, self._known, _NOTHING_FOUND, looks=False)

    def _task(self, key: Key, reading: Reading, now: float) -> Task:
        polled = bool(reading.waiters) and now >= reading.answered_at + reading.pace
        whole = reading.revision < 0 or bool(reading.begins) or any(each.inbox_ends for each in reading.waiters)
        if polled and not whole:
            there = self._cursor(reading)
            whole = any(not inbox.is_at(each.inbox_after, there) for each in reading.waiters)
        reading.asked = frozenset((*reading.begins, *reading.waiters))
        positions = (*reading.begins.values(), *(each.inbox_after for each in reading.waiters))
        return Task(key, reading.revision, reading.rooms, reading.own, reading.bits, positions, whole, polled)

    def _read(self, tasks: list[Task], known: Mapping[int, Moved], since: int | None, *, looks: bool) -> Found:
        """Read the rooms that moved if it `looks`, and inboxes of `tasks`, in one transaction; on another thread."""

        def work(sql: Sql) -> Found:
            if looks:
                return inbox_reads.look(sql, tasks, known, since)
            return inbox_reads.some(sql, [task for task in tasks if task.whole], known)

        return self._chat.read_with(work)

    def _found(self, tasks: list[Task], known: Mapping[int, Moved], found: object, *, looks: bool) -> None:
        self._busy = False
        # It was read against what the readers knew then; if all of those have gone, it is nothing for others.
        if isinstance(found, Found) and known is self._known:
            self._take([task.key for task in tasks], found, looks=looks)
            self._schedule()
            return
        self._fresh |= {task.key: None for task in tasks if task.whole and task.key in self._readings}
        self._stale |= looks
        if isinstance(found, Found):
            self._schedule()
        # Else the store is unavailable: `look` tries again within a second.

    def _take(self, keys: list[Key], found: Found, *, looks: bool) -> None:
        self._known.update(found.rooms)
        self._known.update(found.moved)
        if found.moved:
            newest = max(room.at for room in found.moved.values())
            self._since = max(self._since or 0, newest - OVERLAP_MS)
        moved = sum(1 << room for room in found.moved)
        encoded: dict[int, bytes] = {}
        for key in list(self._readings) if looks else keys:
            reading, update = self._readings.get(key), found.updates.get(key)
            if reading is None:
                continue
            before, begun = reading.bits, list(reading.followers)
            if update is not None or before & moved:
                reading.at = None
            if update is not None:
                self._tell(reading, update)
            if not reading.used:  # its last reader hung up as it was told
                continue
            # Not of a room that the account has left since.
            self._tell_news(begun, before & reading.bits & found.counted, encoded)
            self._answer(key, reading, update)
        if looks and self._since is None and self._known:
            self._since = self._chat.now() - OVERLAP_MS

    # --- Telling readers ---------------------------------------------------------------------------

    def _tell_news(self, followers: list[Follower], bits: int, encoded: dict[int, bytes]) -> None:
        if not bits or not followers:
            return
        if bits not in encoded:
            rooms = [self._known[room] for room in _numbers(bits)]
            counts = {room.name: {"last": room.last, "messages": room.messages} for room in rooms}
            encoded[bits] = json.dumps({"command": "news", "rooms": counts})
        for follower in followers:
            self._send(follower, encoded[bits])

    def _tell(self, reading: Reading, update: InboxUpdate) -> None:
        reading.revision, reading.at = update.revision, update.cursor
        reading.rooms, reading.own, reading.bits = update.rooms, update.own, update.bits
        if update.changed:
            for follower in list(reading.followers):
                self._send(follower, update.changed)
        for follower, after in list(reading.begins.items()):
            is_there = inbox.is_at(after, update.cursor)
            # One that began during this read waits for the next. Or it left as another one was told.
            if follower not in reading.asked or not (is_there or update.whole):
                continue
            # Before it is told anything: a socket that refuses the bytes is closed at once, and leaves.
            del reading.begins[follower]
            reading.followers.add(follower)
            if not is_there:
                follower.inbox_sends(envelope(update.whole), update.cursor)
            caught_up = json.dumps({"command": "caught-up", "room": inbox.INBOX, "cursor": update.cursor})
            follower.inbox_sends(caught_up, update.cursor)

    def _send(self, follower: Follower, encoded: bytes) -> None:
        """Send an envelope, unless the socket is full: nothing is queued for a slow reader, which begins anew later."""
        reading = self._of(follower)
        if reading is None or follower not in reading.followers:
            return
        if follower.blocked:
            reading.followers.discard(follower)
            reading.late.add(follower)
        else:
            follower.inbox_sends(encoded)

    def _answer(self, key: Key, reading: Reading, update: InboxUpdate | None) -> None:
        if not reading.waiters:
            return
        there, now = self._cursor(reading), time.monotonic()
        due = reading.answered_at + reading.pace
        for waiter in reading.waiters & reading.asked:
            if isinstance(waiter.inbox_after, Now) and reading.revision >= 0:
                waiter.inbox_after = Cursor(reading.revision, there.partition(".")[2])
            if inbox.is_at(waiter.inbox_after, there):
                if waiter.inbox_ends and update is not None:
                    waiter.inbox_found(None, nothing(there))
            elif update is not None and update.whole and (now >= due or waiter.inbox_ends):
                reading.answered_at = now
                waiter.inbox_found(there, update.whole)
        if any(not inbox.is_at(each.inbox_after, there) for each in reading.waiters):
            self._reactor.later(max(now, due) + 0.001, partial(self._read_soon, key))

    def _cursor(self, reading: Reading) -> str:
        if reading.at is None:
            reading.at = inbox.cursor(reading.revision, [(room, self._known[room].news) for room in reading.rooms])
        return reading.at


def nothing(cursor: str) -> bytes:
    """Return the answer to a poll without news."""
    return b'{"cursor":"%b","rooms":{}}' % cursor.encode()


def _numbers(bits: int) -> list[int]:
    """Return the indexes of the bits that are set."""
    found = []
    while bits:
        lowest = bits & -bits
        found.append(lowest.bit_length() - 1)
        bits ^= lowest
    return found


def open_feed(reactor: Reactor, chat: Chat) -> None:
    """Let `reactor` send the inboxes of `chat`."""
    feed = InboxFeed(reactor, chat)
    reactor.inbox = feed
    chat.on_move(feed.signal)
    reactor.every_sweep(feed.look)


