"""``python altered.py NAME,… serve …``: quotechat with parts of its code replaced, for tests alone.

Three kinds. *Mutants* break one promise each, as real systems have done (the checker must find them).
*Fail-points* let the process die at a chosen moment. *Nets* take away a safety net, so that what lies under
it must hold. No switch for any of it is in the product.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import quotechat
from quotechat.cli import main
from quotechat.hub import feeds, room_handle, writer
from quotechat.hub.background import notices, notifier
from quotechat.protocol import cursor
from quotechat.protocol.cursor import Cursor
from quotechat.protocol.errors import ClientIdReused, Refused
from quotechat.protocol.rights import readership
from quotechat.store import ledger, reading, rules
from quotechat.store.postgres import batched_sql
from quotechat.store.postgres import store as postgres
from quotechat.store.rules import positions
from quotechat.store.sqlite import store as sqlite
from quotechat.store.sqlite.transaction import SqlOn
from quotechat.web.transports import parking, revocation, websocket_peer

# --- Mutants --------------------------------------------------------------------------------------


def _rooms(writes: Any) -> Counter[str]:
    """Count the writes of each room; a look whether a write can succeed has none."""
    return Counter(write.command.room for write in writes if hasattr(write.command, "room"))


def number_before_commit() -> None:
    """Numbers from a counter of their own, as database sequences give them: a later one commits first."""

    def chain(before: bytes, seq: int, digest: bytes) -> bytes:
        return hashlib.blake2b(seq.to_bytes(8, "big"), digest_size=cursor.CHAIN_BYTES).digest()

    def commit(self: Any, writes: Any) -> list[Any]:
        with self._lock, self._transaction as sql:
            first = {}
            for room, count in _rooms(writes).items():
                first[room] = sql.one("SELECT head FROM room WHERE name = ?", room)[0]
                end = first[room] + count
                sql.run("UPDATE room SET head = ?, chain = ? WHERE name = ?", end, chain(b"", end, b""), room)
        time.sleep(random.uniform(0, 0.05))
        outcomes: list[Any] = []
        with self._lock, self._transaction as sql:
            book = ledger.Ledger(sql)
            for room, head in first.items():
                book.room(room).head = head
            for write in writes:
                try:
                    outcomes.append(rules.apply(book, write, self._settings))
                except Refused as refused:
                    outcomes.append(refused)
        return outcomes

    cursor.extend = chain
    sqlite.SqliteStore.commit = commit  # type: ignore[method-assign]


def number_from_a_sequence() -> None:
    """The same in PostgreSQL: the number is taken in a transaction of its own, as a bigserial column takes it."""

    def chain(before: bytes, seq: int, digest: bytes) -> bytes:
        return hashlib.blake2b(seq.to_bytes(8, "big"), digest_size=cursor.CHAIN_BYTES).digest()

    def commit(self: Any, connection: Any, writes: Any) -> list[Any]:
        sql = batched_sql.PlainSql(connection)
        first = {}
        with connection.transaction():
            for room, count in sorted(_rooms(writes).items()):
                first[room] = sql.one("SELECT head FROM room WHERE name = ? FOR UPDATE", room)[0]
                end = first[room] + count
                sql.run("UPDATE room SET head = ?, chain = ? WHERE name = ?", end, chain(b"", end, b""), room)
        time.sleep(random.uniform(0, 0.05))
        book = ledger.Ledger(sql)
        with connection.transaction():
            for room, head in first.items():
                book.room(room).head = head
            return list(rules.apply_all(book, writes, self._settings))

    cursor.extend = chain
    postgres.PostgresStore._commit = commit  # type: ignore[method-assign]


def check_then_wait() -> None:
    """What comes between "is there anything?" and "wake me" wakes nobody, and no net catches it."""
    wait = parking.ParkedPoll._wait

    def later(self: Any) -> None:
        self.reactor.later(time.monotonic() + 0.05, lambda: None if self.ending else wait(self))

    def enter(self: Any, parked: Any) -> None:
        self._chat.hold(1)
        self._waiting[parked.place.room].setdefault(parked.place, set()).add(parked)

    parking.ParkedPoll._wait = later  # type: ignore[method-assign]
    parking.ParkedPolls.enter = enter  # type: ignore[method-assign]
    parking.ParkedPolls.look = lambda self: None  # type: ignore[method-assign]


def ack_before_commit() -> None:
    """The answer leaves while the transaction is still open, and the commit follows soon after."""

    def commit(self: Any, writes: Any) -> list[Any]:
        self._lock.__enter__()
        self._writer.execute("BEGIN IMMEDIATE")
        book = ledger.Ledger(SqlOn(self._writer))
        outcomes: list[Any] = []
        for write in writes:
            try:
                outcomes.append(rules.apply(book, write, self._settings))
            except Refused as refused:
                outcomes.append(refused)
        book.flush()

        def finish() -> None:
            time.sleep(0.7)  # longer than the scenario waits for its next kill
            self._writer.execute("COMMIT")
            self._lock.__exit__(None, None, None)

        threading.Thread(target=finish).start()
        return outcomes

    sqlite.SqliteStore.commit = commit  # type: ignore[method-assign]


def dedupe_in_memory() -> None:
    """Each process knows only what it has seen itself."""
    seen: dict[Any, Any] = {}

    def key(room: Any, command: Any, write: Any) -> Any:
        return room.id, command.sender(write.identity), command.client_id

    def earlier(self: Any, room: Any, command: Any, write: Any) -> Any:
        known = seen.get(key(room, command, write)) if command.client_id else None
        if known is None:
            return None
        if known[0] != command.content():
            raise ClientIdReused()
        return self.stored(room, known[1])

    def remember(self: Any, room: Any, command: Any, write: Any, *, seq: Any = None, scheduled: Any = None) -> None:
        if command.client_id:
            seen[key(room, command, write)] = (command.content(), seq)

    ledger.Ledger.earlier = earlier  # type: ignore[method-assign]
    ledger.Ledger.remember = remember  # type: ignore[method-assign]


def dropped_between() -> None:
    """A socket gets the history that was read, then what is live now; what came in between it never gets."""
    read = room_handle.RoomHandle.read
    subscribed = websocket_peer.Socket._subscribed

    def slow(self: Any, *arguments: Any, **named: Any) -> Any:
        page = read(self, *arguments, **named)
        if threading.current_thread().name.startswith("catch-up"):
            time.sleep(0.05)
        return page

    def follow(self: Any, peer: Any, subscription: Any, sent: Any = None) -> None:
        subscription.position = Cursor(subscription.feed.head)
        peer.subscriptions[subscription.feed.room] = subscription
        self._followers.setdefault(subscription.feed.room, {})[peer] = subscription
        self.pump(peer)

    def take(self: Any, command: Any, found: Any) -> None:
        self.reactor.follow = follow.__get__(self.reactor.fanout)
        subscribed(self, command, found)

    room_handle.RoomHandle.read = slow  # type: ignore[method-assign]
    websocket_peer.Socket._subscribed = take  # type: ignore[method-assign]


def tag_ignored() -> None:
    """Only the number of a cursor counts, as with plain offsets."""
    checked, from_memory = reading.checked, feeds.Feeds._from_memory

    def unchecked(sql: Any, after: Cursor, *more: Any) -> Any:
        return checked(sql, Cursor(after.seq), *more)

    def from_any_memory(self: Any, room: str, after: Cursor, *more: Any) -> Any:
        return from_memory(self, room, Cursor(after.seq), *more)

    reading.checked = unchecked
    feeds.Feeds._from_memory = from_any_memory  # type: ignore[method-assign]


def flush_skipped() -> None:
    """The commit does not wait for the disk."""
    opened = sqlite.SqliteStore._open_writer

    def open_writer(self: Any) -> Any:
        connection = opened(self)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    sqlite.SqliteStore._open_writer = open_writer  # type: ignore[method-assign]


def mark_forgotten() -> None:
    """Every third mark is acknowledged, and the position stays where it was."""
    move, count = positions._move, itertools.count()

    def sometimes(*arguments: Any) -> None:
        if next(count) % 3 != 2:
            move(*arguments)

    positions._move = sometimes


MUTANTS: dict[str, Callable[[], None]] = {
    "number-before-commit": number_before_commit,
    "number-from-a-sequence": number_from_a_sequence,
    "check-then-wait": check_then_wait,
    "ack-before-commit": ack_before_commit,
    "dedupe-in-memory": dedupe_in_memory,
    "dropped-between": dropped_between,
    "tag-ignored": tag_ignored,
    "flush-skipped": flush_skipped,
    "mark-forgotten": mark_forgotten,
}


def right_ends_by_notice() -> None:
    """A right ends when the news of it arrives, up to 0.4 s later, and not at its place in the log."""
    readership.CHANGES = frozenset()  # type: ignore[misc]
    look = revocation.Revocation._have_number

    def look_and_ask(self: Any, *found: Any) -> None:
        look(self, *found)
        for peer in self._reactor.peers():
            for room in list(peer.subscriptions):
                self._reactor.guard(peer, self._reactor.endings.doubt, peer, room)

    revocation.Revocation._have_number = look_and_ask  # type: ignore[method-assign]


LEAKS: dict[str, Callable[[], None]] = {"right-ends-by-notice": right_ends_by_notice}
"""Mutants that the race of a removal catches (removal.py)."""


# --- Fail-points ----------------------------------------------------------------------------------


def _die_sometimes() -> None:
    if random.random() < 0.02:
        os.kill(os.getpid(), signal.SIGKILL)


def die_before_commit() -> None:
    """All is written, but for the COMMIT."""
    flush = ledger.Ledger.flush

    def flush_and_die(self: Any) -> None:
        flush(self)
        _die_sometimes()

    ledger.Ledger.flush = flush_and_die  # type: ignore[method-assign]


def die_after_commit() -> None:
    """It is on the disk, and nobody has been told."""
    commit = sqlite.SqliteStore.commit

    def commit_and_die(self: Any, writes: Any) -> Any:
        outcomes = commit(self, writes)
        _die_sometimes()
        return outcomes

    sqlite.SqliteStore.commit = commit_and_die  # type: ignore[method-assign]


def die_before_reply() -> None:
    """The readers have been woken, the senders have not been answered."""
    init = writer.Writer.__init__

    def begin(self: Any, store: Any, committed: Any) -> None:
        def tell_and_die(outcomes: Any) -> None:
            committed(outcomes)
            _die_sometimes()

        init(self, store, tell_and_die)

    writer.Writer.__init__ = begin  # type: ignore[method-assign]


FAIL_POINTS: dict[str, Callable[[], None]] = {
    "die-before-commit": die_before_commit,
    "die-after-commit": die_after_commit,
    "die-before-reply": die_before_reply,
}


# --- Nets taken away ------------------------------------------------------------------------------


def no_notifier() -> None:
    """No worker notifies the others."""
    notifier.SocketNotifier.notify = lambda self, rooms: None  # type: ignore[method-assign]


def no_notices() -> None:
    """No machine tells the others through the database."""
    notices.Notices.notify = lambda self, rooms: None  # type: ignore[method-assign]


def slow_start() -> None:
    """A worker needs 2.5 s from its fork until it serves, as on a small machine."""
    create_app = quotechat.create_app

    def create_later(*arguments: Any) -> Any:
        time.sleep(2.5)
        return create_app(*arguments)

    quotechat.create_app = create_later


NETS: dict[str, Callable[[], None]] = {"no-notifier": no_notifier, "no-notices": no_notices, "slow-start": slow_start}
ALL = MUTANTS | LEAKS | FAIL_POINTS | NETS


if __name__ == "__main__":
    for name in sys.argv.pop(1).split(","):
        ALL[name]()
    main(prog_name="quotechat")
