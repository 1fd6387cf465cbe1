"""Wake-ups between workers, and those of one machine: an empty datagram says "check the store", any other is a hint.

Each worker listens at a socket of its own in a private directory. A lost wake-up costs time, never data:
each listener polls by itself every `POLL_EVERY` seconds.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import socket
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from ...supervision import Supervised

POLL_EVERY = 0.25
"""Seconds between two checks without a wake-up."""
MOST_HINT = 2000
"""Bytes of one hint; a larger one is not passed on."""
MOST_HINTS = 1000
"""Hints that wait for the watcher of a worker."""
_LIST_AGAIN = 0.25
"""Seconds for which the list of the other workers is good; a newer worker polls by itself."""


class Notifier(Protocol):
    """``notifier.notify(rooms)`` in one worker ends ``notifier.wait()`` in the others."""

    @property
    def thread(self) -> Supervised | None:
        """The thread that it needs, if any."""

    def notify(self, rooms: Iterable[str]) -> None:
        """Wake the other workers: `rooms` have news. Never waits."""

    def pass_on(self, hint: str) -> None:
        """Hand a text of at most `MOST_HINT` bytes to the others, which may be lost; never waits."""

    def wait(self) -> set[str] | None:
        """Wait for a wake-up, a hint, `stop` or a while; return the rooms to check, or None if it may be any."""

    def hints(self) -> list[str]:
        """Take the hints of others that have come."""

    def stop(self) -> None:
        """End the wait of this worker, now and from now on."""

    def close(self) -> None:
        """Release all."""


class SocketNotifier:
    """The notifier between the workers of one machine: datagram sockets."""

    thread = None

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        self._directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._socket.bind(self._address(self._name))
        # Ends a wait from inside this worker, for `stop`.
        self._inside, self._wake_inside = socket.socketpair()
        self._others: list[str] = []
        self._listed = 0.0
        self._hints: deque[str] = deque(maxlen=MOST_HINTS)

    def notify(self, rooms: Iterable[str]) -> None:
        self._send(b"")

    def pass_on(self, hint: str) -> None:
        data = hint.encode()
        if 0 < len(data) <= MOST_HINT:
            self._send(data)

    def hints(self) -> list[str]:
        found = list(self._hints)
        self._hints.clear()
        return found

    def _send(self, data: bytes) -> None:
        now = time.monotonic()
        if now - self._listed > _LIST_AGAIN:
            self._others = [name for name in os.listdir(self._directory) if name != self._name]
            self._listed = now
        for name in self._others:
            try:
                self._socket.sendto(data, self._address(name))
            except (ConnectionRefusedError, FileNotFoundError):
                # It was killed: no worker will listen there again.
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=self._directory)
                self._listed = 0.0
            except OSError:  # its queue is full: it will look anyway
                pass

    def wait(self, seconds: float = POLL_EVERY) -> None:
        waiter = select.poll()
        waiter.register(self._socket, select.POLLIN)
        waiter.register(self._inside, select.POLLIN)
        waiter.poll(seconds * 1000)
        with contextlib.suppress(OSError):
            while True:
                data = self._socket.recv(MOST_HINT)
                if data:
                    self._hints.append(data.decode("utf-8", "replace"))

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_inside.send(b"\0")

    def close(self) -> None:
        """Take the socket away."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._name, dir_fd=self._directory)
        for each in (self._socket, self._inside, self._wake_inside):
            each.close()
        os.close(self._directory)

    def _address(self, name: str) -> str:
        # Through the descriptor, since a socket's address holds only 107 bytes and a data directory may
        # lie deeper (unix(7)).
        return f"/proc/self/fd/{self._directory}/{name}"
