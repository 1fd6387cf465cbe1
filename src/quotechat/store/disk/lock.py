"""Lock a data directory: one writer at a time over all processes that share it, and a count of its users.

SQLite's own lock is polled with growing pauses, so that a process may wait for seconds while others
overtake it: with 8 processes the 99th percentile of an append was 3.6 s so, and 8 ms with this
(docs/explanation/storage.md). It also keeps a checkpoint and another process's commit apart, which is
when SQLite 3.7.0 to 3.51.2 may lose a commit.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType

from .files import give_to_owner


class FileLock:
    """``with lock:`` – exclusive among threads and processes. The system frees it when a process dies."""

    def __init__(self, path: Path) -> None:
        self._threads = threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        give_to_owner(self._file, path.parent)

    def __enter__(self) -> None:
        self._threads.acquire()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except BaseException:
            self._threads.release()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._threads.release()

    def take(self, seconds: float) -> bool:
        """Take the lock, and return True; False if that takes longer than `seconds`. `free` gives it back."""
        until = time.monotonic() + seconds
        if not self._threads.acquire(timeout=seconds):
            return False
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            pass
        except OSError:
            self._threads.release()
            raise
        # flock(2) has no time limit, and one that polls is overtaken by those that wait: so another thread waits.
        turn: Future[None] = Future()
        threading.Thread(target=self._wait, args=(turn,), name="lock", daemon=True).start()
        try:
            turn.result(max(0.0, until - time.monotonic()))
        except TimeoutError:
            if turn.cancel():
                return False
            turn.result()  # it has come this moment
        return True

    def _wait(self, turn: Future[None]) -> None:
        """Take the lock for `turn`, and give it back at once if that was cancelled meanwhile."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except OSError as fault:
            self._threads.release()
            if turn.set_running_or_notify_cancel():
                turn.set_exception(fault)
            return
        if turn.set_running_or_notify_cancel():
            turn.set_result(None)
        else:
            self.free()

    def free(self) -> None:
        """Give back what `take` has taken."""
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._threads.release()

    def close(self) -> None:
        """Give the file back; the lock is not used any more."""
        os.close(self._file)


class InUse(OSError):
    """The data directory is used by another process, in a way that excludes ours."""


class Presence:
    """That a process uses a data directory: many may at once, or one has it `alone`. Raises InUse.

    The lock is on the directory itself, so it needs no file and holds for one that is still empty. The system frees
    it when a process dies.
    """

    def __init__(self, directory: Path, *, alone: bool = False) -> None:
        self._path = directory
        self._directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._lock(alone=alone)
        except InUse:
            os.close(self._directory)
            raise

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the directory exclusively for a while; processes that come meanwhile are refused. Raises InUse."""
        try:
            self._lock(alone=True)
            yield
        finally:
            # Also if it was refused: flock(2) gives up the old lock before it asks for the new one.
            self._lock(alone=False)

    def _lock(self, *, alone: bool) -> None:
        try:
            fcntl.flock(self._directory, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            who = "a server or another command uses" if alone else "a command that must be alone uses"
            raise InUse(f"{who} {self._path}") from None

    def close(self) -> None:
        """Leave."""
        os.close(self._directory)
