"""Find quotes by their words: the index names them, the collection has their present state."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from ...protocol import json
from ...protocol.search import question
from ...protocol.search.question import Question
from ..base import PAGE_BYTES, Transactions
from ..shapes import Sql
from .documents import quote_text
from .index import QUOTES, Index, Match, Reader, quote_number

MOST_LOOKED = 10_000
"""Quotes that one search looks through."""
_CHUNK = 200


class Found(NamedTuple):
    """The newest quotes that were found, if there are more, and how many were looked through."""

    quotes: list[dict[str, Any]]
    has_more: bool
    looked: int


def search(store: Transactions, index: Index | None, asked: Question, before: int | None, limit: int) -> Found:
    """Return the newest quotes with ids below `before` that have all words of `asked`."""
    found: list[dict[str, Any]] = []
    size = looked = 0
    if not asked.phrases:
        return Found([], has_more=False, looked=0)
    with contextlib.nullcontext() if index is None else index.reading() as reader:
        ids = _numbers(store, reader, asked, 2**53 if before is None else before)
        while looked < MOST_LOOKED and (some := list(islice(ids, _CHUNK))):
            looked += len(some)
            for body in store.read_with(partial(_bodies, some)):
                quote = json.own(body)
                if question.found(asked, quote_text(quote)) is None:
                    continue
                if len(found) == limit or size >= PAGE_BYTES:
                    return Found(found, has_more=True, looked=looked)
                found.append(quote)
                size += len(body.encode())
    return Found(found, has_more=False, looked=looked)


def _numbers(store: Transactions, reader: Reader | None, asked: Question, end: int) -> Iterator[int]:
    """Yield the ids of quotes that may be found, the newest first: those that the index lacks, then its own."""
    known = 0
    with contextlib.suppress(sqlite3.DatabaseError):
        place = reader.places().get(QUOTES) if reader is not None else None
        known = place.seq if place is not None else 0
    below, some = end, [0] * _CHUNK
    while len(some) == _CHUNK:
        some = store.read_with(partial(_newer, known, below))
        yield from some
        below = some[-1] if some else below
    if reader is not None and known:
        match = Match(tuple((each,) for each in asked.terms), quote_number(0), quote_number(min(end, known + 1)))
        with contextlib.suppress(sqlite3.DatabaseError):
            for hit in reader.hits(match):
                yield hit.id


def _newer(known: int, below: int, sql: Sql) -> list[int]:
    rows = sql.all(
        "SELECT id FROM quote WHERE id > ? AND id < ? AND removed IS NULL ORDER BY id DESC LIMIT ?",
        known, below, _CHUNK,
    )  # fmt: skip
    return [row[0] for row in rows]


def _bodies(ids: list[int], sql: Sql) -> list[str]:
    marks = ", ".join("?" * len(ids))
    rows = sql.all(f"SELECT body FROM quote WHERE removed IS NULL AND id IN ({marks}) ORDER BY id DESC", *ids)
    return [row[0] for row in rows]
