"""Check the environment before the server begins, and tell systemd that it serves. Faults are one line each."""

from __future__ import annotations

import errno
import os
import pwd
import socket
import time
from pathlib import Path
from typing import Any

from ..config import Settings, SettingsError, variable
from ..store.disk.lock import InUse, Presence

_TAKEN_OVER = ("GUNICORN_FD", "LISTEN_PID")
"""Set if the sockets come from an older master or from systemd."""


def check_directory(data: Path) -> None:
    """Make the data directory, if it is missing. Raises SettingsError, which names its owner and our user."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise SettingsError(f"{variable('data')} must be a directory, and {data} is none") from None
    except NotADirectoryError:
        raise SettingsError(f"{variable('data')}: a parent of {data} is no directory") from None
    except OSError as fault:
        there = next(parent for parent in data.parents if _can_be_looked_at(parent))
        raise SettingsError(f"{variable('data')}: {data} cannot be made: {_of(there)}: {fault.strerror}") from None
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        raise SettingsError(f"{variable('data')}: the server cannot write there: {_of(data)}")


def _can_be_looked_at(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # it is below a directory that is closed to us
        return False


def notice_of_others(settings: Settings) -> str | None:
    """Return a line to say if another process uses the data directory, or None."""
    if settings.database or any(name in os.environ for name in _TAKEN_OVER):
        return None
    try:
        Presence(settings.data, alone=True).close()
    except InUse:
        return f"quotechat: another server or command uses {settings.data} too; servers there share all rooms"
    return None


_RETRY_SECONDS = 5.0
"""Seconds for which an address in use is tried again, as gunicorn does."""


def unbindable(cfg: Any) -> str | None:
    """Return the reason if an address of `cfg` cannot be bound; None if all can be, or if the sockets exist already."""
    if cfg.reuse_port or any(name in os.environ for name in _TAKEN_OVER):
        return None
    for address in cfg.address:
        if isinstance(address, tuple):
            fault = _bind(*address[:2])
            if fault is not None:
                return f"cannot listen on {address[0]} port {address[1]}: {fault}"
    return None


def tell_systemd(address: str | None) -> None:
    """Tell systemd, which listens at `address`, that the server is ready (sd_notify(3))."""
    if address is None:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.connect("\0" + address[1:] if address.startswith("@") else address)
            sock.sendall(b"READY=1\nSTATUS=serving")
        except OSError:  # it is not there any more, and no supervisor waits for us
            pass


def _bind(host: str, port: int) -> str | None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as fault:
        return str(fault.strerror)
    with socket.socket(found[0], socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        deadline = time.monotonic() + _RETRY_SECONDS
        # The workers of a master that was killed hold the address until they notice.
        while (refused := _refused(sock, found[4])) is not None:
            if refused.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        if refused is not None:
            if refused.errno == errno.EADDRINUSE:
                return f"another program does; choose another port ({variable('port')}, or --port)"
            return str(refused.strerror)
    return None


def _refused(sock: socket.socket, address: Any) -> OSError | None:
    try:
        sock.bind(address)
    except OSError as fault:
        return fault
    return None


def _of(path: Path) -> str:
    return f"{path} belongs to {_name(path.stat().st_uid)}, and the server runs as {_name(os.geteuid())}"


def _name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
