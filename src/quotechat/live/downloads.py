"""Send files to peers that may read slowly: one thread for all, which holds at most one block of each file.

The socket is taken from the server, as for a stream, and closed at the end of the file. A file of the data directory
goes to the socket by sendfile(2). Slow work is done by a few helper threads, so that no other peer waits for it: they
check if the reader may still read the file, and fetch the next block of contents on another machine. Contents on this
machine have helpers of their own, which wait for no other machine.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import queue
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

from ..hub.chat import Chat
from ..protocol.errors import Refused
from ..supervision import Supervised, count
from . import descriptors

log = logging.getLogger(__name__)

_PREPARERS = {True: 4, False: 2}
"""Threads that prepare downloads, of contents on another machine and of those on this one."""
_TURN_BYTES = 256 * 1024
"""Bytes that are sent to one peer in one turn of the loop."""
_SILENT_SECONDS = 60.0
"""Seconds without taking a byte after which a peer is dropped."""
_LINGER_SECONDS = 2.0
_ASK_SECONDS = 2.0
"""Seconds between two checks of a reader's right to the file."""


class Body(Protocol):
    """The bytes of an answer: the file at `path`, or `blocks`, which helpers fetch if it `is_far`."""

    @property
    def path(self) -> Path | None: ...
    @property
    def is_far(self) -> bool: ...
    def blocks(self, start: int, stop: int) -> Iterator[bytes]: ...


class Downloads:
    """The thread and its peers; `add` may be called from any thread."""

    def __init__(self) -> None:
        self._new: deque[Download] = deque()
        self._open: dict[int, Download] = {}
        self._poll = select.epoll()
        self._wake, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll.register(self._wake, select.EPOLLIN)
        for end in (self._wake, self._waker):
            descriptors.close_with(self, end)
        self._ended = False
        self._starting = threading.Lock()
        self.thread = Supervised("downloads", self._run)
        self._waiting = {is_far: queue.SimpleQueue[Download | None]() for is_far in _PREPARERS}
        self._prepared: deque[Download] = deque()
        self._preparers: list[Supervised] = []

    def add(self, download: Download) -> None:
        """Send `download` from now on."""
        self._new.append(download)
        with self._starting:
            if not self.thread.alive:
                self.thread.start()
        self._ring()

    def close(self) -> None:
        """End the thread and all that it sends."""
        self._ended = True
        self._ring()
        self.thread.join(5)
        for is_far, threads in _PREPARERS.items():
            for _ in range(threads):
                self._waiting[is_far].put(None)

    def _ring(self) -> None:
        with contextlib.suppress(OSError):  # the pipe is full: the thread wakes in any case
            os.write(self._waker, b"\0")

    def _run(self) -> None:
        while not self._ended:
            for number, mask in self._poll.poll(1.0 if self._open else -1):
                if number == self._wake:
                    os.read(self._wake, 4096)
                elif number in self._open:
                    self._turn(self._open[number], mask)
            while self._prepared:
                download = self._prepared.popleft()
                download.is_preparing = False
                if not download.is_closed:
                    self._poll.modify(download.sock, select.EPOLLOUT)
            while self._new:
                download = self._new.popleft()
                self._open[download.sock.fileno()] = download
                self._poll.register(download.sock, select.EPOLLOUT)
            now = time.monotonic()
            for download in [each for each in self._open.values() if each.ends_at <= now]:
                self._drop(download)
        for download in (*self._open.values(), *self._new):
            download.close()

    def _turn(self, download: Download, mask: int) -> None:
        try:
            if download.is_done:
                going = bool(download.sock.recv(4096))
            elif download.is_preparing:
                going = not mask & (select.EPOLLHUP | select.EPOLLERR)
            elif download.needs_preparing:
                going = True
                download.is_preparing = True
                self._poll.modify(download.sock, 0)
                self._let_prepare(download)
            else:
                going = download.send()
                if going and download.is_done:
                    self._poll.modify(download.sock, select.EPOLLIN)
        except BlockingIOError:
            return
        except OSError:
            going = False
        except Exception:
            count("downloads")
            going = False
        if not going:
            self._drop(download)

    def _let_prepare(self, download: Download) -> None:
        if not self._preparers:
            self._preparers = [
                Supervised(f"{'far' if is_far else 'near'} downloads {number}", partial(self._prepare, is_far))
                for is_far, threads in _PREPARERS.items() for number in range(threads)
            ]  # fmt: skip
            for each in self._preparers:
                each.start()
        self._waiting[download.is_far].put(download)

    def _prepare(self, is_far: bool) -> None:
        while (download := self._waiting[is_far].get()) is not None and not self._ended:
            try:
                if not download.is_closed:
                    download.prepare()
            finally:
                # Also after a fault, which ends the download.
                self._prepared.append(download)
                self._ring()

    def _drop(self, download: Download) -> None:
        del self._open[download.sock.fileno()]
        self._poll.unregister(download.sock)
        download.close()


class Download:
    """One answer on its way: its head, then the bytes of `content` from `start` to `stop`.

    If the content is on another machine, `first` is its first block, and `prepare` fetches the others. `may` returns
    True while the reader may read the file; `prepare` calls it.
    """

    def __init__(
        self, sock: socket.socket, head: bytes, content: Body, start: int, stop: int, left: Callable[[], None],
        first: bytes = b"", may: Callable[[], bool] = lambda: True,
    ) -> None:  # fmt: skip
        self.sock = sock
        self.is_done = self.is_closed = self.is_preparing = False
        """All is sent, but the peer has not hung up; the socket is closed; a helper runs `prepare`."""
        self.ends_at = time.monotonic() + _SILENT_SECONDS
        self._out = memoryview(head + first)
        self._at, self._stop = start + len(first), stop
        self._left = left
        self._right = _Right(may)
        self._broken = self._is_prepared = False
        """`send` has to end the answer; `prepare` has just run, so that `send` need not wait."""
        self.is_far = content.is_far
        self._file = None if content.path is None else open(content.path, "rb", buffering=0)  # noqa: SIM115  # see close
        self._blocks: Iterator[bytes] = iter(()) if self._file else content.blocks(self._at, stop)

    @property
    def needs_preparing(self) -> bool:
        """Return True if `prepare` has to be called next."""
        return not (self._broken or self._is_prepared) and (self._right.is_due or self._wants_block)

    @property
    def _wants_block(self) -> bool:
        return self.is_far and not self._out and self._at < self._stop

    def prepare(self) -> None:
        """Check the right and fetch the next block; if either fails, the next `send` ends the answer."""
        broken = True
        try:
            if self._right.stands():
                broken = self._wants_block and not self._fetch()
        finally:
            self.ends_at = time.monotonic() + _SILENT_SECONDS
            self._broken, self._is_prepared = broken, True

    def _fetch(self) -> bool:
        try:
            block = next(self._blocks, b"")
        except (Refused, OSError) as fault:
            log.warning("a download ends early: %s", fault)
            return False
        self._out = memoryview(block)
        self._at += len(block)
        return bool(block)

    def send(self) -> bool:
        """Send a part; return False if the content or the reader's right has ended too early. Raises OSError."""
        self._is_prepared = False
        if self._broken:
            return False
        if self._out:
            sent = self.sock.send(self._out[:_TURN_BYTES])
            self._out = self._out[sent:]
        elif self._file is not None and self._at < self._stop:
            sent = os.sendfile(
                self.sock.fileno(), self._file.fileno(), self._at, min(_TURN_BYTES, self._stop - self._at)
            )
            self._at += sent
            if sent == 0:
                return False
        elif self._at < self._stop:
            self._out = memoryview(next(self._blocks, b""))
            self._at += len(self._out)
            return bool(self._out)
        now = time.monotonic()
        self.ends_at = now + _SILENT_SECONDS
        if not self._out and self._at >= self._stop:
            self.is_done, self.ends_at = True, now + _LINGER_SECONDS
            self.sock.shutdown(socket.SHUT_WR)
        return True

    def close(self) -> None:
        """Close the socket and the file, and give the place back."""
        self.is_closed = True
        self.sock.close()
        if self._file is not None:
            self._file.close()
        self._left()


def open_downloads(chat: Chat) -> Downloads:
    """Return the thread that sends files, which begins with the first one."""
    downloads = Downloads()
    chat.supervise(downloads.thread)
    chat.on_close(downloads.close)
    return downloads


class _Right:
    """The right of one reader, which `may` returns; it is called every `_ASK_SECONDS`."""

    def __init__(self, may: Callable[[], bool]) -> None:
        self._may = may
        self._asks_at = time.monotonic() + _ASK_SECONDS

    @property
    def is_due(self) -> bool:
        """Return True if `stands` will call `may`."""
        return time.monotonic() >= self._asks_at

    def stands(self) -> bool:
        """Return True if the reader may still read, by the last check if that is recent."""
        if not self.is_due:
            return True
        found = self._may()
        self._asks_at = time.monotonic() + _ASK_SECONDS
        return found


def while_allowed(blocks: Iterable[bytes], may: Callable[[], bool]) -> Iterator[bytes]:
    """Yield `blocks`, for an answer that a thread sends, as long as its reader may have them.

    Raises ConnectionResetError when they may not: the connection has to end before the announced length.
    """
    right = _Right(may)
    for block in blocks:
        if not right.stands():
            raise ConnectionResetError(errno.ECONNRESET, "the reader may have no more of it")
        yield block
