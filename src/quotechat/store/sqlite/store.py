"""The store in one SQLite file. No waiting here but for the lock; the hub waits.

WAL with ``synchronous=FULL``: a commit is on the disk when it returns, and readers never wait for the
writer. Every write transaction, checkpoint and close happens under the `FileLock`. Readers are
``query_only`` connections from a small stack, so that any thread may read and one may close them all.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from ...protocol import events
from ...protocol.errors import Overloaded, Refused, StorageFull
from .. import founding, migrate, reading, rules
from ..base import Impossible, Outcome, Step, Stored, Write
from ..disk import reserve
from ..disk.files import settle
from ..disk.lock import FileLock, Presence
from ..disk.secret import keep_secret, load_secret
from ..ledger import Ledger
from ..maintenance import pruning, rebuild, redaction, removal, retention
from ..reads import Reads
from ..rules import Settings
from ..shapes import BoundedSql, Sql
from .transaction import SqlOn, Transaction, code_of

log = logging.getLogger(__name__)
T = TypeVar("T")

_BUSY_SECONDS = 5.0
"""Seconds to wait for tools that hold SQLite's own lock; our processes use the `FileLock`."""
_UNUSABLE = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PERM,
}  # fmt: skip
"""Result codes that concern the file, not a statement."""
_NO_ROOM = {sqlite3.SQLITE_IOERR_SHMSIZE}
"""The index of SQLite's log could not grow: it lies on the same disk."""
_CHECKPOINT_PAGES = 4000
"""Pages of the write-ahead log between two checkpoints. SQLite's default is 1000; this gives a fifth more appends a
second, for 16 MB of log."""


class SqliteStore(Reads):
    """See `base.Store`. `path` is the database; the lock file and the log of SQLite lie beside it."""

    def __init__(self, path: Path, settings: Settings | None = None) -> None:
        self._path = path
        self._settings = settings or Settings()
        self._presence = Presence(path.parent)
        self._lock = _lock_of(path)
        # Of all threads that change accounts one waits for the lock: a batch of messages waits for one of them.
        self._turn = threading.Lock()
        self._idle: deque[sqlite3.Connection] = deque()
        self._closed = False
        self._warned_at = 0.0
        # Closed at the end or after a fault: Python 3.13 warns if the garbage collector has to close one.
        with contextlib.ExitStack() as opened:
            opened.callback(self._presence.close)
            opened.callback(self._lock.close)
            with self._lock, reserve.used(path.parent):
                settle(path)
                self._writer = self._open_writer()
                opened.callback(self._writer.close)
                self._transaction = Transaction(self._writer, self._refusal)
                self._migrate()
            self._watcher, self._watching = self._open_reader(), threading.Lock()
            opened.pop_all()

    # --- Writing ----------------------------------------------------------------------------------

    def found(self, at: int) -> None:
        """Create the lobby and load the first quotes, unless that was done before."""
        with self._lock, self._transaction as sql:
            founding.found(sql, at)

    def commit(self, writes: Sequence[Write]) -> list[Outcome | Refused]:
        with self._lock:
            with self._transaction as sql:
                ledger = Ledger(sql)
                outcomes = rules.apply_all(ledger, writes, self._settings)
                ledger.flush()
                done = any(_is_deletion(outcome) for outcome in outcomes) and not redaction.is_left(sql)
            if done:
                self._forget_the_log()
        return outcomes

    def prune(self, before: int, now: int) -> bool:
        with self.writing() as sql:
            return pruning.prune(sql, before, now - self._settings.name_hold_ms, now)

    def cut(self, room: str, before: int, limit: int) -> int:
        with self.writing() as sql:
            return retention.cut(sql, room, before, limit)

    def redact(self) -> bool:
        with self._reading() as sql:
            if not (redaction.is_left(sql) or removal.is_left(sql)):
                return False
        with self._lock:
            with self._transaction as sql:
                more = redaction.redact_some(sql) or removal.sweep(sql)
            if not more:
                self._forget_the_log()
        return more

    def remove_room(self, room: str, at: int) -> None:
        with self.writing() as sql:
            removal.remove(sql, room, at)

    def forget(self) -> bool:
        """Overwrite deleted text in SQLite's log too; False if a reader prevents it now."""
        with self._lock:
            return self._forget_the_log()

    @contextlib.contextmanager
    def writing(self) -> Iterator[SqlOn]:
        """Open one durable write transaction, for an operator's work in steps. Raises as `commit`."""
        with self._lock, self._transaction as sql:
            yield sql

    def write_with(self, work: Callable[[Sql], T], *, patience: float | None = None) -> T:
        if patience is None:
            with self._turn, self.writing() as sql:
                return work(sql)
        until = time.monotonic() + patience
        if not self._turn.acquire(timeout=patience):
            raise Overloaded(detail="Others write for long; nothing was stored.")
        try:
            return self._write_soon(work, until - time.monotonic())
        finally:
            self._turn.release()

    def _write_soon(self, work: Callable[[Sql], T], patience: float) -> T:
        if not self._lock.take(max(0.0, patience)):
            raise Overloaded(detail="Another process writes for long; nothing was stored.")
        try:
            with self._transaction as sql:
                return work(sql)
        finally:
            self._lock.free()

    def rebuild(self, progress: Callable[[int, int], None]) -> int:
        """Make the projections anew from the log (`store.maintenance.rebuild`); return the number of events."""
        with self._lock, self._transaction as sql:
            return rebuild.rebuild(sql, progress)

    # --- Reading ----------------------------------------------------------------------------------

    def read_with(self, work: Callable[[BoundedSql], T]) -> T:
        with self._reading() as sql:
            return work(sql)

    def secret(self) -> str:
        # In a file of its own: with a copy of the log alone nobody can sign identities.
        return load_secret(self._path.with_name("secret"))

    def adopt(self, secret: str) -> None:
        """Sign identities with `secret` from now on. Raises InUse if another process uses the directory."""
        path = self._path.with_name("secret")
        if path.exists() and path.read_text() == secret:
            return
        with self._presence.alone():
            keep_secret(path, secret)

    def version(self) -> int:
        # It changes when any other connection has committed, our own writer's too. The watcher and the indexer call
        # this, and a statement that two threads run at once on one connection may give no row to one of them.
        with self._watching:
            found: int = self._watcher.execute("PRAGMA data_version").fetchone()[0]
        return found

    def verify(self) -> Iterator[Step]:
        with self._reading() as sql:
            yield from reading.verify(sql)

    def close(self) -> None:
        """Release all. The last process to close writes SQLite's log into the database."""
        if self._closed:
            return
        self._closed = True
        with self._lock:
            self._close_idle()
            self._watcher.close()
            self._writer.close()
        self._lock.close()
        self._presence.close()

    def _close_idle(self) -> None:
        with contextlib.suppress(IndexError):  # another thread may take the last one
            while True:
                self._idle.pop().close()

    # --- Connections ------------------------------------------------------------------------------

    def _refusal(self, fault: sqlite3.Error) -> Refused | None:
        """Return the answer if the file, not the request, is at fault. Nothing was stored."""
        if code_of(fault) == sqlite3.SQLITE_FULL or getattr(fault, "sqlite_errorcode", 0) in _NO_ROOM:
            return StorageFull()
        if code_of(fault) not in _UNUSABLE:
            return None
        # Logged once a second: there may be hundreds while it lasts.
        if time.monotonic() - self._warned_at >= 1:
            self._warned_at = time.monotonic()
            log.error("%s: %s", self._path, fault)
        return Overloaded(detail="The database cannot be used now; nothing was stored.")

    @contextlib.contextmanager
    def _reading(self) -> Iterator[SqlOn]:
        """Open one read transaction: everything in it sees the same commits. Raises Overloaded."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._one_more_reader()
        try:
            connection.execute("BEGIN")
            yield SqlOn(connection)
        except sqlite3.Error as fault:
            raise self._refusal(fault) or fault from fault
        finally:
            with contextlib.suppress(sqlite3.Error):  # BEGIN itself failed
                connection.execute("COMMIT")
            self._idle.append(connection)
            if self._closed:  # perhaps another thread has closed the others before this one was back
                self._close_idle()

    def _open_writer(self) -> sqlite3.Connection:
        return self._connect(
            "journal_mode = WAL",
            "synchronous = FULL",
            f"wal_autocheckpoint = {_CHECKPOINT_PAGES}",
            # Deleted data are overwritten: a deleted message leaves no text in free pages.
            "secure_delete = ON",
        )

    def _open_reader(self) -> sqlite3.Connection:
        return self._connect("query_only = ON", "wal_autocheckpoint = 0")

    def _one_more_reader(self) -> sqlite3.Connection:
        try:
            return self._open_reader()
        except sqlite3.Error as fault:  # no descriptor is left, for one
            raise self._refusal(fault) or fault from fault

    def _connect(self, *pragmas: str) -> sqlite3.Connection:
        # One thread at a time uses a connection; transactions are begun by hand.
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        try:
            os.chmod(self._path, 0o600)
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self) -> None:
        self._writer.execute(
            "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT"
        )
        for step in migrate.pending("sqlite", _schema(SqlOn(self._writer))):
            with self._transaction as sql:
                for statement in step.statements:
                    sql.run(statement)
                sql.run("INSERT OR REPLACE INTO meta (key, value) VALUES ('schema', ?)", str(step.number))

    def _forget_the_log(self) -> bool:
        """Write the write-ahead log back and truncate it: after a deletion it still holds the text.

        False if a reader prevents it; then the next checkpoint overwrites it.
        """
        self._writer.execute("PRAGMA busy_timeout = 0")
        try:
            return bool(self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)
        except sqlite3.Error:
            return False
        finally:
            self._writer.execute(f"PRAGMA busy_timeout = {int(_BUSY_SECONDS * 1000)}")


@contextlib.contextmanager
def look(path: Path, *, alone: bool = False) -> Iterator[SqlOn]:
    """Open one read transaction on the database at `path`, beside its users; it is neither made nor migrated.

    Raises Impossible if there is none, SchemaTooNew; with `alone`, InUse if another process uses it.
    """
    if not path.is_file():
        raise Impossible(f"there is no database at {path}")
    with contextlib.closing(Presence(path.parent, alone=alone)), contextlib.closing(_lock_of(path)) as lock:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
        try:
            # As PostgreSQL has it; SQLite has from 3.43 on.
            connection.create_function("octet_length", 1, lambda text: len(text.encode()), deterministic=True)
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            sql = SqlOn(connection)
            migrate.pending("sqlite", _schema(sql))
            yield sql
        except sqlite3.DatabaseError as fault:
            raise Impossible(f"{path}: {fault}") from fault
        finally:
            # The last connection to close writes SQLite's log back.
            with lock:
                connection.close()


def _lock_of(path: Path) -> FileLock:
    return FileLock(path.with_suffix(".lock"))


def _schema(sql: SqlOn) -> int:
    row = sql.one("SELECT value FROM meta WHERE key = 'schema'")
    return int(row[0]) if row else 0


def _is_deletion(outcome: Outcome | Refused) -> bool:
    if not isinstance(outcome, Stored) or outcome.duplicate:
        return False
    return outcome.event.command in (events.MESSAGE_DELETED, events.QUOTE_REMOVED)
