"""An index in a table of the PostgreSQL that has the log: `tsvector` made of our terms, and GIN."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from ...protocol.search.question import Term
from ..base import Transactions
from ..shapes import Sql
from .index import QUOTES, Doc, Hit, Match, Place, Reader, Writer, first_number, free_number, quote_number

T = TypeVar("T")

_FIRST, _MOST = 200, 3200
"""Hits of the first look and of the largest one."""
_ROWS = 50
"""Documents written with one statement."""
_HIGHEST = "SELECT bound, (SELECT max(n) FROM search WHERE n < bound) FROM unnest(?::bigint[]) AS bound"
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtext(?))"
_WAIT = "SELECT pg_advisory_xact_lock(hashtext(?))"
_NAME = "quotechat.search"
_ROW = "(?, ?, ?, ?, array_to_tsvector(?::text[]))"
_PUT = "INSERT INTO search (n, room_id, id, at, terms) VALUES "
_OR_CHANGE = (
    " ON CONFLICT (room_id, id) DO UPDATE SET terms = excluded.terms WHERE search.terms <> excluded.terms"
)


class PostgresIndex:
    """See `index.Index`; `store` has the log and the index."""

    def __init__(self, store: Transactions) -> None:
        self._store = store

    def step(self, work: Callable[[Sql, Writer], T]) -> T | None:
        def alone(sql: Sql) -> T | None:
            row = sql.one(_LOCK, _NAME)
            return work(sql, _Writing(sql)) if row is not None and row[0] else None

        return self._store.write_with(alone)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Reader | None]:
        yield _Looking(self._store)

    def tidy(self) -> bool:
        return True

    def clear(self) -> None:
        def work(sql: Sql) -> None:
            sql.one(_WAIT, _NAME)
            sql.run("DELETE FROM search")
            sql.run("DELETE FROM search_place")

        self._store.write_with(work)

    def clearing(self) -> bool:
        return False

    def size(self) -> int:
        row = self._store.read_with(lambda sql: sql.one("SELECT pg_total_relation_size('search')"))
        return 0 if row is None else int(row[0])

    def close(self) -> None:
        pass


class _Looking:
    """See `index.Reader`; each call is a look of its own."""

    def __init__(self, store: Transactions) -> None:
        self._store = store

    def places(self) -> dict[int, Place]:
        return self._store.read_with(_places)

    def number(self, room_id: int, message_id: int) -> int | None:
        row = self._store.read_with(
            lambda sql: sql.one("SELECT n FROM search WHERE room_id = ? AND id = ?", room_id, message_id)
        )
        return None if row is None else int(row[0])

    def hits(self, match: Match) -> Iterator[Hit]:
        below, most = match.end, _FIRST
        while True:
            rows = self._some(match, below, most)
            yield from (Hit(*row[1:]) for row in rows)
            if len(rows) < most:
                return
            below, most = rows[-1][0], min(_MOST, 4 * most)

    def _some(self, match: Match, below: int, most: int) -> list[tuple[int, int, int, int]]:
        condition = ""
        values: list[Any] = [match.start, below]
        if match.groups:
            condition += " AND terms @@ ?::tsquery"
            values.append(_written(match))
        if match.rooms is not None:
            condition += " AND room_id = ANY(?)"
            values.append(sorted(match.rooms))
        values.append(most)
        statement = f"SELECT n, at, room_id, id FROM search WHERE n >= ? AND n < ?{condition} ORDER BY n DESC LIMIT ?"
        rows = self._store.read_with(lambda sql: list(sql.all(statement, *values)))
        return [(row[0], row[1], row[2], row[3]) for row in rows]


class _Writing:
    """See `index.Writer`."""

    in_parts = False

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def places(self) -> dict[int, Place]:
        return _places(self._sql)

    def divide(self, times: Iterable[int]) -> None:
        """Nothing: GIN has no parts."""

    def put(self, docs: Iterable[Doc]) -> None:
        left = iter(docs)
        while some := list(islice(left, _ROWS)):
            numbers = self._numbers(some)
            values = [value for number, doc in zip(numbers, some, strict=True) for value in (number, *doc)]
            self._sql.run(_PUT + ", ".join([_ROW] * len(some)) + _OR_CHANGE, *values)

    def drop(self, room_id: int, ids: Iterable[int]) -> None:
        self._sql.run("DELETE FROM search WHERE room_id = ? AND id = ANY(?)", room_id, list(ids))

    def drop_up_to(self, room_id: int, last: int, most: int) -> bool:
        row = self._sql.one(
            "WITH gone AS (DELETE FROM search WHERE n IN (SELECT n FROM search WHERE room_id = ? AND id <= ?"
            " ORDER BY id LIMIT ?) RETURNING 1) SELECT count(*) FROM gone", room_id, last, most,
        )  # fmt: skip
        return row is not None and row[0] == most

    def settle(self, room_id: int, place: Place | None) -> None:
        if place is None:
            self._sql.run("DELETE FROM search_place WHERE room_id = ?", room_id)
        else:
            self._sql.run(
                "INSERT INTO search_place (room_id, seq, tag, floor) VALUES (?, ?, ?, ?) ON CONFLICT (room_id)"
                " DO UPDATE SET seq = excluded.seq, tag = excluded.tag, floor = excluded.floor", room_id, *place,
            )  # fmt: skip

    def _numbers(self, docs: list[Doc]) -> list[int]:
        """Return a free number for each document, which is not used if the message has one already."""
        bounds = sorted({first_number(doc.at + 1) for doc in docs if doc.room_id != QUOTES})
        known: dict[int, int | None] = {row[0]: row[1] for row in self._sql.all(_HIGHEST, bounds)}
        given: list[int] = []

        def highest_below(number: int) -> int | None:
            if number not in known:
                row = self._sql.one("SELECT max(n) FROM search WHERE n < ?", number)
                known[number] = None if row is None else row[0]
            own = max((each for each in given if each < number), default=None)
            return max((each for each in (own, known[number]) if each is not None), default=None)

        for doc in docs:
            given.append(quote_number(doc.id) if doc.room_id == QUOTES else free_number(doc.at, highest_below))
        return given


def _places(sql: Sql) -> dict[int, Place]:
    return {row[0]: Place(*row[1:]) for row in sql.all("SELECT room_id, seq, tag, floor FROM search_place")}


def _written(match: Match) -> str:
    """Return the question as a `tsquery`; a term has only ``a-z0-9``, and stands in quotes all the same."""
    return " & ".join(f"({' | '.join(map(_quoted, group))})" for group in match.groups)


def _quoted(term: Term) -> str:
    return f"'{term[0]}'" + (":*" if term[1] else "")
