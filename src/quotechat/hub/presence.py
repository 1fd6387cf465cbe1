"""Which accounts are here: those with a connection that lives, and active in the last five minutes.

Every worker remembers the activity that it sees, and writes it once a minute, in one statement. Nothing is pushed, and
without activity nothing is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from ..protocol.rights.principal import ACCOUNT, HOST, Principal
from ..store.base import Transactions
from ..store.following import presence

WRITE_EVERY = 60.0
"""Seconds between two statements of one worker."""
ACTIVE_MS = 300_000
"""For how long an account counts as active, while a connection of it lives."""
HERE_MS = 90_000
"""Age of the last note up to which an account is here: the next one comes a minute later."""
MOST_MINUTES = 24 * 60
"""Minutes up to which it is told when an account was here."""
_MINUTE_MS = 60_000


class Presence:
    """`connected` gives the identities with a connection to this worker; `clock` ms since 1970. For any thread."""

    def __init__(
        self, store: Transactions, clock: Callable[[], int], connected: Callable[[], Collection[str]] = frozenset
    ) -> None:
        self._store = store
        self._clock = clock
        self._connected = connected
        self._active: dict[str, int] = {}
        """By identity, when it was active last."""
        self._write_at = 0.0
        self._wrote = 0

    def connected_by(self, connected: Callable[[], Collection[str]]) -> None:
        """Ask `connected` for the identities that are connected, from now on."""
        self._connected = connected

    def active(self, identity: str | None) -> None:
        """Note that a caller speaks or reads, if it may have an account."""
        if identity is not None and identity.startswith((ACCOUNT, HOST)):
            self._active[identity] = self._clock()

    def step(self) -> bool:
        """Write, if a minute has passed since the last time; for the housekeeper. Raises Refused."""
        if not self._active or time.monotonic() < self._write_at:
            return False
        self._write_at = time.monotonic() + WRITE_EVERY
        now = self._clock()
        for identity, at in list(self._active.items()):
            if now - at >= ACTIVE_MS:
                self._active.pop(identity, None)
        here, self._wrote = self._here(now, self._wrote), now
        if here:
            self._store.write_with(lambda sql: presence.write(sql, here, now))
        return False

    def of_room(self, principal: Principal, room: str) -> dict[str, str | int]:
        """Return the members of `room` by id, with ``here`` or the minutes since. Raises RoomUnknown, Forbidden."""
        now = self._clock()
        here = self._here(now, now - HERE_MS)
        since = now - MOST_MINUTES * _MINUTE_MS
        found = self._store.read_with(lambda sql: presence.of_room(sql, principal, room, since, here))
        return {
            each.id: "here" if each.identity in here or now - each.at < HERE_MS else (now - each.at) // _MINUTE_MS
            for each in found
        }

    def _here(self, now: int, since: int) -> set[str]:
        """Return the identities that are here, or were active after `since`."""
        connected = self._connected()
        return {
            identity
            for identity, at in list(self._active.items())
            if at > since or (now - at < ACTIVE_MS and identity in connected)
        }
