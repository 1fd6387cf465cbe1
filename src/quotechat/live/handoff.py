"""Pass a request's socket between a server and the live layer, and back."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_KEY = "quotechat.handoff"

GiveBack = Callable[[socket.socket, bytes, float], None]
"""Takes the socket, the bytes read from it already, and when the first of them came (time.monotonic)."""


@dataclass(slots=True)
class Handoff:
    """Of one request, by the worker that read it. Other servers give none, and keep their sockets."""

    give_back: GiveBack
    peer: str
    """The address that it came from; of a proxy, if there is one."""
    accepting: Callable[[], bool]
    """Return False from the moment on at which the worker takes no new request."""
    arrived: float | None
    """When its first byte came (time.monotonic)."""
    served: int
    """How many requests of this connection the application has seen, this one included."""
    raw: bytes | None
    """The bytes of this request, if all of it was read before it began."""
    proceed: Callable[[], None] | None = None
    """Lets a client send the body that it holds back, until it is told to."""

    def put(self, environ: dict[str, Any]) -> None:
        """Show it to the application."""
        environ[_KEY] = self


def of(environ: dict[str, Any]) -> Handoff | None:
    """Return that of the request, if its server gave one."""
    found: Handoff | None = environ.get(_KEY)
    return found


def need(environ: dict[str, Any]) -> Handoff:
    """Return that of a request whose server is known to give one."""
    found = of(environ)
    assert found is not None
    return found


Shortcut = Callable[[socket.socket, Handoff], bool]
"""Takes the socket of a request that the application need not see; returns False if it must."""
SHORTCUT = "quotechat.shortcut"
"""Its key in the extensions of an application."""
