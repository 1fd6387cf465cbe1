"""Held polls without a thread: the request's socket waits in the reactor, and its answer is written there.

All polls that wait in one room at the same cursor get one page, read and encoded once. After the answer the
connection is kept for the next poll (`kept`).
In a busy room, answers are at least `ANSWER_GAP` seconds apart, so that one carries several events; in a quiet
one the first goes out at once.
"""

from __future__ import annotations

import random
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, NamedTuple

from flask import Flask, Response, request

from ...hub.chat import Chat, Page
from ...hub.held_polls import early
from ...hub.room_handle import RoomHandle
from ...live import handoff, repeats
from ...live.detach import detach, has_body, is_guarded
from ...live.reactor import Reactor
from ...protocol.cursor import cursor_of
from ...protocol.errors import Overloaded, Refused, RoomUnknown, Unauthenticated
from ...protocol.events import rfc3339
from ...protocol.rights import readership
from ...protocol.rights.principal import Principal
from ..http import conditional, problems
from ..http.services import services, services_of
from .kept import AnswerParts, KeptConnection, SocketTakingResponse, can_take
from .poll_bytes import body

ANSWER_GAP = 0.02
"""Least seconds between two answers in one room."""


Link = Callable[..., str]
"""The value of `Link` for the events after `after=`."""
Ending = Callable[[Page], Page]
"""Makes the last page of an empty poll that ends: `as_it_is` at the time-out, `early` before it."""


def as_it_is(page: Page) -> Page:
    """Return the page."""
    return page


class Place(NamedTuple):
    """The room and cursor at which a poll waits: all with the same place get the same answer."""

    room: str
    after: str
    limit: int

    def at(self, cursor: str) -> Place:
        """Return the place at `cursor` in the same room."""
        return Place(self.room, cursor, self.limit)


def can_park() -> bool:
    """Return True if this request's socket can be taken from the server and given back."""
    # Bytes of a body that come after the answer would be taken for the next request (RFC 9112 §11.2).
    return request.method == "GET" and not has_body(request.environ) and can_take()


def polls_again() -> bool:
    """Return True if this request's connection polls again and again: then it is kept, even if it need not wait."""
    return handoff.need(request.environ).served > 1


def park(
    handle: RoomHandle, place: Place, seconds: float, left: Callable[[], None], page: Page | None = None
) -> Response:
    """Return a response that comes when there is news for `handle` at `place`, at the latest after `seconds`.

    If `page` leads there already, it is the answer, and the next poll waits. `left` is called when the
    connection is closed or given back.
    """
    parked_polls = services().parked_polls
    take = partial(parked_polls.take, handle, place, seconds, left, page, conditional.next_link())
    return SocketTakingResponse(take, left, lambda: problems.response(Overloaded()))


class ParkedPoll(KeptConnection):
    """A connection whose polls wait in the reactor, one after the other, each at the cursor of the last answer."""

    transport = "long-poll"

    def __init__(
        self,
        sock: socket.socket,
        left: Callable[[], None],
        environ: dict[str, Any],
        parts: AnswerParts,
        parked_polls: ParkedPolls,
        handle: RoomHandle,
        place: Place,
        seconds: float,
        first: Page | None,
        link: Link,
    ) -> None:
        given = handoff.need(environ)
        super().__init__(sock, left, given, parts)
        self.handle = handle
        self.place = place
        self._first = first
        self._link = link
        self._more = False
        self._parked_polls = parked_polls
        # Jitter: polls that one event wakes together do not come back together for ever.
        self._seconds = seconds * random.uniform(0.8, 1.0)
        self._until = 0.0
        """The time at which the newest poll ends without news (time.monotonic)."""
        self._has_timer = False
        """True if a timer runs. One that fires for a later poll is set anew, so that not every poll sets one."""
        self._headers = repeats.Reader(given.peer)
        self._key = None if is_guarded(environ) else repeats.key(given.raw, given.peer)
        self._began_at = 0
        self._repeats = False
        """True from the first poll on that the application has not seen."""
        self.ends: Ending | None = None

    def opened(self) -> None:
        first, self._first = self._first, None
        if first is None:
            self._wait()
            return
        if first.events and self.handle.ends_with(first.events[-1]) is not False:
            self._key = None  # as in `found_change`
        self._more = first.more
        self.answer(body(first))

    def more(self) -> str:
        return f"Link: {self._link(after=self.place.after)}\r\n" if self._more else ""

    def received(self, data: bytes) -> None:
        if self.busy or self.blocked:
            # A second request before the first is answered: it cannot be given back with the connection.
            self.last()
        elif self._is_repeated(data):
            self._repeats = self.busy = True
            self._wait()
        else:
            self.go(data)

    def _is_repeated(self, data: bytes) -> bool:
        """Return True if `data` is the same poll at the cursor of the last answer."""
        head = None if self._key is None else self._headers.read(data)
        if head is None or head.key != self._key or (head.ends, head.cursor) != (len(data), self.place.after):
            return False
        self.name_request(head.request_id)
        return True

    def _wait(self) -> None:
        self.handling_since = time.perf_counter()
        self._began_at = time.time_ns() // 1_000_000
        self._parked_polls.enter(self)
        if self.busy and self._leaving:
            self._end(early)
        elif self.busy:
            self._until = time.monotonic() + self._seconds
            self._set_timer()

    def _set_timer(self) -> None:
        if not self._has_timer:
            self._has_timer = True
            self.reactor.later(self._until, self._nothing, self)

    def found(self, answer: bytes, place: Place, *, more: bool = False) -> None:
        """Answer with this page, which leads to `place`; `more` is True if there are events beyond it."""
        if self.busy and not self.ending:
            self.ends = None
            self._parked_polls.leave(self)
            self.place = place
            self._more = more
            self.answer(answer)

    def found_change(self, found: Page, encoded: bytes) -> None:
        """As `found`, with a page whose last event may end the right to read: the next poll is for the application."""
        self._key = None
        change = found.events[-1]
        if self._repeats and self.handle.ends_with(change) and change.at <= rfc3339(self._began_at):
            # The application did not see this poll, which began when the right had ended.
            self.refuse(RoomUnknown(self.place.room))
            return
        own = self.handle.ended(found)
        self.found(encoded if own is found else body(own), self.place.at(own.cursor), more=own.more)

    def refuse(self, refused: Refused) -> None:
        self._parked_polls.leave(self)
        super().refuse(refused)

    def _nothing(self) -> None:
        """End the newest poll without news if its time is up; the timer was set for it or for one before it."""
        self._has_timer = False
        if not self.busy or self.ending:
            return
        if time.monotonic() >= self._until:
            self._end(as_it_is)
        else:
            self._set_timer()

    def _end(self, ending: Ending) -> None:
        # A repeated poll skips the first look in the store, and the wake-up of another worker's commit may be late: so
        # it looks before it answers that there is nothing (protocol §5, promise 4).
        self.ends = ending
        self._parked_polls.last_look(self.place)

    def restart(self) -> None:
        self.read_last()
        if self.ending:
            return
        self.leave()
        if self.busy:
            self._end(early)

    def revoked(self) -> None:
        if self.busy:
            self.refuse(Unauthenticated("This session has ended: sign in again."))
        else:
            self.end()

    def principal_changed(self, principal: Principal | None) -> None:
        if principal is not None:
            self.handle.principal = principal
        super().principal_changed(principal)

    def rooms(self) -> Collection[str]:
        return (self.place.room,) if self.busy else ()

    def room_lost(self, room: str) -> None:
        if self.busy:
            self.refuse(RoomUnknown(room))

    def closed(self) -> None:
        self._parked_polls.leave(self)
        super().closed()


class ParkedPolls:
    """All parked polls of a worker. Its methods run on the reactor's thread, but for `take` and `news`."""

    def __init__(self, reactor: Reactor, chat: Chat) -> None:
        self._reactor = reactor
        self._chat = chat
        self._waiting: dict[str, dict[Place, set[ParkedPoll]]] = defaultdict(dict)
        self._reading: set[Place] = set()
        self._again: set[Place] = set()
        self._answered: dict[str, float] = {}
        self._news: set[str] = set()

    def take(
        self,
        handle: RoomHandle,
        place: Place,
        seconds: float,
        left: Callable[[], None],
        first: Page | None,
        link: Link,
        environ: dict[str, Any],
        headers: list[tuple[str, str]],
    ) -> None:
        """Take the socket of a request; on the request's thread."""
        parts = AnswerParts.of(environ, headers)
        sock, ahead = detach(environ)
        parked = ParkedPoll(sock, left, environ, parts, self, handle, place, seconds, first, link)
        if ahead:
            parked.last()
        self._reactor.add(parked)

    def news(self, room: str) -> None:
        """Queue a read of the news of `room`; for `Chat.listen`."""
        if room in self._waiting and room not in self._news:
            self._news.add(room)
            self._reactor.call(lambda: self._look_when_due(room))

    def has_waiting(self, room: str) -> bool:
        """Return True if a poll waits in `room`; for `Chat.followed_by`."""
        return room in self._waiting

    def enter(self, parked: ParkedPoll) -> None:
        """Hold `parked` until there is news for it."""
        place = parked.place
        self._chat.hold(1)
        self._waiting[place.room].setdefault(place, set()).add(parked)
        # Events between its look and this moment woke nobody.
        if self._moved(place, parked.handle):
            self.news(place.room)

    def leave(self, parked: ParkedPoll) -> None:
        """Hold `parked` no longer."""
        places = self._waiting.get(parked.place.room, {})
        waiting = places.get(parked.place, set())
        if parked not in waiting:
            return
        self._chat.hold(-1)
        waiting.discard(parked)
        if not waiting:
            del places[parked.place]
        if not places:
            self._waiting.pop(parked.place.room, None)

    def look(self) -> None:
        """Look at all rooms, once a second: a wake-up may have been lost."""
        recently = time.monotonic() - ANSWER_GAP
        self._answered = {room: at for room, at in self._answered.items() if at > recently}
        for room in list(self._waiting):
            self._reactor.call(partial(self._look_at, room))

    def _look_when_due(self, room: str) -> None:
        due = self._answered.get(room, 0.0) + ANSWER_GAP
        if time.monotonic() >= due:
            self._look_at(room)
        else:
            self._reactor.later(due, lambda: self._look_at(room))

    def _look_at(self, room: str) -> None:
        self._news.discard(room)
        if room not in self._waiting:
            return
        self._answered[room] = time.monotonic()
        for place, waiting in list(self._waiting[room].items()):
            if self._moved(place, next(iter(waiting)).handle):
                self._read(place)

    def _moved(self, place: Place, handle: RoomHandle) -> bool:
        """Return True if the room may be elsewhere than `place`: further, in another history, or gone."""
        try:
            there = handle.follow().cursor()
        except RoomUnknown:  # it was removed, and the read says so
            return True
        except Refused:  # the store is unavailable; the next look asks again
            return False
        return place.after != there and place.after != there.partition(".")[0]

    def _read(self, place: Place) -> None:
        """Answer all at `place`, with one page for all; read elsewhere, since it may take the disk."""
        waiting = self._waiting.get(place.room, {}).get(place)
        if place in self._reading or not waiting:
            return
        self._reading.add(place)
        # The handle of any of them: the page ends at an event that may end the right of one of them.
        handle, after = next(iter(waiting)).handle, cursor_of(place.after)
        self._reactor.read(lambda: handle.read_on(after, place.limit), partial(self._found, place))

    def last_look(self, place: Place) -> None:
        """Read the present events, for polls at `place` that end with news or without."""
        if place in self._reading:
            self._again.add(place)
        else:
            self._read(place)

    def _found(self, place: Place, found: object) -> None:
        self._reading.discard(place)
        waiting = list(self._waiting.get(place.room, {}).get(place, ()))
        if isinstance(found, Page) and found.events:
            encoded = body(found)
            changes = found.events[-1].command in readership.CHANGES
            there = place.at(found.cursor)
            for parked in waiting:
                if changes:
                    parked.reactor.guard(parked, parked.found_change, found, encoded)
                else:
                    parked.reactor.guard(parked, partial(parked.found, encoded, there, more=found.more))
        elif isinstance(found, Refused):
            for parked in waiting:
                parked.reactor.guard(parked, parked.refuse, found)
        elif place in self._again:
            # Some ended after this look had begun.
            self._read(place)
        else:
            _end(place, waiting, found)
        self._again.discard(place)


def _end(place: Place, waiting: list[ParkedPoll], found: object) -> None:
    """End polls without news, or, if `found` is no page, because the store could not be read."""
    for parked in waiting:
        if parked.ends is not None:
            page = parked.ends(found) if isinstance(found, Page) else early(Page([], place.after))
            parked.reactor.guard(parked, parked.found, body(page), place)


def install(app: Flask, chat: Chat) -> None:
    """Let the reactor of `app` hold its polls."""
    ours = services_of(app)
    reactor = ours.reactor
    parked_polls = ours.parked_polls = ParkedPolls(reactor, chat)
    chat.listen(parked_polls.news)
    chat.followed_by(parked_polls.has_waiting)
    reactor.every_sweep(parked_polls.look)
