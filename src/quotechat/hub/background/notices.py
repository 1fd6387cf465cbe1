"""Wake-ups between machines, through the database: a notice says "look again", and in which rooms.

It is `hub.bell.Bell` for PostgreSQL. Hints go along, encoded: a version that knows none takes one for an unknown room.
A thread of its own keeps two connections, one that listens (and nothing else,
past any pooler) and one that rings: the rings of one tick leave as one notice. A notice that is lost
costs time, never data: a listener looks at everything when it has (re)connected, and every `NET` seconds.
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
from .bell import MOST_HINT, MOST_HINTS

log = logging.getLogger(__name__)

NET = 1.0
"""Seconds between two looks without a notice, and between two attempts to connect."""
TICK = 0.005
"""Seconds between two notices of one worker."""
PING = 10.0
"""Seconds without hearing ourselves after which we ring for ourselves: a connection may be dead without a word."""
ECHO = 5.0
"""Seconds within which a notice of our own is heard; else the connection that listens is made anew."""
_MOST_ROOMS = 20
_EVERY_ROOM = "*"
_HINT = "!"
_MOST_PAYLOAD = 7500
"""Bytes of one notice (NOTIFY takes less than 8000); hints beyond are dropped."""


class Channel(Protocol):
    """The methods of `store.channel.Channel` that this needs."""

    def fileno(self) -> int: ...
    def ring(self, payload: str) -> None: ...
    def heard(self) -> list[str]: ...
    def close(self) -> None: ...


class Notices:
    """``notices.ring(rooms)`` in one worker ends ``notices.wait()`` in the others."""

    def __init__(self, listen: Callable[[], Channel], ring: Callable[[], Channel]) -> None:
        """`listen` and `ring` open the two connections; they raise Overloaded."""
        self._open_listener, self._open_ringer = listen, ring
        self._name = secrets.token_hex(4)
        self._listener: Channel | None = None
        self._ringer: Channel | None = None
        self._rooms: set[str] = set()
        self._outgoing: deque[str] = deque(maxlen=MOST_HINTS)
        self._hints: deque[str] = deque(maxlen=MOST_HINTS)
        self._look_at: float | None = None
        """When everything is looked at, if a hint has ended a wait before that."""
        self._lock = threading.Lock()
        self._asked = threading.Event()
        self._asked.set()  # to connect
        self._begun = self._ended = False
        self._missed = False
        self._heard_ourselves = self._rang = time.monotonic()
        self._tried = 0.0
        # Ends a wait from inside this worker.
        self._inside, self._wake_inside = socket.socketpair()
        self._inside.setblocking(False)
        self.thread = Supervised("notifier", self._run)

    def ring(self, rooms: Iterable[str]) -> None:
        """Wake the others; never waits."""
        with self._lock:
            self._rooms.update(rooms)
        self._asked.set()

    def pass_on(self, hint: str) -> None:
        """Hand a text to the others, with the next notice."""
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

    def wait(self, seconds: float = NET) -> set[str] | None:
        """Return the rooms that others have rung for; None, for all, after `seconds` or if any may have been missed."""
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
                if rooms:
                    return None if _EVERY_ROOM in rooms else rooms
                if self._hints:
                    self._look_at = deadline
                    return set()
        return None

    def stop(self) -> None:
        """End the wait of this worker, now and from now on."""
        self._ended = True
        self._asked.set()
        self._wake()

    def close(self) -> None:
        """Hang up."""
        self.stop()
        self.thread.join(5)
        for each in (self._listener, self._ringer, self._inside, self._wake_inside):
            if each is not None:
                each.close()

    # --- On the watcher's thread ------------------------------------------------------------------

    def _poll(self, listener: Channel | None, seconds: float) -> bool:
        """Wait; whether `listener` has something."""
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
                name, *named = payload.split()
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
            self._asked.wait(NET)
            self._asked.clear()
            try:
                self._keep_listening()
                self._send()
            except Overloaded as away:
                log.debug("no notice was sent: %s", away)
            except Exception:
                log.exception("the notices met a fault")
            # Rings that are asked for meanwhile leave together.
            time.sleep(TICK)

    def _keep_listening(self) -> None:
        now = time.monotonic()
        deaf = self._rang - self._heard_ourselves > 0 and now - self._rang > ECHO
        if (self._listener is not None and not deaf) or now - self._tried < NET:
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
        self._heard_ourselves = self._rang = time.monotonic()
        # In this order: later commits are heard, earlier ones are looked for.
        self._listener, self._missed = listener, True
        self._wake()

    def _send(self) -> None:
        with self._lock:
            rooms, self._rooms = self._rooms, set()
            hints, self._outgoing = self._outgoing, deque(maxlen=MOST_HINTS)
        now = time.monotonic()
        if not (rooms or hints) and now - self._heard_ourselves < PING:
            return
        if not (rooms or hints) and self._rang > self._heard_ourselves:
            return  # the last one has not come back yet
        named = sorted(rooms) if len(rooms) <= _MOST_ROOMS else [_EVERY_ROOM]
        try:
            if self._ringer is None:
                self._ringer = self._open_ringer()
            if self._rang <= self._heard_ourselves:
                self._rang = now
            self._ringer.ring(_payload([self._name, *named], hints))
        except Overloaded:
            old, self._ringer = self._ringer, None
            if old is not None:
                old.close()
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
