"""Drain one worker: notice the end, wait for requests, and close things in order."""

from __future__ import annotations

import logging
import math
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from ..supervision import Supervised
from .handing_over import find
from .handover import LINGER_SECONDS, STOP_SECONDS, Handover

log = logging.getLogger(__name__)

#: Seconds that gunicorn's arbiter waits for a worker to end before it kills it.
GRACEFUL_SECONDS = 10
#: Seconds between two checks if gunicorn wants this worker to end without a signal (max_requests).
_LOOK_EVERY = 0.25


class Drainable(Protocol):
    """The methods of the hub's ``Chat`` that this package needs."""

    @property
    def lost(self) -> bool: ...
    def supervise(self, thread: Supervised) -> None: ...
    def drain(self, grace: float = 0.0) -> None: ...
    def close(self) -> None: ...


class Requests:
    """Count the requests that this worker is answering."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def begin(self) -> None:
        with self._changed:
            self._count += 1

    def end(self) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def wait_for_none(self, seconds: float) -> bool:
        """Wait until no request is left, at most `seconds`; return True if none is left."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count <= 0, seconds)


class Draining:
    """Watches for the end of one worker and drains its hub, on a thread of its own.

    Signal handlers only write to a pipe: they run between two bytecodes of the main thread, which may
    hold any lock.
    """

    _SIGNALS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT)

    def __init__(self, worker: Any, chat: Drainable, handover: Handover) -> None:
        self._worker = worker
        self._chat = chat
        self._handover = handover
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)
        self._saved: dict[int, Any] = {}
        self._by_itself = False
        self._done = threading.Event()
        self.thread = Supervised("drain", self._watch)

    def start(self) -> None:
        """Take over the worker's signals; in its main thread."""
        for number in self._SIGNALS:
            self._saved[number] = signal.getsignal(number)
            signal.signal(number, self._on_signal)
        # signal.signal() undoes gunicorn's own choice: SIGTERM does not interrupt system calls.
        signal.siginterrupt(signal.SIGTERM, False)
        self.thread.start()

    def done(self) -> bool:
        """Return True if all clients have been told, so that no connection is handed back any more."""
        return self._done.is_set()

    def finish(self, seconds: float) -> None:
        """Wait at most `seconds` for the drain, then close the hub; in the main thread."""
        for number in self._SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not cut the closing short
        self._write(0)
        if not self._done.wait(seconds):
            log.warning("the drain took more than %g s", seconds)
        self._chat.close()

    def _on_signal(self, number: int, frame: Any) -> None:
        self._write(number)
        waits = number == signal.SIGTERM and not self._by_itself and self._handover.pending(self._worker.age)
        if not waits and callable(self._saved[number]):
            self._saved[number](number, frame)

    def _write(self, number: int) -> None:
        try:
            os.write(self._write_end, bytes([number]))
        except OSError:  # the pipe is full of signals that the thread has yet to read
            pass

    def _watch(self) -> None:
        while not self._signal_came(_LOOK_EVERY) and self._wanted():
            pass
        if self._orphaned():
            # gunicorn would serve on for as long as clients ask, and the address would be taken when a new
            # master is started.
            self._worker.stop_listening()
            self._end_worker()
        elif self._chat.lost:
            self._end_worker()
        try:
            if self._handover.succeeded(self._worker.age):
                self._hand_over()
                # Connections that it still has are kept for so long, and a reload refuses no client.
                self._chat.drain(STOP_SECONDS)
            else:
                self._chat.drain()
        except Exception:
            log.exception("the drain failed")
        finally:
            self._done.set()

    def _wanted(self) -> bool:
        # alive turns false without a signal at max_requests.
        return bool(self._worker.alive) and not self._orphaned() and not self._chat.lost

    def _orphaned(self) -> bool:
        """Return True if the master was killed."""
        return bool(os.getppid() != self._worker.ppid)

    def _end_worker(self) -> None:
        # By a signal, so that gunicorn's own handler runs in the main thread, as it expects: that thread must wake
        # for it, and would not if another thread got the signal.
        self._by_itself = True
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    def _signal_came(self, seconds: float) -> bool:
        waiter = select.poll()
        waiter.register(self._read_end, select.POLLIN)
        if not waiter.poll(seconds * 1000):
            return False
        os.read(self._read_end, 1)
        return True

    def _hand_over(self) -> None:
        """Serve until the successors do, then stop accepting, and let open connections have their answers."""
        # Without a deadline: a full disk may keep the successors from starting.
        _while(lambda: self._wanted() and self._handover.pending(self._worker.age), math.inf)
        if self._worker.alive:
            self._end_worker()
        _while(lambda: not (self._handover.stopping or self._orphaned()), LINGER_SECONDS)


def _while(condition: Callable[[], bool], seconds: float) -> None:
    """Wait while `condition()` holds, at most `seconds`."""
    deadline = time.monotonic() + seconds
    while condition() and time.monotonic() < deadline:
        time.sleep(0.02)


def find_chat(application: Any) -> Drainable | None:
    """Return the hub inside a WSGI application, also with middleware wrapped around it; else None."""
    chat: Drainable | None = find(application, "quotechat")
    return chat
