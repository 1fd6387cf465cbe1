"""The contract of an index: terms of messages and quotes, and the position in each room's log that it has read.

* **Late at most.** A document is a hint: each hit is read again from the log's tables and compared.
* **Together.** Documents and the position up to which they were made change in one transaction.
* **One at a time.** `step` does nothing while another process indexes.
* **Disposable.** An index that is missing, damaged or of another history is made anew.
* **Forgetting.** After `tidy`, nothing of a document that was dropped is on the disk; of PostgreSQL,
  docs/explanation/search.md says when.

A document's number grows with its time, so that the newest hits come first without sorting.
"""

from __future__ import annotations

import contextlib
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol, TypeVar

from ...protocol.search.question import Term
from ..shapes import Sql

T = TypeVar("T")

QUOTES = 0
"""In place of a room's key: documents of quotes, which belong to no room."""
MOST_DOCS = 25_000
"""Documents of a part of an index: a question of a beginning reads all of them, in some milliseconds."""
MINUTE = 60_000
"""Parts begin with a minute, so how far a search came is not the time of a message that the caller may not see."""
_NOWHERE = -1
_SAME_MS = 10
QUOTE_ZERO = -(2**62)
"""Numbers of quotes are below those of all messages."""


class Place(NamedTuple):
    """The position up to which a room's log has been read: `seq` with its `tag`; messages up to `floor` are dropped."""

    seq: int
    tag: str
    floor: int


class Doc(NamedTuple):
    """One hit; `at` in milliseconds since 1970."""

    room_id: int
    id: int
    at: int
    terms: list[str]


class Hit(NamedTuple):
    """A message that may be found; or a mark, behind which no hit is newer than `at`."""

    at: int
    room_id: int
    id: int

    @property
    def is_mark(self) -> bool:
        """Return True for a mark."""
        return self.room_id == _NOWHERE


def mark(at: int) -> Hit:
    """Return the mark of `at`."""
    return Hit(at, _NOWHERE, 0)


class Match(NamedTuple):
    """The conditions of a hit: of each group one term at least, a number within the bounds, and one of `rooms`.

    None stands for all rooms. Terms of rooms among `groups` make the search shorter; `rooms` alone is exact.
    """

    groups: tuple[tuple[Term, ...], ...]
    start: int
    end: int
    rooms: frozenset[int] | None = None


class Parts(NamedTuple):
    """The parts of an index, the oldest first: documents from the number `starts[k]` on are in the part `ids[k]`."""

    starts: list[int]
    ids: list[int]

    def of(self, number: int) -> int:
        """Return the part of the document `number`."""
        return self.ids[bisect(self.starts, number) - 1]


class Writer(Protocol):
    """One write transaction of an index."""

    def places(self) -> dict[int, Place]: ...

    def divide(self, times: Iterable[int]) -> None:
        """Let parts begin at `times`, ascending, in an index without places: before the first document is put."""

    def put(self, docs: Iterable[Doc]) -> None:
        """Keep documents, in place of earlier ones of the same messages."""

    def drop(self, room_id: int, ids: Iterable[int]) -> None:
        """Drop the documents of some messages."""

    def drop_up_to(self, room_id: int, last: int, most: int) -> bool:
        """Drop at most `most` documents of a room with ids up to `last`; True if there may be more."""

    def settle(self, room_id: int, place: Place | None) -> None:
        """Store the position up to which a room has been read; None forgets the room."""


class Reader(Protocol):
    """Reads an index for one search."""

    @property
    def read(self) -> int:
        """Documents that another process has read about, since its time is not that of the caller's thread."""

    def places(self) -> dict[int, Place]: ...

    def number(self, room_id: int, message_id: int) -> int | None:
        """Return the number of a message's document."""

    def hits(self, match: Match) -> Iterator[Hit]:
        """Yield the hits, the newest first, and a mark after each part of the index that was looked through."""


class Index(Protocol):
    """An index of one store. Every method may be called from any thread."""

    def step(self, work: Callable[[Sql, Writer], T]) -> T | None:
        """Return the result of `work` on the log and the index, in one transaction; None if another process indexes."""

    def reading(self) -> contextlib.AbstractContextManager[Reader | None]:
        """Open the index for one search; None if there is none."""

    def tidy(self) -> bool:
        """Take dropped documents off the disk; False if it has to be tried again."""

    def clear(self) -> None:
        """Forget everything: the index is made anew. A process that indexes does so itself; `clearing` until then."""

    def clearing(self) -> bool:
        """Return True while an index that is to be forgotten is still there."""

    def size(self) -> int:
        """Bytes on the disk."""

    def close(self) -> None:
        """Release all."""


def first_number(at: int) -> int:
    """Return the smallest number of documents of the time `at`."""
    return at << _SAME_MS


def time_of(number: int) -> int:
    """Return the time of documents with the number `number`."""
    return number >> _SAME_MS


def next_start(newest: int) -> int:
    """Return the number at which a part after the document `newest` begins: with the next minute, so none moves."""
    return first_number((time_of(newest) // MINUTE + 1) * MINUTE)


def quote_number(quote_id: int) -> int:
    """Return the number of the document of a quote."""
    return QUOTE_ZERO + quote_id


def quote_id(number: int) -> int:
    """Return the quote of the document `number`."""
    return number - QUOTE_ZERO


def free_number(at: int, highest_below: Callable[[int], int | None]) -> int:
    """Return a free number for a document of the time `at`, behind those of its millisecond.

    `highest_below` returns the highest number in use below another one.
    """
    number = first_number(at)
    while True:
        highest = highest_below(number + (1 << _SAME_MS))
        if highest is None or highest < number:
            return number
        if highest + 1 < number + (1 << _SAME_MS):
            return highest + 1
        number += 1 << _SAME_MS
