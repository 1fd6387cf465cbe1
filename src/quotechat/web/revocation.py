"""End held connections when their session, token or account ends (docs/protocol.md, Accounts).

A request looks its session or token up; a held one has done that long ago. So everything that is held for accounts
is asked about again: at once after a change in this process, else every `LOOK_SECONDS`, with one question for all.
"""

from __future__ import annotations

import time

from flask import Flask, request

from ..hub.chat import Chat
from ..hub.credentials import Credentials
from ..protocol.errors import Refused, Unauthenticated
from ..protocol.principal import Principal
from . import authentication
from .reactor import Reactor

LOOK_SECONDS = 0.4
"""Protocol: told within 1 s of the commit, made by any worker."""
PRINCIPAL = "quotechat.principal"
"""In the environment of a request: the account that asks, for the new owner of the socket."""


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
            self._reactor.read(lambda: self._credentials.current(held), self._found)

    def _tick(self) -> None:
        if not self._held():
            self._armed = False
            return
        self.look()
        self._reactor.later(time.monotonic() + LOOK_SECONDS, self._tick)

    def _held(self) -> set[Principal]:
        return {peer.principal for peer in self._reactor.peers() if peer.principal is not None and not peer.ending}

    def _found(self, found: object) -> None:
        self._looking = False
        if isinstance(found, dict):  # else the store is unavailable, and the next look asks again
            for peer in self._reactor.peers():
                if peer.principal in found and not peer.ending:
                    self._reactor.guard(peer, peer.now_is, found[peer.principal])
        if self._again:
            self._again = False
            self.look()


class Watch:
    """Check if the account that holds a poll on a thread may still have the answer."""

    def __init__(self, credentials: Credentials, principal: Principal) -> None:
        self._credentials = credentials
        self._principal = principal

    def has_ended(self) -> bool:
        """Look in the store, now."""
        try:
            return self._credentials.current([self._principal])[self._principal] is None
        except Refused:
            return False  # the store is unavailable: nothing can be answered either

    def check(self) -> None:
        """Raise Unauthenticated if it has ended."""
        if self.has_ended():
            raise Unauthenticated("This session has ended: sign in again.")


def watch() -> Watch | None:
    """For the account that asks; None for others."""
    principal = request.environ.get(PRINCIPAL)
    return None if principal is None else Watch(authentication.services().credentials, principal)


def install(app: Flask, chat: Chat) -> None:
    """Look after the peers of the reactor of `app`."""
    reactor: Reactor = app.extensions["quotechat.reactor"]
    services: authentication.Services = app.extensions["quotechat.accounts"]
    revocation = Revocation(reactor, services.credentials)
    chat.on_access(revocation.changed)
    reactor.every_sweep(revocation.begin)
