"""Take a socket away from the HTTP server that accepted it, so that the reactor owns it alone.

The server's descriptor then refers to a dead socket, which the server closes as if the peer had hung up: no
thread is held, and its count of connections stays right (docs/explanation/websocket-library.md).
"""

from __future__ import annotations

import os
import socket
import ssl
from typing import Any


def can_detach(environ: dict[str, Any]) -> bool:
    """Return True if the server gives its plain TCP socket: gunicorn's gthread and sync workers and Werkzeug do."""
    found = _socket_of(environ)
    return isinstance(found, socket.socket) and not isinstance(found, ssl.SSLSocket)


_GUARDED = "quotechat.guarded"


def guard(environ: dict[str, Any]) -> None:
    """Require that every request of this connection passes through the application."""
    environ[_GUARDED] = True


def is_guarded(environ: dict[str, Any]) -> bool:
    """Return True if `guard` was called: then no request is answered without the application."""
    return environ.get(_GUARDED) is True


def has_body(environ: dict[str, Any]) -> bool:
    """Return True if this request has a body: its bytes would come to the new owner of the socket."""
    return environ.get("CONTENT_LENGTH") not in (None, "", "0") or "HTTP_TRANSFER_ENCODING" in environ


def detach(environ: dict[str, Any]) -> tuple[socket.socket, bytes]:
    """Return the peer's socket, not blocking, and the bytes that the server had read beyond the request.

    Raises OSError if there is no descriptor left; then the server has the socket as before.
    """
    theirs = _socket_of(environ)
    assert theirs is not None, "see can_detach"
    ours = socket.socket(fileno=os.dup(theirs.fileno()))
    try:
        dead, other = socket.socketpair()
    except OSError:
        ours.close()
        raise
    environ["quotechat.detached"] = True
    ahead = _read_ahead(environ)
    other.close()
    os.dup2(dead.fileno(), theirs.fileno(), inheritable=False)
    dead.close()
    prepare(ours)
    return ours, ahead


def prepare(sock: socket.socket) -> None:
    """Set the options of `sock` that the reactor needs: not blocking, without Nagle's algorithm."""
    sock.setblocking(False)
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        # Complete slices are sent: waiting for more bytes would only delay them.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _socket_of(environ: dict[str, Any]) -> socket.socket | None:
    found: socket.socket | None = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
    return found


def _read_ahead(environ: dict[str, Any]) -> bytes:
    # gunicorn's parser reads in blocks of 8 kB: a fast client's first frames may be in one already.
    unreader = getattr(getattr(environ.get("wsgi.input"), "reader", None), "unreader", None)
    if unreader is None:
        return b""
    found: bytes = unreader.take_buffered()
    return found
