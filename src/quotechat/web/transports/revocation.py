"""End held connections when a right ends that stands in no log (docs/protocol.md, Accounts): that of a session, of a
token or of an account, and that of a guest to an open room.

A request looks its session or token up; a held one has done that long ago. The store has one number that moves with
each such end (`Credentials.revision`). It is read after each change in this process and every `LOOK_SECONDS`, however
many connections are held. Only when it has moved are they asked about, with one question for all; else only those that
are new, and those whose session or token ends by time.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection
from functools import partial
from itertools import count
from typing import NamedTuple

from flask import Flask, request

from ...hub.accounts.credentials import Credentials
from ...hub.chat import Chat
from ...live import handoff
from ...live.handoff import IdleConnections
from ...live.peer import Confirmed, Peer
from ...live.reactor import Reactor
from ...protocol.errors import Refused, RoomUnknown, Unauthenticated
from ...protocol.rights.principal import Principal
from ...protocol.rooms import AUDIT
from ..http import authentication
from ..http.services import services_of

LOOK_SECONDS = 0.4
"""Protocol: told within 1 s of the commit, made by any worker."""
GRACE_SECONDS = 0.3
"""Seconds for which an idle connection is left. A request that comes in them is answered that the session has ended; if
its connection were closed under it, that would look like a fault."""

Held = dict[Principal, set[str]]
"""The connected principals, each with the rooms that it follows."""


class Revocation:
    """Looks after the peers of accounts, and after the connections that the server keeps between their requests.

    Its methods run on the reactor's thread, but for `changed`.
    """

    def __init__(self, reactor: Reactor, credentials: Credentials, idle: IdleConnections) -> None:
        self._reactor = reactor
        self._credentials = credentials
        self._idle = idle
        self._revision = 0
        """The store's number, as it was read last."""
        self._looking = self._again = self._armed = False
        self._readings = count(1)
        self._newest = 0
        """The reading of the store's number that began last of those that have ended."""

    def changed(self) -> None:
        """Check now: an account may do less than a moment ago; from any thread."""
        self._reactor.call(self._read_number)

    def begin(self) -> None:
        """Check every `LOOK_SECONDS` from now on, if any account is connected; for `Reactor.every_sweep`."""
        if not self._armed and self._any_held():
            self._armed = True
            self._tick()

    def _look(self) -> None:
        """Ask the store about the principals that it has not confirmed."""
        if self._looking:
            self._again = True
            return
        held = self._doubted()
        if held:
            self._looking = True
            self._reactor.read(lambda: self._ask(held), self._found)

    def _ask(self, held: Held) -> Answers:
        """Return each principal as it is now, and the rooms it may no longer read; on a thread that may wait."""
        # Read first: a right that ends from here on moves the number again.
        revision = self._credentials.revision()
        current = self._credentials.current(held)
        rooms: Held = defaultdict(set)
        for before, now in current.items():
            if now is not None:
                rooms[now] |= held[before]
        return Answers(revision, held, current, self._credentials.lost(rooms))

    def _tick(self) -> None:
        if not self._any_held():
            self._armed = False
            return
        self._read_number()
        self._reactor.later(time.monotonic() + LOOK_SECONDS, self._tick)

    def _read_number(self) -> None:
        self._reactor.read(self._credentials.revision, partial(self._have_number, next(self._readings)))

    def _have_number(self, reading: int, revision: object) -> None:
        if reading < self._newest:
            return  # it began earlier, and may be of before a change that is known already
        self._newest = reading
        if isinstance(revision, int):  # else the store is unavailable, and the next tick asks again
            self._revision = revision  # another one, also a lower one: an older copy of the store may have taken over
            self._look()

    def _any_held(self) -> bool:
        return bool(self._idle.all()) or any(peer.principal is not None for peer in self._reactor.peers())

    def _doubted(self) -> Held:
        held: Held = defaultdict(set)
        now = self._credentials.now()
        for peer in self._reactor.peers():
            principal = peer.principal
            if principal is None or peer.ending:
                continue
            if _is_over(principal, now) or not _is_confirmed(peer, principal, self._revision):
                held[principal].update(peer.rooms())
        for idle in self._idle.all():
            if not idle.ending and (idle.revision != self._revision or _is_over(idle.principal, now)):
                held.setdefault(idle.principal, set())
        return held

    def _found(self, found: object) -> None:
        self._looking = False
        if isinstance(found, Answers):  # else the store is unavailable, and the next tick asks again
            if not self._again:  # else the number has been read since, and may be later
                self._revision = found.revision
            self._tell(found)
        if self._again:
            self._again = False
            self._look()

    def _tell(self, found: Answers) -> None:
        for peer in self._reactor.peers():
            before = peer.principal
            if before is None or before not in found.current or peer.ending:
                continue
            now = found.current[before]
            lost = found.lost.get(now, set()) if now is not None else set()
            # A later subscription to a lost room may have been opened before the end: it is asked about.
            peer.confirmed = Confirmed(found.revision, frozenset(found.held[before] - lost))
            self._reactor.guard(peer, peer.principal_changed, now)
            for room in lost.intersection(peer.rooms()):
                self._reactor.guard(peer, peer.room_lost, room)
        for idle in self._idle.all():
            if idle.principal not in found.current:
                continue
            idle.revision = found.revision
            if found.current[idle.principal] is None and not idle.ending:
                idle.ending = True
                self._reactor.later(time.monotonic() + GRACE_SECONDS, partial(self._idle.end, idle))


class Answers(NamedTuple):
    """The store's answers about principals, all read after its `revision`."""

    revision: int
    held: Held
    current: dict[Principal, Principal | None]
    lost: dict[Principal, set[str]]


def _is_over(principal: Principal, now: int) -> bool:
    """Return True if its session or token has ended by time."""
    return principal.ends_at is not None and principal.ends_at <= now


def _is_confirmed(peer: Peer, principal: Principal, revision: int) -> bool:
    """Return True if the store has confirmed `principal` and the rooms of `peer` at `revision`."""
    if peer.confirmed is None or peer.confirmed.revision != revision:
        return False
    # Others lose a room by an event of its log.
    if principal.role == "guest":
        return peer.confirmed.rooms.issuperset(peer.rooms())
    return AUDIT in peer.confirmed.rooms or AUDIT not in peer.rooms()


class Watch:
    """Check if the account that holds a poll on a thread may still have the answer."""

    def __init__(self, credentials: Credentials, principal: Principal, rooms: Collection[str]) -> None:
        self._credentials = credentials
        self._principal = principal
        self._rooms = rooms
        self._revision: int | None = None

    def has_ended(self) -> bool:
        """Return True if the store refuses the account now."""
        return self._refusal() is not None

    def check(self) -> None:
        """Raise Unauthenticated if its session has ended, RoomUnknown if it may not read one of the rooms any more."""
        refusal = self._refusal()
        if refusal is not None:
            raise refusal

    def _refusal(self) -> Refused | None:
        try:
            revision = self._credentials.revision()
            ends_at = self._principal.ends_at
            if revision == self._revision and (ends_at is None or ends_at > self._credentials.now()):
                return None
            now = self._credentials.current([self._principal])[self._principal]
            if now is None:
                return Unauthenticated("This session has ended: sign in again.")
            lost = self._credentials.lost({now: self._rooms}).get(now, ())
        except Refused:
            return None  # the store is unavailable: nothing can be answered either
        self._revision = None if lost else revision
        return next((_unknown(room, self._rooms) for room in lost), None)


def _unknown(room: str, rooms: Collection[str]) -> RoomUnknown:
    """Return the refusal for `room`; of several, it says which."""
    refused = RoomUnknown(room)
    refused.room = room if len(rooms) > 1 else None
    return refused


def watch(rooms: Collection[str]) -> Watch | None:
    """Return the check for the account that asks for `rooms`; None if the caller has no account."""
    principal = request.environ.get(handoff.PRINCIPAL)
    return None if principal is None else Watch(authentication.services().credentials, principal, rooms)


def install(app: Flask, chat: Chat) -> None:
    """Look after the peers of the reactor of `app`."""
    ours = services_of(app)
    reactor = ours.reactor
    idle = IdleConnections(lambda: reactor.begin(revocation.begin))
    if not ours.settings.trusted_proxies:  # a proxy sends requests of many clients over one connection
        app.extensions[handoff.IDLE] = idle
    revocation = Revocation(reactor, ours.accounts.credentials, idle)
    chat.on_access(revocation.changed)
    reactor.every_sweep(revocation.begin)
