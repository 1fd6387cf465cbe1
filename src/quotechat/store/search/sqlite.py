"""An index in a SQLite file of its own beside the database, with FTS5.

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
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from ...protocol.search.question import Term
from ..base import Transactions
from ..disk.files import give_to_owner
from ..shapes import Sql
from .index import QUOTES, Doc, Hit, Match, Place, Reader, Writer, free_number, quote_number

log = logging.getLogger(__name__)
T = TypeVar("T")

_SCHEMA = 1
"""To be raised when terms or tables change: an index of another number is made anew."""
_TABLES = (
    "CREATE TABLE place (room_id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, tag TEXT NOT NULL, floor INTEGER NOT NULL)"
    " STRICT",
    "CREATE TABLE doc (n INTEGER PRIMARY KEY, room_id INTEGER NOT NULL, id INTEGER NOT NULL, at INTEGER NOT NULL,"
    " terms TEXT NOT NULL) STRICT",
    "CREATE UNIQUE INDEX doc_message ON doc (room_id, id)",
    "CREATE VIRTUAL TABLE found USING fts5(terms, content='doc', content_rowid='n', tokenize='ascii', detail=none,"
    " columnsize=0)",
)
_DROPPED = 1
"""In the file's application_id: words were dropped and may still be in it."""
_HAS_SECURE_DELETE = sqlite3.sqlite_version_info >= (3, 42)
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
                    writer = _Writing(connection)
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
                if self._writer.execute("PRAGMA application_id").fetchone()[0] == _DROPPED:
                    self._merge(self._writer)
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
        except BlockingIOError:
            os.close(number)
            return False
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
                if connection.execute("PRAGMA user_version").fetchone()[0] != _SCHEMA:
                    _make(connection)
            except BaseException:
                connection.close()
                raise
            self._writer = connection
        return self._writer

    def _merge(self, connection: sqlite3.Connection) -> None:
        """Merge all segments: before 3.42 FTS5 keeps dropped terms until then."""
        connection.execute("BEGIN IMMEDIATE")
        try:
            if not _HAS_SECURE_DELETE:
                connection.execute("INSERT INTO found (found) VALUES ('optimize')")
            connection.execute("PRAGMA application_id = 0")
        finally:
            connection.execute("COMMIT")

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
        while self._idle:
            self._idle.pop()[1].close()

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
            yield _Looking(connection)
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
            while self._idle:
                opened, connection = self._idle.pop()
                if opened == file:
                    return opened, connection
                connection.close()
            connection = self._connect("query_only = ON", mode="rw")
            if connection.execute("PRAGMA user_version").fetchone()[0] == _SCHEMA:
                return file, connection
            connection.close()
        return None

    def _shut_readers(self) -> None:
        while self._idle:
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


def _make(connection: sqlite3.Connection) -> None:
    if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        raise sqlite3.DatabaseError("it is of another version")
    connection.execute("BEGIN IMMEDIATE")
    for statement in _TABLES:
        connection.execute(statement)
    if _HAS_SECURE_DELETE:
        connection.execute("INSERT INTO found (found, rank) VALUES ('secure-delete', 1)")
    connection.execute(f"PRAGMA user_version = {_SCHEMA}")
    connection.execute("COMMIT")


def _damaged(fault: sqlite3.OperationalError) -> bool:
    """Return True if the file, not the disk or the moment, is at fault."""
    code = int(getattr(fault, "sqlite_errorcode", 0) or 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA)


class _Looking:
    """See `index.Reader`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute

    def places(self) -> dict[int, Place]:
        return {row[0]: Place(*row[1:]) for row in self._execute("SELECT room_id, seq, tag, floor FROM place")}

    def number(self, room_id: int, message_id: int) -> int | None:
        row = self._execute("SELECT n FROM doc WHERE room_id = ? AND id = ?", (room_id, message_id)).fetchone()
        return None if row is None else row[0]

    def hits(self, match: Match) -> Iterator[Hit]:
        values: list[Any] = [match.start, match.end]
        rooms = ""
        if match.rooms is not None:
            rooms = " AND d.room_id IN (SELECT value FROM json_each(?))"
            values.append(f"[{','.join(map(str, sorted(match.rooms)))}]")
        if match.groups:
            rows = self._execute(
                "SELECT d.at, d.room_id, d.id FROM found JOIN doc d ON d.n = found.rowid WHERE found MATCH ?"
                f" AND found.rowid >= ? AND found.rowid < ?{rooms} ORDER BY found.rowid DESC",
                (_written(match), *values),
            )
        else:
            rows = self._execute(
                f"SELECT d.at, d.room_id, d.id FROM doc d WHERE d.n >= ? AND d.n < ?{rooms} ORDER BY d.n DESC", values
            )
        with contextlib.closing(rows):
            yield from (Hit(*row) for row in rows)


class _Writing(_Looking):
    """See `index.Writer`."""

    def put(self, docs: Iterable[Doc]) -> None:
        for doc in docs:
            terms = " ".join(doc.terms)
            row = self._execute("SELECT n, terms FROM doc WHERE room_id = ? AND id = ?", doc[:2]).fetchone()
            if row is None:
                number = quote_number(doc.id) if doc.room_id == QUOTES else free_number(doc.at, self._highest_below)
                self._execute("INSERT INTO doc VALUES (?, ?, ?, ?, ?)", (number, *doc[:3], terms))
            elif row[1] == terms:
                continue
            else:
                number = row[0]
                self._forget(number, row[1])
                self._execute("UPDATE doc SET terms = ? WHERE n = ?", (terms, number))
            self._execute("INSERT INTO found (rowid, terms) VALUES (?, ?)", (number, terms))

    def drop(self, room_id: int, ids: Iterable[int]) -> None:
        for number in ids:
            self._drop("room_id = ? AND id = ?", room_id, number)

    def drop_up_to(self, room_id: int, last: int, most: int) -> bool:
        return self._drop("room_id = ? AND id <= ? ORDER BY id LIMIT ?", room_id, last, most) == most

    def settle(self, room_id: int, place: Place | None) -> None:
        if place is None:
            self._execute("DELETE FROM place WHERE room_id = ?", (room_id,))
        else:
            self._execute("INSERT OR REPLACE INTO place VALUES (?, ?, ?, ?)", (room_id, *place))

    def _drop(self, condition: str, *values: Any) -> int:
        rows = self._execute(f"SELECT n, terms FROM doc WHERE {condition}", values).fetchall()
        for number, terms in rows:
            self._forget(number, terms)
            self._execute("DELETE FROM doc WHERE n = ?", (number,))
        return len(rows)

    def _forget(self, number: int, terms: str) -> None:
        self._execute("INSERT INTO found (found, rowid, terms) VALUES ('delete', ?, ?)", (number, terms))
        self._execute(f"PRAGMA application_id = {_DROPPED}")

    def _highest_below(self, number: int) -> int | None:
        found: int | None = self._execute("SELECT max(n) FROM doc WHERE n < ?", (number,)).fetchone()[0]
        return found


def _written(match: Match) -> str:
    """Return the question in FTS5's language; a term has only ``a-z0-9``, and stands in quotes all the same."""
    return " AND ".join(f"({' OR '.join(map(_quoted, group))})" for group in match.groups)


def _quoted(term: Term) -> str:
    return f'"{term[0]}"' + (" *" if term[1] else "")
