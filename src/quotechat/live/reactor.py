"""Owns all live sockets of a worker: one thread, one epoll, the only writer of each socket.

A `Peer` is a socket and, per room that it follows, a position. Nothing is queued for it: when a room has
news, the reactor sends it the slice of the feed's tail after its position, encoded once for all peers at that
position. A peer whose socket is full merely lags; when it can take more, it goes on from its position, out of
the tail or, if that begins later, out of the store. A peer that begins far behind does so in the same way.
So being behind costs one slice of memory, for any number of events of any size.

Other threads reach the reactor only through `call`.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import os
import select
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import supervision
from ..hub.budgets import frames
from ..hub.chat import Chat
from ..protocol import commands
from ..protocol.errors import Refused
from . import descriptors
from .endings import Endings
from .fanout import Fanout
from .peer import CLOSING_SECONDS, Peer
from .unanswered import Unanswered

if TYPE_CHECKING:
    from .inbox_feed import InboxFeed
    from .typists import Typists

log = logging.getLogger(__name__)

TICK = 0.008
"""Seconds between two rounds of sending: events within one leave together, in one send per peer."""
SWEEP = 1.0
"""Seconds between two checks of every peer: for time-outs, and for wake-ups that were lost."""
MOST_WAITING = 64 * 1024 * 1024
"""Bytes that may wait for all peers together; beyond, the peers are dropped that have taken nothing for longest."""
STALLED_SECONDS = 5.0
"""Seconds for which a peer must have taken nothing before it is dropped for that."""
GRACE_SECONDS = 2.0
"""Seconds that a drain gives to requests that are on their way, as gunicorn's worker does."""


class Reactor:
    """The thread and its peers. `open_reactor` makes one per application."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self._epoll = select.epoll()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        descriptors.close_with(self, self._wake_fd)
        self._epoll.register(self._wake_fd, select.EPOLLIN)
        self._peers: dict[int, Peer] = {}
        self._calls: deque[tuple[Callable[[], None], Peer | None]] = deque()
        self.live: Counter[str] = Counter()
        """Peers by framing."""
        self.resumes = 0
        """Peers that began behind the head."""
        self._timers: list[tuple[float, int, Callable[[], None], Peer | None]] = []
        self._numbers = itertools.count()
        self._each_sweep: list[Callable[[], None]] = []
        self.endings = Endings(self)
        self.frames = frames.Addresses()
        fanout = self.fanout = Fanout(self)
        self.follow, self.unfollow, self.pump = fanout.follow, fanout.unfollow, fanout.pump
        self._readers = ThreadPoolExecutor(4, "catch-up")
        self.draining = False
        self._drained = threading.Event()
        self._is_woken = self._submitted = False
        self._unanswered = Unanswered()
        self.inbox: InboxFeed
        """Set by `inbox_feed.open_feed`."""
        self.typists: Typists
        """Set by `typists.open_typists`."""
        self._lock = threading.Lock()
        self._begun = False
        self.thread = supervision.Supervised("reactor", self._run)

    # --- From other threads -----------------------------------------------------------------------

    def add(self, peer: Peer) -> None:
        """Own `peer` from now on."""
        self.begin(lambda: self._add(peer))

    def begin(self, action: Callable[[], None]) -> None:
        """As `call`; the reactor's thread begins with its first action."""
        with self._lock:
            if not self._begun:
                self._begun = True
                self.thread.start()
        self.call(action)

    def call(self, action: Callable[[], None], peer: Peer | None = None) -> None:
        """Run `action` on the reactor's thread, soon. An exception in it ends `peer`, if it is for one."""
        self._calls.append((action, peer))
        self.wake()

    def drain(self) -> None:
        """Tell every peer to come back, and return when they have been told, `GRACE_SECONDS` + 0.5 s at most."""
        if not self._begun:
            self.draining = True  # the first peer may be on its way: `_open` tells it
        if self._begun:
            self.call(self._drain)
            self._drained.wait(GRACE_SECONDS + 0.5)

    def settle(self) -> None:
        """After a drain: return when late connections have been told too, after `CLOSING_SECONDS` + 0.5 s at most."""
        if self._begun:
            self._drained.clear()
            self.wake()
            self._drained.wait(CLOSING_SECONDS + 0.5)

    def read(
        self, work: Callable[[], object], then: Callable[[object], None], peer: Peer | None = None
    ) -> None:
        """Do `work`, which may wait for the disk, on another thread; `then` gets its result or Refused, by `call`.

        After any other exception, which is logged, `then` gets None.
        """

        def done() -> None:
            try:
                result = work()
            except Refused as refused:
                result = refused
            except Exception:
                log.exception("a read for a live socket failed")
                result = None
            self.call(lambda: then(result), peer)

        self._readers.submit(done)

    def figures(self) -> dict[str, float]:
        """Return counters and gauges, by name."""
        return {"resumes": self.resumes, "reactor_queue": len(self._calls)}

    def peers(self) -> list[Peer]:
        """Return all peers of the reactor; on its thread."""
        return list(self._peers.values())

    def identities(self) -> set[str]:
        """Return the identities of the accounts that are connected; for any thread."""
        held = (peer.principal for peer in list(self._peers.values()))
        return {each.identity for each in held if each is not None and each.identity is not None}

    def submit(self, command: commands.Command, then: Callable[[Any], None], peer: Peer, **about: Any) -> None:
        """Store `command`; `then` gets its outcome or its Refused, by `call`. `about` as in `Chat.submit_then`.

        It gets OutcomeUnknown, and nothing later, if the writer takes longer than a sender on a thread would wait.

        The writer is woken once for all commands of a turn, when the turn has handled them: woken earlier, it would
        only wait for the interpreter's lock. Raises Refused as `Chat.submit_then`.
        """
        number, answer = self._unanswered.number(), self._unanswered.answer
        # On the writer's thread, after the commit.
        self.chat.submit_then(
            command, lambda outcome: self.call(lambda: answer(number, outcome), peer), wake=False, **about
        )
        self._unanswered.add(number, then, peer, time.monotonic())
        self._submitted = True

    def every_sweep(self, action: Callable[[], None]) -> None:
        """Run `action` on the reactor's thread once a second."""
        self._each_sweep.append(action)

    # --- For peers, on the reactor's thread -------------------------------------------------------

    def later(self, when: float, action: Callable[[], None], peer: Peer | None = None) -> None:
        """Run `action` at `when`, on the monotonic clock; `peer` as by `call`."""
        heapq.heappush(self._timers, (when, next(self._numbers), action, peer))

    def guard(self, peer: Peer | None, callback: Callable[..., None], *arguments: object) -> None:
        """Call back for `peer`; an exception ends this peer and nothing else, without a peer only the callback."""
        try:
            callback(*arguments)
        except Exception:
            self.failed(peer)

    def failed(self, peer: Peer | None) -> None:
        """Count and log the exception, and let go of `peer`."""
        supervision.count("reactor")
        if peer is None:
            log.exception("the reactor met a fault")
        else:
            log.exception("a live socket failed")
            self.guard(None, self.forget, peer)

    def release(self, peer: Peer) -> None:
        """Let go of `peer`, whose socket stays open and has another owner from now on."""
        number = peer.sock.fileno()
        if self._peers.get(number) is peer:
            del self._peers[number]
            self.live[peer.framing] -= 1
            self._epoll.unregister(number)
            peer.released()

    def unblocked(self, peer: Peer) -> None:
        """Note that its socket took all, after it had been full."""
        peer.idle()
        if peer.subscriptions:
            self._calls.append((partial(self.pump, peer), peer))

    def watch(self, peer: Peer, interest: int) -> None:
        """Set the events that epoll reports for `peer`."""
        if self._peers.get(peer.sock.fileno()) is peer:
            self._epoll.modify(peer.sock, interest)

    def forget(self, peer: Peer) -> None:
        """Close `peer`."""
        number = peer.sock.fileno()
        if self._peers.get(number) is not peer:
            return
        del self._peers[number]
        self.live[peer.framing] -= 1
        with contextlib.suppress(OSError):
            self._epoll.unregister(number)
        for room in list(peer.subscriptions):
            self.unfollow(peer, room)
        try:
            peer.closed()
        finally:
            peer.sock.close()

    # --- The loop ---------------------------------------------------------------------------------

    def _run(self) -> None:
        now = time.monotonic()
        next_round, next_sweep = now, now + SWEEP
        while True:
            until = min(next_sweep, next_round) if self.fanout.has_news() else next_sweep
            if self._timers:
                until = min(until, self._timers[0][0])
            if self._submitted:
                self._wake_writer()
            ready = self._epoll.poll(0 if self._calls else max(0.0, until - time.monotonic()))
            for number, mask in ready:
                self._ready(number, mask)
            for _ in range(len(self._calls)):
                action, peer = self._calls.popleft()
                self.guard(peer, action)
            now = time.monotonic()
            while self._timers and self._timers[0][0] <= now:
                _, _, action, peer = heapq.heappop(self._timers)
                self.guard(peer, action)
            if self._submitted:
                self._wake_writer()
            if self.fanout.has_news() and now >= next_round:
                self.guard(None, self.fanout.round)
                next_round = time.monotonic() + TICK
            if now >= next_sweep:
                self.guard(None, self._sweep)
                next_sweep = now + (TICK if self.draining else SWEEP)
            self.fanout.end_turn()
            if self.draining and not self._peers and not self._calls:
                self._drained.set()

    def _ready(self, number: int, mask: int) -> None:
        if number == self._wake_fd:
            os.eventfd_read(self._wake_fd)  # it does not block: epoll reported it, and only this thread reads
            # Before the calls are taken: a call appended from here on wakes it again.
            self._is_woken = False
            return
        peer = self._peers.get(number)
        if peer is None:
            return
        try:
            peer.ready(mask)
        except Exception:  # as `guard`, without its call
            self.failed(peer)

    def _wake_writer(self) -> None:
        self._submitted = False
        self.chat.wake_writer()

    def _add(self, peer: Peer) -> None:
        peer.reactor = self
        self._peers[peer.sock.fileno()] = peer
        self.live[peer.framing] += 1
        self.guard(peer, self._open, peer)

    def _open(self, peer: Peer) -> None:
        self._epoll.register(peer.sock, select.EPOLLIN)
        peer.opened()
        if self.draining:
            peer.restart()

    def _sweep(self) -> None:
        now = time.monotonic()
        for action in self._each_sweep:
            self.guard(None, action)
        self._unanswered.sweep(now, self.guard)
        self._make_room(now)
        for peer in list(self._peers.values()):
            try:
                self._sweep_one(peer, now)
            except Exception:  # as `guard`, without its call
                self.failed(peer)

    def _sweep_one(self, peer: Peer, now: float) -> None:
        if peer._ends_at is not None and now >= peer._ends_at:
            self.forget(peer)
            return
        peer.swept(now)
        if peer._out:
            return
        for subscription in peer.subscriptions.values():
            if subscription.is_behind():
                self.pump(peer)
                return

    def _make_room(self, now: float) -> None:
        """Let go of peers that do not read, the longest first, while more waits for all than may."""
        waiting = sum(peer.waiting for peer in self._peers.values() if peer._out)
        if waiting <= MOST_WAITING:
            return
        for peer in sorted(self._peers.values(), key=lambda peer: peer.stalled(now), reverse=True):
            if waiting <= MOST_WAITING or peer.stalled(now) < STALLED_SECONDS:
                return
            waiting -= peer.waiting
            self.guard(peer, peer.too_far_behind)

    def _drain(self) -> None:
        self.draining = True
        for peer in list(self._peers.values()):
            self.guard(peer, peer.restart)

    def wake(self) -> None:
        """Wake the reactor's thread; from any thread."""
        if not self._is_woken:
            self._is_woken = True
            os.eventfd_write(self._wake_fd, 1)


def open_reactor(chat: Chat) -> Reactor:
    """Make the reactor of `chat`; its thread starts with the first peer."""
    reactor = Reactor(chat)
    chat.supervise(reactor.thread)
    chat.listen(reactor.fanout.news)
    chat.followed_by(reactor.fanout.has_followers)
    chat.on_drain(reactor.drain)
    chat.on_close(reactor.settle)
    return reactor
