"""Reading a room: every event once and in order, through any failure (protocol §1).

The reader keeps one cursor. It applies the event that is next, ignores an earlier one, and at a later one
reads again from its cursor. After any failure it asks again from there, after a pause that is jittered.
"""

from __future__ import annotations

import http.client
import json
import logging
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Literal
from urllib.parse import quote, urlencode

from .backoff import Backoff
from .problems import LostCursor, Problem, RateLimited, Reset, Unreachable, problem
from .shapes import Event, Snapshot
from .wire import Wire

log = logging.getLogger("quotechat.client")

Transport = Literal["long-poll", "stream", "short-poll"]

LONGEST_WAIT = 25.0
"""The most seconds for which the server holds a poll."""
MOST_EVENTS = 500
"""Events in one page."""
SILENCE = 40.0
"""Seconds of silence after which a connection is given up: streams send a heartbeat each 15 s."""
_UNTOLD = ("now", "0")
"""Cursors that leave it to the server to tell the position; `0` is the oldest event kept, whatever its number is."""


class Reader(Iterator[Event]):
    """The events of one room after a cursor, without end. Made by `Client.events`.

    Iterating blocks until there is an event. It raises `Reset` when its cursor cannot be served any more,
    and goes on from the new snapshot when it is iterated again; it raises `Problem` when asking again cannot
    help (the room is unknown, …). Every other failure is waited out, for ever, and logged as a warning.

    `cursor` is the position after the last event that was handed out: keep it, and begin with it next time.
    One thread iterates; any may `close`.
    """

    def __init__(
        self,
        room: str,
        wire: Wire,
        headers: Callable[[], dict[str, str]],
        snapshot: Callable[[], Snapshot],
        *,
        after: str = "now",
        transport: Transport = "long-poll",
        interval: float = 2.0,
        backoff: Backoff | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.room = room
        self.transport: Transport = transport
        self.cursor = after
        self.closed = False
        self._wire = wire
        self._headers = headers
        self._snapshot = snapshot
        self._interval = interval
        self._backoff = backoff or Backoff()
        self._sleep = sleep
        self._next: deque[dict[str, Any]] = deque()
        self._seq: int | None = None
        self._stream: http.client.HTTPResponse | None = None
        self._previous_head: int | None = None
        self._pause = 0.0
        self._limit = MOST_EVENTS
        self._path = f"/rooms/{quote(room, '')}/events"
        weakref.finalize(self, wire.close)  # if it is never closed
        self.resume(after)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __next__(self) -> Event:
        while not self.closed:
            event = self._apply()
            if event is not None:
                return event
            try:
                self._fetch()
            except LostCursor as lost:
                self._reset(lost)
            except Unreachable as fault:
                self._fail(str(fault))
            except Problem as refused:
                if not _passing(refused):
                    raise
                self._fail(str(refused), refused.retry_in)
        self._hang_up()  # once more: another thread may have closed between two requests
        raise StopIteration

    def resume(self, cursor: str) -> None:
        """Read on from another cursor."""
        self._next.clear()
        self._hang_up()
        self.cursor = cursor
        self._seq = None if cursor == "now" else int(cursor.partition(".")[0])

    def pin(self) -> None:
        """Fetch the cursor of the head, so that nothing from here on is missed; waits for the server."""
        while self._seq is None and not self.closed:
            try:
                self._page(wait=0)
            except Unreachable as fault:
                self._fail(str(fault))
            except Problem as refused:
                if not _passing(refused):
                    raise
                self._fail(str(refused), refused.retry_in)

    def close(self) -> None:
        """Stop: the iteration ends, at once or after the present pause."""
        self.closed = True
        self._hang_up()

    # --- Applying ---------------------------------------------------------------------------------

    def _apply(self) -> Event | None:
        """Return the next event that was received; None when more must be fetched."""
        while self._next:
            envelope = self._next.popleft()
            own = self._seq
            if own is not None and envelope["seq"] <= own:
                continue  # a repeat
            if own is not None and envelope["seq"] > own + 1 and self.cursor not in _UNTOLD:
                self._next.clear()
                self._fail(f"event {own + 1} is missing before {envelope['seq']}")
                return None
            self._seq, self.cursor = envelope["seq"], envelope["cursor"]
            self._backoff.reset()
            return Event.of(envelope)
        return None

    def _reset(self, lost: LostCursor) -> None:
        self._hang_up()
        snapshot = self._snapshot()
        self.resume(snapshot["cursor"])
        raise Reset(lost, snapshot) from lost

    def _fail(self, why: str, asked: float = 0.0) -> None:
        """Drop the connection and wait before the next attempt."""
        self._hang_up()
        if self.closed:
            return
        # When long answers break, shorter ones may pass.
        self._limit = max(1, self._limit // 2)
        pause = self._backoff.next(asked)
        log.warning("%s: %s; again in %.1f s", self.room, why, pause)
        self._rest(pause)

    def _rest(self, seconds: float) -> None:
        if seconds > 0:
            self._sleep(seconds)

    def _hang_up(self) -> None:
        self._stream = None
        self._previous_head = None
        self._wire.close()

    # --- Fetching ---------------------------------------------------------------------------------

    def _fetch(self) -> None:
        """Put new events into `_next`; leave it empty if there are none yet."""
        if self.transport == "stream":
            self._line()
        elif self.transport == "short-poll":
            self._rest(self._pause)
            self._pause = 0.0
            if not self._page(wait=0)["more"]:
                self._pause = max(self._pause, self._interval)
        else:
            self._rest(self._pause)
            self._pause = 0.0
            self._page(wait=LONGEST_WAIT if self._seq is not None else 0)

    def _page(self, wait: float) -> dict[str, Any]:
        query = urlencode({"after": self.cursor, "wait": f"{wait:g}", "limit": self._limit})
        began = time.monotonic()
        page = self._wire.ask("GET", f"{self._path}?{query}", headers=self._headers())
        if not isinstance(page.get("events"), list):
            raise Unreachable("the answer was no page of events: something else answers at this address")
        self._next.extend(page["events"])
        self._limit = min(MOST_EVENTS, self._limit * 2)
        if not page["events"]:
            self._stand_at(page["cursor"])
            self._pause = self._backoff.stretched(page.get("retry_in_ms", 0) / 1000)
            if wait and not self._pause and not page["more"] and time.monotonic() - began < wait / 2:
                # Held for too short a time, without a reason: a proxy on the way answers instead of the server.
                self._pause = self._backoff.next()
            else:
                self._backoff.reset()
        return page

    def _stand_at(self, cursor: str) -> None:
        """Take the position that the server tells, if there is none yet."""
        if self.cursor in _UNTOLD:
            self.cursor = cursor
            self._seq = int(cursor.partition(".")[0])

    def _line(self) -> None:
        if self._stream is None:
            query = urlencode({"after": self.cursor})
            self._stream = self._wire.stream(f"{self._path}?{query}", self._headers())
        try:
            line = self._stream.readline()
            envelope = json.loads(line) if line.endswith(b"\n") else None
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as fault:
            # AttributeError: http.client raises it when another thread has closed the response.
            raise Unreachable(str(fault) or "the stream broke off") from fault
        if not isinstance(envelope, dict):
            raise Unreachable("the stream ended")
        self._heard(envelope)

    def _heard(self, envelope: dict[str, Any]) -> None:
        command = envelope.get("command")
        if command == "reset":
            raise problem(envelope["error"], envelope["error"].get("status", 410))
        if command == "caught-up":
            self._stand_at(envelope["cursor"])
        elif command == "heartbeat":
            head = int(envelope["cursors"][self.room].partition(".")[0])
            if self._previous_head is not None:
                if self._seq is not None and self._seq < self._previous_head:
                    raise Unreachable("behind the server for two heartbeats")
                self._backoff.reset()  # it has lasted from one beat to the next
            self._previous_head = head
        elif "seq" in envelope:
            self._next.append(envelope)


def _passing(refused: Problem) -> bool:
    """Return True if a repeat may succeed: a fault of the server or a proxy, or too many requests at once."""
    return refused.status >= 500 or isinstance(refused, RateLimited) or refused.status in (408, 425)
