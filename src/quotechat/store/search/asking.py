"""Answer a question: the index names messages, the log's tables say what they are now and who may see them.

A chunk of hits, the rooms that the caller sees and the messages are read in one transaction each time, so nothing is
shown that was deleted, edited away or hidden before that. What the index has not reached yet is looked through here.
"""

from __future__ import annotations

import heapq
import itertools
import re
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from ...protocol import events, json
from ...protocol.errors import ParameterInvalid
from ...protocol.markup import text
from ...protocol.names import skeleton
from ...protocol.rights.principal import Principal
from ...protocol.search import question
from ...protocol.search.question import Question
from .. import presenting
from ..accounts import callers
from ..base import PAGE_BYTES, Transactions
from ..shapes import Sql, counted
from . import documents
from .following import Room, rooms_of
from .index import Hit, Index, Match, Place, Reader, first_number
from .visible import Seen, visible

MOST_LOOKED = 10_000
"""Hits of the index that one question looks through."""
MOST_BEST = 2_000
"""Hits among which the best are chosen."""
MOST_BEHIND = 500
"""Events of a room behind the index that a search looks through itself; five times as many of all rooms."""
_MOST_ROOMS = 50
"""Rooms whose terms are part of the question to the index; more are a condition alone."""
_CHUNKS = (100, 400)
"""Hits that are read and compared together, after those that may fill the page."""
_BEFORE = re.compile(r"(?:([0-2])\.)?([0-9]{1,15})\.([a-z0-9][a-z0-9-]{0,62})\.([0-9]{1,16})", re.ASCII)


class Before(NamedTuple):
    """The last hit of the page before: its rank if the best come first, its time, room and id."""

    rank: int | None
    at: int
    room: str
    id: int


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


def before_of(value: str) -> Before:
    """Read the position after a page. Raises ParameterInvalid."""
    found = _BEFORE.fullmatch(value)
    if found is None:
        raise ParameterInvalid("before is that of the page before.", "before")
    return Before(None if found[1] is None else int(found[1]), int(found[2]), found[3], int(found[4]))


class Search:
    """One question of one caller; `enough` says that it has taken its time."""

    def __init__(self, store: Transactions, index: Index, asked: Question, principal: Principal) -> None:
        self._store = store
        self._index = index
        self._asked = asked
        self._asker = Asker(principal, frozenset())
        self._people: dict[str, str] = {}
        if asked.people or asked.not_people:
            self._asker, self._people = store.read_with(lambda sql: (_asker(sql, principal), _people(sql, asked)))
        self.looked = 0
        self.late = False
        """True if the index lacks messages that were not looked through either."""

    def newest(self, before: Before | None, limit: int, enough: Callable[[], bool]) -> dict[str, Any]:
        """Return the newest hits after the page that ends at `before`."""
        shown: list[_Shown] = []
        size = 0
        with self._looking() as reader:
            for hit, found in self._found(reader, before, limit + 1):
                if found is not None:
                    if len(shown) == limit or size >= PAGE_BYTES:
                        return self._answer(shown, _after(shown[-1]))
                    shown.append(found)
                    size += found.size
                if self.looked >= MOST_LOOKED or enough():
                    return self._answer(shown, self._position(hit), through=hit.at)
        return self._answer(shown, None)

    def best(self, before: Before | None, limit: int, enough: Callable[[], bool]) -> dict[str, Any]:
        """Return the best of the newest hits: phrase before words, whole words before beginnings, then newer."""
        shown: list[_Shown] = []
        through: int | None = None
        with self._looking() as reader:
            for hit, found in self._found(reader, None, _CHUNKS[-1]):
                if found is not None:
                    shown.append(found)
                if len(shown) >= MOST_BEST or self.looked >= MOST_LOOKED or enough():
                    through = hit.at
                    break
        shown.sort(key=lambda each: each.key)
        if before is not None:
            rank, room_id = before.rank or 0, self._room_id(before.room)
            after = (rank, -before.at, -room_id, -before.id)
            shown = [each for each in shown if each.key > after]
        page, size = [], 0
        for each in shown[:limit]:
            if size >= PAGE_BYTES:
                break
            page.append(each)
            size += each.size
        more = f"{page[-1].key[0]}.{_after(page[-1])}" if len(page) < len(shown) else None
        return self._answer(page, more, through=through)

    # --- Candidates -------------------------------------------------------------------------------

    def _looking(self) -> Any:
        return self._index.reading()

    def _found(
        self, reader: Reader | None, before: Before | None, first: int
    ) -> Iterator[tuple[Hit, _Shown | None]]:
        """Yield each candidate, the newest first, with what is shown of it, None if it is not found.

        `first` of them are read together, then more.
        """
        places = {} if reader is None else _sure(reader.places, {})
        seen, only, behind = self._store.read_with(lambda sql: self._start(sql, places))
        indexed = iter(()) if reader is None else self._indexed(reader, seen, only, before)
        candidates = heapq.merge(indexed, self._bounded(behind, before), key=lambda hit: -hit.at)
        done: set[Hit] = set()
        sizes = itertools.chain((first, *_CHUNKS), itertools.repeat(_CHUNKS[-1]))
        while taken := list(islice(candidates, next(sizes))):
            # One that is edited behind the index comes from both sides, and one that was sent there too, twice.
            some = [hit for hit in dict.fromkeys(taken) if hit not in done]
            done.update(some)
            shown = self._store.read_with(partial(self._shown, some))
            for hit in some:
                self.looked += 1
                yield hit, shown.get(hit)

    def _start(
        self, sql: Sql, places: dict[int, Place]
    ) -> tuple[dict[int, Seen], frozenset[int] | None, list[Hit]]:
        """Return the rooms to search, the same as a condition, None for all rooms, and what the index lacks of them."""
        seen = {key: room for key, room in visible(sql, self._asker.principal).items() if self._wanted(room)}
        rooms = rooms_of(sql)
        # Of others not even the time of a hit may be told, by how far a search came.
        only = None if rooms.keys() <= seen.keys() else frozenset(seen)
        return seen, only, self._behind(sql, rooms, seen, places)

    def _behind(
        self, sql: Sql, rooms: dict[int, Room], seen: dict[int, Seen], places: dict[int, Place]
    ) -> list[Hit]:
        """Return the messages that were sent or edited behind the index, the newest first."""
        found: list[Hit] = []
        left = 5 * MOST_BEHIND
        for room in rooms.values():
            place = places.get(room.id)
            if room.id not in seen or (place is not None and place.seq >= room.head):
                continue
            most = min(left, MOST_BEHIND)
            start = room.floor if place is None else max(place.seq, room.floor)
            self.late = self.late or room.head - start > most
            if most > 0:
                found += _news(sql, room, start, most)
            left -= min(most, room.head - start)
        return sorted((hit for hit in found if self._asked.at(hit.at)), reverse=True)

    def _indexed(
        self, reader: Reader, seen: dict[int, Seen], only: frozenset[int] | None, before: Before | None
    ) -> Iterator[Hit]:
        asked = self._asked
        groups: list[tuple[question.Term, ...]] = [(each,) for each in asked.terms]
        if only is not None and len(seen) <= _MOST_ROOMS:
            groups.append(tuple((documents.of_room(key), False) for key in sorted(seen)))
        groups += self._operator_terms()
        end = min(asked.end, 2**50)
        bound = first_number(max(0, end))
        if before is not None:
            number = reader.number(self._room_id(before.room), before.id)
            bound = min(bound, first_number(before.at + 1) if number is None else number)
        if all(groups):
            match = Match(tuple(groups), first_number(max(0, asked.start)), bound, only)
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

    def _bounded(self, behind: list[Hit], before: Before | None) -> Iterator[Hit]:
        """Return those of the messages behind the index that come after the page before."""
        if before is None:
            return iter(behind)
        room_id = self._room_id(before.room)
        return iter([hit for hit in behind if hit < (before.at, room_id, before.id)])

    def _room_id(self, room: str) -> int:
        row = self._store.read_with(lambda sql: sql.one("SELECT id FROM room WHERE name = ?", room))
        return 0 if row is None else int(row[0])

    # --- Comparing --------------------------------------------------------------------------------

    def _shown(self, some: list[Hit], sql: Sql) -> dict[Hit, _Shown]:
        """Return those of `some` that are found, as the caller may see them now."""
        rooms = {key: room for key, room in visible(sql, self._asker.principal).items() if self._wanted(room)}
        by_room: dict[int, list[Hit]] = defaultdict(list)
        for hit in some:
            if hit.room_id in rooms:
                by_room[hit.room_id].append(hit)
        found: dict[Hit, _Shown] = {}
        for room_id, hits in by_room.items():
            shown = list(self._of_room(sql, rooms[room_id], room_id, {hit.id: hit for hit in hits}))
            presenting.messages(sql, room_id, [each.message for each in shown])
            found.update((each.hit, each) for each in shown)
        return found

    def _of_room(self, sql: Sql, room: Seen, room_id: int, hits: dict[int, Hit]) -> Iterator[_Shown]:
        rows = sql.all(
            "SELECT id, identity, body, likes, dislikes, reactions FROM message WHERE room_id = ? AND deleted IS NULL"
            f" AND id IN ({', '.join('?' * len(hits))})", room_id, *hits,
        )  # fmt: skip
        for number, identity, body, *reactions in list(rows):
            if not self._reacted(any(reactions)):
                continue
            message = json.own(body)
            found = question.found(self._asked, documents.searched(message)) if self._fits(identity, message) else None
            if found is not None:
                hit = hits[number]
                key = (found.rank, -hit.at, -room_id, -number)
                message = counted(text.bounded(message), *reactions)
                end = len(documents.shown(message))  # behind it are descriptions
                marks = [mark for mark in found.marks if sum(mark) <= end]
                yield _Shown(key, hit, room.name, message, marks, len(body.encode()))

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

    def _fits(self, identity: str | None, message: dict[str, Any]) -> bool:
        """Return True if the operators about sender, time and content are met."""
        asked = self._asked
        if asked.people and not self._is_from(asked.people, identity, message):
            return False
        if asked.not_people and self._is_from(asked.not_people, identity, message):
            return False
        if (asked.dated or asked.not_days) and not asked.at(documents.ms(message["at"])):
            return False
        flags = {f"has:{each}" for each in documents.holds(message)}
        if documents.mentions(message) & {self._asker.principal.id or "", "room"} and self._asker.principal.id:
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

    def _position(self, hit: Hit) -> str:
        row = self._store.read_with(lambda sql: sql.one("SELECT name FROM room WHERE id = ?", hit.room_id))
        seen = self._store.read_with(lambda sql: visible(sql, self._asker.principal))
        # Of a room that the caller does not see only the time is told.
        name = row[0] if row is not None and hit.room_id in seen else "0"
        return f"{hit.at}.{name}.{hit.id if name != '0' else 0}"


def _after(shown: _Shown) -> str:
    return f"{shown.hit.at}.{shown.room}.{shown.hit.id}"


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


def _news(sql: Sql, room: Room, start: int, most: int) -> Iterator[Hit]:
    """Yield the messages of `room` that events after `start` sent or edited."""
    rows = sql.all(
        "SELECT seq, command, target, at FROM event WHERE room_id = ? AND seq > ? ORDER BY seq DESC LIMIT ?",
        room.id, start, most,
    )  # fmt: skip
    edited: set[int] = set()
    for seq, command, target, at in list(rows):
        if command == events.MESSAGE_SENT:
            yield Hit(at, room.id, seq)
        elif command == events.MESSAGE_EDITED and target > room.floor:
            edited.add(target)
    for target in edited:
        row = sql.one("SELECT at FROM event WHERE room_id = ? AND seq = ?", room.id, target)
        if row is not None:
            yield Hit(row[0], room.id, target)
