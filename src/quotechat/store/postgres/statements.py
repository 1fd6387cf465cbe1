"""Read tables and keys from the text of our statements, and combine many of a kind into one. Pure.

`rules`, `ledger` and `projections` write one row at a time. PostgreSQL is a round trip away, so its store asks
and writes many rows with one statement; this turns the one into the other, and says which may touch which.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from ..tables import TABLES

Values = tuple[Any, ...]
Key = Any
"""The value of a primary key, or the tuple of its values."""

_MOST_KEPT = 500
"""Statements that are kept: one that names many rows has a text for each number of them, and a search many more."""
_INSERT = re.compile(r"INSERT INTO (\w+) \(([\w, ]+)\) VALUES \([?, ]+\)")
_UPDATE = re.compile(r"UPDATE (\w+) SET (\w+ = \?(?:, \w+ = \?)*) WHERE (\w+ = \?(?: AND \w+ = \?)*)")
_NAMED = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE) (\w+)(?: (?!ON\b|SET\b|WHERE\b|JOIN\b|ORDER\b)([a-z]\w*))?")
_FIXED = re.compile(r"(?:(\w+)\.)?(\w+) = \?")


class Shape(NamedTuple):
    """The tables and rows that a statement touches.

    `keys` has each table that it names, with a function that takes the table's whole primary key from the statement's
    values, or None if it may touch any row. `insert` is set if it does nothing but add the row of its
    values, `reads` if it changes nothing.
    """

    keys: tuple[tuple[str, Callable[[Values], Key] | None], ...]
    insert: bool
    reads: bool

    def rows(self, values: Values) -> list[tuple[str, Key | None]]:
        """Return (table, key) of the rows that it touches; the key None stands for any."""
        return [(table, key and key(values)) for table, key in self.keys]


@lru_cache(_MOST_KEPT)
def shape(statement: str) -> Shape:
    """Return the shape of `statement`, which is ours: one line, upper-case keywords, ``?`` for values."""
    reads = statement.startswith("SELECT ")
    found = _INSERT.match(statement)
    if found:
        columns = found[2].split(", ")
        places = {column: place for place, column in enumerate(columns)}
        return Shape(((found[1], _key(found[1], places)),), found.end() == len(statement), reads)
    # In capitals it is no table but the rest of a clause, as in DO UPDATE SET.
    named = [(table, alias or table) for table, alias in _NAMED.findall(statement) if table.islower()]
    # A table that is named twice, as in a subquery, has no one key.
    tables = [table for table, _ in named]
    fixed = _fixed(statement)
    keys: dict[str, Callable[[Values], Key] | None] = {}
    for table, alias in named:
        if table not in TABLES:
            raise KeyError(f"{table} is not in store/tables.py")
        own = {column: place for (of, column), place in fixed.items() if of == alias or (not of and len(named) == 1)}
        keys[table] = _key(table, own) if tables.count(table) == 1 else None
    return Shape(tuple(keys.items()), False, reads)


def _key(table: str, columns: Mapping[str, int]) -> Callable[[Values], Key] | None:
    key = TABLES[table].key
    return itemgetter(*(columns[column] for column in key)) if columns.keys() >= set(key) else None


def _fixed(statement: str) -> dict[tuple[str, str], int]:
    """Return (alias, column) that the condition fixes to a value, and that value's place."""
    before, _, condition = statement.partition(" WHERE ")
    place, found = before.count("?"), {}
    for part in condition.split(" AND "):
        match = _FIXED.fullmatch(part)
        if match:
            found[match[1] or "", match[2]] = place
        place += part.count("?")
    return found


@lru_cache(_MOST_KEPT)
def for_psycopg(statement: str) -> str:
    """Return `statement` with the placeholders of psycopg."""
    return statement.replace("%", "%%").replace("?", "%s")


def sendable(values: Iterable[Any]) -> list[Any]:
    """Return `values` for psycopg. PostgreSQL takes no NUL in a text, so none of its rows has one: it is replaced.

    Where that is asked for, as an id or a name, nothing is found; where it is stored, U+FFFD stands instead.
    """
    return [_without_nul(each) if type(each) is str else each for each in values]


def _without_nul(text: str) -> str:
    return text.replace("\0", "\ufffd")


# --- Many as one ----------------------------------------------------------------------------------


@cache
def many_reads(statement: str, types: tuple[type, ...]) -> str:
    """Ask `statement`, which finds one row at most, for each of many values of `types`.

    The parameters are one `Array` for each value; the rows come in their order, each with a flag in front that it is
    there. LATERAL keeps to the index whatever the planner thinks of the table's size.
    """
    arrays = ", ".join(["%s"] * len(types))
    names = ", ".join(f"p{place}" for place in range(len(types)))
    return (
        f"SELECT q.* FROM unnest({arrays}) WITH ORDINALITY AS k({names}, n)"
        f" LEFT JOIN LATERAL (SELECT true AS there, x.* FROM ({_numbered(statement, 'k')}) x LIMIT 1) q ON true"
        " ORDER BY k.n"
    )


@cache
def many_inserts(statement: str) -> str:
    """Return the plain insert `statement`, for arrays of its values."""
    found = _INSERT.fullmatch(statement)
    assert found is not None, statement
    columns = found[2].split(", ")
    arrays = ", ".join(["%s"] * len(columns))
    return f"INSERT INTO {found[1]} ({found[2]}) SELECT * FROM unnest({arrays})"


@cache
def many_updates(statement: str) -> str | None:
    """Return the update `statement` for arrays of its values, over rows with different keys; None if it has none."""
    found = _UPDATE.fullmatch(statement)
    if found is None or shape(statement).keys[0][1] is None:
        return None
    columns = re.findall(r"(\w+) = \?", statement)
    arrays = ", ".join(["%s"] * len(columns))
    names = ", ".join(f"p{place}" for place in range(len(columns)))
    numbered = _numbered(statement, "v")
    head, _, condition = numbered.partition(" WHERE ")
    joined = " AND ".join(f"{found[1]}.{part}" for part in condition.split(" AND "))
    return f"{head} FROM unnest({arrays}) AS v({names}) WHERE {joined}"


class Array(NamedTuple):
    """One value of many rows, as PostgreSQL sends and takes arrays (array_recv in arrayfuncs.c).

    Encoded here: psycopg searches every text for characters to quote, which takes most of a batch's time.
    """

    oid: int
    data: bytes


_TEXT, _BIGINT, _BYTEA = 25, 20, 17
_ARRAYS = {_TEXT: 1009, _BIGINT: 1016, _BYTEA: 1001}
_OIDS = {"number": _BIGINT, "text": _TEXT, "bytes": _BYTEA}


def read_arrays(rows: Sequence[Values]) -> list[Array]:
    """Return the parameters of `many_reads`."""
    kinds = {int: _BIGINT, str: _TEXT, bytes: _BYTEA}
    return [_array(kinds[type(column[0])], column) for column in zip(*rows, strict=True)]


def write_arrays(statement: str, rows: Sequence[Values]) -> list[Array]:
    """Return the parameters of `many_inserts` and `many_updates`."""
    return [_array(kind, column) for kind, column in zip(_kinds(statement), zip(*rows, strict=True), strict=True)]


@cache
def _kinds(statement: str) -> tuple[int, ...]:
    found = _INSERT.fullmatch(statement)
    columns = found[2].split(", ") if found else re.findall(r"(\w+) = \?", statement)
    table = found[1] if found else statement.split()[1]
    return tuple(_OIDS[TABLES[table].kinds[each]] for each in columns)


def _array(kind: int, items: Sequence[Any]) -> Array:
    count, nulls = len(items), None in items
    parts = [struct.pack("!iiiii", 1, nulls, kind, count, 1)]
    if kind == _BIGINT and not nulls:
        flat: list[int] = [8] * (2 * count)
        flat[1::2] = items
        parts.append(struct.pack("!" + "iq" * count, *flat))
    else:
        for item in items:
            if item is None:
                parts.append(_NULL)
                continue
            data = _without_nul(item).encode() if kind == _TEXT else _NUMBER.pack(item) if kind == _BIGINT else item
            parts += (_LENGTH.pack(len(data)), data)
    return Array(_ARRAYS[kind], b"".join(parts))


_NULL, _LENGTH, _NUMBER = struct.pack("!i", -1), struct.Struct("!i"), struct.Struct("!q")


def _numbered(statement: str, source: str) -> str:
    parts = statement.replace("%", "%%").split("?")
    return parts[0] + "".join(f"{source}.p{place}{part}" for place, part in enumerate(parts[1:]))
