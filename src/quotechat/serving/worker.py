"""The worker: gunicorn's gthread, but requests are read in the poller, which also ends those that stay incomplete."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import sqlite3
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from .. import supervision
from ..config import variable
from ..hub.budgets import descriptors
from ..live.handoff import IDLE, SHORTCUT, Idle, IdleConnections, Shortcut
from ..refusal import refusal
from . import unparsed
from .arrival import Arrival
from .handing_over import HandingOver, find, handoff_of, here
from .handover import LINGER_SECONDS, STOP_SECONDS
from .lingering import Answering, Lingering, readable
from .pacing import Paced

#: Bytes of incomplete requests, of all connections of a worker.
_MOST_BUFFERED = 64 * 1024 * 1024
_READ_BYTES = 65_536
#: Seconds without accepting connections, after a descriptor could not be had.
_ACCEPT_PAUSE = 0.1
#: Seconds between two log lines about the same shortage.
_LOG_EVERY = 10.0
#: Seconds between two attempts of a worker to load the application, when the database cannot be used.
_LOAD_RETRY = 1.0


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn is published without types
    """gunicorn's gthread worker without the ways in which a client can stop it.

    A thread is taken only for a complete request: head and body are read here, by the poller, which waits for
    any number of slow senders at once.
    """

    wsgi: Any
    sockets: list[Any]
    _take_known: Shortcut
    _idle: IdleConnections

    def init_process(self) -> None:
        # After the fork: threads do not survive one.
        self._lingering = Lingering(descriptors.lingering(descriptors.limit()))
        self._idle = IdleConnections()  # that of the application, when it is loaded
        self._arriving: dict[int, Any] = {}  # in the order of their deadlines
        self._buffered = 0
        self._request_seconds = float(os.environ.get(variable("request_seconds"), "30"))
        self._body_bytes = int(os.environ.get(variable("body_bytes"), "65536"))
        self._stops_at: float | None = None
        self._holds_loop = False
        self.drained: Callable[[], bool] = lambda: True
        self._accepts_from = self._shortage_logged_at = 0.0
        super().init_process()

    def threads(self) -> list[supervision.Supervised]:
        """Return the threads of this worker beside those of the pool."""
        return [self._lingering.thread]

    # --- Reading, on the poller's thread ----------------------------------------------------------

    def accept(self, listener: Any) -> None:
        """Accept one connection; after an error wait, since a listener stays ready and the loop would spin."""
        if listener not in self.sockets:
            return  # closed by an earlier event of the same turn of the loop
        try:
            sock, client = listener.accept()
        except OSError as fault:
            if fault.errno not in (errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED):
                self._not_accepted(fault)
            return
        conn = TConn(self.cfg, sock, client, listener.getsockname())
        self.nr_conns += 1
        self._guard(conn, self.enqueue_req, conn)

    def _not_accepted(self, fault: OSError) -> None:
        now = time.monotonic()
        self._accepts_from = now + _ACCEPT_PAUSE
        self.set_accept_enabled(False)
        if now - self._shortage_logged_at > _LOG_EVERY:
            self._shortage_logged_at = now
            self.log.error("cannot accept a connection: %s", fault.strerror)
        if fault.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
            self._make_room(len(self._arriving) // 2)

    def set_accept_enabled(self, enabled: bool) -> None:
        """Accept connections or do not; the loop calls this in every turn."""
        if not self.alive:
            self._begin_to_stop()
        if not enabled or time.monotonic() >= self._accepts_from:
            self._safely(super().set_accept_enabled, enabled)

    def enqueue_req(self, conn: Any) -> None:
        """Receive a request on `conn`, which is new or readable; it goes to the pool when it is complete."""
        conn.close, conn.handed_back = lambda graceful=False: self._close(conn, graceful), False
        # These bytes came with the previous request, so before any drain that has begun since.
        ahead = b"" if conn.parser is None else conn.parser.unreader.take_buffered()
        self._receive(conn, ahead, getattr(conn, "first_byte_at", None))

    def hand_back(self, client: Any, server: Any, sock: socket.socket, data: bytes, first_byte_at: float) -> None:
        """Take back a connection from the application; its next request begins with `data`. For any thread.

        The request began at `first_byte_at` (time.monotonic), not when it is looked at here: a drain may come between.
        """
        self.method_queue.defer(self._serve_again, TConn(self.cfg, sock, client, server), data, first_byte_at)

    def _serve_again(self, conn: Any, data: bytes, first_byte_at: float) -> None:
        self.nr_conns += 1
        conn.served, conn.handed_back = 1, True
        conn.close = lambda graceful=False: self._close(conn, graceful)
        self._guard(conn, self._receive, conn, data, first_byte_at)

    def on_client_socket_readable(self, conn: Any, client: Any) -> None:
        """Receive the next request on a connection that was kept."""
        self._idle.forget(conn)
        self._guard(conn, super().on_client_socket_readable, conn, client)

    def finish_request(self, conn: Any, future: Any) -> None:
        """Keep or close a connection whose request the pool has answered."""
        self._guard(conn, super().finish_request, conn, future)
        principal = getattr(conn, "principal", None)
        if principal is not None and self.keepalived_conns and self.keepalived_conns[-1] is conn:
            self._idle.keep(conn, principal, partial(self.method_queue.defer, self._guard, conn, self._end_idle, conn))

    def _end_idle(self, conn: Any, idle: Idle) -> None:
        """Close a connection that was kept for an account, unless its next request has come."""
        if self._idle.has(conn, idle) and not readable(conn.sock):
            self._abandon(conn)

    def _receive(self, conn: Any, data: bytes, first_byte_at: float | None = None) -> None:
        if not isinstance(conn.sock, Answering):
            conn.sock = Answering(fileno=conn.sock.detach())
            conn.sock.lingering = self._lingering
        conn.arrival = Arrival(self._body_bytes)
        conn.deadline = time.monotonic() + self._request_seconds
        conn.sock.setblocking(False)
        self._arriving[id(conn)] = conn
        self.poller.register(conn.sock, selectors.EVENT_READ, lambda _: self._guard(conn, self._read, conn))
        if data:
            self._take(conn, data, first_byte_at)
        else:
            # Bytes that have arrived already need no turn of the loop.
            self._read(conn)

    def _read(self, conn: Any) -> None:
        if id(conn) not in self._arriving:
            return  # closed by an earlier event of the same turn of the loop
        first_byte_at = time.monotonic()  # before the read: a drain may begin in between
        try:
            data = conn.sock.recv(_READ_BYTES)
        except BlockingIOError:
            self._bound()
            return
        except OSError:
            data = b""
        if data:
            self._take(conn, data, first_byte_at)
        else:
            self._refuse(conn, "400 Bad Request" if conn.arrival.data else None)

    def _take(self, conn: Any, data: bytes, first_byte_at: float | None = None) -> None:
        arrival: Arrival = conn.arrival
        if not arrival.data:
            conn.first_byte_at = time.monotonic() if first_byte_at is None else first_byte_at
        self._buffered += len(data)
        arrival.take(data)
        if arrival.refusal is not None:
            self._refuse(conn, arrival.refusal)
        elif arrival.whole:
            self._pass_on(conn)
        else:
            if arrival.wants_continue and not getattr(conn, "continued", False):
                conn.continued = True
                with contextlib.suppress(OSError):
                    conn.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._bound()

    def _pass_on(self, conn: Any) -> None:
        arrival = self._forget(conn)
        conn.data_ready, conn.raw = True, bytes(arrival.data)
        if self.alive and not arrival.early and self._shortcut(conn):
            return
        conn.init()
        unreader = conn.parser.unreader
        if arrival.streamed:
            unreader.chunk = Paced(conn.sock, self._request_seconds)
            unreader.unread(conn.raw)
            super().enqueue_req(conn)
            return
        # The request is complete. If its length is wrong, further reads return the end instead of blocking.
        unreader.chunk = lambda size_hint=None: b""
        unreader.unread(conn.raw)
        super().enqueue_req(conn)

    def _shortcut(self, conn: Any) -> bool:
        """Give the connection to the live layer, if that can answer its request; return True if it can."""
        # The live layer has just handed this request back, since it cannot answer it.
        handed_back, conn.handed_back = conn.handed_back, False
        if handed_back or not self._take_known(conn.sock, handoff_of(conn, self)):
            return False
        self.nr_conns -= 1
        return True

    def _refuse(self, conn: Any, status: str | None) -> None:
        self._forget(conn)
        if status is not None:
            with contextlib.suppress(OSError):
                conn.sock.send(refusal(status))
        self.nr_conns -= 1
        self._close(conn, status is not None)

    def _end_arriving(self, conn: Any, status: str | None) -> None:
        if id(conn) in self._arriving:
            self._refuse(conn, status)

    def _forget(self, conn: Any) -> Arrival:
        del self._arriving[id(conn)]
        self._buffered -= len(conn.arrival.data)
        self.poller.unregister(conn.sock)
        found: Arrival = conn.arrival
        return found

    def _bound(self) -> None:
        """Drop the oldest incomplete request if there are too many of them, or if they take too much memory."""
        if len(self._arriving) > self.worker_connections // 2 or self._buffered > _MOST_BUFFERED:
            self._make_room(1)

    def _make_room(self, count: int) -> None:
        for conn in list(islice(self._arriving.values(), count)):
            self._guard(conn, self._refuse, conn, None)

    def _guard(self, conn: Any, callback: Callable[..., None], *arguments: Any) -> None:
        """Call `callback` for `conn`; an exception ends this connection and nothing else."""
        try:
            callback(*arguments)
        except Exception:
            self._fault("a connection failed in the loop of the worker")
            self._abandon(conn)

    def _safely(self, callback: Callable[..., None], *arguments: Any, **named: Any) -> None:
        """Call `callback` for no connection in particular; an exception ends this call and nothing else."""
        try:
            callback(*arguments, **named)
        except Exception:
            self._fault("the loop of the worker met a fault")

    def _fault(self, words: str) -> None:
        supervision.count("worker")
        self.log.exception(words)

    def _abandon(self, conn: Any) -> None:
        """Close `conn`, whatever state a fault has left it in."""
        self._idle.forget(conn)
        if self._arriving.pop(id(conn), None) is not None:
            self._buffered -= len(conn.arrival.data)
        with contextlib.suppress(ValueError):
            self.keepalived_conns.remove(conn)
        # KeyError, ValueError: it is not registered, or has no descriptor any more.
        with contextlib.suppress(KeyError, ValueError, OSError):
            self.poller.unregister(conn.sock)
        if conn.sock.fileno() >= 0:
            self.nr_conns -= 1
            conn.sock.close()

    def murder_pending(self) -> None:
        """End requests that are not complete in time; the loop calls this at least once a second."""
        now = time.monotonic()
        if not self.alive:
            self._begin_to_stop()
        if self._holds_loop and self.drained():
            self._holds_loop = False
            self.nr_conns -= 1
        for conn in list(self._arriving.values()):
            begun = bool(conn.arrival.data)
            if conn.deadline <= now or (self._stops_at is not None and self._stops_at <= now):
                if not begun:
                    self._guard(conn, self._read, conn)  # bytes may have come since the loop polled
                if begun or not conn.arrival.data:
                    self._guard(conn, self._end_arriving, conn, "408 Request Timeout" if begun else None)
            elif self._stops_at is None:
                break  # those behind it have more time

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Run one turn of the loop: a short one while the worker stops, since its time-outs are short then.

        No callback ends the loop: a fault of one connection must not end the others.
        """
        for key, _ in self.poller.select(timeout if self.alive else min(timeout, LINGER_SECONDS / 4)):
            self._safely(key.data, key.fileobj)

    def murder_keepalived(self, **force: bool) -> None:  # gunicorn 26 has no argument, 27 has `force`
        """Close connections that were kept for long enough; if no new one could be accepted, also the oldest."""
        now = time.monotonic()
        if self.alive and self.nr_conns >= self.worker_connections and self.keepalived_conns:
            self.keepalived_conns[0].timeout = now
        for conn in list(self.keepalived_conns):
            if conn.timeout > now or force.get("force"):
                break
            if readable(conn.sock):  # bytes have come since the loop polled
                self.on_client_socket_readable(conn, conn.sock)
        self._safely(super().murder_keepalived, **force)

    # --- Answering, on a thread of the pool -------------------------------------------------------

    def handle(self, conn: Any) -> Any:
        """Answer the request on `conn`; return True to keep the connection."""
        try:
            return super().handle(conn)
        except BaseException:
            # Also SystemExit: gunicorn would raise it anew in the loop, and the worker would end.
            self._fault("a request failed outside the application")
            return False

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer one request."""
        here.conn = conn
        conn.served = getattr(conn, "served", 0) + 1
        arrival: Arrival | None = getattr(conn, "arrival", None)
        if arrival is not None:
            # The client has had its 100, or does not wait for it.
            req._expected_100_continue = False
            conn.continued = False
            if arrival.early:  # also after an upload: its end may not be known
                req.force_close()
        return super().handle_request(req, conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer a request that never reached the application. No part of it is echoed or logged."""
        status = unparsed.status(exc, self.log)
        with contextlib.suppress(OSError):
            client.settimeout(1.0)
            client.sendall(refusal(status))

    def load_wsgi(self) -> None:
        """Load the application. A fault ends the first start, but not a running server: its new worker tries again."""
        while True:
            try:
                self._load()
                return
            except (OSError, sqlite3.Error, SystemExit) as fault:
                if self.age <= self.cfg.workers:
                    raise
                self.log.error("a new worker cannot begin yet: %s", fault)
            deadline = time.monotonic() + _LOAD_RETRY
            while time.monotonic() < deadline:
                self.notify()
                if not self.alive or os.getppid() != self.ppid:
                    sys.exit(0)
                time.sleep(0.05)

    def _load(self) -> None:
        """Load the application, which may take a request's socket and give it back later."""
        super().load_wsgi()
        self._take_known = find(self.wsgi, SHORTCUT) or (lambda sock, given: False)
        self._idle = find(self.wsgi, IDLE) or self._idle
        self.wsgi = HandingOver(self.wsgi, self)

    def stop_listening(self) -> None:
        """Close the listening sockets, soon; from any thread."""
        self.method_queue.defer(self._safely, self._stop_listening)

    def _stop_listening(self) -> None:
        self.set_accept_enabled(False)
        for listener in self.sockets:
            listener.close()
        self.sockets = []

    def _begin_to_stop(self) -> None:
        if self._stops_at is None:
            self._stops_at = time.monotonic() + STOP_SECONDS
            # On reload another worker takes new connections; on shutdown they are refused at once and not in the end.
            self._stop_listening()
            # The loop ends with its last connection; the application may still hand one back until it is drained.
            self._holds_loop = True
            self.nr_conns += 1

    def _close(self, conn: Any, graceful: bool) -> None:
        self._idle.forget(conn)
        # gunicorn counts a connection out before it closes it, and once more after an error here.
        try:
            if graceful:
                self._lingering.close(conn.sock)
            else:
                conn.sock.close()
        except Exception:
            self._fault("a connection could not be closed")
            conn.sock.close()
