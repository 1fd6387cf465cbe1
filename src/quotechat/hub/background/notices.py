"""Wake-ups between machines, through the database: a notice says "check the store", and for which rooms.

It is `hub.background.notifier.Notifier` for PostgreSQL. Hints go along, encoded: a version that knows none takes one
for an unknown room. A thread of its own keeps two connections, one that listens (and nothing else, past any pooler) and
one that notifies: the wake-ups of one tick leave as one notice. A notice that is lost costs time, never data: a
listener checks all rooms when it has (re)connected, and every `POLL_EVERY` seconds.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import secrets
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from ...protocol.errors import Overloaded
from ...supervision import Supervised
from .notifier import MOST_HINT, MOST_HINTS

log = logging.getLogger(__name__)

POLL_EVERY = 1.0
"""Seconds between two checks without a notice, and between two attempts to connect."""
TICK = 0.005
"""Seconds between two notices of one worker."""
PING = 10.0
"""Seconds without a notice of our own after which we send one: the connection may be dead without any error."""
ECHO = 5.0
"""Seconds within which a notice of our own must come back; else the connection that listens is made anew."""
_MOST_ROOMS = 20
_EVERY_ROOM = "*"
_HINT = "!"
_MOST_PAYLOAD = 7500
"""Bytes of one notice (NOTIFY takes less than 8000); hints beyond are dropped."""


class Channel(Protocol):
    """The methods of `store.postgres.channel.Channel` that this needs."""

    def fileno(self) -> int: ...
    def notify(self, payload: str) -> None: ...
    def heard(self) -> list[str]: ...
    def close(self) -> None: ...


class Notices:
    """``notices.notify(rooms)`` in one worker ends ``notices.wait()`` in the others."""

    def __init__(self, listen: Callable[[], Channel], send: Callable[[], Channel]) -> None:
        """`listen` and `send` open the two connections; they raise Overloaded."""
        self._open_listener, self._open_sender = listen, send
        self._name = secrets.token_hex(4)
        self._listener: Channel | None = None
        self._sender: Channel | None = None
        self._rooms: set[str] = set()
        self._outgoing: deque[str] = deque(maxlen=MOST_HINTS)
        self._hints: deque[str] = deque(maxlen=MOST_HINTS)
        self._look_at: float | None = None
        """The time at which all rooms are checked, if rooms or a hint have ended a wait before (time.monotonic)."""
        self._lock = threading.Lock()
        self._asked = threading.Event()
        self._asked.set()  # to connect
        self._begun = self._ended = False
        self._missed = False
        self._heard_ourselves = self._notified_at = time.monotonic()
        self._tried = 0.0
        # Ends a wait from inside this worker.
        self._inside, self._wake_inside = socket.socketpair()
        self._inside.setblocking(False)
        self.thread = Supervised("notifier", self._run)

    def notify(self, rooms: Iterable[str]) -> None:
        """Wake the other workers: `rooms` have news. Never waits."""
        with self._lock:
            self._rooms.update(rooms)
        self._asked.set()

    def pass_on(self, hint: str) -> None:
        """Send a text to the other workers, with the next notice."""
        data = hint.encode()
        if 0 < len(data) <= MOST_HINT:
            with self._lock:
                self._outgoing.append(_HINT + base64.b64encode(data).decode())
            self._asked.set()

    def hints(self) -> list[str]:
        """Take the hints of others that have come; on the watcher's thread."""
        found = list(self._hints)
        self._hints.clear()
        return found

    def wait(self, seconds: float = POLL_EVERY) -> set[str] | None:
        """Wait for a notice; return its rooms, or None, for all, after `seconds` or if a notice may be missing."""
        if not self._begun and not self._ended:
            self._begun = True
            self.thread.start()
        deadline, self._look_at = self._look_at or time.monotonic() + seconds, None
        while not self._ended:
            if self._missed:
                self._missed = False
                return None
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            listener = self._listener
            if self._poll(listener, left) and listener is not None:
                rooms = self._hear(listener)
                if _EVERY_ROOM in rooms:
                    return None
                if rooms or self._hints:
                    # However many notices come: some news have none, and a notice may be lost.
                    self._look_at = deadline
                    return rooms
        return None

    def stop(self) -> None:
        """End the wait of this worker, now and from now on."""
        self._ended = True
        self._asked.set()
        self._wake()

    def close(self) -> None:
        """Close the connections."""
        self.stop()
        self.thread.join(5)
        for each in (self._listener, self._sender, self._inside, self._wake_inside):
            if each is not None:
                each.close()

    # --- On the watcher's thread ------------------------------------------------------------------

    def _poll(self, listener: Channel | None, seconds: float) -> bool:
        """Wait; return True if `listener` has something to read."""
        waiter = select.poll()
        waiter.register(self._inside, select.POLLIN)
        number = -1
        if listener is not None:
            with contextlib.suppress(Overloaded, OSError):
                number = listener.fileno()
                waiter.register(number, select.POLLIN)
        ready = waiter.poll(seconds * 1000)
        with contextlib.suppress(OSError):
            self._inside.recv(64)
        return any(found == number for found, _ in ready)

    def _hear(self, listener: Channel) -> set[str]:
        rooms: set[str] = set()
        try:
            for payload in listener.heard():
                name, *named = payload.split() or [""]  # another program may notify of nothing
                if name == self._name:
                    self._heard_ourselves = time.monotonic()
                    continue
                rooms.update(each for each in named if not each.startswith(_HINT))
                self._hints.extend(_decoded(each) for each in named if each.startswith(_HINT))
        except Overloaded as away:
            if not self._ended:
                log.warning("the connection that listens was lost: %s", away)
            if self._listener is listener:
                self._listener = None
            listener.close()
            self._asked.set()
        return rooms

    # --- On our own thread ------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._ended:
            self._asked.wait(POLL_EVERY)
            self._asked.clear()
            try:
                self._keep_listening()
                self._send()
            except Overloaded as away:
                log.debug("no notice was sent: %s", away)
            except Exception:
                log.exception("the notices met a fault")
            # Wake-ups that are asked for meanwhile leave together.
            time.sleep(TICK)

    def _keep_listening(self) -> None:
        now = time.monotonic()
        deaf = self._notified_at - self._heard_ourselves > 0 and now - self._notified_at > ECHO
        if (self._listener is not None and not deaf) or now - self._tried < POLL_EVERY:
            return
        self._tried = now
        if deaf and self._listener is not None:
            log.warning("our own notices are not heard: listening anew")
        old, self._listener = self._listener, None
        # The watcher may be about to read it; it ends with an error there, and that is all.
        if old is not None:
            old.close()
        try:
            listener = self._open_listener()
        except Overloaded as away:
            log.debug("listening was not possible: %s", away)
            return
        self._heard_ourselves = self._notified_at = time.monotonic()
        # In this order: later commits are notified, earlier ones are found by the check of all rooms.
        self._listener, self._missed = listener, True
        self._wake()

    def _send(self) -> None:
        with self._lock:
            rooms, self._rooms = self._rooms, set()
            hints, self._outgoing = self._outgoing, deque(maxlen=MOST_HINTS)
        now = time.monotonic()
        if not (rooms or hints) and now - self._heard_ourselves < PING:
            return
        if not (rooms or hints) and self._notified_at > self._heard_ourselves:
            return  # the last one has not come back yet
        named = sorted(rooms) if len(rooms) <= _MOST_ROOMS else [_EVERY_ROOM]
        try:
            if self._sender is None:
                self._sender = self._open_sender()
            if self._notified_at <= self._heard_ourselves:
                self._notified_at = now
            self._sender.notify(_payload([self._name, *named], hints))
        except Overloaded:
            old, self._sender = self._sender, None
            if old is not None:
                old.close()
            with self._lock:  # for the next one
                self._rooms |= rooms
            raise

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_inside.send(b"\0")


def _payload(words: list[str], hints: Iterable[str]) -> str:
    """Return the words of one notice, with as many `hints` as there is room for."""
    left = _MOST_PAYLOAD - sum(len(each) + 1 for each in words)
    for hint in hints:
        left -= len(hint) + 1
        if left >= 0:
            words.append(hint)
    return " ".join(words)


def _decoded(word: str) -> str:
    try:
        return base64.b64decode(word.removeprefix(_HINT)).decode()
    except ValueError:  # of another program
        return ""
