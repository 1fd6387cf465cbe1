"""The interface of the hub: submit, open, wait. The transports know nothing else of the layers below, but `RoomHandle`.

Here are the public methods, their first checks, and the start and the end of the parts; each part has a module of its
own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ..protocol import commands
from ..protocol.cursor import Cursor, Now
from ..protocol.events import MESSAGE_DELETED, Event
from ..protocol.inbox import INBOX
from ..protocol.rights.principal import Principal
from ..store import listing
from ..store.base import (
    Accepted,
    Cancelled,
    Created,
    Deliver,
    Outcome,
    Page,
    Scheduled,
    Store,
    Stored,
    Write,
)  # fmt: skip
from ..store.search.index import Index
from ..supervision import Supervised
from . import listeners
from .background.delivery import Delivery
from .background.erasing import Eraser
from .background.housekeeping import Housekeeper
from .background.indexer import Indexer
from .background.notifier import Notifier
from .background.probe import WriteProbe
from .background.scheduler import Scheduler
from .background.watcher import Watcher
from .budgets.limits import Limits
from .budgets.places import Places
from .feeds import Feeds
from .held_polls import Gone, HeldPolls, about
from .presence import Presence
from .room_handle import RoomHandle
from .search import Search
from .submissions import Submissions
from .tally import Tally
from .writer import Writer

log = logging.getLogger(__name__)

_DAY_MS = 86_400_000


def now_ms() -> int:
    """Return the milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Chat(Submissions):
    """One per process. `start` begins its threads, `drain` releases all waiting readers, `close` ends it."""

    def __init__(
        self,
        store: Store,
        limits: Limits,
        *,
        notifier: Notifier | None = None,
        index: Index | None = None,
        bounds: commands.Bounds | None = None,
        threads: int = 64,
        held_polls: int = 48,
        dedupe_days: int = 30,
        audit_days: int = 365,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        super().__init__(store)
        self.limits = limits
        self._drained_at = 0.0
        self._notifier = notifier
        self.bounds = bounds or commands.Bounds()
        self._clock = clock
        self._places = Places(threads, held_polls)
        self._feeds = Feeds(store)
        self._polls = HeldPolls(self._feeds, self._places)
        self._key: bytes | None = None
        self._appended = 0
        self._commits: list[Callable[[list[Event]], None]] = []
        self._moves: list[Callable[[], None]] = []
        self._hinted: list[Callable[[str], None]] = []
        self._drains: list[Callable[[], None]] = []
        self._accesses: list[Callable[[], None]] = []
        self._closes: list[Callable[[], None]] = []
        self._closing = False
        self._writer = Writer(store, self._committed)
        delivery = Delivery(self._writer, limits, clock)
        self._scheduler = Scheduler(store, delivery.may, delivery.deliver, clock)
        self._eraser = Eraser(store, self._writer, clock)
        self.presence = Presence(store, clock)
        self._house_steps = [self._eraser.step, self.presence.step]
        self._housekeeper = Housekeeper(
            store, clock, dedupe_days * _DAY_MS, audit_days * _DAY_MS, self._house_steps
        )
        self._watcher = Watcher(
            store, self._feeds, notifier, lambda: listeners.call(self._moves), partial(listeners.call, self._hinted)
        )
        self.search = Search(store, index)
        self._indexer = None if index is None else Indexer(store, index, lambda: self._writer.stored)
        self._threads = [self._writer.thread, self._scheduler.thread, self._watcher.thread, self._housekeeper.thread]
        if self._indexer is not None:
            self._threads.append(self._indexer.thread)
        if notifier is not None and notifier.thread is not None:
            self._threads.append(notifier.thread)
        self._probe = WriteProbe(
            lambda done: self._writer.submit(Write(Deliver(0), self._clock()), done), self._writer.thread
        )

    def start(self) -> None:
        """Begin to write, to watch for commits of other processes, and to deliver due messages. After the fork."""
        self._writer.start()
        self._watcher.start()
        self._scheduler.start()
        self._housekeeper.start()
        if self._indexer is not None:
            self._indexer.start()

    # --- Reading ----------------------------------------------------------------------------------

    def open(self, principal: Principal, room: str) -> RoomHandle:
        """Return `room` for `principal`: all reading goes through it. Raises RoomUnknown, also if it may not read."""
        return RoomHandle(room, principal, self._store, self._feeds)

    def trusted(self, room: str) -> RoomHandle:
        """Return `room` for this process itself, which may read everything. Raises RoomUnknown."""
        return RoomHandle(room, None, self._store, self._feeds)

    def rooms(self, principal: Principal, *, joined: bool = False) -> list[dict[str, Any]]:
        """Return the rooms that `principal` may read, by name; with `joined`, those of which it is a member."""
        return self._store.read_with(lambda sql: listing.visible(sql, principal, joined=joined))

    def wait(
        self, handle: RoomHandle, after: Cursor | Now, limit: int, seconds: float, gone: Gone | None = None
    ) -> Page:
        """As `RoomHandle.read`; if there are no events, wait for one; see `HeldPolls.wait`."""
        return self._polls.wait(handle, after, limit, seconds, gone)

    def wait_any(
        self,
        principal: Principal,
        after: Mapping[str, Cursor | Now],
        limit: int,
        seconds: float,
        gone: Gone | None = None,
    ) -> tuple[dict[str, Page], int | None]:
        """As `open` and `wait`, for several rooms at once; see `HeldPolls.wait_any`."""
        return self.wait_for(self.open_any(principal, after), limit, seconds, gone)

    def wait_for(
        self, after: Mapping[RoomHandle, Cursor | Now], limit: int, seconds: float, gone: Gone | None = None
    ) -> tuple[dict[str, Page], int | None]:
        """Wait for events of rooms that are open; see `HeldPolls.wait_any`."""
        return self._polls.wait_any(after, limit, seconds, gone)

    def open_any(self, principal: Principal, after: Mapping[str, Cursor | Now]) -> dict[RoomHandle, Cursor | Now]:
        """As `open`, for several rooms, each with its position. Raises as that, with the `room` at fault."""
        handles = {}
        for room, position in after.items():
            with about(room):
                handles[self.open(principal, room)] = position
        return handles

    def read_any(
        self, after: Mapping[RoomHandle, Cursor | Now], limit: int
    ) -> dict[str, Page]:
        """As `RoomHandle.read`, for several rooms at once; see `HeldPolls.wait_any`."""
        return self._polls.wait_any(after, limit, 0)[0]

    def read_on(self, positions: Mapping[RoomHandle, Cursor], limit: int) -> dict[str, Page]:
        """As `RoomHandle.read_on`, for several rooms at once."""
        return self._polls.read_on(positions, limit)

    def hold(self, change: int) -> None:
        """Add `change`, which may be negative, to the count of held polls in `figures`."""
        self._polls.hold(change)

    # --- Being told -------------------------------------------------------------------------------

    def listen(self, callback: Callable[[str], None]) -> None:
        """Call `callback` with a room's name after each publish there; it must not block."""
        self._feeds.listen(callback)

    def followed_by(self, follows: Callable[[str], bool]) -> None:
        """Keep the feed of each room, by name, for which `follows` is true."""
        self._feeds.followed_by(follows)

    def on_commit(self, callback: Callable[[list[Event]], None]) -> None:
        """Call `callback` with the events that this process has stored, after each commit; it must not block."""
        self._commits.append(callback)

    def on_move(self, callback: Callable[[], None]) -> None:
        """Call `callback` when this process, or another one, has committed something; it must not block."""
        self._moves.append(callback)

    def on_hint(self, callback: Callable[[str], None]) -> None:
        """Call `callback` with each text that another worker has passed on; it must not block."""
        self._hinted.append(callback)

    def pass_on(self, hint: str) -> None:
        """Send a text to the other workers, of all machines; it may be lost, and is stored nowhere."""
        if self._notifier is not None:
            self._notifier.pass_on(hint)

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Call `callback` when this worker drains; it returns when its clients have been told."""
        self._drains.append(callback)

    def on_access(self, callback: Callable[[], None]) -> None:
        """Call `callback` after each change that may end a held connection; it must not block."""
        self._accesses.append(callback)

    def access_changed(self) -> None:
        """Call the listeners: an account may do less now than a moment ago, or its webhooks have changed."""
        self._housekeeper.wake()  # messages of the account may have to be deleted
        for callback in self._accesses:
            callback()

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call `callback` when everything is stored and nothing more will be, before the store is closed."""
        self._closes.append(callback)

    def figures(self) -> dict[str, float]:
        """Return the counters and gauges of this process, by name."""
        return {
            "commits": self._writer.commits,
            "stored": self._writer.stored,
            "appended": self._appended,
            "held_polls": self._polls.held,
            "sockets": self.limits.held("socket"),
            "kept_senders": self.limits.held("sender"),
            "feeds": len(self._feeds),
        }

    def tallies(self) -> dict[str, Tally]:
        """Return the distributions of this process, by name; they go on counting."""
        return {"append_seconds": self._writer.seconds, "batch_size": self._writer.batches}

    def supervise(self, thread: Supervised) -> None:
        """Let `parts` report the state of `thread` too."""
        self._threads.append(thread)

    def parts(self) -> dict[str, str]:
        """Return the state of each thread by name, `ok` if all is well; of the writer also whether it can write now."""
        found: dict[str, str] = {thread.name: thread.state for thread in self._threads}
        found["writer"] = self._probe.look()
        return found

    @property
    def lost(self) -> bool:
        """Return True if a flush to the disk has failed: another process has to replace this one."""
        return self._writer.lost

    def now(self) -> int:
        """Read the clock: milliseconds since 1970."""
        return self._clock()

    @property
    def draining(self) -> bool:
        """Return True from the beginning of the drain on."""
        return self._feeds.ended

    def keep_house(self, step: Callable[[], bool]) -> None:
        """Let the housekeeper call `step` too, for work on which no sender waits; it returns True if there is more."""
        self._house_steps.append(step)

    # --- The end ----------------------------------------------------------------------------------

    def drain(self, grace: float = 0.0) -> None:
        """Answer held polls, close sockets, and accept nothing that begins after `grace` seconds.

        Queued writes are still stored.
        """
        if self.draining:
            return
        self._drained_at = time.monotonic() + grace
        self._feeds.end()
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
        self._eraser.close()
        self._writer.close()
        self._housekeeper.close()
        if self._indexer is not None:
            self._indexer.close()
        for callback in self._closes:
            callback()
        self._watcher.close()
        self._store.close()
        self.limits.close()

    # --- Inside -----------------------------------------------------------------------------------

    def _committed(self, outcomes: Sequence[Outcome]) -> None:
        """On the writer's thread, after a commit: publish, then wake the other workers."""
        by_room: dict[str, list[Stored]] = {}
        deleted = quiet = False
        for outcome in outcomes:
            if isinstance(outcome, Stored):
                if not outcome.duplicate:
                    by_room.setdefault(outcome.room, []).append(outcome)
                    deleted = deleted or outcome.event.command == MESSAGE_DELETED
            elif isinstance(outcome, Scheduled):
                self._scheduler.wake()
            elif isinstance(outcome, Accepted):
                quiet = True
        if deleted:
            self._housekeeper.wake()
        for room, stored in by_room.items():
            self._appended += len(stored)
            self._feeds.publish(room, stored)
        if self._notifier is not None and (by_room or quiet):
            self._notifier.notify((*by_room, INBOX) if quiet else by_room)
        if by_room or quiet:
            listeners.call(self._moves)
        if self._commits:
            listeners.call(self._commits, [each.event for stored in by_room.values() for each in stored])


__all__ = ["Cancelled", "Chat", "Created", "Page", "Scheduled", "Stored"]
