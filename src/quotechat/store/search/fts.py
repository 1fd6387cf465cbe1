"""The tables of an index in SQLite: one row for each document, and FTS5 over them in parts.

A part holds the documents of a time, `MOST_DOCS` of them. FTS5 collects all documents of a beginning before it gives
the first one, so a question is asked of the newest part first, and can end after any. When words are dropped, a
part is written anew, not the whole.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from ...protocol.search.question import Term
from . import index
from .index import MOST_DOCS, QUOTES, Doc, Hit, Match, Parts, Place, first_number, next_start, time_of

SCHEMA = 2
"""To be raised when terms or tables change: an index of another number is made anew."""
_HAS_SECURE_DELETE = sqlite3.sqlite_version_info >= (3, 42)
_TABLES = (
    "CREATE TABLE place (room_id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, tag TEXT NOT NULL, floor INTEGER NOT NULL)"
    " STRICT",
    "CREATE TABLE doc (n INTEGER PRIMARY KEY, room_id INTEGER NOT NULL, id INTEGER NOT NULL, at INTEGER NOT NULL,"
    " terms TEXT NOT NULL) STRICT",
    "CREATE UNIQUE INDEX doc_message ON doc (room_id, id)",
    # Documents from the number `start` on are in the table found_`id`; `dropped` if words may be in it that are gone.
    "CREATE TABLE part (id INTEGER PRIMARY KEY, start INTEGER NOT NULL UNIQUE, docs INTEGER NOT NULL DEFAULT 0,"
    " dropped INTEGER NOT NULL DEFAULT 0) STRICT",
)
_PART = (
    "CREATE VIRTUAL TABLE found_{} USING fts5(terms, content='doc', content_rowid='n', tokenize='ascii', detail=none,"
    " columnsize=0)"
)


def make(connection: sqlite3.Connection) -> None:
    """Create the tables. Raises DatabaseError if there are others."""
    if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        raise sqlite3.DatabaseError("it is of another version")
    connection.execute("BEGIN IMMEDIATE")
    for statement in _TABLES:
        connection.execute(statement)
    _add_part(connection, index.QUOTE_ZERO)
    _add_part(connection, 0)
    connection.execute(f"PRAGMA user_version = {SCHEMA}")
    connection.execute("COMMIT")


def merge(connection: sqlite3.Connection) -> None:
    """Merge the segments of each part from which words were dropped: before 3.42 FTS5 keeps them until then."""
    for (part,) in connection.execute("SELECT id FROM part WHERE dropped").fetchall():
        connection.execute("BEGIN IMMEDIATE")
        try:
            if not _HAS_SECURE_DELETE:
                connection.execute(f"INSERT INTO found_{part} (found_{part}) VALUES ('optimize')")
            connection.execute("UPDATE part SET dropped = 0 WHERE id = ?", (part,))
        finally:
            connection.execute("COMMIT")


def _add_part(connection: sqlite3.Connection, start: int) -> int:
    """Open a part for the documents from the number `start` on; return its id."""
    part = int(connection.execute("INSERT INTO part (start) VALUES (?) RETURNING id", (start,)).fetchone()[0])
    connection.execute(_PART.format(part))
    if _HAS_SECURE_DELETE:
        connection.execute(f"INSERT INTO found_{part} (found_{part}, rank) VALUES ('secure-delete', 1)")
    return part


class FtsReader:
    """See `index.Reader`."""

    read = 0

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute

    def places(self) -> dict[int, Place]:
        return {row[0]: Place(*row[1:]) for row in self._execute("SELECT room_id, seq, tag, floor FROM place")}

    def number(self, room_id: int, message_id: int) -> int | None:
        row = self._execute("SELECT n FROM doc WHERE room_id = ? AND id = ?", (room_id, message_id)).fetchone()
        return None if row is None else row[0]

    def hits(self, match: Match) -> Iterator[Hit]:
        end = match.end
        for part, start in self._execute("SELECT id, start FROM part ORDER BY start DESC").fetchall():
            if start >= end:
                continue
            yield from self._of_part(part, match, max(start, match.start), end)
            if start <= match.start:
                return
            yield index.mark(time_of(start) - 1)
            end = start

    def _of_part(self, part: int, match: Match, start: int, end: int) -> Iterator[Hit]:
        values: list[Any] = [start, end]
        rooms = ""
        if match.rooms is not None:
            rooms = " AND d.room_id IN (SELECT value FROM json_each(?))"
            values.append(f"[{','.join(map(str, sorted(match.rooms)))}]")
        if match.groups:
            rows = self._execute(
                f"SELECT d.at, d.room_id, d.id FROM found_{part} f JOIN doc d ON d.n = f.rowid"
                f" WHERE f.found_{part} MATCH ? AND f.rowid >= ? AND f.rowid < ?{rooms} ORDER BY f.rowid DESC",
                (_written(match), *values),
            )
        else:
            rows = self._execute(
                f"SELECT d.at, d.room_id, d.id FROM doc d WHERE d.n >= ? AND d.n < ?{rooms} ORDER BY d.n DESC", values
            )
        with contextlib.closing(rows):
            yield from (Hit(*row) for row in rows)


class FtsWriter(FtsReader):
    """See `index.Writer`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._connection = connection
        self._look()

    def divide(self, times: Iterable[int]) -> None:
        for at in times:
            _add_part(self._connection, first_number(at))
        self._look()

    def put(self, docs: Iterable[Doc]) -> None:
        added: Counter[int] = Counter()
        for doc in docs:
            terms = " ".join(doc.terms)
            row = self._execute("SELECT n, terms FROM doc WHERE room_id = ? AND id = ?", doc[:2]).fetchone()
            if row is None:
                number = self._number_for(doc)
                self._execute("INSERT INTO doc VALUES (?, ?, ?, ?, ?)", (number, *doc[:3], terms))
                part = self._parts.of(number)
                added[part] += 1
            elif row[1] == terms:
                continue
            else:
                number = row[0]
                part = self._forget(number, row[1])
                self._execute("UPDATE doc SET terms = ? WHERE n = ?", (terms, number))
            self._execute(f"INSERT INTO found_{part} (rowid, terms) VALUES (?, ?)", (number, terms))
        for part, more in added.items():
            self._execute("UPDATE part SET docs = docs + ? WHERE id = ?", (more, part))
        self._roll()

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
            part = self._forget(number, terms)
            self._execute("DELETE FROM doc WHERE n = ?", (number,))
            self._execute("UPDATE part SET docs = docs - 1 WHERE id = ?", (part,))
        return len(rows)

    def _forget(self, number: int, terms: str) -> int:
        """Take a document out of its part; return the part."""
        part = self._parts.of(number)
        self._execute(
            f"INSERT INTO found_{part} (found_{part}, rowid, terms) VALUES ('delete', ?, ?)", (number, terms)
        )
        self._execute("UPDATE part SET dropped = 1 WHERE id = ? AND NOT dropped", (part,))
        return part

    def _number_for(self, doc: Doc) -> int:
        if doc.room_id == QUOTES:
            return index.quote_number(doc.id)
        return index.free_number(doc.at, self._highest_below)

    def _highest_below(self, number: int) -> int | None:
        found: int | None = self._execute("SELECT max(n) FROM doc WHERE n < ?", (number,)).fetchone()[0]
        return found

    # --- Parts ------------------------------------------------------------------------------------

    def _look(self) -> None:
        rows = self._execute("SELECT start, id FROM part ORDER BY start").fetchall()
        self._parts = Parts([row[0] for row in rows], [row[1] for row in rows])

    def _roll(self) -> None:
        """Open a part for new documents if the newest one is full."""
        [docs] = self._execute("SELECT docs FROM part WHERE id = ?", (self._parts.ids[-1],)).fetchone()
        if docs >= MOST_DOCS:
            newest = self._highest_below(2**62)
            assert newest is not None
            self.divide([time_of(next_start(newest))])


def _written(match: Match) -> str:
    """Return the question in FTS5's language; a term has only ``a-z0-9``, and stands in quotes all the same."""
    return " AND ".join(f"({' OR '.join(map(_quoted, group))})" for group in match.groups)


def _quoted(term: Term) -> str:
    return f'"{term[0]}"' + (" *" if term[1] else "")
