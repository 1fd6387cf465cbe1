"""An index in tables of the PostgreSQL that has the log: `tsvector` made of our terms, and GIN, in parts of time.

GIN collects all documents of a beginning before it gives the first one. So each term stands in the index with its part
before it, as in ``17.tea``: a question that names a part reads that part alone, the newest one first, and a search can
end after any. A part holds the documents of a time, `MOST_DOCS` of them.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from ...protocol.search.question import Term
from ..base import Transactions
from ..shapes import Row, Sql
from .index import (
    MOST_DOCS,
    QUOTE_ZERO,
    QUOTES,
    Doc,
    Hit,
    Match,
    Parts,
    Place,
    Reader,
    Writer,
    first_number,
    free_number,
    mark,
    next_start,
    quote_number,
    time_of,
)  # fmt: skip

T = TypeVar("T")

_FIRST, _MOST = 200, 3200
"""Hits of the first look and of the largest one."""
_MOST_MS = 5_000
"""Milliseconds after which PostgreSQL gives up a statement: before we would give up the connection, and it go on."""
_LOOK_SECONDS = 0.02
"""Seconds on the clock after which a look asks no further part."""
_SHARE = 20
"""Without a beginning, a look takes PostgreSQL about this part of the time."""
_ROWS = 50
"""Documents written with one statement."""
_TABLES = ("search_doc", "search_part", "search_position")
_IS_WHOLE = (
    "(SELECT max(n) FROM search_doc) IS NOT NULL OR NOT EXISTS (SELECT 1 FROM search_part WHERE docs > 0)"
)
_PLACES = (
    f"SELECT room_id, seq, tag, floor FROM search_position WHERE EXISTS (SELECT 1 FROM search_part) AND ({_IS_WHOLE})"
)
"""None if one of the tables was emptied: then all are made anew."""
_PARTS = "SELECT id, start, docs FROM search_part ORDER BY start"
_KNOWN = (
    "SELECT d.room_id, d.id, d.n FROM unnest(?::bigint[], ?::bigint[]) AS k(room_id, id)"
    " JOIN search_doc d ON d.room_id = k.room_id AND d.id = k.id"
)
_HIGHEST = "SELECT bound, (SELECT max(n) FROM search_doc WHERE n < bound) FROM unnest(?::bigint[]) AS bound"
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtext(?))"
_WAIT = "SELECT pg_advisory_xact_lock(hashtext(?))"
_NAME = "quotechat.search"
_ROW = "(?, ?, ?, ?, array_to_tsvector(?::text[]))"
_PUT = "INSERT INTO search_doc (n, room_id, id, at, terms) VALUES "
_OR_CHANGE = (
    " ON CONFLICT (room_id, id) DO UPDATE SET terms = excluded.terms WHERE search_doc.terms <> excluded.terms"
)


class PostgresIndex:
    """See `index.Index`; `store` has the log and the index."""

    def __init__(self, store: Transactions) -> None:
        self._store = store

    def step(self, work: Callable[[Sql, Writer], T]) -> T | None:
        def alone(sql: Sql) -> T | None:
            row = sql.one(_LOCK, _NAME)
            return work(sql, _Writer(sql)) if row is not None and row[0] else None

        return self._store.write_with(alone)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Reader | None]:
        yield _Reader(self._store)

    def tidy(self) -> bool:
        return True

    def clear(self) -> None:
        def work(sql: Sql) -> None:
            sql.one(_WAIT, _NAME)
            _forget(sql)

        self._store.write_with(work)

    def clearing(self) -> bool:
        return False

    def size(self) -> int:
        row = self._store.read_with(lambda sql: sql.one("SELECT pg_total_relation_size('search_doc')"))
        return 0 if row is None else int(row[0])

    def close(self) -> None:
        pass


class _Range(NamedTuple):
    """Documents of a part with numbers from `start` to below `end`."""

    part: int
    start: int
    end: int
    docs: int


class _Reader:
    """See `index.Reader`; each call reads in a transaction of its own."""

    def __init__(self, store: Transactions) -> None:
        self._store = store
        self.read = 0

    def places(self) -> dict[int, Place]:
        return self._store.read_with(_places)

    def number(self, room_id: int, message_id: int) -> int | None:
        row = self._store.read_with(
            lambda sql: sql.one("SELECT n FROM search_doc WHERE room_id = ? AND id = ?", room_id, message_id)
        )
        return None if row is None else int(row[0])

    def hits(self, match: Match) -> Iterator[Hit]:
        rows = self._store.read_with(lambda sql: list(sql.all(_PARTS)))
        left, most = _ranges(rows, match), _FIRST
        while left:
            found, left = self._store.read_with(partial(self._some, match, left, most))
            yield from found
            most = min(_MOST, 4 * most)

    def _some(self, match: Match, left: list[_Range], most: int, sql: Sql) -> tuple[list[Hit], list[_Range]]:
        """Return hits of the first ranges, with a mark behind each, and the ranges that are left. Raises Overloaded."""
        sql.one("SELECT set_config('statement_timeout', ?, true)", f"{_MOST_MS}ms")
        found: list[Hit] = []
        end = time.monotonic() + _LOOK_SECONDS
        share = 1 if any(is_beginning for group in match.groups for _, is_beginning in group) else _SHARE
        while left:
            span = left[0]
            rows = _rows(sql, match, span, most)
            self.read += span.docs // share
            found += (Hit(*row[1:]) for row in rows)
            if len(rows) == most:
                return found, [span._replace(end=rows[-1][0]), *left[1:]]
            left = left[1:]
            if left:
                found.append(mark(time_of(span.start) - 1))
            if len(found) >= most or time.monotonic() > end:
                break
        return found, left


def _ranges(parts: list[Row], match: Match) -> list[_Range]:
    """Return the parts that may have hits, the newest first."""
    found: list[_Range] = []
    end = match.end
    for part, start, docs in reversed(parts):
        if max(start, match.start) < end:
            found.append(_Range(part, max(start, match.start), end, docs))
            end = start
    return found


def _rows(sql: Sql, match: Match, span: _Range, most: int) -> list[Row]:
    condition = ""
    values: list[Any] = [span.start, span.end]
    if match.groups:
        condition += " AND terms @@ ?::tsquery"
        values.append(_written(match, span.part))
    if match.rooms is not None:
        condition += " AND room_id = ANY(?)"
        values.append(sorted(match.rooms))
    return list(
        sql.all(
            f"SELECT n, at, room_id, id FROM search_doc WHERE n >= ? AND n < ?{condition} ORDER BY n DESC LIMIT ?",
            *values, most,
        )
    )  # fmt: skip


class _Writer:
    """See `index.Writer`."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def places(self) -> dict[int, Place]:
        return _places(self._sql)

    def divide(self, times: Iterable[int]) -> None:
        _forget(self._sql)  # one table alone may have been emptied
        for start in (QUOTE_ZERO, 0, *map(first_number, times)):
            self._open(start)

    def put(self, docs: Iterable[Doc]) -> None:
        left = iter(docs)
        while some := list(islice(left, _ROWS)):
            numbers = self._numbers(some)
            values = [
                value for number, doc in zip(numbers, some, strict=True)
                for value in (number, *doc[:3], _tagged(self._parts.of(number), doc.terms))
            ]  # fmt: skip
            self._sql.run(_PUT + ", ".join([_ROW] * len(some)) + _OR_CHANGE, *values)
        self._roll()

    def drop(self, room_id: int, ids: Iterable[int]) -> None:
        self._drop("room_id = ? AND id = ANY(?)", room_id, list(ids))

    def drop_up_to(self, room_id: int, last: int, most: int) -> bool:
        among = "SELECT n FROM search_doc WHERE room_id = ? AND id <= ? ORDER BY id LIMIT ?"
        return self._drop(f"n IN ({among})", room_id, last, most) == most

    def _drop(self, condition: str, *values: Any) -> int:
        gone = list(
            self._sql.all(
                f"WITH gone AS (DELETE FROM search_doc WHERE {condition} RETURNING n) SELECT n FROM gone", *values
            )
        )
        for part, docs in Counter(self._parts.of(number) for (number,) in gone).items():
            self._count(part, -docs)
        return len(gone)

    def settle(self, room_id: int, place: Place | None) -> None:
        if place is None:
            self._sql.run("DELETE FROM search_position WHERE room_id = ?", room_id)
        else:
            self._sql.run(
                "INSERT INTO search_position (room_id, seq, tag, floor) VALUES (?, ?, ?, ?) ON CONFLICT (room_id)"
                " DO UPDATE SET seq = excluded.seq, tag = excluded.tag, floor = excluded.floor", room_id, *place,
            )  # fmt: skip

    def _numbers(self, docs: list[Doc]) -> list[int]:
        """Return the number of each document, a free one if its message has none."""
        rooms, ids = [doc.room_id for doc in docs], [doc.id for doc in docs]
        given = {(row[0], row[1]): row[2] for row in self._sql.all(_KNOWN, rooms, ids)}
        new = [doc for doc in docs if doc[:2] not in given]
        given.update(zip((doc[:2] for doc in new), self._free_numbers(new), strict=True))
        for part, more in Counter(self._parts.of(given[doc[:2]]) for doc in new).items():
            self._count(part, more)
        return [given[doc[:2]] for doc in docs]

    def _free_numbers(self, docs: list[Doc]) -> list[int]:
        bounds = sorted({first_number(doc.at + 1) for doc in docs if doc.room_id != QUOTES})
        known: dict[int, int | None] = {row[0]: row[1] for row in self._sql.all(_HIGHEST, bounds)} if bounds else {}
        given: list[int] = []

        def highest_below(number: int) -> int | None:
            if number not in known:
                row = self._sql.one("SELECT max(n) FROM search_doc WHERE n < ?", number)
                known[number] = None if row is None else row[0]
            own = max((each for each in given if each < number), default=None)
            return max((each for each in (own, known[number]) if each is not None), default=None)

        for doc in docs:
            given.append(quote_number(doc.id) if doc.room_id == QUOTES else free_number(doc.at, highest_below))
        return given

    # --- Parts ------------------------------------------------------------------------------------

    @cached_property
    def _parts(self) -> Parts:
        rows = list(self._sql.all(_PARTS))
        return Parts([row[1] for row in rows], [row[0] for row in rows])

    def _open(self, start: int) -> None:
        self._sql.run("INSERT INTO search_part (start) VALUES (?)", start)
        self.__dict__.pop("_parts", None)

    def _count(self, part: int, more: int) -> None:
        self._sql.run("UPDATE search_part SET docs = docs + ? WHERE id = ?", more, part)

    def _roll(self) -> None:
        """Open a part for new documents if the newest one is full."""
        row = self._sql.one("SELECT docs FROM search_part WHERE id = ?", self._parts.ids[-1])
        newest = self._sql.one("SELECT max(n) FROM search_doc") if row is not None and row[0] >= MOST_DOCS else None
        if newest is not None:
            self._open(next_start(newest[0]))


def _forget(sql: Sql) -> None:
    for table in _TABLES:
        sql.run(f"DELETE FROM {table}")


def _places(sql: Sql) -> dict[int, Place]:
    return {row[0]: Place(*row[1:]) for row in sql.all(_PLACES)}


def _tagged(part: int, terms: Iterable[str]) -> list[str]:
    return [f"{part}.{term}" for term in terms]


def _written(match: Match, part: int) -> str:
    """Return the question as a `tsquery`; a term has only ``a-z0-9``, and stands in quotes all the same."""
    return " & ".join(f"({' | '.join(_quoted(part, term) for term in group)})" for group in match.groups)


def _quoted(part: int, term: Term) -> str:
    return f"'{part}.{term[0]}'" + (":*" if term[1] else "")
