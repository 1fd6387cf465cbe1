"""Named cursors: the server stores the positions up to which a program has read, under a name that it chose.

What comes out of `read` comes again until `move` has acknowledged it: at least once, in order for each room. Nothing is
queued, so an outage of a week is a position that is a week old.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from ...protocol import names
from ...protocol.cursor import NOW, Cursor, Now
from ...protocol.cursor import parse as parse_cursor
from ...protocol.errors import Conflict, RoomUnknown, ScopeMissing
from ...protocol.rights.principal import Principal
from ...store.accounts import callers
from ...store.base import Page
from ...store.programs import subscribers
from ...store.programs.subscribers import Position, Subscriber
from ...store.shapes import Sql
from ..chat import Chat
from ..held_polls import Gone, about

MOST_AT_ONCE = 50
"""Rooms in one answer: those with new events, the oldest first."""
_LOOK_AGAIN = 1.0
"""Seconds between two looks for new events in all rooms, if there are more of them."""

ALL = "all"
"""Stands for the rooms that the account has joined, and will join."""

_WITHOUT_ROOMS = 5.0
"""Seconds after which a held poll is asked again that follows no room now."""


class Named(NamedTuple):
    """A named cursor, with its position in each room that its account may read now."""

    subscriber: Subscriber
    positions: dict[str, Position]


class Part(NamedTuple):
    """The answer for one room; `gap` are the first and last seq that were cut unread."""

    page: Page
    gap: tuple[int, int] | None


class Cursors:
    """The named cursors of all accounts. The methods raise CursorUnknown for a name that the account has not."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    def listed(self, by: Principal) -> list[Named]:
        """Return the cursors of the account, by name."""

        def work(sql: Sql) -> list[tuple[Subscriber, dict[str, Position]]]:
            found = subscribers.of_account(sql, _account(by))
            return [(each, subscribers.positions(sql, each)) for each in found]

        return [Named(each, self._readable(by, places)) for each, places in self._chat.read_with(work)]

    def one(self, by: Principal, name: str) -> Named:
        """Return one cursor of the account."""
        subscriber, positions = self._found(by, name)
        return Named(subscriber, self._readable(by, positions))

    def put(
        self, by: Principal, name: str, rooms: Sequence[str] | str, start: Cursor | Now = NOW
    ) -> tuple[Named, bool]:
        """Make the cursor `name` follow `rooms`, or `ALL`, and no others; True if it is new.

        It begins at `start` in rooms that it did not follow, and stays where it is in the others. Raises Invalid for
        the name, Conflict if the account has too many; RoomUnknown, CursorAhead, CursorExpired, HistoryChanged.
        """
        name = names.clean_room(name)
        wanted = self._wanted(by, rooms)
        starts = {room: self._place(by, room, start) for room in wanted}
        now = self._chat.now()

        def work(sql: Sql) -> bool:
            callers.present(sql, by, now)
            # Before the look-up: of two that make the same cursor at once, the second finds what the first has made.
            sql.alone("subscriber")
            known = {each.name: each for each in subscribers.of_account(sql, _account(by))}
            new = name not in known
            if new:
                found = subscribers.make(sql, _account(by), name, now, all_rooms=rooms == ALL and by.rooms is None)
            else:
                found = known[name]
                subscribers.hold(sql, found.id)
                subscribers.find(sql, _account(by), name)  # its account may have been closed a moment ago
                if found.all_rooms:
                    subscribers.hold_joins(sql, _account(by))
                if by.rooms is None:
                    subscribers.follow_all(sql, found, rooms == ALL)
            is_for_all = rooms == ALL and by.rooms is None
            places = subscribers.as_joined(sql, _account(by), starts) if is_for_all else starts
            there = subscribers.positions(sql, found)
            left = {room: place for room, place in there.items() if room not in places and _is_for(by, room)}
            subscribers.leave(sql, found, left)
            for room, cursor in places.items():
                if room not in there:
                    subscribers.place(sql, found, room, cursor)
            return new

        new = self._chat.write_with(work)
        return self.one(by, name), new

    def remove(self, by: Principal, name: str) -> None:
        """Forget a cursor. Raises ScopeMissing for a token that is not for all of its rooms."""

        def work(sql: Sql) -> None:
            callers.present(sql, by, self._chat.now())
            sql.alone("subscriber")  # as `put`, which would place positions of one that is gone
            found = subscribers.find(sql, _account(by), name)
            rooms = subscribers.positions(sql, found)
            if by.rooms is not None and (found.all_rooms or not by.rooms.issuperset(rooms)):
                raise ScopeMissing("manage", "This cursor is for rooms that the token is not for.")
            subscribers.remove(sql, found)

        self._chat.write_with(work)

    def read(
        self, by: Principal, name: str, limit: int, seconds: float, gone: Gone | None = None
    ) -> tuple[dict[str, Part], int | None]:
        """Return the events after the positions, by room, held up to `seconds` for something new, and a hint.

        The hint is when to come back, in milliseconds, if the hold ended early. Rooms that the account may not read
        now are left out. If a position moves back during the hold, the events are those after the new one.
        """
        until = time.monotonic() + seconds
        while True:
            _, places = self._found(by, name)
            left = max(0.0, until - time.monotonic())
            # Of more rooms than one hold is for, the others are looked at now and then.
            longest = left if len(places) <= MOST_AT_ONCE else min(left, _LOOK_AGAIN)
            parts, hint = self._once(by, places, limit, longest, gone)
            found = any(part.page.events or part.gap for part in parts.values())
            if found and longest and self._has_moved_back(by, name, places):
                continue  # an acknowledgement of these events would end the replay
            if found or hint is not None or longest == left or (gone is not None and gone()):
                return parts, hint

    def _once(
        self, by: Principal, places: Mapping[str, Position], limit: int, seconds: float, gone: Gone | None
    ) -> tuple[dict[str, Part], int | None]:
        """As `read`, of the rooms that one hold is for: those that `by` may read now, with news first."""
        order = sorted(places, key=lambda room: places[room].head <= places[room].cursor.seq)
        readable = (room for room in order if self._may_read(by, room))
        chosen = {room: places[room] for room in islice(readable, MOST_AT_ONCE)}
        starts = {room: place.cursor if place.gap is None else Cursor(place.floor) for room, place in chosen.items()}
        if not starts:  # there is nothing to wait for, and a client that asked again at once would never rest
            return {}, int(min(seconds, _WITHOUT_ROOMS) * 1000) if seconds else None
        pages, hint = self._chat.wait_any(by, starts, limit, seconds, gone)
        return {room: Part(page, chosen[room].gap) for room, page in pages.items()}, hint

    def move(self, by: Principal, name: str, cursors: Mapping[str, str], *, back: bool = False) -> Named:
        """Acknowledge everything up to `cursors`, by room, all or none; `back` allows a step back, for a replay.

        Raises Conflict for a step back without it, RoomUnknown for a room that it does not follow; CursorInvalid,
        CursorAhead, CursorExpired, HistoryChanged.
        """
        places = {}
        for room, text in cursors.items():
            with about(room):
                places[room] = self._place(by, room, parse_cursor(text, "rooms"))

        def work(sql: Sql) -> None:
            callers.present(sql, by, self._chat.now())
            subscribers.hold(sql, subscribers.find(sql, _account(by), name).id)
            found = subscribers.find(sql, _account(by), name)
            there = subscribers.positions(sql, found)
            for room, cursor in places.items():
                with about(room):
                    if room not in there:
                        raise RoomUnknown(room)
                    if cursor.seq < there[room].cursor.seq and not back:
                        raise Conflict("A position moves back only with back.", "back")
            for room, cursor in places.items():
                subscribers.move(sql, found, there[room], cursor)

        self._chat.write_with(work)
        return self.one(by, name)

    # --- Inside -------------------------------------------------------------------------------------

    def _found(self, by: Principal, name: str) -> tuple[Subscriber, dict[str, Position]]:
        """Return a cursor with all its positions, also in rooms that `by` may not read."""

        def work(sql: Sql) -> tuple[Subscriber, dict[str, Position]]:
            found = subscribers.find(sql, _account(by), name)
            return found, subscribers.positions(sql, found)

        return self._chat.read_with(work)

    def _has_moved_back(self, by: Principal, name: str, places: Mapping[str, Position]) -> bool:
        """Return True if a position is before that in `places`."""
        _, now = self._found(by, name)
        return any(now[room].cursor.seq < place.cursor.seq for room, place in places.items() if room in now)

    def _wanted(self, by: Principal, rooms: Sequence[str] | str) -> list[str]:
        if rooms != ALL:
            return list(rooms)
        joined = self._chat.read_with(lambda sql: subscribers.joined_rooms(sql, _account(by)))
        return [room for room in joined if self._may_read(by, room)]

    def _place(self, by: Principal, room: str, cursor: Cursor | Now) -> Cursor:
        """Return the complete cursor for `cursor`. Raises as `RoomHandle.place`, with the room."""
        with about(room):
            found = parse_cursor(self._chat.open(by, room).place(cursor).cursor)
        assert isinstance(found, Cursor)
        return found

    def _readable(self, by: Principal, positions: Mapping[str, Position]) -> dict[str, Position]:
        return {room: place for room, place in positions.items() if self._may_read(by, room)}

    def _may_read(self, by: Principal, room: str) -> bool:
        try:
            self._chat.open(by, room)
        except RoomUnknown:
            return False
        return True


def _is_for(by: Principal, room: str) -> bool:
    """Return True unless `by` is a token for other rooms: it may neither read nor delete positions in this one."""
    return by.rooms is None or room in by.rooms


def _account(by: Principal) -> int:
    assert by.account is not None, "the view has asked for an account"
    return by.account
