"""At a reload, tell the old workers which processes replace them, and when those serve."""

from __future__ import annotations

import mmap
import struct

#: Seconds that a stopping worker gives to requests which are on their way; as gunicorn gives idle connections.
STOP_SECONDS = 2.0
#: Seconds between "no new connections" and the drain in a handover: requests on connections that are
#: already open still get their answer here, with "Connection: close", and come back to the new worker.
LINGER_SECONDS = 0.4


class Handover:
    """Which workers a SIGHUP starts, and how many of them are ready: memory shared by all processes.

    Every byte has one writer, so there is no lock that a killed process could keep.
    """

    _HEAD = struct.Struct("=QQQ")  # first age of the new workers, their number, whether the server stops
    _SLOTS = 4096 - _HEAD.size

    def __init__(self) -> None:
        self._shared: mmap.mmap | None = None

    def open(self) -> None:
        """In the master, before the first fork: make the shared memory."""
        if self._shared is None:
            self._shared = mmap.mmap(-1, 4096)

    def begin(self, first_age: int, workers: int) -> None:
        """In the master: workers of age `first_age` and above take over."""
        if self._shared is None:
            return
        self._shared[self._HEAD.size :] = bytes(self._SLOTS)
        self._HEAD.pack_into(self._shared, 0, first_age, workers, 0)

    def stop(self) -> None:
        """In the master: no worker takes over any more."""
        if self._shared is not None:
            first, workers, _ = self._HEAD.unpack_from(self._shared, 0)
            self._HEAD.pack_into(self._shared, 0, first, workers, 1)

    @property
    def stopping(self) -> bool:
        """In a worker: return True if the server stops."""
        return self._shared is not None and bool(self._HEAD.unpack_from(self._shared, 0)[2])

    def ready(self, age: int) -> None:
        """In a worker of `age`: note that it serves."""
        if self._shared is not None:
            self._shared[self._slot(age)] = 1

    @property
    def serving(self) -> bool:
        """In the master: return True if a worker is ready."""
        return self._shared is not None and 1 in self._shared[self._HEAD.size :]

    def pending(self, age: int) -> bool:
        """In a worker of `age`: return True if successors were started and are not all ready."""
        if self._shared is None:
            return False
        first, workers, stopping = self._HEAD.unpack_from(self._shared, 0)
        if age >= first or stopping:
            return False
        return bool(self._shared[self._HEAD.size :].count(1) < workers)

    def missed(self, age: int) -> bool:
        """In the master, after the end of the worker of `age`: return True if it was a successor and never served."""
        if self._shared is None:
            return False
        first = self._HEAD.unpack_from(self._shared, 0)[0]
        return self.pending(first - 1) and bool(age >= first and not self._shared[self._slot(age)])

    def succeeded(self, age: int) -> bool:
        """In a worker of `age`: return True if it has successors, so that its end is a restart and not a stop."""
        return self._shared is not None and age < self._HEAD.unpack_from(self._shared, 0)[0]

    def _slot(self, age: int) -> int:
        return int(self._HEAD.size + age % self._SLOTS)
