"""Send events to webhooks: one after the other in each room, again until it is taken, from the position that is kept.

Of all workers on all machines the one that has the lease of a webhook sends for it. A lane (a room of a webhook in
which something is new) is handed to a thread, which calls the receiver and says its answer in the room; only after that
the position moves. So a process that dies in between sends the last events again, and says nothing twice.
"""

from __future__ import annotations

import logging
import secrets
import socket
import threading
import time
from collections.abc import Iterable
from typing import NamedTuple

from ...protocol import webhooks as wire
from ...protocol.cursor import Cursor, cursor_of
from ...protocol.errors import (
    CursorAhead,
    CursorExpired,
    Draining,
    HistoryChanged,
    OutcomeUnknown,
    Overloaded,
    RateLimited,
    Refused,
    RoomUnknown,
    StorageFull,
)
from ...protocol.events import Event, rfc3339
from ...protocol.rights.principal import Principal
from ...protocol.rooms import DIRECT
from ...store.accounts import accounts, personal
from ...store.accounts.accounts import Account
from ...store.administration import audit
from ...store.base import CommitFailed
from ...store.programs import subscribers
from ...store.programs import webhooks as rows
from ...store.programs.webhooks import Lane, Try, Webhook
from ...store.shapes import Sql
from ...supervision import Supervised
from ..accounts.credentials import principal_of
from ..chat import Chat
from .answers import say
from .calls import Called, Calls, Policy, Reach, maker_of
from .choosing import ROOMS_AT_ONCE, Place, Running, chosen, receiver_of
from .daemon_pool import DaemonPool

log = logging.getLogger(__name__)

LEASE_MS = 30_000
_OF_EACH = 2 * ROOMS_AT_ONCE
"""The most lanes of one webhook that are read at once, running ones included."""
_LOOK_EVERY = 0.5
"""Seconds between two checks: another worker may have ended, or a retry may be due."""
_START_EVERY = 0.02
"""Seconds between two checks if the waiting lanes need more threads."""
_GATHER = 0.01
"""Seconds for which results are collected before they are written in one transaction."""
_AT_ONCE_MS, _REFUSED_MS, _NOT_ALLOWED_MS = 1, 5_000, 30_000
"""After so long a lane is checked again if the store refused, or if nothing may be sent in it now."""
_PAGE, _PAGE_SECONDS = 50, 2.0
"""Events, and seconds, after which a lane stores its position."""
_JOIN_SECONDS = 2.0
_LIKE_A_FAILURE = (RateLimited, Overloaded, Draining, OutcomeUnknown, StorageFull)


class Done(NamedTuple):
    """A lane has sent all events up to `cursor`; `failed` is the call after which it is to be retried later."""

    lane: Lane
    cursor: Cursor
    tries: list[Try]
    failed: Called | None = None
    later: int = 0
    """Milliseconds until the lane is checked again, since nothing was sent."""


class Job(NamedTuple):
    """A webhook with the accounts that are needed to send for it."""

    webhook: Webhook
    bot: Account
    maker: Principal | None

    @property
    def reader(self) -> Principal:
        """Return the bot as the reader of its rooms."""
        return principal_of(self.bot, None, None)


class Sender:
    """The sender of one process; `start` begins, `close` ends it. `worker` is its name among all on the store."""

    def __init__(
        self, chat: Chat, policy: Policy, *, worker: str | None = None, lease_ms: int = LEASE_MS,
        reach: Reach | None = None,
    ) -> None:  # fmt: skip
        self._chat = chat
        self._policy = policy
        self._reach = reach
        self._worker = worker or f"{socket.gethostname()[:40]}-{secrets.token_hex(6)}"
        self._lease_ms = lease_ms
        self._has_leases = False
        self._running: dict[Place, Running] = {}
        self._pool = DaemonPool(self._work, "webhook")
        self._done: list[Done] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._any = True
        self.thread = Supervised("webhooks", self._run)

    def start(self) -> None:
        """Start the thread; after the fork."""
        self._chat.on_move(self.wake)
        self._chat.on_access(self.look)
        self._chat.on_drain(self.stop)
        self._chat.on_close(self.close)
        self._chat.supervise(self.thread)
        self.thread.start()

    def wake(self) -> None:
        """Check for new events now, after a commit. It costs nothing while there is no webhook."""
        if self._any:
            self._wake.set()

    def look(self) -> None:
        """Check now: a webhook was made or changed."""
        self._any = True
        self._wake.set()

    def stop(self) -> None:
        """Begin no more calls; running calls may end."""
        self._ended.set()
        self._wake.set()

    def close(self) -> None:
        """Store the positions, and give up the leases, so that another worker goes on."""
        self.stop()
        self.thread.join(5)
        self._pool.close(_JOIN_SECONDS)
        try:
            self._note()
            if self._has_leases:
                self._chat.write_with(lambda sql: rows.release(sql, self._worker))
        except (Refused, CommitFailed) as fault:
            log.warning("webhooks: the last positions were not written, so some events are sent again: %s", fault)

    # --- Which lanes ------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._ended.is_set():
            self._wake.clear()
            try:
                self.step()
            except (Refused, CommitFailed) as fault:
                log.warning("webhooks were put off: %s", fault)
                self._ended.wait(_LOOK_EVERY)
            self._pause()
            if self._any and self._wake.is_set():
                self._ended.wait(_GATHER)

    def _pause(self) -> None:
        """Wait until there is something to store or to begin, or for a while; waiting lanes get threads meanwhile."""
        until = time.monotonic() + _LOOK_EVERY
        while (left := until - time.monotonic()) > 0:
            if self._wake.wait(min(left, _START_EVERY) if self._pool.has_waiting else left):
                return
            self._pool.start_threads()

    def step(self) -> None:
        """Store the results of finished lanes, and begin the due lanes that no other worker has."""
        self._note()
        now = self._chat.now()
        self._any = self._chat.read_with(rows.any_there)
        if not self._any:
            return
        due, failing = self._chat.read_with(
            lambda sql: (found := rows.due(sql, now, self._worker, _OF_EACH), rows.troubled(sql) if found else set())
        )
        lanes = chosen(due, self._running, failing, time.monotonic())
        held = self._held(lanes, now)
        for lane in lanes:
            if lane.webhook in held:
                self._running[lane.webhook, lane.room_id] = Running(receiver_of(lane.url), time.monotonic())
                self._pool.put(lane)
        self._pool.start_threads()

    def _held(self, lanes: Iterable[Lane], now: int) -> set[int]:
        """Return the webhooks of the lanes of which this worker has the lease, for long enough for a lane."""
        held = {lane.webhook for lane in lanes if self._lease_ms * 2 // 3 <= lane.held_ms <= self._lease_ms}
        needed = sorted({lane.webhook for lane in lanes} - held)
        if needed:

            def work(sql: Sql) -> list[int]:
                return [each for each in needed if rows.lease(sql, each, self._worker, now, self._lease_ms)]

            held.update(self._chat.write_with(work))
            self._has_leases = True
        return held

    # --- Results ---------------------------------------------------------------------------------

    def _note(self) -> None:
        """Store the positions of the lanes, all in one transaction; then they may begin again."""
        with self._lock:
            done, self._done = self._done, []
        if not done:
            return

        def work(sql: Sql) -> list[Done]:
            subscribers.hold(sql, *(each.lane.webhook for each in done))
            return [each for each in done if self._note_one(sql, each)]

        try:
            disabled = self._chat.write_with(work)
        except BaseException:
            with self._lock:
                self._done = done + self._done
            raise
        for each in done:
            self._running.pop((each.lane.webhook, each.lane.room_id), None)
        if disabled:
            self._chat.access_changed()

    def _note_one(self, sql: Sql, done: Done) -> bool:
        """Store the position of one lane; return True if its webhook was disabled, and the keeper notified."""
        lane, now = done.lane, self._chat.now()
        rows.note(sql, lane.webhook, done.tries)
        # Another worker has taken it over: it knows better.
        if not rows.holds(sql, lane.webhook, self._worker):
            return False
        is_changed = rows.is_changed(sql, lane)
        if done.later and not is_changed:
            rows.put_off(sql, lane, now + done.later)
            return False
        if done.failed is None or is_changed:
            rows.move(sql, lane, done.cursor)
            return False
        fresh = done.cursor != lane.cursor
        failures = 1 if fresh else lane.failures + 1
        since = now if fresh or lane.failing_since is None else lane.failing_since
        head = done.failed.answer.headers if done.failed.answer is not None else {}
        try_at = now + wire.delay(failures, head, now)
        rows.move(sql, lane, done.cursor, failures=failures, failing_since=since, try_at=try_at)
        if done.failed.status == wire.GONE:
            return _disable(sql, lane.webhook, "gone", now)
        return now - since >= wire.GIVE_UP and _disable(sql, lane.webhook, "failing", now)

    # --- One lane, on a thread of its own ---------------------------------------------------------

    def _work(self, lane: Lane) -> None:
        try:
            done = self._through(lane)
        except Refused as refused:
            log.warning("webhook: a room was put off: %s", refused.code)
            done = Done(lane, lane.cursor, [], later=_REFUSED_MS)
        except Exception:
            if not self._ended.is_set():  # else the store may be closed
                log.exception("a lane of a webhook broke")
            done = Done(lane, lane.cursor, [], later=_REFUSED_MS)
        with self._lock:
            self._done.append(done)
        self._wake.set()

    def _through(self, lane: Lane) -> Done:
        """Send the new events of a lane, up to the first failure, or for a while."""
        job = self._job(lane)
        if self._ended.is_set():
            return Done(lane, lane.cursor, [], later=_AT_ONCE_MS)
        if job is None:
            return Done(lane, lane.cursor, [], later=_NOT_ALLOWED_MS)
        try:
            handle = self._chat.open(job.reader, lane.room)
            page = None if lane.cursor.seq < lane.floor else handle.read(lane.cursor, _PAGE)
        except RoomUnknown:
            return Done(lane, lane.cursor, [], later=_NOT_ALLOWED_MS)
        except CursorExpired:  # cut a moment ago
            return Done(lane, lane.cursor, [], later=_AT_ONCE_MS)
        except (CursorAhead, HistoryChanged):
            log.warning("webhook %s: the room has another history, so it goes on at its end or before", job.webhook.key)
            return Done(lane, wire.after_change(lane.cursor, lane.head), [])
        # After the page, which may have events that the webhook is for since a moment ago.
        job = self._job(lane)
        if job is None:
            return Done(lane, lane.cursor, [], later=_NOT_ALLOWED_MS)
        with Calls(job.webhook, self._policy.networks_of(job.maker), self._reach) as calls:
            return self._tell_gap(calls, lane) if page is None else self._send(calls, job, lane, page.events)

    def _job(self, lane: Lane) -> Job | None:
        """Return the webhook of a lane with its accounts; None if it, its bot or its maker may not send now."""

        def work(sql: Sql) -> Job | None:
            webhook, now = rows.by_id(sql, lane.webhook), self._chat.now()
            if webhook is None or webhook.state != rows.ON:
                return None
            job = Job(webhook, accounts.by_id(sql, webhook.account), maker_of(sql, webhook, now))
            return job if job.bot.is_active(now) and self._policy.allows(job.maker) else None

        return self._chat.read_with(work)

    def _send(self, calls: Calls, job: Job, lane: Lane, events: Iterable[Event]) -> Done:
        commands = frozenset(job.webhook.commands.split())
        event_filter = wire.EventFilter(job.bot.key, commands, bool(job.webhook.mentions))
        until, cursor, tries = time.monotonic() + _PAGE_SECONDS, lane.cursor, list[Try]()
        for event in events:
            if self._ended.is_set() or time.monotonic() > until:
                break
            answers = event_filter.mentions and self._answers(job, lane, event)
            is_wanted = wire.wants(event_filter, event, direct=lane.kind == DIRECT, answers=answers)
            if is_wanted and not self._is_echo(job, lane, event):
                called = calls.call(wire.identifier(event.cursor), wire.body(event), self._chat.now())
                tries.append(_try(called, self._chat.now(), lane.room_id, event.seq))
                if called.status is None or not wire.is_done(called.status) or not self._say(job, event, called):
                    return Done(lane, cursor, tries, failed=called)
            cursor = cursor_of(event.cursor)
        return Done(lane, cursor, tries)

    def _answers(self, job: Job, lane: Lane, event: Event) -> bool:
        """Return True if `event` answers a message of the bot, and so mentions it."""
        parent = wire.answered(event)
        if parent is None:
            return False
        return self._chat.read_with(lambda sql: rows.is_by(sql, lane.room_id, parent, job.bot.identity))

    def _tell_gap(self, calls: Calls, lane: Lane) -> Done:
        """Tell the receiver which events retention deleted before they were sent; the lane goes on after them."""
        content = wire.gap_body(lane.room, lane.cursor.seq + 1, lane.floor, rfc3339(self._chat.now()))
        called = calls.call(wire.gap_identifier(lane.room_id, lane.floor), content, self._chat.now())
        tries = [_try(called, self._chat.now(), lane.room_id, lane.floor)]
        if called.status is None or not wire.is_done(called.status):
            return Done(lane, lane.cursor, tries, failed=called)
        return Done(lane, Cursor(lane.floor), tries)

    def _is_echo(self, job: Job, lane: Lane, event: Event) -> bool:
        """Return True if the bot has already written in the chain of bots' replies that leads to `event`."""
        parent = wire.replied_to(event)
        if parent is None:
            return False
        return self._chat.read_with(lambda sql: rows.bots_before(sql, lane.room_id, parent, job.bot.identity))

    def _say(self, job: Job, event: Event, called: Called) -> bool:
        """Send the receiver's answer to the room; return False if that is to be retried, together with the call."""
        text = wire.answer_of(called.answer.body if called.answer is not None else None)
        if text is None:
            return True
        try:
            say(self._chat, job.bot, event, text)
        except _LIKE_A_FAILURE:
            return False
        except Refused as refused:
            log.info("webhook %s: what it answered was not said: %s", job.webhook.key, refused.code)
        return True


def _disable(sql: Sql, webhook_id: int, reason: str, now: int) -> bool:
    """Disable a webhook, and tell the keeper of its bot."""
    webhook = rows.by_id(sql, webhook_id)
    if webhook is None or webhook.state != rows.ON:
        return False
    rows.disable(sql, webhook_id, reason)
    bot = accounts.by_id(sql, webhook.account)
    told = bot.keeper if bot.keeper is not None else webhook.made_by
    if told is not None:
        personal.notify(sql, told, now, "webhook-disabled", f"{webhook.name} ({bot.name}): {reason}")
    audit.tell(sql, now, "webhook-disabled", account=bot.key, detail=f"{webhook.key} {reason}")
    return True


def _try(called: Called, now: int, room_id: int, seq: int) -> Try:
    return Try(now - called.ms, room_id, seq, called.status, called.ms, called.error)
