"""One transaction on a connection to SQLite: its statements, its begin and its end."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, NoReturn

from ...protocol.errors import Refused
from ..base import CommitFailed, FlushFailed
from ..shapes import ROW_BYTES, Row


class SqlOn:
    """`shapes.Sql` on a connection whose transaction is open."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._execute = connection.execute

    def one(self, statement: str, *values: Any) -> Row | None:
        found: Row | None = self._execute(statement, values).fetchone()
        return found

    def all(self, statement: str, *values: Any) -> Iterable[Row]:
        return self._execute(statement, values)

    def within(self, most: int, statement: str, *values: Any, order: str) -> Iterable[Row]:
        # SQLite finds one row after the other, so the rest is never read.
        with contextlib.closing(self._execute(statement, values)) as rows:
            body = [column[0] for column in rows.description].index("body")
            size = 0
            for row in rows:
                yield row
                size += len(row[body].encode()) + ROW_BYTES
                if size >= most:
                    return

    def run(self, statement: str, *values: Any) -> None:
        self._execute(statement, values)

    def alone(self, table: str) -> None:
        pass  # the file lock sees to it

    def clock(self, now: int) -> int:
        return now


class Transaction:
    """``with transaction as sql:`` – one durable write transaction after the other, under the lock.

    Raises CommitFailed, FlushFailed, and what `refusal` makes of a fault of the file. A generator would cost each
    message five calls more.
    """

    def __init__(self, connection: sqlite3.Connection, refusal: Callable[[sqlite3.Error], Refused | None]) -> None:
        self._execute = connection.execute
        self._refusal = refusal
        self._sql = SqlOn(connection)
        self._lost = False

    def __enter__(self) -> SqlOn:
        if self._lost:
            raise FlushFailed("an earlier flush failed", certain=True)
        try:
            self._execute("BEGIN IMMEDIATE")
        except sqlite3.Error as fault:
            self._broke(fault)
        return self._sql

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if fault is None:
            self._commit()
        elif isinstance(fault, sqlite3.Error):
            self._broke(fault)
        else:
            self._roll_back()

    def _commit(self) -> None:
        try:
            self._execute("COMMIT")
        except sqlite3.Error as fault:
            self._roll_back()
            if code_of(fault) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY):
                raise self._refusal(fault) or fault from fault
            # It may have reached the disk or not.
            self._lost = code_of(fault) == sqlite3.SQLITE_IOERR
            raise (FlushFailed if self._lost else CommitFailed)(str(fault), certain=False) from fault

    def _broke(self, fault: sqlite3.Error) -> NoReturn:
        self._roll_back()
        raise self._refusal(fault) or CommitFailed(str(fault), certain=True) from fault

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # none is open if SQLite has rolled back itself
            self._execute("ROLLBACK")


def code_of(fault: sqlite3.Error) -> int:
    """Return the primary result code, without its extension."""
    return int(getattr(fault, "sqlite_errorcode", 0) or 0) & 0xFF
