"""A private PostgreSQL from Debian's package: real, on loopback, in a directory that goes with it.

For tests, benchmarks and `make cluster`; not for data that anybody wants to keep.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

START_SECONDS = 60.0


def binaries() -> Path | None:
    """Where the newest PostgreSQL of Debian's package has its programs, which are on no PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return found[-1] if found else None


class Server:
    """A cluster of its own. `url` is that of the database ``postgres``, over TCP, with a password.

    `of` is the primary that it is a standby of, if any: it follows that one until `promote`.
    """

    def __init__(self, directory: Path, of: Server | None = None, **options: str) -> None:
        bin_ = binaries()
        assert bin_ is not None
        self._bin = bin_
        self.directory = directory
        self.port = free_port()
        self.password = of.password if of else secrets.token_hex(8)
        self.options = {"max_connections": "200"} | options
        self.process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            shutil.chown(self.directory, *somebody())
        if of is None:
            self._make()
        else:
            self._copy(of)

    @property
    def url(self) -> str:
        return self.database("postgres")

    def database(self, name: str) -> str:
        """The URL of the database `name`."""
        return f"postgresql://quotechat:{self.password}@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Start, and return when it answers."""
        options = {
            "port": str(self.port), "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.directory), "log_min_messages": "fatal",
        } | self.options  # fmt: skip
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                [*as_somebody(), str(self._bin / "postgres"), "-D", str(self.directory / "data"), *flags],
                stdout=log, stderr=log, cwd=self.directory, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(Exception):
                self.sql("SELECT 1")
                return
            assert self.process.poll() is None and time.monotonic() < deadline, (self.directory / "log").read_text()
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop and wait; SIGINT is a fast shutdown, SIGKILL a power failure without loss of what was flushed."""
        if self.process is None:
            return
        if how == signal.SIGKILL:
            self._kill_children(self.process)
        self.process.send_signal(how)
        self.process.wait(60)
        self.process = None

    def _kill_children(self, process: subprocess.Popen[bytes]) -> None:
        """Kill what would live on for a moment, and hold the port and shared memory: the next would not start."""
        process.send_signal(signal.SIGSTOP)  # it begins no more of them
        _wait_for(lambda: _state(process.pid) in ("T", "Z", ""))
        children = _children(process.pid)
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _wait_for(lambda: all(_state(pid) in ("Z", "") for pid in children))

    def sql(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run `statement` by itself; its rows."""
        import psycopg

        with psycopg.connect(self.database(database), autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement)  # type: ignore[arg-type]  # ours
            return cursor.fetchall() if cursor.description else []

    def fresh(self, name: str) -> str:
        """The URL of a new, empty database `name`."""
        self.sql(f'CREATE DATABASE "{name}" TEMPLATE template0')
        return self.database(name)

    def drop(self, name: str) -> None:
        """Away with it, whoever is connected."""
        self.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def promote(self) -> None:
        """Be a primary, and return when it takes writes."""
        self.sql("SELECT pg_promote(true, 60)")

    def _copy(self, primary: Server) -> None:
        subprocess.run(
            [*as_somebody(), str(self._bin / "pg_basebackup"), "-d", primary.url, "-D", str(self.directory / "data"),
             "-R", "-X", "stream", "-c", "fast", "--no-sync"],
            check=True, capture_output=True, cwd=self.directory,
        )  # fmt: skip

    def _make(self) -> None:
        password = self.directory / "password"
        password.write_text(self.password)
        if os.geteuid() == 0:
            shutil.chown(password, *somebody())
        subprocess.run(
            [*as_somebody(), str(self._bin / "initdb"), "-D", str(self.directory / "data"), "-U", "quotechat",
             "--auth=scram-sha-256", f"--pwfile={password}", "-E", "UTF8", "--no-locale", "--no-sync"],
            check=True, capture_output=True, cwd=self.directory,
        )  # fmt: skip


@contextlib.contextmanager
def postgres(of: Server | None = None, **options: str) -> Iterator[Server]:
    """A running server, gone at the end."""
    # Not below pytest's directories: those are closed to the user that PostgreSQL runs as.
    directory = Path(tempfile.mkdtemp(prefix="quotechat-pg-"))
    try:
        server = Server(directory, of, **options)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def somebody() -> tuple[int, int]:
    """User and group for PostgreSQL, which does not run as root."""
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            return found.pw_uid, found.pw_gid
    raise RuntimeError("neither postgres nor nobody is a user here")


def as_somebody() -> list[str]:
    """What to put before a command that must not run as root."""
    if os.geteuid() != 0:
        return []
    uid, gid = somebody()
    return ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _state(pid: int) -> str:
    """The state of a process (proc(5)), empty if there is none."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "a process of PostgreSQL does not end"
        time.sleep(0.005)


def free_port() -> int:
    """One that is free, and stays so until somebody binds it by its number.

    It is not among those that the system gives out by itself, and no other caller gets it while this process lives: an
    abstract Unix socket of its number says that it is taken.
    """
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        taken = socket.socket(socket.AF_UNIX)
        try:
            taken.bind(f"\0quotechat-port-{port}")
            with socket.create_server(("127.0.0.1", port)):
                atexit.register(taken.close)
                return port
        except OSError:
            taken.close()
