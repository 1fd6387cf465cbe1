"""Keep token buckets in this process, or in a file that all workers of a machine map into their memory.

A table forgets: when it is full, the bucket that was used longest ago makes room. A client that is forgotten begins
with a full bucket.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import mmap
import os
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

_MOST = 100_000


class Bucket(NamedTuple):
    """So many `tokens` at the time `at`, in seconds of the system's monotonic clock."""

    tokens: float
    at: float


class Buckets(Protocol):
    """A table of buckets by name. `locked` is held around calls that belong together."""

    def locked(self) -> contextlib.AbstractContextManager[object]: ...
    def get(self, name: str) -> Bucket | None: ...
    def put(self, name: str, bucket: Bucket) -> None: ...
    def close(self) -> None: ...


class OwnBuckets:
    """The buckets of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[str, Bucket] = OrderedDict()

    def locked(self) -> threading.Lock:
        """Keep other threads out."""
        return self._lock

    def get(self, name: str) -> Bucket | None:
        """Return the bucket `name`, or None."""
        return self._found.get(name)

    def put(self, name: str, bucket: Bucket) -> None:
        """Keep `bucket` under `name`."""
        self._found[name] = bucket
        self._found.move_to_end(name)
        if len(self._found) > _MOST:
            self._found.popitem(last=False)

    def close(self) -> None:
        """Do nothing: there is no file to release."""


class SharedBuckets:
    """The buckets of all processes that open the file at `path`; after the fork.

    The file is a table of slots: eight bytes that stand for the name, tokens, time. A name may be in any
    slot of its row. It holds nothing that must survive: a damaged slot counts as a full bucket.
    """

    _ROWS = 8192
    _WAYS = 8
    _SLOT = struct.Struct("<8sdd")
    _ROW = struct.Struct("<" + "8sdd" * _WAYS)
    _SIZE = _ROWS * _ROW.size
    _PATIENCE = 0.005
    """Seconds to wait for another process; one that was stopped while it held the lock must not stop all."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(self._file).st_size < self._SIZE:
                # Blocks on the disk, not a hole: with a full disk a write to mapped memory would end the process.
                os.posix_fallocate(self._file, 0, self._SIZE)
            self._map = mmap.mmap(self._file, self._SIZE)
        except OSError:
            os.close(self._file)
            raise
        self._lock = threading.Lock()
        self._closed = False

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other threads and processes out."""
        with self._lock:
            held = not self._closed and self._take()
            try:
                yield
            finally:
                if held:
                    fcntl.flock(self._file, fcntl.LOCK_UN)

    def _take(self) -> bool:
        until = 0.0
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                now = time.monotonic()
                until = until or now + self._PATIENCE
                if now >= until:
                    return False
                time.sleep(0.0001)

    def get(self, name: str) -> Bucket | None:
        """Return the bucket `name`, or None."""
        if self._closed:
            return None
        key, row = self._place(name)
        slots = self._ROW.unpack_from(self._map, row)
        try:
            place = slots.index(key)
        except ValueError:
            return None
        bucket = Bucket(slots[place + 1], slots[place + 2])
        # Not finite, or of another boot: as if it were not there.
        return bucket if abs(bucket.tokens) < 1e12 and 0 <= bucket.at <= time.monotonic() + 1 else None

    def put(self, name: str, bucket: Bucket) -> None:
        """Keep `bucket` under `name`, in place of the one that was used longest ago if there is no room."""
        if self._closed:
            return
        key, row = self._place(name)
        slots = self._ROW.unpack_from(self._map, row)
        keys, times = slots[::3], slots[2::3]
        # A free slot has the time 0.
        chosen = keys.index(key) if key in keys else times.index(min(times))
        self._SLOT.pack_into(self._map, row + chosen * self._SLOT.size, key, *bucket)

    def _place(self, name: str) -> tuple[bytes, int]:
        """Return the hash that stands for `name`, and the offset of its row."""
        key = hashlib.blake2b(name.encode(), digest_size=8).digest()
        row = int.from_bytes(key[:4], "little") % self._ROWS
        return key, row * self._ROW.size

    def close(self) -> None:
        """Release the file; later calls find no bucket."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._map.close()
            os.close(self._file)
