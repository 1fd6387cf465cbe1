"""Held polls of several rooms, and of the inbox beside them or alone, without a thread.

The request's socket waits in the reactor, as that of a poll for one room does (`parking`). Each such poll has its own
positions, so each is read and answered by itself. After the answer the connection goes back to the server.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from flask import Flask, Response

from ...hub.accounts.credentials import Credentials
from ...hub.chat import Chat, Page
from ...hub.held_polls import retry_in_ms
from ...hub.room_handle import RoomHandle
from ...live import handoff
from ...live.detach import detach
from ...live.handoff import Handoff
from ...live.inbox_feed import nothing
from ...live.reactor import Reactor
from ...protocol.cursor import Cursor, Now, cursor_of
from ...protocol.errors import Overloaded, Refused, RoomUnknown, Unauthenticated
from ...protocol.rights.principal import Principal
from ..http import problems
from ..http.services import services, services_of
from .kept import AnswerParts, KeptConnection, SocketTakingResponse
from .parking import ANSWER_GAP
from .poll_bytes import fields

Places = Mapping[RoomHandle, str]
"""The rooms of a poll, each with its cursor."""


def body(pages: Mapping[str, Page], retry_in_ms: int | None = None, inbox: bytes | None = None) -> bytes:
    """Return the answer to a poll of several rooms; `inbox` is the part of the inbox, if that is asked for."""
    rooms = b",".join(b'"%b":{%b}' % (room.encode(), fields(page)) for room, page in pages.items())
    told = b"" if inbox is None else b',"inbox":' + inbox
    retry = b"" if retry_in_ms is None else b',"retry_in_ms":%d' % retry_in_ms
    return b'{"rooms":{' + rooms + b"}" + told + retry + b"}"


def of_inbox(inbox: bytes, retry_in_ms: int | None = None) -> bytes:
    """Return the answer to a poll of the inbox alone."""
    return inbox if retry_in_ms is None else b'%b,"retry_in_ms":%d}' % (inbox[:-1], retry_in_ms)


def hold(
    places: Places,
    limit: int,
    seconds: float,
    left: Callable[[], None],
    inbox: tuple[Principal, Cursor | Now] | None = None,
    alone: bool = False,
) -> Response:
    """Return a response that comes when there is news behind `places` or the inbox, at the latest after `seconds`.

    With `alone` it is the inbox and nothing around it.
    """
    rooms_polls = services().rooms_polls

    def take(environ: dict[str, Any], headers: list[tuple[str, str]]) -> None:
        given, parts = handoff.need(environ), AnswerParts.of(environ, headers)
        sock, ahead = detach(environ)
        held = RoomsPoll(sock, left, given, parts, rooms_polls, places, limit, seconds, inbox, alone)
        if ahead:
            held.last()
        rooms_polls.reactor.add(held)

    return SocketTakingResponse(take, left, lambda: problems.response(Overloaded()))


class RoomsPoll(KeptConnection):
    """One held poll of several rooms; `places` are the rooms, each with its cursor."""

    transport = "long-poll"

    def __init__(
        self,
        sock: socket.socket,
        left: Callable[[], None],
        given: Handoff,
        parts: AnswerParts,
        rooms_polls: RoomsPolls,
        places: Places,
        limit: int,
        seconds: float,
        inbox: tuple[Principal, Cursor | Now] | None,
        alone: bool,
    ) -> None:
        super().__init__(sock, left, given, parts)
        self.places = places
        self.limit = limit
        self._rooms_polls = rooms_polls
        self._seconds = seconds
        self._who = None if inbox is None else inbox[0]
        self.inbox_after: Cursor | Now = Now() if inbox is None else inbox[1]
        self.inbox_ends = False
        self._alone = alone
        self._reading = self._again = self._ends = self._early = False
        self._inbox: bytes | None = None
        self._tag: str | None = None
        """The cursor of the inbox that is answered."""

    # --- Waiting ----------------------------------------------------------------------------------

    def opened(self) -> None:
        self._rooms_polls.enter(self)
        if self._who is not None:
            self.reactor.inbox.hold(self, self._who)
        # Jitter: polls that one event wakes together do not come back together for ever.
        self.reactor.later(time.monotonic() + self._seconds * random.uniform(0.8, 1.0), self._finish, self)
        self.look()

    def look(self) -> None:
        """Read, if a room may be elsewhere than this poll."""
        if self.busy and any(_has_moved(handle, after) for handle, after in self.places.items()):
            self._read_rooms()

    def inbox_found(self, cursor: str | None, encoded: bytes) -> None:
        """Answer with the inbox and the rooms' events: the inbox has moved, or the time is up."""
        self._inbox, self._ends = encoded, True
        self._tag = cursor
        self._read_rooms()

    def received(self, data: bytes) -> None:
        if self.busy or self.blocked:
            # A second request before the first is answered: it cannot be given back with the connection.
            self.last()
        else:
            self.go(data)

    def restart(self) -> None:
        self.read_last()
        if not self.ending:
            self._early = True
            self._finish()
            self.leave()

    def rooms(self) -> list[str]:
        return [handle.room for handle in self.places] if self.busy else []

    def room_lost(self, room: str) -> None:
        if self.busy:
            refused = RoomUnknown(room)
            refused.room = room if len(self.places) > 1 or self._who is not None else None
            self.refuse(refused)

    def revoked(self) -> None:
        if self.busy:
            self.refuse(Unauthenticated("This session has ended: sign in again."))
        else:
            self.end()

    def refuse(self, refused: Refused) -> None:
        self._rooms_polls.leave(self)
        super().refuse(refused)

    def closed(self) -> None:
        self._rooms_polls.leave(self)
        super().closed()

    def more(self) -> str:
        return f'ETag: "{self._tag}"\r\n' if self._alone and self._tag is not None else ""

    # --- Answering --------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Answer with the result of the next read."""
        if not self.busy or self._ends:
            return
        if self._who is not None and self._inbox is None:
            self.reactor.inbox.end(self)
        else:
            self._ends = True
            self._read_rooms()

    def _read_rooms(self) -> None:
        if self._reading:
            self._again = True
        else:
            self._reading = True
            positions = {handle: cursor_of(after) for handle, after in self.places.items()}
            self.reactor.read(partial(self._rooms_polls.read_on, self._who, positions, self.limit), self._found, self)

    def _found(self, found: object) -> None:
        self._reading = False
        again, self._again = self._again, False
        if not self.busy or self.ending:
            return
        if isinstance(found, Refused):
            self.refuse(found)
        elif isinstance(found, dict) and (self._ends or any(page.events for page in found.values())):
            if self._who is not None and isinstance(self.inbox_after, Now) and not self._ends:
                self.reactor.inbox.end(self)  # its cursor is not known yet, and the answer has one
            else:
                self._say(found)
        elif again:
            self.look()

    def _say(self, pages: dict[str, Page]) -> None:
        inbox = self._inbox
        if inbox is None and self._who is not None:
            inbox = nothing(str(self.inbox_after))
        self._rooms_polls.leave(self)
        has_news = self._tag is not None or any(page.events for page in pages.values())
        retry = retry_in_ms() if self._early and not has_news else None
        self.answer(of_inbox(inbox or b"{}", retry) if self._alone else body(pages, retry, inbox))


class RoomsPolls:
    """All held polls of several rooms in a worker.

    Its methods run on the reactor's thread, but for `news` and `read_on`.
    """

    def __init__(self, reactor: Reactor, chat: Chat, credentials: Credentials) -> None:
        self.reactor = reactor
        self.chat = chat
        self._credentials = credentials
        self._held: dict[str, set[RoomsPoll]] = {}
        self._all: set[RoomsPoll] = set()
        self._news: set[str] = set()

    def read_on(
        self, who: Principal | None, positions: Mapping[RoomHandle, Cursor], limit: int
    ) -> dict[str, Page]:
        """As `Chat.read_on`, for the account `who` if its inbox is answered too; on a thread that may wait.

        What ends an account moves its inbox as well, so it is asked about before the answer. Raises Unauthenticated.
        """
        if who is not None and self._credentials.current([who])[who] is None:
            raise Unauthenticated("This session has ended: sign in again.")
        return self.chat.read_on(positions, limit) if positions else {}

    def enter(self, held: RoomsPoll) -> None:
        """Hold `held` until there is news for it."""
        self.chat.hold(1)
        self._all.add(held)
        for handle in held.places:
            self._held.setdefault(handle.room, set()).add(held)

    def leave(self, held: RoomsPoll) -> None:
        """Hold `held` no longer."""
        if held not in self._all:
            return
        self.chat.hold(-1)
        self._all.discard(held)
        self.reactor.inbox.leave(held)
        for handle in held.places:
            waiting = self._held.get(handle.room, set())
            waiting.discard(held)
            if not waiting:
                self._held.pop(handle.room, None)

    def news(self, room: str) -> None:
        """Queue a look at the polls of `room`; for `Chat.listen`."""
        if room in self._held and room not in self._news:
            self._news.add(room)
            self.reactor.call(lambda: self.reactor.later(time.monotonic() + ANSWER_GAP, partial(self._look_at, room)))

    def has_waiting(self, room: str) -> bool:
        """Return True if a poll waits in `room`; for `Chat.followed_by`."""
        return room in self._held

    def look(self) -> None:
        """Look at all polls, once a second: a wake-up may have been lost."""
        for held in list(self._all):
            self.reactor.guard(held, held.look)

    def _look_at(self, room: str) -> None:
        self._news.discard(room)
        for held in list(self._held.get(room, ())):
            self.reactor.guard(held, held.look)


def _has_moved(handle: RoomHandle, after: str) -> bool:
    """Return True if the room may be elsewhere than at `after`: further, in another history, or gone."""
    try:
        return handle.follow().cursor() != after
    except RoomUnknown:  # it was removed, and the read says so
        return True
    except Refused:  # the store is unavailable; the next look asks again
        return False


def install(app: Flask, chat: Chat) -> None:
    """Let the reactor of `app` hold polls of several rooms."""
    ours = services_of(app)
    reactor = ours.reactor
    rooms_polls = ours.rooms_polls = RoomsPolls(reactor, chat, ours.accounts.credentials)
    chat.listen(rooms_polls.news)
    chat.followed_by(rooms_polls.has_waiting)
    reactor.every_sweep(rooms_polls.look)
