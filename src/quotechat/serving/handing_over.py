"""The middleware around the application that gives each request the hand-off of its socket."""

from __future__ import annotations

import contextlib
import socket
import threading
from functools import partial
from typing import Any, Protocol

from ..live.handoff import PRINCIPAL, Handoff
from .arrival import Arrival

#: The connection that this thread of the pool serves.
here = threading.local()


class Taker(Protocol):
    """The methods of the worker that a hand-off needs."""

    alive: bool

    def hand_back(self, client: Any, server: Any, sock: socket.socket, data: bytes, first_byte_at: float) -> None:
        """Serve the connection again; see `Worker.hand_back`."""


class HandingOver:
    """The middleware that the threads of `worker` call."""

    def __init__(self, app: Any, worker: Taker) -> None:
        self.app = app
        self._worker = worker

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        conn = here.conn
        handoff_of(conn, self._worker).put(environ)
        conn.raw = None
        answer = self.app(environ, start_response)
        conn.principal = environ.get(PRINCIPAL)
        return answer


def handoff_of(conn: Any, worker: Taker) -> Handoff:
    """Return the hand-off of the request that was read from `conn`."""
    arrival: Arrival | None = getattr(conn, "arrival", None)
    waits = arrival is not None and arrival.streamed and arrival.wants_continue
    return Handoff(
        partial(worker.hand_back, conn.client, conn.server),
        str(conn.client[0]) if isinstance(conn.client, tuple) else "",
        lambda: worker.alive,
        getattr(conn, "first_byte_at", None),
        getattr(conn, "served", 0),
        getattr(conn, "raw", None),
        partial(_proceed, conn.sock) if waits else None,
    )


def _proceed(sock: socket.socket) -> None:
    """Send 100 to a client that waits for it before it sends the body."""
    with contextlib.suppress(OSError):
        sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")


def find(application: Any, key: str) -> Any:
    """Return the extension `key` inside a WSGI application, also with middleware wrapped around it; else None."""
    for _ in range(10):
        extensions = getattr(application, "extensions", None)
        if isinstance(extensions, dict) and key in extensions:
            return extensions[key]
        inner = (getattr(application, name, None) for name in ("app", "application", "wsgi_app"))
        application = next((each for each in inner if each is not None), None)
        # A bound method, such as Flask.wsgi_app in a middleware: its owner is the application.
        application = getattr(application, "__self__", application)
    return None
