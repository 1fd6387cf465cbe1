"""The store in PostgreSQL, for several machines. No waiting here but for the database; the hub waits.

The number of an event comes from its room's row, locked from the first round trip to the commit: PostgreSQL makes
a commit visible before it frees the lock, so numbers are seen in their order, from any machine. All locks are
taken in one order (scheduled messages, rooms by id, the quotes), so batches never deadlock.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import psycopg
from psycopg import errors

from ...protocol import commands, cursor
from ...protocol.errors import Overloaded, Refused, StorageFull
from ...protocol.rights.principal import has_own_id
from .. import founding, ledger, migrate, reading, rules
from ..base import (
    BeginDirect,
    CommitFailed,
    CreateRoom,
    Deliver,
    EraseMessage,
    Impossible,
    Outcome,
    Step,
    Write,
)
from ..disk.lock import InUse
from ..ledger import Ledger
from ..maintenance import pruning, rebuild, redaction, removal, retention
from ..reads import Reads
from ..rules import Settings
from ..shapes import BoundedSql, Sql
from . import claims
from .batched_sql import BatchedSql, PlainSql, Read
from .connections import ENDED, OTHERS, Connection, Pool, PostgresUnavailable, connect, lost, wait_for_leaving
from .statements import sendable

log = logging.getLogger(__name__)
T = TypeVar("T")

_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
# For this transaction only: the defaults of the server or a pooler do not count. A transaction that waits for a room
# gives up before its sender does; one that holds a room and is silent (a stopped process) loses it.
_HOLD = (
    "SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit')"
    " WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true), set_config('lock_timeout', '5s', true),"
    " set_config('idle_in_transaction_session_timeout', '8s', true)"
)
_LOCK_SECONDS = 5  # as in `_HOLD`
_HOLD_ROOMS = (
    f"SELECT name, {ledger.ROOM_COLUMNS} FROM room WHERE name = ANY(%s) OR id IN"
    " (SELECT room_id FROM scheduled WHERE id = ANY(%s)) ORDER BY id FOR UPDATE"
)
# Rows that were loaded have ids that the sequences did not give.
_COUNT_ON = (
    "SELECT setval(own, most) FROM (SELECT pg_get_serial_sequence('scheduled', 'id') AS own, max(id) AS most"
    " FROM scheduled UNION ALL SELECT pg_get_serial_sequence('subscriber', 'id'), max(id) FROM subscriber) AS s"
    " WHERE most > coalesce(pg_sequence_last_value(own::regclass), 0)"
)
_HOLD_ACCOUNTS = (
    "SELECT 1 FROM account WHERE identity = ANY(%s::text[] || ARRAY(SELECT identity FROM scheduled WHERE id = ANY(%s)))"
    " OR key = ANY(%s) OR skeleton = ANY(%s) ORDER BY id FOR SHARE"
)
_WITHOUT_ROOM = CreateRoom | BeginDirect | Deliver
_EMPTY = "this database holds no quotechat yet"
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class PostgresStore(Reads):
    """See `base.Store`. `url` is a connection URI of libpq; `connections` is how many may read at once.

    Without `make`, Impossible if the database has no tables yet. Raises Overloaded.
    """

    def __init__(
        self, url: str, settings: Settings | None = None, *, connections: int = 8, make: bool = True
    ) -> None:
        self._url = url
        self._settings = settings or Settings()
        self._pool = Pool(url, connections)
        self._writer: Connection | None = None
        self._writing = threading.Lock()
        # Rooms keep their id; if one does not, the lock of the room shows it.
        self._ids: dict[str, int] = {}
        try:
            self._migrate(make)
        except BaseException:
            self._pool.close()
            raise

    # --- Writing ----------------------------------------------------------------------------------

    def found(self, at: int) -> None:
        """Create the lobby and load the first quotes, unless that was done before."""

        def work(sql: Sql) -> None:
            sql.alone("schema")
            founding.found(sql, at)

        self._apart(work)

    def commit(self, writes: Sequence[Write]) -> list[Outcome | Refused]:
        with self._writing:
            while True:
                fresh = self._writer is None
                connection = self._writer = self._writer or connect(self._url)
                try:
                    return self._commit(connection, writes)
                except _LostBeforeCommit as fault:
                    # The connection may have been lost since the last batch; a new one is tried once.
                    if fresh:
                        raise PostgresUnavailable(str(fault)) from fault

    def prune(self, before: int, now: int) -> bool:
        with self.writing() as sql:
            return pruning.prune(sql, before, now - self._settings.name_hold_ms, now)

    def cut(self, room: str, before: int, limit: int) -> int:
        with self.writing() as sql:
            return retention.cut(sql, room, before, limit)

    def redact(self) -> bool:
        if not (self._single(redaction.is_left) or self._single(removal.is_left)):
            return False
        with self.writing() as sql:
            return redaction.redact_some(sql) or removal.sweep(sql)

    def remove_room(self, room: str, at: int) -> None:
        with self.writing() as sql:
            removal.remove(sql, room, at)

    def forget(self) -> bool:
        """See `SqliteStore.forget`; PostgreSQL decides itself what it overwrites and when."""
        return True

    @contextlib.contextmanager
    def writing(self) -> Iterator[BatchedSql]:
        """Open one durable write transaction, for an operator's work in steps. Raises CommitFailed, Refused."""
        try:
            with self._pool.connection() as connection, connection.transaction():
                connection.execute(_HOLD)
                sql = BatchedSql(connection)
                yield sql
                sql.flush()
                connection.execute(_COUNT_ON)
        except psycopg.Error as fault:
            raise _translated(fault) from fault

    def write_with(self, work: Callable[[Sql], T], *, patience: float | None = None) -> T:
        try:
            return self._apart(work, patience)
        except psycopg.Error as fault:
            raise _translated(fault) from fault

    def rebuild(self, progress: Callable[[int, int], None]) -> int:
        """Make the projections anew from the log (`store.maintenance.rebuild`); return the number of replayed events.

        No other process writes meanwhile.
        """
        with self._pool.connection() as connection, connection.transaction():
            connection.execute("SELECT id FROM room ORDER BY id FOR UPDATE")
            sql = BatchedSql(connection)
            count = rebuild.rebuild(sql, progress)
            sql.flush()
            return count

    # --- Reading ----------------------------------------------------------------------------------

    def read_with(self, work: Callable[[BoundedSql], T]) -> T:
        def inside(connection: Connection) -> T:
            connection.execute(_READ)
            found = work(PlainSql(connection))
            connection.execute("COMMIT")
            return found

        try:
            return self._pool.use(inside)
        except errors.QueryCanceled as fault:
            raise _translated(fault) from fault

    def _single(self, work: Callable[[BoundedSql], T]) -> T:
        return self._pool.use(lambda connection: work(PlainSql(connection)))

    def secret(self) -> str:
        def work(sql: Sql) -> str:
            row = sql.one("SELECT value FROM meta WHERE key = 'secret'")
            assert row is not None
            return str(row[0])

        return self._single(work)

    def adopt(self, secret: str) -> None:
        """Sign identities with `secret` from now on. Raises InUse if another process is connected."""

        def work(sql: Sql) -> None:
            # A server that starts waits for this before it asks for the secret.
            sql.alone("schema")
            if sql.one("SELECT 1 FROM meta WHERE key = 'secret' AND value = ?", secret):
                return
            if sql.one(OTHERS):
                raise InUse("a server or another command uses this database")
            sql.run("UPDATE meta SET value = ? WHERE key = 'secret'", secret)

        self._apart(work)

    def version(self) -> int:
        # Always a new number: the heads have to be read in any case.
        return time.monotonic_ns()

    def verify(self) -> Iterator[Step]:
        with self._pool.connection() as connection:
            connection.execute(_READ)
            yield from reading.verify(PlainSql(connection, scan=True))

    def close(self) -> None:
        self._pool.close()
        with self._writing:
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    # --- A batch ----------------------------------------------------------------------------------

    def _commit(self, connection: Connection, writes: Sequence[Write]) -> list[Outcome | Refused]:
        """Store one batch on `connection`, in two round trips if the prefetch had all reads."""
        sql = BatchedSql(connection)
        try:
            self._begin(connection, sql, writes)
            entries = Ledger(sql)
            outcomes = rules.apply_all(entries, writes, self._settings)
            entries.flush()
        except psycopg.Error as fault:
            if self._give_up(connection, fault):
                raise _LostBeforeCommit(str(fault).strip()) from fault
            raise _translated(fault) from fault
        except BaseException as fault:
            self._give_up(connection, fault)
            raise
        try:
            with connection.pipeline():
                sql.send()
                connection.execute("COMMIT")
        except psycopg.Error as fault:
            if self._give_up(connection, fault):
                # The commit was sent: PostgreSQL may have stored the batch or not.
                raise CommitFailed(str(fault).strip(), certain=False) from fault
            raise _translated(fault) from fault
        except BaseException as fault:
            self._give_up(connection, fault, close=True)
            raise
        return outcomes

    def _begin(self, connection: Connection, sql: BatchedSql, writes: Sequence[Write]) -> None:
        """Make the first round trip: begin, lock all rows of the batch, and prefetch its most likely reads."""
        names = list({write.command.room for write in writes if not isinstance(write.command, _WITHOUT_ROOM)})
        delivered = [each.command.id for each in writes if isinstance(each.command, Deliver)]
        cancelled = [each.command.scheduled.id for each in writes if isinstance(each.command, commands.CancelScheduled)]
        senders = list({write.identity for write in writes if has_own_id(write.identity)})
        accounts = [senders, delivered, *map(sendable, rules.members.added(writes))]
        with connection.pipeline():
            connection.execute(_BEGIN)
            connection.execute(_HOLD)
            # Claimed before the rooms: messages that another machine delivers just now are skipped, not waited for.
            claimed = connection.execute(claims.CLAIM, [delivered]) if delivered else None
            if cancelled:
                connection.execute(claims.HOLD, [cancelled])
            rooms = connection.execute(_HOLD_ROOMS, [sendable(names), delivered])
            waiting = connection.execute(claims.WAITING, [delivered, delivered]) if delivered else None
            if any(accounts):
                # After the rooms, and read below: a ban that is committed meanwhile is seen.
                connection.execute(_HOLD_ACCOUNTS, accounts)
            sql.prefetch(self._likely_reads(writes))
        found = rooms.fetchall()
        self._remember_rooms(sql, names, found)
        if claimed is not None and waiting is not None:
            mine = claims.in_turn({row[0] for row in claimed.fetchall()}, waiting.fetchall())
            self._remember_claims(sql, delivered, mine)
        ids = {row[0]: row[1] for row in found}
        if any(self._ids.get(name) != number for name, number in ids.items()):
            # A room is new here, or was made anew: the prefetched rows are those of another id.
            self._ids.update(ids)
            with connection.pipeline():
                sql.prefetch(self._likely_reads(writes))
        sql.take_prefetched()

    def _likely_reads(self, writes: Sequence[Write]) -> Iterator[Read]:
        for write in writes:
            command = write.command
            if isinstance(command, Deliver):
                yield rules.WAITING, (command.id,)
            elif not isinstance(command, CreateRoom | BeginDirect | EraseMessage):
                # For an unknown room the same reads are made: their time must not reveal which rooms exist.
                yield from rules.likely_reads(command, write, self._ids.get(command.room, 0))

    def _remember_rooms(self, sql: BatchedSql, names: Iterable[str], found: Iterable[Sequence[Any]]) -> None:
        locked = {row[0]: row[1:] for row in found}
        for name in {*names, *locked}:
            sql.remember(ledger.ROOM, (name,), locked.get(name))

    def _remember_claims(self, sql: BatchedSql, delivered: Iterable[int], claimed: Collection[int]) -> None:
        for each in delivered:
            sql.remember(rules.STILL_WAITING, (each,), (1,) if each in claimed else None)

    def _give_up(self, connection: Connection, fault: BaseException, *, close: bool = False) -> bool:
        """Roll back; return True if the connection was lost."""
        if close or (isinstance(fault, psycopg.Error) and lost(fault, connection)):
            self._drop_writer()
            return True
        try:
            connection.execute("ROLLBACK")
        except psycopg.Error:
            self._drop_writer()
            return True
        return False

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    # --- Other transactions -----------------------------------------------------------------------

    def _apart(self, work: Callable[[Sql], T], patience: float | None = None) -> T:
        """Run a write transaction beside the writer's, for rare work; it waits no longer for locks than `patience`."""
        with self._pool.connection() as connection, connection.transaction():
            connection.execute(_HOLD)
            if patience is not None and patience < _LOCK_SECONDS:
                connection.execute("SELECT set_config('lock_timeout', %s, true)", [f"{int(patience * 1000)}ms"])
            return work(PlainSql(connection))

    def _migrate(self, make: bool) -> None:
        with self._pool.connection() as connection, connection.transaction():
            PlainSql(connection).alone("schema")
            there = connection.execute("SELECT to_regclass('meta')").fetchone()
            if not make and (there is None or there[0] is None):
                raise Impossible(_EMPTY)
            connection.execute("CREATE TABLE IF NOT EXISTS meta (key text PRIMARY KEY, value text NOT NULL)")
            row = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
            for step in migrate.pending("postgres", int(row[0]) if row else 0):
                for statement in step.statements:
                    connection.execute(statement)
                connection.execute(
                    "INSERT INTO meta (key, value) VALUES ('schema', %s) ON CONFLICT (key)"
                    " DO UPDATE SET value = excluded.value", [str(step.number)],
                )  # fmt: skip
            connection.execute(
                "INSERT INTO meta (key, value) VALUES ('secret', %s) ON CONFLICT DO NOTHING",
                [secrets.token_hex(cursor.CHAIN_BYTES)],
            )


@contextlib.contextmanager
def look(url: str, *, alone: bool = False) -> Iterator[PlainSql]:
    """Open the store at `url` read-only, at one moment, if it has this program's schema.

    Raises Impossible, PostgresUnavailable; with `alone`, InUse if another quotechat is connected to it.
    """
    with contextlib.closing(connect(url, application_name="quotechat-look")) as connection:
        connection.patience = None
        if alone:
            wait_for_leaving(connection)
        connection.execute(_READ)
        sql = PlainSql(connection, scan=True)
        there = sql.one("SELECT to_regclass('meta')")
        if there is None or there[0] is None:
            raise Impossible(_EMPTY)
        row = sql.one("SELECT value FROM meta WHERE key = 'schema'")
        if migrate.pending("postgres", int(row[0]) if row else 0):
            raise Impossible("this database is of an older version: `quotechat migrate` brings it up to date")
        if alone and connection.execute(OTHERS).fetchone():
            raise InUse("a server or another command uses this database")
        try:
            yield sql
        except psycopg.Error as fault:
            raise PostgresUnavailable(str(fault).strip()) from fault


class _LostBeforeCommit(Exception):
    """The connection went before the commit was sent: certainly nothing is stored."""


def _translated(fault: psycopg.Error) -> Exception:
    """Return the exception for a fault; if only a statement was refused, the transaction has been rolled back."""
    if isinstance(fault, errors.DiskFull):
        return StorageFull()
    if isinstance(fault, errors.LockNotAvailable | errors.QueryCanceled | errors.InsufficientResources):
        log.warning("a transaction was put off: %s", fault)
        return Overloaded()
    # Without a code of PostgreSQL the connection was lost, perhaps during the commit.
    ended = isinstance(fault, psycopg.OperationalError) and fault.sqlstate in (None, *ENDED)
    return CommitFailed(str(fault).strip(), certain=not ended)
