"""A batch's transaction in PostgreSQL in few round trips, behind the same `shapes.Sql` that the rules know.

The rows that the rules will most likely read are read at once, before the rules run (`prefetch`), and answered from
memory. Their writes are batched and sent in one round trip, at the end or as soon as a read may touch such a row.
So the rules see the same as with one statement at a time, with prefetch or without; only the number of round trips
differs.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import psycopg

from .. import ledger
from ..shapes import ROW_BYTES, Row
from .statements import (
    Key,
    Shape,
    Values,
    for_psycopg,
    many_inserts,
    many_reads,
    many_updates,
    read_arrays,
    sendable,
    shape,
    write_arrays,
)  # fmt: skip

Read = tuple[str, Values]
_CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
_MOST_WRITTEN = 5000
"""Rows written that are kept in memory; a rebuild writes millions."""


class BatchedSql:
    """`shapes.Sql` on a connection whose transaction is open; reads are prefetched, writes batched."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._known: dict[Read, Row | None] = {}
        self._prefetched: list[tuple[str, list[Values], psycopg.Cursor[Any]]] = []
        self._inserts: dict[str, list[Values]] = defaultdict(list)
        self._later: list[Read] = []
        self._written = 0
        self._touched: dict[str, set[Key | None]] = defaultdict(set)

    # --- Sql --------------------------------------------------------------------------------------

    def one(self, statement: str, *values: Any) -> Row | None:
        about = shape(statement)
        if (statement, values) in self._known and not self._touches(about, values):
            return self._known[statement, values]
        rows = self._ask(about, statement, values)
        found = rows[0] if rows else None
        if about.reads:
            self._known[statement, values] = found
        return found

    def all(self, statement: str, *values: Any) -> Iterable[Row]:
        if values:
            return self._ask(shape(statement), statement, values)
        self.flush()
        return _scan(self._connection, statement, values)

    def run(self, statement: str, *values: Any) -> None:
        about = shape(statement)
        if about.insert:
            # Inserts go out first, so one that meets an earlier change must not overtake it.
            if self._later and self._touches(about, values):
                self.flush()
            self._inserts[statement].append(values)
        else:
            self._later.append((statement, values))
        for table, key in about.rows(values):
            self._touched[table].add(key)
        self._written += 1
        if self._written >= _MOST_WRITTEN:
            self.flush()

    def alone(self, table: str) -> None:
        # Lock order: rooms first, then this lock, held until the commit; so there is no deadlock.
        self._ask(shape(""), "SELECT pg_advisory_xact_lock(hashtext(?))", (f"quotechat.{table}",))

    def clock(self, now: int) -> int:
        return int(self._ask(shape(""), _CLOCK, ())[0][0])

    # --- Round trips ------------------------------------------------------------------------------

    def remember(self, statement: str, values: Values, row: Row | None) -> None:
        """Note that this read gives `row`, which is known from elsewhere."""
        self._known[statement, values] = row

    def prefetch(self, reads: Iterable[Read]) -> None:
        """Send `reads`, each of at most one row, in the open pipeline; `take_prefetched` takes their answers."""
        groups: dict[tuple[str, tuple[type, ...]], dict[Values, None]] = defaultdict(dict)
        for statement, values in reads:
            groups[statement, tuple(map(type, values))][values] = None
        for (statement, types), wanted in groups.items():
            rows = list(wanted)
            if len(rows) == 1:
                cursor = self._execute(for_psycopg(statement), rows[0])
            else:
                cursor = self._execute(many_reads(statement, types), read_arrays(rows))
            self._prefetched.append((statement, rows, cursor))

    def take_prefetched(self) -> None:
        """Take the answers to `prefetch`, after the pipeline was closed."""
        prefetched, self._prefetched = self._prefetched, []
        for statement, rows, cursor in prefetched:
            if len(rows) == 1:
                self._known[statement, rows[0]] = cursor.fetchone()
                continue
            for values, found in zip(rows, cursor.fetchall(), strict=True):
                self._known[statement, values] = found[1:] if found[0] else None

    def flush(self) -> None:
        """Send the batched writes."""
        with self._connection.pipeline():
            self.send()

    def send(self) -> None:
        """As `flush`, in the pipeline that is open."""
        for statement, rows in self._inserts.items():
            if len(rows) == 1:
                self._execute(for_psycopg(statement), rows[0])
            else:
                self._execute(many_inserts(statement), write_arrays(statement, rows))
        for statement, rows in _runs(self._later):
            together = many_updates(statement) if len(rows) > 1 else None
            if together is not None:
                self._execute(together, write_arrays(statement, rows))
            else:
                for values in rows:
                    self._execute(for_psycopg(statement), values)
        # The prefetched rows that are changed now are out of date.
        self._known = {
            (statement, values): row
            for (statement, values), row in self._known.items()
            if not self._touches(shape(statement), values)
        }
        self._inserts.clear()
        self._later.clear()
        self._touched.clear()
        self._written = 0

    def _ask(self, about: Shape, statement: str, values: Values) -> list[Row]:
        if not about.reads:
            for table, key in about.rows(values):
                self._touched[table].add(key)
        text = for_psycopg(statement)
        if statement == ledger.ROOM:
            text += " FOR UPDATE"  # a room that was not prefetched is locked all the same
        if self._written or not about.reads:
            with self._connection.pipeline():
                self.send()
                cursor = self._execute(text, values)
        else:
            cursor = self._execute(text, values)
        return cursor.fetchall()

    def _touches(self, about: Shape, values: Values) -> bool:
        for table, key in about.rows(values):
            touched = self._touched.get(table)
            if touched and (key is None or None in touched or key in touched):
                return True
        return False

    def _execute(self, statement: str, values: Iterable[Any]) -> psycopg.Cursor[Any]:
        return self._connection.execute(statement, sendable(values))


class PlainSql:
    """`shapes.Sql`, one statement at a time. With `scan`, `all` fetches as it goes: a log may not fit into memory."""

    def __init__(self, connection: psycopg.Connection[Any], *, scan: bool = False) -> None:
        self._connection = connection
        self._scan = scan

    def one(self, statement: str, *values: Any) -> Row | None:
        row: Row | None = self._connection.execute(for_psycopg(statement), sendable(values)).fetchone()
        return row

    def all(self, statement: str, *values: Any) -> Iterable[Row]:
        if self._scan:
            return _scan(self._connection, statement, values)
        return self._connection.execute(for_psycopg(statement), sendable(values))

    def within(self, most: int, statement: str, *values: Any, order: str) -> Iterable[Row]:
        # octet_length reads only the header of a long text, so the server does not fetch the rows that it leaves out.
        bounded = (
            f"SELECT * FROM (SELECT *, sum(octet_length(body) + {ROW_BYTES}) OVER (ORDER BY {order})"
            f" - octet_length(body) - {ROW_BYTES} AS before FROM ({statement}) AS found) AS summed"
            f" WHERE before < ? ORDER BY {order}"
        )
        for row in self._connection.execute(for_psycopg(bounded), sendable((*values, most))):
            yield row[:-1]

    def run(self, statement: str, *values: Any) -> None:
        self._connection.execute(for_psycopg(statement), sendable(values))

    def alone(self, table: str) -> None:
        self.one("SELECT pg_advisory_xact_lock(hashtext(?))", f"quotechat.{table}")

    def clock(self, now: int) -> int:
        row = self.one(_CLOCK)
        assert row is not None
        return int(row[0])


def _scan(connection: psycopg.Connection[Any], statement: str, values: Values) -> Iterator[Row]:
    """Rows by the thousand, from a cursor of the server; in a transaction."""
    with connection.cursor(f"scan_{secrets.token_hex(4)}") as cursor:
        cursor.itersize = 1000
        yield from cursor.execute(for_psycopg(statement), sendable(values))


def _runs(later: list[Read]) -> Iterator[tuple[str, list[Values]]]:
    """Changes that follow on each other with the same statement, each of another row."""
    run: list[Values] = []
    keys: set[tuple[tuple[str, Key | None], ...]] = set()
    of = ""
    for statement, values in later:
        key = tuple(shape(statement).rows(values))
        if run and (statement != of or key in keys):
            yield of, run
            run, keys = [], set()
        of = statement
        run.append(values)
        keys.add(key)
    if run:
        yield of, run
