"""Wake-ups between workers, and those of one machine: an empty datagram says "look again".

Each worker listens at a socket of its own in a private directory. A lost ring costs time, never data:
each listener polls by itself every `NET` seconds.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from ...supervision import Supervised

NET = 0.25
"""Seconds between two looks without a ring."""
_LIST_AGAIN = 0.25
"""Seconds for which the list of the others is good; a worker that is newer looks by itself."""


class Bell(Protocol):
    """``bell.ring(rooms)`` in one worker ends ``bell.wait()`` in the others."""

    @property
    def thread(self) -> Supervised | None:
        """The thread that it needs, if any."""

    def ring(self, rooms: Iterable[str]) -> None:
        """Wake the others; never waits."""

    def wait(self) -> set[str] | None:
        """Wait for a ring, `stop` or a while; return the rooms to look at, or None if it may be any."""

    def stop(self) -> None:
        """End the wait of this worker, now and from now on."""

    def close(self) -> None:
        """Release all."""


class SocketBell:
    """The bell of one machine."""

    thread = None

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        self._directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._socket.bind(self._address(self._name))
        # Rings inside this worker, for `close`.
        self._inside, self._ring_inside = socket.socketpair()
        self._others: list[str] = []
        self._listed = 0.0

    def ring(self, rooms: Iterable[str]) -> None:
        now = time.monotonic()
        if now - self._listed > _LIST_AGAIN:
            self._others = [name for name in os.listdir(self._directory) if name != self._name]
            self._listed = now
        for name in self._others:
            try:
                self._socket.sendto(b"", self._address(name))
            except (ConnectionRefusedError, FileNotFoundError):
                # It was killed: no worker will listen there again.
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=self._directory)
                self._listed = 0.0
            except OSError:  # its queue is full: it will look anyway
                pass

    def wait(self, seconds: float = NET) -> None:
        waiter = select.poll()
        waiter.register(self._socket, select.POLLIN)
        waiter.register(self._inside, select.POLLIN)
        waiter.poll(seconds * 1000)
        with contextlib.suppress(OSError):
            while True:
                self._socket.recv(16)

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._ring_inside.send(b"\0")

    def close(self) -> None:
        """Take the socket away."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._name, dir_fd=self._directory)
        for each in (self._socket, self._inside, self._ring_inside):
            each.close()
        os.close(self._directory)

    def _address(self, name: str) -> str:
        # Through the descriptor, since a socket's address holds only 107 bytes and a data directory may
        # lie deeper (unix(7)).
        return f"/proc/self/fd/{self._directory}/{name}"
