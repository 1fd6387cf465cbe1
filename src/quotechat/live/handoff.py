"""Pass a request's socket between a server and the live layer, and back; end one that is between two requests."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..protocol.rights.principal import Principal

_KEY = "quotechat.handoff"

GiveBack = Callable[[socket.socket, bytes, float], None]
"""Takes the socket, the bytes read from it already, and the time at which the first of them came (time.monotonic)."""


@dataclass(slots=True)
class Handoff:
    """The way in which the application takes a request's socket from the worker that read it, and gives it back.

    Other servers give none, and keep their sockets.
    """

    give_back: GiveBack
    peer: str
    """The address of the client, or of the proxy in front of the worker; "" on a Unix socket."""
    accepting: Callable[[], bool]
    """Return False from the moment on at which the worker takes no new request."""
    first_byte_at: float | None
    """The time at which its first byte came (time.monotonic); None if the server does not tell."""
    served: int
    """How many requests of this connection the application has seen, this one included."""
    raw: bytes | None
    """The bytes of this request, if all of it was read before the application was called."""
    proceed: Callable[[], None] | None = None
    """Answers 100 to a client that waits for it before it sends the body (RFC 9110 §10.1.1)."""

    def put(self, environ: dict[str, Any]) -> None:
        """Put it into the environment of the request."""
        environ[_KEY] = self


def of(environ: dict[str, Any]) -> Handoff | None:
    """Return the hand-off of the request, if its server gave one."""
    found: Handoff | None = environ.get(_KEY)
    return found


def need(environ: dict[str, Any]) -> Handoff:
    """Return the hand-off of a request whose server is known to give one."""
    found = of(environ)
    assert found is not None
    return found


Shortcut = Callable[[socket.socket, Handoff], bool]
"""Takes the socket of a request that the application need not see; returns False if it must."""
SHORTCUT = "quotechat.shortcut"
"""Its key in the extensions of an application."""


IDLE = "quotechat.idle"
"""The key of an application's `IdleConnections` in its extensions."""
PRINCIPAL = "quotechat.principal"
"""The key of the calling account in a request's environment, for the next owner of the socket."""


@dataclass(slots=True, eq=False)
class Idle:
    """A connection of an account that the server keeps for its next request."""

    principal: Principal
    end: Callable[[Idle], None]
    """Closes it, soon, if its next request has not begun; from any thread."""
    revision: int | None = None
    """The revision of the store at which the account was looked up last."""
    ending: bool = False
    """True if it is to be closed."""


class IdleConnections:
    """The idle connections of one process. The server adds them; `Revocation` ends those whose account has ended.

    `begin` is called when there is one again, so that `Revocation` looks after them.
    """

    def __init__(self, begin: Callable[[], None] = lambda: None) -> None:
        self._begin = begin
        self._kept: dict[int, Idle] = {}

    def keep(self, conn: object, principal: Principal, end: Callable[[Idle], None]) -> None:
        """Add `conn`, which is idle from now on."""
        is_first = not self._kept
        self._kept[id(conn)] = Idle(principal, end)
        if is_first:
            self._begin()

    def forget(self, conn: object) -> Idle | None:
        """Take `conn` out, which has a request or is closed."""
        return self._kept.pop(id(conn), None)

    def has(self, conn: object, idle: Idle) -> bool:
        """Return True if `conn` has had no request since it was added as `idle`."""
        return self._kept.get(id(conn)) is idle

    def end(self, idle: Idle) -> None:
        """End a connection that is still idle; from any thread."""
        if idle in self.all():
            idle.end(idle)

    def all(self) -> list[Idle]:
        """Return those that are idle now; for any thread."""
        return list(self._kept.values())
