"""Around the application: each request says how it came, and how its socket is given back."""

from __future__ import annotations

import contextlib
import socket
import threading
from functools import partial
from typing import Any, Protocol

from ..live.handoff import Handoff
from .arrival import Arrival

#: The connection that this thread of the pool serves.
here = threading.local()


class Taker(Protocol):
    """The part of the worker that takes sockets back."""

    alive: bool

    def hand_back(self, client: Any, server: Any, sock: socket.socket, data: bytes, missed: int) -> None:
        """Serve the connection again; see `Worker.hand_back`."""


class HandingOver:
    """The application that the threads of `worker` call."""

    def __init__(self, app: Any, worker: Taker) -> None:
        self.app = app
        self._worker = worker

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        conn, worker = here.conn, self._worker
        arrival: Arrival | None = getattr(conn, "arrival", None)
        waits = arrival is not None and arrival.streamed and arrival.wants_continue
        given = Handoff(
            partial(worker.hand_back, conn.client, conn.server),
            lambda: worker.alive,
            getattr(conn, "began", None),
            conn.served,
            getattr(conn, "missed", 0),
            getattr(conn, "raw", None),
            partial(_proceed, conn.sock) if waits else None,
        )
        conn.raw = None
        given.put(environ)
        return self.app(environ, start_response)


def _proceed(sock: socket.socket) -> None:
    """Let a client send the body that it holds back."""
    with contextlib.suppress(OSError):
        sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
