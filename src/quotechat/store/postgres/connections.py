"""Connections to PostgreSQL: open, keep and give them up. A few for all readers, one for the writer.

No state of a session is relied on and no statement is prepared on the server, so that a pooler in transaction
mode may stand in between.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import psycopg
from psycopg.abc import AdaptContext, DumperKey, PQGen, PyFormat
from psycopg.adapt import Dumper
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ...protocol.errors import Overloaded
from .statements import Array

T = TypeVar("T")
_IDLE = psycopg.pq.TransactionStatus.IDLE

_TRY_AGAIN_MS = 1000
_WAIT_SECONDS = 5.0
"""Seconds that a reader waits for a connection while others have them all."""
PATIENCE = 8.0
"""Seconds within which a statement is answered: longer than the locks are waited for, shorter than a sender waits."""
_DEFAULTS = {
    "connect_timeout": "5",
    # A peer that is gone without a word is noticed within about 10 s, waiting or sending.
    "keepalives_idle": "4",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "application_name": "quotechat",
}


ENDED = ("57P01", "57P02", "57P03")
"""Codes of PostgreSQL with which it ends a connection."""


OTHERS = (
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'quotechat'"
    " AND pid <> pg_backend_pid() LIMIT 1"
)
"""Gives a row if another quotechat is connected to the database."""
_LEAVING_SECONDS = 5.0
"""For how long PostgreSQL may go on listing a connection that its client has closed."""


class PostgresUnavailable(Overloaded):
    """PostgreSQL does not answer now; nothing was stored. The reason goes to the log, not to the client."""

    def __init__(self, reason: str) -> None:
        super().__init__(_TRY_AGAIN_MS, "The database cannot be reached just now.")
        self.args = (reason,)  # the result of str(), for logs


class Connection(psycopg.Connection[Any]):
    """A connection that is closed if an answer does not come in time: the server may be stopped or unreachable."""

    patience: float | None = None
    """Seconds; None waits for as long as it takes."""

    def wait(self, gen: PQGen[T], *arguments: Any, **more: Any) -> T:
        return super().wait(gen if self.patience is None else self._within(gen, self.patience), *arguments, **more)

    def _within(self, gen: PQGen[T], seconds: float) -> PQGen[T]:
        deadline = time.monotonic() + seconds
        try:
            wanted = next(gen)
            while True:
                # psycopg comes back every tenth of a second, with nothing if nothing has come.
                ready = yield wanted
                if not ready and time.monotonic() > deadline:
                    self.close()
                    raise psycopg.OperationalError(f"no answer within {seconds:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            found: T = end.value
            return found


def connect(url: str, **more: str) -> Connection:
    """Open a connection, in autocommit: transactions are begun by hand; `more` are parameters of libpq.

    Raises PostgresUnavailable.
    """
    try:
        # Options in the URL come first.
        parameters: dict[str, Any] = _DEFAULTS | more | conninfo_to_dict(url)
        connection = Connection.connect(make_conninfo(**parameters), autocommit=True, prepare_threshold=None)
    except psycopg.OperationalError as fault:
        raise PostgresUnavailable(str(fault).strip()) from fault
    connection.adapters.register_dumper(Array, _ArrayDumper)
    connection.patience = PATIENCE
    return connection


def wait_for_leaving(connection: Connection) -> None:
    """Wait, outside a transaction, while others are connected, for 5 s at most: they may have closed a moment ago."""
    deadline = time.monotonic() + _LEAVING_SECONDS
    while connection.execute(OTHERS).fetchone() and time.monotonic() < deadline:
        time.sleep(0.05)


class _ArrayDumper(Dumper):
    """Encoded already."""

    format = psycopg.pq.Format.BINARY

    def __init__(self, cls: type, context: AdaptContext | None = None) -> None:
        super().__init__(cls, context)
        self.oid = 0

    def get_key(self, obj: Array, format: PyFormat) -> DumperKey:
        # A dumper has one type: one for each.
        return (self.cls, obj.oid)  # type: ignore[return-value]  # any hashable does

    def upgrade(self, obj: Array, format: PyFormat) -> _ArrayDumper:
        dumper = _ArrayDumper(self.cls)
        dumper.oid = obj.oid
        return dumper

    def dump(self, obj: Array) -> bytes:
        return obj.data


def lost(fault: psycopg.Error, connection: Connection) -> bool:
    """Return True if `connection` is of no use any more, False if only the statement was refused."""
    # 25006: the former primary takes no writes now, so another machine does.
    return connection.closed or connection.broken or fault.sqlstate in (*ENDED, "25006")


class Pool:
    """At most `size` connections, opened when they are needed, for reading from any thread."""

    def __init__(self, url: str, size: int) -> None:
        self._url = url
        self._places = threading.BoundedSemaphore(size)
        self._idle: deque[Connection] = deque()
        self._closed = False

    def use(self, work: Callable[[Connection], T]) -> T:
        """Call `work`, which changes nothing, with a connection, and return its result.

        Connections that were lost while they were idle are thrown away, and the work is done again.
        Raises Overloaded.
        """
        with self._place():
            while True:
                connection, fresh = self._take()
                try:
                    return self._try(connection, work)
                except psycopg.Error as fault:
                    if not lost(fault, connection):
                        raise
                    if fresh:
                        raise PostgresUnavailable(str(fault).strip()) from fault

    @contextlib.contextmanager
    def connection(self) -> Iterator[Connection]:
        """One that is sure to be alive at the beginning, for work that may take its time. Raises Overloaded."""
        with self._place():
            connection = self._alive()
            connection.patience = None
            try:
                yield connection
            finally:
                connection.patience = PATIENCE
                self._give_back(connection)

    def close(self) -> None:
        """Close idle connections now, and the rest when they come back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _try(self, connection: Connection, work: Callable[[Connection], T]) -> T:
        try:
            found = work(connection)
        except BaseException:
            self._give_back(connection)
            raise
        self._give_back(connection)
        return found

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(timeout=_WAIT_SECONDS):
            raise Overloaded(_TRY_AGAIN_MS)
        try:
            yield
        finally:
            self._places.release()

    def _take(self) -> tuple[Connection, bool]:
        try:
            return self._idle.pop(), False
        except IndexError:
            return connect(self._url), True

    def _alive(self) -> Connection:
        while True:
            connection, fresh = self._take()
            try:
                if not fresh:
                    connection.execute("SELECT 1")
                return connection
            except psycopg.Error:
                connection.close()

    def _give_back(self, connection: Connection) -> None:
        # A refusal in the midst of a transaction leaves it open.
        with contextlib.suppress(psycopg.Error):
            if connection.info.transaction_status != _IDLE:
                connection.execute("ROLLBACK")
        if self._closed or connection.info.transaction_status != _IDLE:
            connection.close()
        else:
            self._idle.append(connection)
