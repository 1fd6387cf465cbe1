"""Group commit: one thread stores the writes of many senders, a batch in one transaction.

While a batch is flushed to the disk, the next one collects. A short linger (a fifth of the last flush, at
most 1 ms, and only until as many writes are queued as senders were answered or waited at the last commit) lets two
groups of senders grow into one; without it they alternate, each in half a batch.
An answer leaves only after the commit.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from ..protocol import commands
from ..protocol.errors import Draining, OutcomeUnknown, Overloaded, Refused, StorageFull
from ..store.base import CommitFailed, FlushFailed, Nothing, Outcome, Store, Write
from ..supervision import Supervised
from .tally import Tally

log = logging.getLogger(__name__)

MOST_IN_A_BATCH = 512
MOST_CHARS_IN_A_BATCH = 200_000
"""Characters of messages after which a transaction takes no further message."""
MOST_WAITING = 20_000
"""Writes that may queue; a further one is refused with `Overloaded`."""
MOST_CHARS_WAITING = 16 * 1024 * 1024
"""Characters of messages that may queue; beyond, writes are refused with `Overloaded`."""
ANSWER_SECONDS = 10.0
"""Seconds for which `PendingOutcome` waits for the commit before the outcome counts as unknown."""
_LINGER_SHARE = 0.2
_LONGEST_LINGER = 0.001

Done = Callable[[Outcome | Refused], None]


class _Queued(NamedTuple):
    write: Write
    chars: int
    done: Done
    at: float


class Writer:
    """The thread that commits, and its queue.

    `committed` is called with the outcomes of each batch after its commit, before any `done`.
    """

    def __init__(self, store: Store, committed: Callable[[Sequence[Outcome]], None]) -> None:
        self._store = store
        self._committed = committed
        self._queue: list[_Queued] = []
        self._chars = 0
        self._lock = threading.Lock()
        # A lock that is taken; its release wakes the thread. It costs a third of a Condition, and there are two waits
        # for each message. `get` of a SimpleQueue, with a short timeout, may never return (CPython before 3.13).
        self._woken = threading.Lock()
        self._woken.acquire()
        self._wanted = 0
        """The number of queued writes for which the thread waits; 0 while it does not wait."""
        self._closing = False
        self.lost = False
        self._last_flush = 0.0
        self._warned_at = -1.0
        self._expected = 1
        self.thread = Supervised("writer", self._run)
        self.commits = 0
        self.stored = 0
        self.batches = Tally(1, 2, 5, 10, 20, 50, 100, 200, 512)
        self.seconds = Tally(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)

    def start(self) -> None:
        """Start the thread; after the fork."""
        self.thread.start()

    def submit(self, write: Write, done: Done, *, wake: bool = True) -> None:
        """Queue `write`; `done` is called on the writer's thread, which it must not hold up.

        Without `wake` it may wait until `wake` is called. Raises Draining after `close` and after a flush that failed,
        Overloaded if too much waits.
        """
        self._put([_Queued(write, _chars(write), done, time.perf_counter())], wake=wake)

    def submit_all(self, parts: Iterable[tuple[Write, Done]]) -> None:
        """Queue the parts of one text, of which all but the first continue it: all are stored, in one batch, or none.

        Raises as `submit`.
        """
        at = time.perf_counter()
        self._put([_Queued(write, _chars(write), done, at) for write, done in parts], wake=True)

    def wake(self) -> None:
        """Let the thread store the queued writes."""
        with self._lock:
            self._wake()

    def close(self, seconds: float = 8.0) -> None:
        """Store queued writes, at most for `seconds`, and end the thread."""
        with self._lock:
            self._closing = True
            self._wake()
        self.thread.join(seconds)
        if not self.thread.alive:
            self._give_up()  # after a fault writes may be left

    def _put(self, queued: list[_Queued], *, wake: bool) -> None:
        with self._lock:
            if self._closing or self.lost:
                raise Draining()
            if len(self._queue) >= MOST_WAITING or self._chars >= MOST_CHARS_WAITING:
                raise Overloaded()
            self._chars += sum(each.chars for each in queued)
            self._queue += queued
            if wake:
                self._wake()

    def _run(self) -> None:
        while not self.lost:
            self._wait(1)
            if len(self._queue) < self._expected:
                self._wait(self._expected, min(self._last_flush * _LINGER_SHARE, _LONGEST_LINGER))
            with self._lock:
                batch = self._take()
            if not batch:
                if self._closing:
                    return
                continue  # after a fault the wait may end early
            try:
                self._store_batch(batch)
            finally:
                if batch:  # after a fault at an unknown point
                    self._answer(batch, [OutcomeUnknown()] * len(batch))
        self._give_up()

    def _take(self) -> list[_Queued]:
        """Take the next batch, bounded in writes and in characters, with all parts of a text; the lock is held."""
        if len(self._queue) <= MOST_IN_A_BATCH and self._chars <= MOST_CHARS_IN_A_BATCH:
            batch, self._queue, self._chars = self._queue, [], 0
            return batch
        count = chars = 0
        for queued in self._queue:
            if (count >= MOST_IN_A_BATCH or chars >= MOST_CHARS_IN_A_BATCH) and not queued.write.continues:
                break
            count += 1
            chars += queued.chars
        self._chars -= chars
        batch, self._queue = self._queue[:count], self._queue[count:]
        return batch

    def _wait(self, wanted: int, seconds: float | None = None) -> None:
        """Wait until `wanted` writes are queued, at most `seconds`, or until the writer closes."""
        with self._lock:
            if self._closing or len(self._queue) >= wanted:
                return
            self._wanted = wanted
        if not self._woken.acquire(timeout=-1 if seconds is None else seconds):
            with self._lock:
                late, self._wanted = self._wanted == 0, 0
            if late:  # it was woken just now
                self._woken.acquire()

    def _wake(self) -> None:
        """Wake the thread if it waits for as many writes as there are now; the lock is held."""
        if self._wanted and (self._closing or len(self._queue) >= self._wanted):
            self._wanted = 0
            if self._woken.locked():  # else it was woken already, before a fault ended its wait
                self._woken.release()

    def _store_batch(self, batch: list[_Queued]) -> None:
        began = time.perf_counter()
        outcomes = self._commit(batch)
        self._last_flush = time.perf_counter() - began
        self.commits += 1
        self.batches.observe(len(batch))
        good = [outcome for outcome in outcomes if not isinstance(outcome, Refused | Nothing)]
        self.stored += len(good)
        # Wake after the commit: a reader that comes earlier finds nothing.
        try:
            self._committed(good)
        except Exception:
            log.exception("committed events could not be published; readers find them in the store")
        ended = time.perf_counter()
        for queued in batch:
            self.seconds.observe(ended - queued.at)
        # Before the answers: a sender that is answered may have sent again a moment later, and would count twice.
        self._expected = len(batch) + len(self._queue)
        self._answer(batch, outcomes)

    def _answer(self, batch: list[_Queued], outcomes: Sequence[Outcome | Refused]) -> None:
        """Call `done` of each write with its outcome, once: `batch` is empty afterwards."""
        for outcome in outcomes:
            queued = batch.pop(0)
            try:
                queued.done(outcome)
            except Exception:
                log.exception("an answer could not be handed on")

    def _give_up(self) -> None:
        """Refuse the queued writes with `Draining`: the process is about to be replaced."""
        with self._lock:
            waiting, self._queue = self._queue, []
        self._answer(waiting, [Draining()] * len(waiting))

    def _commit(self, batch: list[_Queued]) -> list[Outcome | Refused]:
        try:
            return self._store.commit([queued.write for queued in batch])
        except Refused as refused:  # a full disk or an unavailable database: it would refuse them one by one, too
            # Logged once a second: there may be hundreds while it lasts.
            if not isinstance(refused, StorageFull) and time.monotonic() - self._warned_at >= 1:
                self._warned_at = time.monotonic()
                log.warning("a commit of %d was refused: %s", len(batch), refused)
            return [refused] * len(batch)
        except FlushFailed as fault:
            log.critical("a flush to the disk failed, so this process writes no more and ends: %s", fault)
            self.lost = True
            return [Draining() if fault.certain else OutcomeUnknown()] * len(batch)
        except CommitFailed as fault:
            log.error("a commit of %d failed: %s", len(batch), fault)
            if not fault.certain:
                return [OutcomeUnknown()] * len(batch)
        except Exception:
            log.exception("a batch of %d broke", len(batch))
        # Certainly nothing is stored. One write may be the cause: the others are stored without it.
        texts = _by_text(batch)
        if len(texts) > 1:
            return [outcome for text in texts for outcome in self._commit(text)]
        return [Overloaded(detail="It could not be stored.")] * len(batch)


def _by_text(batch: Iterable[_Queued]) -> list[list[_Queued]]:
    """Return the writes of a batch, those together that are the parts of one text."""
    found: list[list[_Queued]] = []
    for queued in batch:
        if found and queued.write.continues:
            found[-1].append(queued)
        else:
            found.append([queued])
    return found


def _chars(write: Write) -> int:
    """Return the characters of the text of `write`, as an estimate of its memory."""
    command = write.command
    if isinstance(command, commands.SendMessage | commands.EditMessage):
        return len(command.message.message or "")
    return len(command.quote.quote) if isinstance(command, commands.AddQuote) else 0


class PendingOutcome:
    """One outcome, handed from the writer's thread to the thread that waits for it."""

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

    def result(self) -> Outcome:
        """Wait for the outcome and return it. Raises Refused: OutcomeUnknown if it does not come."""
        outcome = self.wait()
        if isinstance(outcome, Refused):
            raise outcome
        return outcome

    def of(self, ask: Callable[[Done], None]) -> Outcome:
        """Call `ask` with `done`, wait, and return the outcome. Raises as `result`."""
        ask(self.done)
        return self.result()
