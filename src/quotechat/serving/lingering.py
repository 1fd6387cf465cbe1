"""End connections, and send to slow peers, without a thread of the pool and without the poller."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from .. import supervision

log = logging.getLogger(__name__)

#: Seconds that a thread waits for a peer to read its answer.
_PATIENCE = 0.05


class _Leaving:
    """A connection at its end: the bytes still to be sent, and the time by which they must be."""

    __slots__ = ("deadline", "read", "rest", "sock")

    def __init__(self, sock: socket.socket, rest: bytes, seconds: float) -> None:
        self.sock = sock
        self.rest = memoryview(rest)
        self.deadline = time.monotonic() + seconds
        self.read = 0


class Lingering:
    """Ends connections without waiting for their peers, on one thread for all.

    After the last byte we close our side and read on for a while, so that the kernel does not reset
    the connection over an answer still on its way (RFC 9112 §9.6). gunicorn does that too, but on the
    thread that accepts, 2 s for each peer that holds on.
    """

    _SECONDS = 2.0
    _SEND_SECONDS = 60.0  #: for the part of its answer that the peer has not read
    #: Bytes thrown away per connection: more than a piece of an upload that is refused, whose proxy still sends it.
    _MOST_READ = 2 * 1024 * 1024
    _MOST_KEPT = 64 * 1024 * 1024  #: bytes of answers; above that the oldest are not sent to their end

    def __init__(self, most: int = 1000) -> None:
        """Of more than `most` connections the oldest are closed at once."""
        self._most = most
        self._new: deque[_Leaving] = deque()
        self._wake, self._waker = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._waker, False)
        self._open: dict[int, _Leaving] = {}
        self._kept = 0
        self._poll = select.poll()
        self._poll.register(self._wake, select.POLLIN)
        self.thread = supervision.Supervised("lingering", self._run)
        self.thread.start()

    def close(self, sock: socket.socket, rest: bytes = b"") -> None:
        """Send `rest` and close `sock`, as soon as the peer takes it; return at once."""
        if sock.fileno() < 0:  # closed already: an error here would make gunicorn count it out twice
            return
        sock.setblocking(False)
        if not rest and not _awaits_peer(sock):
            return
        self._new.append(_Leaving(sock, rest, self._SEND_SECONDS if rest else self._SECONDS))
        try:
            os.write(self._waker, b"\0")
        except OSError:  # the pipe is full: the thread will wake anyway
            pass

    def _run(self) -> None:
        while True:
            ready = self._poll.poll(250 if self._open else None)
            for number, mask in ready:
                if number == self._wake:
                    os.read(self._wake, 4096)
                else:
                    self._guard(number, self._ready, number, mask)
            while self._new:
                leaving = self._new.popleft()
                self._guard(leaving.sock.fileno(), self._admit, leaving)
            self._expire()

    def _guard(self, number: int, callback: Callable[..., None], *arguments: Any) -> None:
        """Call back for the connection `number`; an exception ends this connection and nothing else."""
        try:
            callback(*arguments)
        except Exception:
            supervision.count("lingering")
            log.exception("a connection failed at its end")
            self._drop(number)

    def _ready(self, number: int, mask: int) -> None:
        leaving = self._open.get(number)
        if leaving is None:
            return
        if leaving.rest:
            self._send(number)
        elif mask:
            self._read(number)

    def _admit(self, leaving: _Leaving) -> None:
        if leaving.sock.fileno() < 0:
            return
        self._open[leaving.sock.fileno()] = leaving
        self._kept += len(leaving.rest)
        self._poll.register(leaving.sock, select.POLLOUT if leaving.rest else select.POLLIN)

    def _send(self, number: int) -> None:
        leaving = self._open[number]
        try:
            sent = leaving.sock.send(leaving.rest)
        except BlockingIOError:
            return
        except OSError:
            self._drop(number)
            return
        self._kept -= sent
        leaving.rest = leaving.rest[sent:]
        if leaving.rest:
            return
        # Behind all others: they are in the order of their deadlines.
        del self._open[number]
        self._poll.unregister(number)
        self.close(leaving.sock)

    def _read(self, number: int) -> None:
        leaving = self._open[number]
        try:
            got = len(leaving.sock.recv(65_536))
        except BlockingIOError:
            return
        except OSError:
            got = 0
        leaving.read += got
        if got == 0 or leaving.read >= self._MOST_READ:
            self._drop(number)

    def _expire(self) -> None:
        now = time.monotonic()
        # Dicts keep the order of insertion, so the oldest come first.
        for number, leaving in list(self._open.items()):
            if leaving.deadline <= now or len(self._open) > self._most or self._kept > self._MOST_KEPT:
                self._drop(number)

    def _drop(self, number: int) -> None:
        with contextlib.suppress(KeyError, OSError, ValueError):  # the fault may have come before the registration
            self._poll.unregister(number)
        leaving = self._open.pop(number, None)
        if leaving is not None:
            self._kept -= len(leaving.rest)
            leaving.sock.close()


def _awaits_peer(sock: socket.socket) -> bool:
    """Close our side of `sock` and return True; if the peer has closed its side already, close all and return False.

    The latter is how a socket ends that was taken for a stream or a poll: it needs no turn of the thread.
    """
    try:
        with contextlib.suppress(BlockingIOError):
            if not sock.recv(65_536):
                sock.close()
                return False
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        sock.close()
        return False
    return True


def readable(sock: socket.socket) -> bool:
    """Return True if a request, or the peer's end, can be read now."""
    looking = select.poll()
    looking.register(sock, select.POLLIN)
    return bool(looking.poll(0))


class Answering(socket.socket):
    """A connection whose peer may read as slowly as it likes without holding a thread.

    Bytes that the peer does not take within `_PATIENCE` are sent by `Lingering`, which then ends the connection; the
    server's descriptor then refers to a dead socket, as if the peer had hung up.
    """

    lingering: Lingering

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send `data`; bytes that the peer does not take soon are sent later, by `Lingering`."""
        rest = memoryview(data)
        deadline = time.monotonic() + _PATIENCE
        while rest:
            try:
                rest = rest[self.send(rest, flags | socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                left = deadline - time.monotonic()
                if left <= 0 or not self._writable(left):
                    self._leave(bytes(rest))
                    return

    def _writable(self, seconds: float) -> bool:
        waiter = select.poll()
        waiter.register(self, select.POLLOUT)
        return bool(waiter.poll(seconds * 1000))

    def _leave(self, rest: bytes) -> None:
        ours = socket.socket(fileno=os.dup(self.fileno()))
        dead, other = socket.socketpair()
        other.close()
        os.dup2(dead.fileno(), self.fileno(), inheritable=False)
        dead.close()
        self.lingering.close(ours, rest)
