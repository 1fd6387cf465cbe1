"""End held connections when a right ends that stands in no log (docs/protocol.md, Accounts): that of a session, of a
token or of an account, and that of a guest to an open room.

A request looks its session or token up; a held one has done that long ago. So everything that is held for accounts
is asked about again: at once after a change in this process, else every `LOOK_SECONDS`, with one question for all.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection

from flask import Flask, request

from ...hub.accounts.credentials import Credentials
from ...hub.chat import Chat
from ...live.reactor import Reactor
from ...protocol.errors import Refused, RoomUnknown, Unauthenticated
from ...protocol.rights.principal import Principal
from ..http import authentication
from ..http.services import services_of

LOOK_SECONDS = 0.4
"""Protocol: told within 1 s of the commit, made by any worker."""

Held = dict[Principal, set[str]]
"""Those that are connected, and the rooms that they follow."""


class Revocation:
    """Looks after the peers of accounts. Its methods run on the reactor's thread, but for `changed`."""

    def __init__(self, reactor: Reactor, credentials: Credentials) -> None:
        self._reactor = reactor
        self._credentials = credentials
        self._looking = self._again = self._armed = False

    def changed(self) -> None:
        """Check all held connections: an account may do less now; from any thread."""
        self._reactor.call(self.look)

    def begin(self) -> None:
        """Look again and again from now on, if any account is connected; for `Reactor.every_sweep`."""
        if not self._armed and self._held():
            self._armed = True
            self._tick()

    def look(self) -> None:
        """Ask about all principals that are connected."""
        if self._looking:
            self._again = True
            return
        held = self._held()
        if held:
            self._looking = True
            self._reactor.read(lambda: self._ask(held), self._found)

    def _ask(self, held: Held) -> tuple[dict[Principal, Principal | None], dict[Principal, set[str]]]:
        """Return what each principal is now, and the rooms that it follows and may read no more; elsewhere."""
        current = self._credentials.current(held)
        rooms: Held = defaultdict(set)
        for before, now in current.items():
            if now is not None:
                rooms[now] |= held[before]
        return current, self._credentials.lost(rooms)

    def _tick(self) -> None:
        if not self._held():
            self._armed = False
            return
        self.look()
        self._reactor.later(time.monotonic() + LOOK_SECONDS, self._tick)

    def _held(self) -> Held:
        held: Held = defaultdict(set)
        for peer in self._reactor.peers():
            if peer.principal is not None and not peer.ending:
                held[peer.principal].update(peer.rooms())
        return held

    def _found(self, found: object) -> None:
        self._looking = False
        if isinstance(found, tuple):  # else the store is unavailable, and the next look asks again
            self._tell(*found)
        if self._again:
            self._again = False
            self.look()

    def _tell(self, current: dict[Principal, Principal | None], lost: dict[Principal, set[str]]) -> None:
        for peer in self._reactor.peers():
            if peer.principal not in current or peer.ending:
                continue
            now = current[peer.principal]
            self._reactor.guard(peer, peer.now_is, now)
            for room in lost.get(now, set()).intersection(peer.rooms()) if now is not None else ():
                self._reactor.guard(peer, peer.lost, room)


class Watch:
    """Check if the account that holds a poll on a thread may still have the answer."""

    def __init__(self, credentials: Credentials, principal: Principal, rooms: Collection[str]) -> None:
        self._credentials = credentials
        self._principal = principal
        self._rooms = rooms

    def has_ended(self) -> bool:
        """Look in the store, now."""
        return self._refusal() is not None

    def check(self) -> None:
        """Raise Unauthenticated if its session has ended, RoomUnknown if it may not read one of the rooms any more."""
        refusal = self._refusal()
        if refusal is not None:
            raise refusal

    def _refusal(self) -> Refused | None:
        try:
            now = self._credentials.current([self._principal])[self._principal]
            if now is None:
                return Unauthenticated("This session has ended: sign in again.")
            lost = self._credentials.lost({now: self._rooms}).get(now, ())
        except Refused:
            return None  # the store is unavailable: nothing can be answered either
        return next((_unknown(room, self._rooms) for room in lost), None)


def _unknown(room: str, rooms: Collection[str]) -> RoomUnknown:
    """Return the refusal for `room`; of several, it says which."""
    refused = RoomUnknown(room)
    refused.room = room if len(rooms) > 1 else None
    return refused


def watch(rooms: Collection[str]) -> Watch | None:
    """For the account that asks for `rooms`; None for others."""
    principal = request.environ.get(authentication.PRINCIPAL)
    return None if principal is None else Watch(authentication.services().credentials, principal, rooms)


def install(app: Flask, chat: Chat) -> None:
    """Look after the peers of the reactor of `app`."""
    ours = services_of(app)
    reactor = ours.reactor
    revocation = Revocation(reactor, ours.accounts.credentials)
    chat.on_access(revocation.changed)
    reactor.every_sweep(revocation.begin)
