"""The body of an upload, read on a thread of the pool, as fast as its sender must be."""

from __future__ import annotations

import socket
import time

_READ_BYTES = 65_536
#: Bytes a second of an upload, at least; and seconds without any.
_LEAST_RATE, _SILENT_SECONDS = 8192, 10.0


class Paced:
    """Reads the body of an upload from `sock`, on a thread; raises TimeoutError if that comes too slowly.

    There is no more time without any byte than `_SILENT_SECONDS`, and after `patience` seconds the mean counts.
    """

    def __init__(self, sock: socket.socket, patience: float) -> None:
        self._sock = sock
        self._patience = patience
        self._began = time.monotonic()
        self._bytes = 0

    def __call__(self, size_hint: int | None = None) -> bytes:
        self._sock.settimeout(_SILENT_SECONDS)
        data = self._sock.recv(_READ_BYTES)
        self._bytes += len(data)
        seconds = time.monotonic() - self._began
        if seconds > self._patience and self._bytes < _LEAST_RATE * (seconds - self._patience):
            raise TimeoutError("the body comes too slowly")
        return data
