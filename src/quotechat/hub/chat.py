"""The front door: submit, read, wait, snapshot. The transports know nothing else of the house below.

Reading pulls from a cursor and looks at the head in the store first, so that every worker serves all that any
worker has acknowledged (protocol §5, promise 4).
"""

from __future__ import annotations

import hashlib
import logging
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from .. import supervision
from ..protocol import commands, names
from ..protocol.cursor import Cursor, Now
from ..protocol.errors import (
    CursorAhead,
    CursorExpired,
    Draining,
    HistoryChanged,
    MalformedEnvelope,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RoomUnknown,
    Unauthenticated,
)  # fmt: skip
from ..protocol.events import MESSAGE_DELETED, Event
from ..store.base import (
    PAGE_BYTES,
    Cancelled,
    Created,
    CreateRoom,
    Deliver,
    Due,
    Head,
    Nothing,
    Outcome,
    Page,
    Scheduled,
    Store,
    Stored,
    Write,
)  # fmt: skip
from ..store.shapes import Sql
from ..supervision import Supervised
from . import feeds
from .bell import NET, Bell
from .feed import Feed
from .housekeeping import Housekeeper
from .limits import Limits
from .places import Places
from .probe import WriteProbe
from .scheduler import Scheduler
from .tally import Tally
from .writer import Done, Writer

log = logging.getLogger(__name__)
T = TypeVar("T")

ANSWER_SECONDS = 10.0
"""For how long `submit` waits for the disk before it says that the outcome is unknown."""
_PAGE = 500
_SPARE_EVERY = 1.0
"""Seconds between two checks of the memory that the feeds hold."""
_LOOK_FOR_PEER = 0.5
"""Seconds between two checks that a waiting client is still there, and may still be answered."""


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Chat:
    """One per process. `start` begins its threads, `drain` releases all waiting readers, `close` ends it."""

    def __init__(
        self,
        store: Store,
        limits: Limits,
        *,
        bell: Bell | None = None,
        bounds: commands.Bounds | None = None,
        threads: int = 64,
        held_polls: int = 48,
        dedupe_days: int = 30,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self.limits = limits
        self.draining = False
        self._drained_at = 0.0
        self._store = store
        self._bell = bell
        self.bounds = bounds or commands.Bounds()
        self._clock = clock
        self._feeds: dict[str, Feed] = {}
        self._feeds_lock = threading.Lock()
        self._places = Places(threads, held_polls)
        self._waiting = 0
        self._key: bytes | None = None
        self._appended = 0
        self._followers: list[Callable[[str], bool]] = []
        self._listeners: list[Callable[[str], None]] = []
        self._commits: list[Callable[[list[Event]], None]] = []
        self._drains: list[Callable[[], None]] = []
        self._accesses: list[Callable[[], None]] = []
        self._closes: list[Callable[[], None]] = []
        self._closing = False
        self._closed = threading.Event()
        self._writer = Writer(store, self._committed)
        self._scheduler = Scheduler(store, self._may_deliver, self._deliver, clock)
        self._housekeeper = Housekeeper(store, clock, dedupe_days * 86_400_000)
        self._watcher = Supervised("watcher", self._watch)
        self._threads = [self._writer.thread, self._scheduler.thread, self._watcher, self._housekeeper.thread]
        if bell is not None and bell.thread is not None:
            self._threads.append(bell.thread)
        self._probe = WriteProbe(lambda done: self._writer.submit(Write(Deliver(0), self._clock()), done))

    def start(self) -> None:
        """Begin to write, to watch for commits of other processes, and to deliver due messages. After the fork."""
        self._writer.start()
        self._watcher.start()
        self._scheduler.start()
        self._housekeeper.start()

    # --- Writing ----------------------------------------------------------------------------------

    def submit(
        self, command: commands.Command, *, identity: str | None, address: str = "", begun: float | None = None,
        proof: bytes | None = None,
    ) -> Stored | Scheduled | Cancelled:
        """Store `command` and return when it is on the disk. Raises Refused.

        `identity` owns the messages; `address` stands for the client if there is no identity. `begun` is when the
        request began (time.monotonic), None for now: one that was on its way when the drain began is still stored.
        `proof` is the hash of the session or token that it rests on.
        """
        with self._places.sending():
            outcome = _Answer().of(
                lambda done: self.submit_then(
                    command, done, identity=identity, address=address, begun=begun, proof=proof
                )
            )
        assert not isinstance(outcome, Created | Nothing)
        return outcome

    def submit_then(
        self,
        command: commands.Command,
        done: Done,
        *,
        identity: str | None,
        address: str = "",
        begun: float | None = None,
        proof: bytes | None = None,
    ) -> None:
        """As `submit`, at once: `done` gets the outcome or the refusal, on another thread, after the commit.

        Raises Refused if that is known already; then `done` is not called.
        """
        if isinstance(command, commands.Subscribe | commands.Unsubscribe | commands.Ping):
            raise MalformedEnvelope("This command belongs on a WebSocket.")
        self.welcome(begun)
        clean = command.normalised(self.bounds)
        source = self._source(address)
        self.limits.allow("message", identity or address, source)
        self._writer.submit(Write(clean, self._clock(), identity, proof, source=source or None), done)

    def create_room(
        self,
        name: str,
        title: str | None,
        identity: str | None = None,
        address: str = "",
        begun: float | None = None,
    ) -> dict[str, Any]:
        """Create a new room, as the API shows it; `begun` as in `submit`. Raises Invalid, Conflict, RateLimited."""
        self.welcome(begun)
        room = CreateRoom(names.clean_room(name), names.clean_title(title) if title else None)
        self.limits.allow("room", identity or address, self._source(address))
        write = Write(room, self._clock(), identity)
        with self._places.sending():
            created = _Answer().of(lambda done: self._writer.submit(write, done))
        assert isinstance(created, Created)
        return created.room

    def welcome(self, begun: float | None) -> None:
        """Refuse a request that began after the drain. Raises Draining."""
        if self.draining and (time.monotonic() if begun is None else begun) > self._drained_at:
            raise Draining()

    # --- Reading ----------------------------------------------------------------------------------

    def read(self, room: str, after: Cursor | Now, limit: int = _PAGE, most: int = PAGE_BYTES) -> Page:
        """Return the events after `after`, now: at most `limit`, up to the one with which they reach `most` bytes.

        Raises RoomUnknown, CursorExpired, CursorAhead, HistoryChanged.
        """
        feed = self._feeds.get(room)
        known = 0 if feed is None else feed.head
        head = self._store.head(room)
        if feed is not None and _differs(feed, known, head):
            self._renew(feed)
        if isinstance(after, Now):
            return Page([], head.cursor)
        return self._from_memory(room, after, limit, most, head) or self._store.read(room, after, limit, most)

    def place(self, room: str, after: Cursor | Now) -> Page:
        """Return `after` as a whole cursor, without events. Raises as `read`."""
        return self.read(room, after, limit=0)

    def read_any(self, after: Mapping[str, Cursor | Now], limit: int) -> dict[str, Page]:
        """Return a page for each room, as `read`; together they have the bytes of one.

        A room for which nothing is left has no events, and `more` as it is. The rooms take turns, so that a reader
        that asks again and again gets on in each. Raises as `read`.
        """
        rooms = list(after)
        random.shuffle(rooms)
        found: dict[str, Page] = {}
        left = PAGE_BYTES
        for room in rooms:
            found[room] = self.read(room, after[room], limit if left > 0 else 0, left)
            left -= sum(len(event.encoded) for event in found[room].events)
        return {room: found[room] for room in after}

    def wait(
        self,
        room: str,
        after: Cursor | Now,
        limit: int,
        seconds: float,
        gone: Callable[[], bool] | None = None,
    ) -> Page:
        """As `read`; if there is nothing, wait for it, for 0.8 to 1.0 of `seconds`.

        Ends early with `retry_in_ms` if too many wait already or the worker drains, and without if
        `gone` says that the client has hung up.
        """
        feed = self.feed(room)
        page = self.read(room, after, limit)
        if page.events or seconds <= 0:
            return page
        if self.draining or not self._places.take_for_poll():
            return early(page)
        self.hold(1)
        try:
            # Jitter: those whom one event wakes together do not come back together for ever.
            return self._hold(feed, page, limit, seconds * random.uniform(0.8, 1.0), gone)
        finally:
            self.hold(-1)
            self._places.leave_poll()

    def wait_any(
        self,
        after: dict[str, Cursor | Now],
        limit: int,
        seconds: float,
        gone: Callable[[], bool] | None = None,
    ) -> tuple[dict[str, Page], int | None]:
        """As `wait`, for several rooms at once: a page for each, and `retry_in_ms` if it ended early.

        `limit` holds for each room. It takes one place among the held polls, however many rooms there are.
        """
        feeds = [self.feed(room) for room in after]
        pages = self.read_any(after, limit)
        if seconds <= 0 or any(page.events for page in pages.values()):
            return pages, None
        if self.draining or not self._places.take_for_poll():
            return pages, _hint()
        self.hold(1)
        news = threading.Event()
        try:
            for feed in feeds:
                feed.attend(news)
            return self._hold_any(feeds, pages, limit, seconds * random.uniform(0.8, 1.0), news, gone)
        finally:
            for feed in feeds:
                feed.leave(news)
            self.hold(-1)
            self._places.leave_poll()

    def hold(self, change: int) -> None:
        """So many polls more, or less, are held; for `figures`."""
        with self._feeds_lock:
            self._waiting += change

    def snapshot(self, room: str, limit: int, identity: str | None = None) -> dict[str, Any]:
        """Return the latest messages and the cursor behind them, in one transaction; see `Store.snapshot`."""
        return self._store.snapshot(room, limit, identity)

    def messages(
        self, room: str, before: int | None, limit: int, identity: str | None = None
    ) -> dict[str, Any]:
        """Messages with ids below `before`, as they are now; see `Store.messages`."""
        return self._store.messages(room, before, limit, identity)

    def rooms(self) -> list[dict[str, Any]]:
        """Return all rooms, by name."""
        return self._store.rooms()

    def scheduled(self, room: str, identity: str | None) -> list[dict[str, Any]]:
        """Return the messages that wait for `identity`. Raises Unauthenticated, RoomUnknown."""
        if identity is None:
            raise Unauthenticated()
        return self._store.scheduled(room, identity)

    def read_with(self, work: Callable[[Sql], T]) -> T:
        """See `Transactions`."""
        return self._store.read_with(work)

    def write_with(self, work: Callable[[Sql], T]) -> T:
        """See `Transactions`."""
        return self._store.write_with(work)

    def newest_quote(self) -> int:
        """Return the id of the newest quote, 0 if there is none."""
        return self._store.newest_quote()

    def removed_quotes(self) -> int:
        """Count the quotes that were removed: with `newest_quote`, it shows if anything has changed."""
        return self._store.removed_quotes()

    def quote_room(self, quote_id: int) -> str:
        """Return the room whose log has the quote, the lobby if none has. Raises QuoteUnknown."""
        return self._store.quote_room(quote_id) or commands.LOBBY

    def quotes(self, before: int | None, limit: int, search: str = "") -> dict[str, Any]:
        """Return {`quotes`, `has_more`}, the newest first; see `Store.quotes`."""
        return self._store.quotes(before, limit, search)

    def quote(self, quote_id: int) -> dict[str, Any]:
        """Return one quote. Raises QuoteUnknown."""
        return self._store.quote(quote_id)

    def random_quote(self) -> dict[str, Any]:
        """Any quote. Raises QuoteUnknown."""
        return self._store.random_quote()

    def feed(self, room: str) -> Feed:
        """Return the live end of `room`. Raises RoomUnknown."""
        found = self._feeds.get(room)
        if found is not None:
            found.used_at = time.monotonic()
            return found
        head = self._store.head(room)
        with self._feeds_lock:
            found = self._feeds.setdefault(room, Feed(room, head))
        # Events committed between the look and the entry were published to nobody.
        self._catch_up(found)
        if self.draining:
            found.end()
        return found

    # --- Being told -------------------------------------------------------------------------------

    def listen(self, callback: Callable[[str], None]) -> None:
        """Call `callback` with a room's name after each publish there; it must not block."""
        self._listeners.append(callback)

    def followed_by(self, follows: Callable[[str], bool]) -> None:
        """Keep the feed of each room, by name, for which `follows` is true."""
        self._followers.append(follows)

    def on_commit(self, callback: Callable[[list[Event]], None]) -> None:
        """Call `callback` with the events that this process has stored, after each commit; it must not block."""
        self._commits.append(callback)

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Call `callback` when this worker drains; it returns when its clients have been told."""
        self._drains.append(callback)

    def on_access(self, callback: Callable[[], None]) -> None:
        """Call `callback` after each change that may end a held connection; it must not block."""
        self._accesses.append(callback)

    def access_changed(self) -> None:
        """Call the listeners: an account may do less now than a moment ago."""
        for callback in self._accesses:
            callback()

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call `callback` when everything is stored and nothing more will be, before the store is closed."""
        self._closes.append(callback)

    def figures(self) -> dict[str, float]:
        """Counters and gauges of this process, by name."""
        return {
            "commits": self._writer.commits,
            "stored": self._writer.stored,
            "appended": self._appended,
            "held_polls": self._waiting,
            "sockets": self.limits.held("socket"),
            "kept_senders": self.limits.held("sender"),
            "feeds": len(self._feeds),
        }

    def tallies(self) -> dict[str, Tally]:
        """Distributions of this process, by name; they go on counting."""
        return {"append_seconds": self._writer.seconds, "batch_size": self._writer.batches}

    def waiting(self) -> int:
        """Count the scheduled messages that wait."""
        return self._store.waiting()

    def supervise(self, thread: Supervised) -> None:
        """Count `thread` among those of which `parts` tells."""
        self._threads.append(thread)

    def parts(self) -> dict[str, str]:
        """Return the state of each thread by name, `ok` if all is well; of the writer also whether it can write now."""
        found: dict[str, str] = {thread.name: thread.state for thread in self._threads}
        if found["writer"] == "ok":
            found["writer"] = self._probe.look()
        return found

    def secret(self) -> str:
        """Return the secret that signs identities; see `Store.secret`."""
        return self._store.secret()

    @property
    def lost(self) -> bool:
        """Return True if the disk did not take a flush: this process has to end, and another one to take its place."""
        return self._writer.lost

    def now(self) -> int:
        """Read the clock: milliseconds since 1970."""
        return self._clock()

    # --- The end ----------------------------------------------------------------------------------

    def drain(self, grace: float = 0.0) -> None:
        """Answer held polls, close sockets, and accept nothing that begins after `grace` seconds.

        Queued writes are still stored.
        """
        if self.draining:
            return
        self._drained_at = time.monotonic() + grace
        self.draining = True
        with self._feeds_lock:
            feeds = list(self._feeds.values())
        for feed in feeds:
            feed.end()
        for callback in self._drains:
            try:
                callback()
            except Exception:
                log.exception("a drain failed")

    def close(self) -> None:
        """Drain, store queued writes, end the threads, release the store."""
        if self._closing:
            return
        self._closing = True
        self.drain()
        self._scheduler.close()
        self._writer.close()
        self._housekeeper.close()
        for callback in self._closes:
            callback()
        self._closed.set()
        if self._bell is not None:
            self._bell.stop()
        self._watcher.join(5)
        if self._bell is not None:
            self._bell.close()
        self._store.close()
        self.limits.close()

    # --- Inside -----------------------------------------------------------------------------------

    def _hold(
        self, feed: Feed, page: Page, limit: int, seconds: float, gone: Callable[[], bool] | None
    ) -> Page:
        position = _position(page.cursor)
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return page
            seconds = left if gone is None else min(left, _LOOK_FOR_PEER)
            if feed.wait_beyond(position.seq, seconds) or feed.ended:
                found = self.read(feed.room, position, limit)
                if found.events:
                    return found
                feed = self.feed(feed.room)
            if self.draining:
                return early(page)
            if gone is not None and gone():
                return page

    def _hold_any(
        self,
        feeds: list[Feed],
        pages: dict[str, Page],
        limit: int,
        seconds: float,
        news: threading.Event,
        gone: Callable[[], bool] | None,
    ) -> tuple[dict[str, Page], int | None]:
        positions = {room: _position(page.cursor) for room, page in pages.items()}
        deadline = time.monotonic() + seconds
        while True:
            # Cleared before it is read: an event published from here on sets it again.
            news.clear()
            found = self.read_any(positions, limit)
            if any(page.events for page in found.values()):
                return found, None
            if self.draining:
                return pages, _hint()
            left = deadline - time.monotonic()
            if left <= 0 or (gone is not None and gone()):
                return pages, None
            ended = [place for place, feed in enumerate(feeds) if feed.ended]
            for place in ended:  # the room has another history, and these positions are part of it
                feeds[place] = self.feed(feeds[place].room)
                feeds[place].attend(news)
            if ended:
                continue
            news.wait(min(left, _LOOK_FOR_PEER))

    def _from_memory(self, room: str, after: Cursor, limit: int, most: int, head: Head) -> Page | None:
        """Return the page if the feed's tail holds all of it; None if only the store can tell."""
        feed = self._feeds.get(room)
        if feed is None:
            return None
        feed.cut(head.floor)
        # A tail that is behind the store may hold text deleted since; below the floor the store refuses.
        if feed.head < head.seq or after.seq < head.floor:
            return None
        there = feed.cursor_at(after.seq)
        if there is None or (after.tag is not None and str(after) != there):
            return None
        found = feed.after(after.seq, limit, most)
        if found is None:
            return None
        position = found[-1].cursor if found else there
        return Page(found, position, more=after.seq + len(found) < max(head.seq, feed.head))

    def _committed(self, outcomes: Sequence[Outcome]) -> None:
        """On the writer's thread, after a commit: publish, then wake the other workers."""
        by_room: dict[str, list[Stored]] = defaultdict(list)
        for outcome in outcomes:
            if isinstance(outcome, Stored) and not outcome.duplicate:
                by_room[outcome.room].append(outcome)
            elif isinstance(outcome, Scheduled):
                self._scheduler.wake()
        for room, stored in by_room.items():
            self._appended += len(stored)
            if any(each.event.command == MESSAGE_DELETED for each in stored):
                self._housekeeper.wake()
            feed = self._feeds.get(room)
            if feed is None:
                continue
            if not feed.publish([each.event for each in stored], stored[0].after):
                self._catch_up(feed)
            self._tell(room)
        if by_room and self._bell is not None:
            self._bell.ring(by_room)
        for callback in self._commits:
            self._call_back(callback, [each.event for stored in by_room.values() for each in stored])

    def _tell(self, room: str) -> None:
        for callback in self._listeners:
            self._call_back(callback, room)

    def _call_back(self, callback: Callable[..., None], *arguments: Any) -> None:
        """Call one listener; its fault must not keep the news from the others."""
        try:
            callback(*arguments)
        except Exception:
            supervision.count("listener")
            log.exception("a listener failed; readers find in the store what it was told of")

    def _catch_up(self, feed: Feed) -> bool:
        """Publish the store's events beyond the feed; return True if there were any."""
        more, any_new = True, False
        while more:
            position = feed.cursor()
            try:
                page = self._store.read(feed.room, _position(position), _PAGE)
            except (CursorAhead, CursorExpired, HistoryChanged, RoomUnknown):
                self._renew(feed)
                return True
            feed.publish(page.events, position)
            any_new |= bool(page.events)
            more = page.more
        return any_new

    def _renew(self, feed: Feed) -> None:
        """The store has another history than `feed`: an older copy took over, or it was restored.

        The events in memory are dropped. A reader that follows asks the store with its own cursor, and is told there.
        """
        with self._feeds_lock:
            if self._feeds.get(feed.room) is not feed:
                return
            del self._feeds[feed.room]
        log.warning("room %s has another history in the store than in memory", feed.room)
        feed.end()
        self._tell(feed.room)

    def _spare_memory(self) -> None:
        """Drop memory that readers do not need now; a later reader reads from the store, and begins a feed anew."""
        with self._feeds_lock:
            held = list(self._feeds.values())
            for feed in feeds.idle(held, self._is_followed, time.monotonic()):
                del self._feeds[feed.room]
                feed.end()  # for a reader that has taken hold of it just now
        feeds.shrink(held)

    def _is_followed(self, room: str) -> bool:
        return any(follows(room) for follows in self._followers)

    def _watch(self) -> None:
        """Look for commits of other processes: at a ring of the bell, and now and then without one."""
        seen: int | None = None
        rooms: set[str] | None = None
        spared_at = time.monotonic()
        while not self._closed.is_set():
            try:
                if rooms is not None:
                    self._look(rooms)
                elif (version := self._store.version()) != seen:
                    self._look(self._feeds)
                    seen = version
                if time.monotonic() >= spared_at + _SPARE_EVERY:
                    spared_at = time.monotonic()
                    self._spare_memory()
            except Refused as away:
                log.warning("the store could not be watched: %s", away)
            except Exception:
                log.exception("the store could not be watched")
            if self._bell is not None:
                rooms = self._bell.wait()
            else:
                self._closed.wait(NET)

    def _look(self, rooms: Iterable[str]) -> None:
        feeds = {room: feed for room in tuple(rooms) if (feed := self._feeds.get(room)) is not None}
        known = {room: feed.head for room, feed in feeds.items()}
        heads = self._store.heads(feeds)
        for room, feed in feeds.items():
            head = heads.get(room)
            if head is None or _differs(feed, known[room], head):
                self._renew(feed)
                continue
            feed.cut(head.floor)
            if head.seq > feed.head and self._catch_up(feed):
                self._tell(room)

    def _deliver(self, due: list[Due]) -> dict[int, str]:
        """Store those scheduled messages; which could not be stored now, with the code."""
        answers: list[tuple[Due, _Answer]] = []
        for each in due:
            answers.append((each, _Answer()))
            self._writer.submit(Write(Deliver(each.id), self._clock()), answers[-1][1].done)
        refused: dict[int, str] = {}
        for each, answer in answers:
            outcome = answer.wait()
            if isinstance(outcome, Nothing | Refused):
                self.limits.refund("message", each.identity, each.source or "")
            if isinstance(outcome, Refused):
                refused[each.id] = outcome.code
        return refused

    def _may_deliver(self, due: Due) -> bool:
        """Take a token of the sender's own rate, as if the message were sent now."""
        try:
            self.limits.allow("message", due.identity, due.source or "")
        except RateLimited:
            return False
        return True

    def _source(self, address: str) -> str:
        """Return the limits' name of an address: a keyed hash, as a scheduled message keeps it while it waits."""
        if not address or not self.limits.per_client:
            return ""
        if self._key is None:
            self._key = self._store.secret().encode()[:64]
        return hashlib.blake2b(address.encode(), digest_size=12, key=self._key).hexdigest()


class _Answer:
    """One outcome, from the writer's thread to the one that waits for it."""

    __slots__ = ("_lock", "_outcome")

    def __init__(self) -> None:
        # A bare lock costs a tenth of an Event, and there is one for each message.
        self._lock = threading.Lock()
        self._lock.acquire()
        self._outcome: Outcome | Refused | None = None

    def done(self, outcome: Outcome | Refused) -> None:
        self._outcome = outcome
        self._lock.release()

    def wait(self) -> Outcome | Refused:
        if not self._lock.acquire(timeout=ANSWER_SECONDS) or self._outcome is None:
            return OutcomeUnknown()
        return self._outcome

    def of(self, ask: Callable[[Done], None]) -> Outcome:
        """Ask, wait, and return the outcome or raise the refusal."""
        ask(self.done)
        outcome = self.wait()
        if isinstance(outcome, Refused):
            raise outcome
        return outcome


def early(page: Page) -> Page:
    """Return an empty answer before its time, and when to come back: spread, so that not all come at once."""
    return Page([], page.cursor, page.more, retry_in_ms=_hint())


def _differs(feed: Feed, known: int, head: Head) -> bool:
    """Return True if the store, at `head`, has another history than `feed`, which stood at `known` before the read."""
    return head.seq < known or feed.cursor_at(head.seq) not in (None, head.cursor)


def _hint() -> int:
    return random.randint(200, 1000)


def _position(cursor: str) -> Cursor:
    seq, _, tag = cursor.partition(".")
    return Cursor(int(seq), tag)


__all__ = ["Cancelled", "Chat", "Created", "Page", "Scheduled", "Stored"]
