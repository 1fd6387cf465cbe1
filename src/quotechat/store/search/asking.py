"""Answer a question: the index names messages, the log's tables say their present state and their readers.

A chunk of hits, the rooms that the caller sees and the messages are read in one transaction each time, so nothing is
shown that was deleted, edited away or hidden before that. Events behind the index are looked through here.
"""

from __future__ import annotations

import contextlib
import heapq
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from ...protocol import events, json
from ...protocol.errors import Overloaded, RoomUnknown
from ...protocol.markup import text
from ...protocol.names import skeleton
from ...protocol.rights.principal import Principal
from ...protocol.search import question
from ...protocol.search.question import Question
from .. import presenting, visibility
from ..accounts import callers
from ..base import PAGE_BYTES, Transactions
from ..shapes import Row, Sql, counted
from . import behind, chunks, documents, replies
from .following import rooms_of
from .index import Hit, Index, Match, Place, Reader, first_number
from .position import OLDEST, Before, Stretch
from .visible import Seen, visible

MOST_LOOKED = 10_000
"""Hits of the index that one question looks through."""
MOST_BEST = 2_000
"""Hits among which the best are chosen."""
_MORE_LATER = 2
"""Times as many of both, if a later page looks through the same messages: some may have been edited meanwhile."""
_MOST_ROOMS = 50
"""Rooms whose terms are part of the question to the index; more are a condition alone."""
_ROOMS_AT_ONCE = 50
"""Rooms whose messages are read with one statement."""


class Asker(NamedTuple):
    """The caller, with all identities that are its own, if people are asked for."""

    principal: Principal
    identities: frozenset[str]


class _Shown(NamedTuple):
    """A message that is found: sorted by its `key`."""

    key: tuple[int, int, int, int]
    hit: Hit
    room: str
    message: dict[str, Any]
    marks: list[tuple[int, int]]
    size: int


class Search:
    """One question of one caller; `enough()` is True when its time is over."""

    def __init__(self, store: Transactions, index: Index, asked: Question, principal: Principal) -> None:
        self._store = store
        self._index = index
        self._asked = asked
        self._asker = Asker(principal, frozenset())
        self._people: dict[str, str] = {}
        if asked.people or asked.not_people:
            self._asker, self._people = store.read_with(lambda sql: (_asker(sql, principal), _people(sql, asked)))
        self.looked = 0
        self.passed = False
        """True once a whole part of the index was looked through."""
        self._reader: Reader | None = None
        self.late = False
        """True if the index lacks messages that were not looked through either."""
        self._ended: Hit | None = None
        self._replies: frozenset[Hit] = frozenset()

    def newest(self, before: Before | None, limit: int, enough: Callable[[], bool]) -> dict[str, Any]:
        """Return the newest hits after the page that ends at `before`."""
        shown: list[_Shown] = []
        size = 0
        with self._looking() as reader:
            for found in self._matches(reader, Stretch(before), min(chunks.FIRST, limit + 1), enough):
                if len(shown) == limit or size >= PAGE_BYTES:
                    return self._answer(shown, str(Before(None, *_place(shown[-1]))))
                shown.append(found)
                size += found.size
        if self._ended is not None:
            return self._answer(shown, str(self._position(self._ended)), through=self._ended.at)
        return self._answer(shown, None)

    def best(
        self, before: Before | None, limit: int, enough: Callable[[], bool], stop: Callable[[], bool] = lambda: False
    ) -> dict[str, Any]:
        """Return the best of the newest hits: phrase before words, whole words before beginnings, then newer.

        When all of them were told, the next page has the best of those that are older. Until then each page looks
        through the same messages, whatever `enough` says, so that none is told twice or never. Raises Overloaded if
        it cannot: `stop()` is True when that takes too long.
        """
        shown: list[_Shown] = []
        window = None if before is None else before.window
        stretch = Stretch(before) if window is None else Stretch(None, *window)
        most = MOST_BEST if window is None else _MORE_LATER * MOST_BEST
        with self._looking() as reader:
            for found in self._matches(reader, stretch, chunks.FIRST, enough if window is None else stop):
                shown.append(found)
                if len(shown) >= most:
                    self._ended = found.hit
                    break
        if window is None:
            first = Before(None, *_place(shown[0])) if shown else OLDEST
            window = (first, OLDEST if self._ended is None else self._position(self._ended))
        elif self._ended is not None:
            raise Overloaded()
        shown.sort(key=lambda each: each.key)
        if before is not None and before.rank is not None:
            after = (before.rank, -before.at, -self._room_id(before.room), -before.id)
            shown = [each for each in shown if each.key > after]
        page, size = [], 0
        for each in shown[:limit]:
            if size >= PAGE_BYTES:
                break
            page.append(each)
            size += each.size
        end = None if window[1] == OLDEST else window[1]
        more = None if end is None else str(end)
        if len(page) < len(shown):
            more = str(Before(page[-1].key[0], *_place(page[-1]), window))
        return self._answer(page, more, through=None if end is None else end.at)

    @property
    def read(self) -> int:
        """Documents that the database has read about, in a process of its own."""
        return 0 if self._reader is None else self._reader.read

    # --- Candidates -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _looking(self) -> Iterator[Reader | None]:
        with self._index.reading() as self._reader:
            yield self._reader

    def _matches(
        self, reader: Reader | None, stretch: Stretch, size: int, enough: Callable[[], bool]
    ) -> Iterator[_Shown]:
        """Yield the messages that are found, the newest first, `size` candidates at first together.

        If it ends before all was looked through, `_ended` is the last candidate that was.
        """
        places = {} if reader is None else _sure(reader.places, {})
        seen, only, news = self._store.read_with(lambda sql: self._start(sql, places))
        most = MOST_LOOKED if stretch.last is None else _MORE_LATER * MOST_LOOKED
        indexed = iter(()) if reader is None else self._indexed(reader, seen, only, stretch)
        candidates = heapq.merge(indexed, self._bounded(news, stretch), key=lambda hit: -hit.at)
        done: set[Hit] = set()
        while taken := self._take(candidates, size, enough):
            # One that is edited behind the index comes from both sides, and one that was sent there too, twice.
            some = [hit for hit in dict.fromkeys(taken) if hit not in done]
            done.update(some)
            began = time.thread_time()
            compared, shown = self._store.read_with(partial(self._compared, some, enough))
            yield from shown
            if compared < len(some) or self.looked >= most or enough():
                self._ended = some[compared - 1] if some else taken[-1]
                return
            size = chunks.next_size(size, time.thread_time() - began)

    def _take(self, candidates: Iterator[Hit], size: int, enough: Callable[[], bool]) -> list[Hit]:
        """Take the next `size` candidates; less if a part of the index ends and the time too."""
        taken: list[Hit] = []
        for hit in islice(candidates, size):
            taken.append(hit)
            self.passed = self.passed or hit.is_mark
            if hit.is_mark and enough():
                break
        return taken

    def _start(
        self, sql: Sql, places: dict[int, Place]
    ) -> tuple[dict[int, Seen], frozenset[int] | None, list[Hit]]:
        """Return the rooms to search, the same as a condition, None for all rooms, and messages behind the index."""
        seen = {key: room for key, room in visible(sql, self._asker.principal).items() if self._wanted(room)}
        rooms = rooms_of(sql)
        # Of other rooms not even the time of a hit may be revealed, by the point at which a search ends.
        only = None if rooms.keys() <= seen.keys() else frozenset(seen)
        news, self.late = behind.messages(sql, [room for key, room in rooms.items() if key in seen], places)
        if "mentions:me" in self._asked.flags | self._asked.not_flags:
            self._replies = replies.hits(sql, self._asker.principal.account, seen, MOST_LOOKED)
        if "mentions:me" in self._asked.flags:
            news = sorted({*news, *self._replies}, reverse=True)
        return seen, only, [hit for hit in news if self._asked.at(hit.at)]

    def _indexed(
        self, reader: Reader, seen: dict[int, Seen], only: frozenset[int] | None, stretch: Stretch
    ) -> Iterator[Hit]:
        asked = self._asked
        groups: list[tuple[question.Term, ...]] = [(each,) for each in asked.terms]
        if only is not None and len(seen) <= _MOST_ROOMS:
            groups.append(tuple((documents.of_room(key), False) for key in sorted(seen)))
        groups += self._operator_terms()
        start, end = first_number(max(0, asked.start)), first_number(max(0, min(asked.end, 2**50)))
        if stretch.before is not None:
            end = min(end, self._number(reader, stretch.before))
        if stretch.first is not None:
            end = min(end, self._number(reader, stretch.first, more=1))
        if stretch.last is not None:
            start = max(start, self._number(reader, stretch.last))
        if all(groups):
            match = Match(tuple(groups), start, end, only)
            try:
                yield from reader.hits(match)
            except sqlite3.DatabaseError:
                self.late = True  # damaged, or deleted meanwhile; the indexer makes it anew

    def _operator_terms(self) -> Iterator[tuple[question.Term, ...]]:
        """Yield the terms that operators ask for."""
        asked = self._asked
        if asked.people:
            names = [documents.of_name(each[1:]) for each in asked.people if each != "me"]
            own = [documents.of_identity(each) for each in sorted(self._identities(asked.people))]
            yield tuple((each, False) for each in [*names, *own])
        for flag in sorted(asked.flags & {"has:link", "has:file", "has:image"}):
            yield ((flag.replace("has:", "h"), False),)
        if "mentions:me" in asked.flags:
            account = self._asker.principal.id
            yield tuple((documents.of_mention(each), False) for each in ([account, "room"] if account else []))

    def _number(self, reader: Reader, at: Before, more: int = 0) -> int:
        """Return the number of a message in the index, and `more`; without one, that after its millisecond."""
        room_id = self._room_id(at.room)
        number = reader.number(room_id, at.id) if room_id else None
        return first_number(at.at + 1) if number is None else number + more

    def _bounded(self, news: list[Hit], stretch: Stretch) -> Iterator[Hit]:
        """Return those of the messages behind the index that the page is chosen among."""
        before, first, last = (None if each is None else self._bound(each) for each in stretch)
        return iter(
            hit for hit in news
            if (before is None or hit < before) and (first is None or hit <= first) and (last is None or hit >= last)
        )  # fmt: skip

    def _bound(self, at: Before) -> tuple[int, int, int]:
        room_id = self._room_id(at.room)
        # A page that ended in no room had looked through nothing of its millisecond.
        return (at.at, room_id, at.id) if room_id else (at.at + 1, 0, 0)

    def _room_id(self, room: str) -> int:
        """Return the key of a room, 0 if the caller does not see it: a made-up position must reveal nothing."""
        try:
            row = self._store.read_with(lambda sql: visibility.room(sql, "r.id", room, self._asker.principal))
        except RoomUnknown:
            return 0
        return int(row[0])

    # --- Comparing --------------------------------------------------------------------------------

    def _compared(self, some: list[Hit], enough: Callable[[], bool], sql: Sql) -> tuple[int, list[_Shown]]:
        """Return how many of `some` were compared, and those that are found, as the caller may see them now."""
        rooms = {key: room for key, room in visible(sql, self._asker.principal).items() if self._wanted(room)}
        by_room: dict[int, list[int]] = defaultdict(list)
        for hit in some:
            if hit.room_id in rooms:
                by_room[hit.room_id].append(hit.id)
        rows = {(row[0], row[1]): row[1:] for row in _rows(sql, by_room)}
        compared, found = 0, []
        for compared, hit in enumerate(some, 1):
            if hit.is_mark:
                continue
            self.looked += 1
            row = rows.get((hit.room_id, hit.id))
            shown = None if row is None else self._shown(hit, rooms[hit.room_id].name, row)
            found += [] if shown is None else [shown]
            if compared < len(some) and enough():
                break
        for room_id in by_room:
            presenting.messages(sql, room_id, [each.message for each in found if each.hit.room_id == room_id])
        return compared, found

    def _shown(self, hit: Hit, room: str, row: Row) -> _Shown | None:
        """Return a message as it is shown, None if it is not found."""
        _, identity, body, *reactions = row
        if not self._reacted(any(reactions)):
            return None
        message = json.own(body)
        if not self._fits(hit, identity, message):
            return None
        found = question.found(self._asked, documents.searched(message))
        if found is None:
            return None
        message = counted(text.bounded(message), *reactions)
        end = len(documents.shown(message))  # behind it are descriptions
        marks = [mark for mark in found.marks if sum(mark) <= end]
        return _Shown((found.rank, -hit.at, -hit.room_id, -hit.id), hit, room, message, marks, len(body.encode()))

    def _wanted(self, room: Seen) -> bool:
        asked = self._asked
        if room.name in asked.not_rooms or (asked.rooms and room.name not in asked.rooms):
            return False
        if "is:direct" in asked.flags and room.kind != "direct":
            return False
        return not ("is:direct" in asked.not_flags and room.kind == "direct")

    def _reacted(self, reacted: bool) -> bool:
        if "has:reaction" in self._asked.flags and not reacted:
            return False
        return not ("has:reaction" in self._asked.not_flags and reacted)

    def _fits(self, hit: Hit, identity: str | None, message: dict[str, Any]) -> bool:
        """Return True if the operators about sender, time and content are met."""
        asked = self._asked
        if asked.people and not self._is_from(asked.people, identity, message):
            return False
        if asked.not_people and self._is_from(asked.not_people, identity, message):
            return False
        if (asked.dated or asked.not_days) and not asked.at(documents.ms(message["at"])):
            return False
        flags = {f"has:{each}" for each in documents.holds(message)}
        own = self._asker.principal.id
        if hit in self._replies or (own and documents.mentions(message) & {own, "room"}):
            flags.add("mentions:me")
        known = {"has:link", "has:file", "has:image", "mentions:me"}
        return asked.flags & known <= flags and not asked.not_flags & flags

    def _is_from(self, people: frozenset[str], identity: str | None, message: dict[str, Any]) -> bool:
        return "@" + skeleton(message["user"]) in people or identity in self._identities(people)

    def _identities(self, people: frozenset[str]) -> set[str]:
        """Return the identities that `people` stand for: the caller's own, and those of accounts by their names."""
        own = set(self._asker.identities) if "me" in people else set()
        return own | {identity for name, identity in self._people.items() if name in people}

    # --- The answer -------------------------------------------------------------------------------

    def _answer(self, shown: list[_Shown], more: str | None, through: int | None = None) -> dict[str, Any]:
        hits = [
            {"room": each.room, "message": each.message, "marks": [list(mark) for mark in each.marks]} for each in shown
        ]
        answer: dict[str, Any] = {"hits": hits, "has_more": more is not None}
        if more is not None:
            answer["before"] = more
        if through is not None:
            answer["searched"] = {"through": events.rfc3339(through)}
        return answer | ({"incomplete": True} if self.late else {})

    def _position(self, hit: Hit) -> Before:
        row = self._store.read_with(lambda sql: sql.one("SELECT name FROM room WHERE id = ?", hit.room_id))
        seen = self._store.read_with(lambda sql: visible(sql, self._asker.principal))
        # For a room that the caller does not see, the position has only the time.
        name = row[0] if row is not None and hit.room_id in seen else "0"
        return Before(None, hit.at, name, hit.id if name != "0" else 0)


def _rows(sql: Sql, by_room: dict[int, list[int]]) -> Iterator[Row]:
    """Yield the messages that are there, of some rooms with one statement: one by one, the trips take the time."""
    left = iter(by_room.items())
    while some := list(islice(left, _ROOMS_AT_ONCE)):
        each = (
            "SELECT room_id, id, identity, body, likes, dislikes, reactions FROM message"
            " WHERE room_id = ? AND deleted IS NULL AND id IN ({})"
        )
        statement = " UNION ALL ".join(each.format(", ".join("?" * len(ids))) for _, ids in some)
        yield from sql.all(statement, *(value for key, ids in some for value in (key, *ids)))


def _place(shown: _Shown) -> tuple[int, str, int]:
    return shown.hit.at, shown.room, shown.hit.id


def _sure(work: Callable[[], Any], otherwise: Any) -> Any:
    try:
        return work()
    except sqlite3.DatabaseError:
        return otherwise


def _asker(sql: Sql, principal: Principal) -> Asker:
    identity = principal.identity
    if identity is None:
        return Asker(principal, frozenset())
    return Asker(principal, frozenset({identity} | callers.claimed(sql, identity)))


def _people(sql: Sql, asked: Question) -> dict[str, str]:
    """Return the identities of the accounts that a question names, by the name as it stands there."""
    found: dict[str, str] = {}
    for name in (asked.people | asked.not_people) - {"me"}:
        row = sql.one("SELECT identity FROM account WHERE skeleton = ?", name[1:])
        if row is not None:
            found[name] = row[0]
    return found
