"""An index in a SQLite file of its own beside the database, with FTS5 (`fts`).

The process that holds the lock file writes; it keeps the lock as long as it lives. Readers are `query_only`
connections. A file that was deleted or damaged is made anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from ..base import Transactions
from ..disk.files import give_to_owner
from ..shapes import Sql
from . import fts
from .index import Reader, Writer

log = logging.getLogger(__name__)
T = TypeVar("T")

_SUFFIXES = ("", "-wal", "-shm", "-journal")


class SqliteIndex:
    """See `index.Index`. `path` is the index's file, `store` the log."""

    def __init__(self, path: Path, store: Transactions) -> None:
        self._path = path
        self._store = store
        self._lock_file: int | None = None
        self._writer: sqlite3.Connection | None = None
        self._idle: deque[tuple[int, sqlite3.Connection]] = deque()
        self._writing = threading.Lock()
        self._closed = False

    # --- Writing ----------------------------------------------------------------------------------

    def step(self, work: Callable[[Sql, Writer], T]) -> T | None:
        with self._writing:
            if self._closed or not self._exclusive():
                return None
            try:
                connection = self._opened()
                connection.execute("BEGIN IMMEDIATE")
                try:
                    writer = fts.FtsWriter(connection)
                    done = self._store.read_with(lambda log: work(log, writer))
                    connection.execute("COMMIT")
                    return done
                except BaseException:
                    with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back itself
                        connection.execute("ROLLBACK")
                    raise
            except sqlite3.DatabaseError as fault:
                if isinstance(fault, sqlite3.OperationalError) and not _damaged(fault):
                    raise
                self._make_anew(fault)
                return None

    def tidy(self) -> bool:
        with self._writing:
            if self._closed or self._writer is None:
                return True
            try:
                fts.merge(self._writer)
                return bool(self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as fault:
                self._make_anew(fault)
                return True

    def clear(self) -> None:
        with self._writing:
            if self._exclusive():
                self._discard()
            else:
                self._request().touch()

    def clearing(self) -> bool:
        return self._request().exists()

    def size(self) -> int:
        return sum(file.stat().st_size for suffix in _SUFFIXES if (file := self._beside(suffix)).exists())

    def close(self) -> None:
        with self._writing:
            self._closed = True
            self._shut()
            if self._lock_file is not None:
                os.close(self._lock_file)
                self._lock_file = None

    def _exclusive(self) -> bool:
        """Return True if this process is the one that indexes, from now on."""
        if self._lock_file is not None:
            return True
        number = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            give_to_owner(number, self._path.parent)
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            os.close(number)
            if isinstance(fault, BlockingIOError):
                return False
            raise
        self._lock_file = number
        return True

    def _opened(self) -> sqlite3.Connection:
        """Return the connection that writes, on the file that has the name now."""
        if self._request().exists() or (self._writer is not None and not self._path.exists()):
            self._discard()
        if self._writer is None:
            connection = self._connect("journal_mode = WAL", "synchronous = NORMAL", "secure_delete = ON")
            try:
                os.chmod(self._path, 0o600)
                if connection.execute("PRAGMA user_version").fetchone()[0] != fts.SCHEMA:
                    fts.make(connection)
            except BaseException:
                connection.close()
                raise
            self._writer = connection
        return self._writer

    def _make_anew(self, fault: sqlite3.Error) -> None:
        log.warning("the search index cannot be used and is made anew: %s", fault)
        self._discard()

    def _discard(self) -> None:
        """Remove the file; the next step makes a new one."""
        self._shut()
        for suffix in ("-wal", "-shm", "-journal", ""):
            self._beside(suffix).unlink(missing_ok=True)
        self._request().unlink(missing_ok=True)

    def _shut(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._shut_readers()

    def _request(self) -> Path:
        """Return the file by which another process asks for a new index."""
        return self._path.with_suffix(".rebuild")

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)

    # --- Reading ----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def reading(self) -> Iterator[Reader | None]:
        opened = self._reader()
        if opened is None:
            yield None
            return
        file, connection = opened
        try:
            connection.execute("BEGIN")
            yield fts.FtsReader(connection)
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        self._idle.append((file, connection))
        if self._closed:
            self._shut_readers()

    def _reader(self) -> tuple[int, sqlite3.Connection] | None:
        """Return a connection to the file that has the name now, and its inode; None if there is no index."""
        with contextlib.suppress(OSError, sqlite3.Error):
            file = os.stat(self._path).st_ino
            with contextlib.suppress(IndexError):  # another thread may take the last one
                while True:
                    opened, connection = self._idle.pop()
                    if opened == file:
                        return opened, connection
                    connection.close()
            with contextlib.ExitStack() as opening:
                connection = self._connect("query_only = ON", mode="rw")
                opening.callback(connection.close)
                if connection.execute("PRAGMA user_version").fetchone()[0] == fts.SCHEMA:
                    opening.pop_all()
                    return file, connection
        return None

    def _shut_readers(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop()[1].close()

    def _connect(self, *pragmas: str, mode: str = "rwc") -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode={mode}", uri=True, timeout=5.0, isolation_level=None,
            check_same_thread=False,
        )  # fmt: skip
        try:
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()
            raise
        return connection


def _damaged(fault: sqlite3.OperationalError) -> bool:
    """Return True if the file, not the disk or the moment, is at fault."""
    code = int(getattr(fault, "sqlite_errorcode", 0) or 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA)
