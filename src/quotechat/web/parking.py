"""Held polls without a thread: the request's socket waits in the reactor, and its answer is written there.

All who wait in one room at the same cursor get one page, read and encoded once. When the answer is out, the
connection goes back to the server that accepted it, for the next request. In a room where much is said, answers
are at least `SETTLE` apart, so that one carries several events; in a quiet one the first goes out at once.
"""

from __future__ import annotations

import random
import socket
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from flask import Flask, Response, current_app, request
from werkzeug.http import http_date

from ..hub.chat import Chat, Page, early
from ..protocol import cursor, json
from ..protocol.errors import Refused
from . import measure, problems
from .detach import can_detach, detach
from .reactor import Peer, Reactor

SETTLE = 0.02
"""Seconds between two answers in one room."""

HandBack = Callable[[socket.socket], None]


class Place(NamedTuple):
    """Where a poll waits: all with the same place get the same answer."""

    room: str
    after: str
    limit: int


def can_park() -> bool:
    """Whether this request's socket can be taken from the server and given back."""
    environ = request.environ
    return (
        "quotechat.hand_back" in environ
        and request.method == "GET"
        and environ.get("SERVER_PROTOCOL") == "HTTP/1.1"
        and can_detach(environ)
    )


def park(place: Place, seconds: float, left: Callable[[], None]) -> Response:
    """A response that comes when there is news at `place`, at the latest after `seconds`.

    `left` is called when it is out or the client has gone.
    """
    lot: Lot = current_app.extensions["quotechat.parking"]
    return _Parking(partial(lot.take, place, seconds, left))


def body(page: Page) -> bytes:
    """The answer to a poll; its events are encoded already, once for all readers."""
    hint = b"" if page.retry_in_ms is None else b',"retry_in_ms":%d' % page.retry_in_ms
    return b"{" + fields(page) + hint + b"}"


def fields(page: Page) -> bytes:
    """`events`, `cursor` and `more`, without the braces around them."""
    events = b",".join([event.encoded for event in page.events])
    more = b"true" if page.more else b"false"
    return b'"events":[%b],"cursor":"%b","more":%b' % (events, page.cursor.encode(), more)


class _Parking(Response):
    """Until the server asks for it, a response like any other, so that all headers come to it."""

    def __init__(self, take: Callable[[dict[str, Any], list[tuple[str, str]]], None]) -> None:
        super().__init__(content_type="application/json")
        self._take = take

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        self._take(environ, [each for each in self.headers if each[0] != "Content-Length"])
        # gunicorn takes this for "the connection is done", which ends its own half of it.
        raise StopIteration


class Parked(Peer):
    """One poll that waits."""

    def __init__(
        self,
        sock: socket.socket,
        left: Callable[[], None],
        lot: Lot,
        place: Place,
        headers: list[tuple[str, str]],
        hand_back: HandBack | None,
    ) -> None:
        super().__init__(sock, left)
        self.place = place
        self.incoming: int | None = None
        """Bytes of the request, where it is measured."""
        self._lot = lot
        self._headers = headers
        self._hand_back = hand_back
        self._answered = False

    def opened(self) -> None:
        self._lot.enter(self)

    def received(self, data: bytes) -> None:
        # A second request before the first is answered: it cannot be given back with the connection.
        self._hand_back = None

    def answer(self, body: bytes, status: str = "200 OK", content_type: str = "application/json") -> None:
        """Send this, once, and let go of the socket."""
        if self._answered or self.ending:
            return
        self._answered = True
        self._lot.leave(self)
        keep = "keep-alive" if self._hand_back else "close"
        lines = [f"HTTP/1.1 {status}", "Server: gunicorn", f"Date: {http_date()}", f"Connection: {keep}"]
        lines += [f"{name}: {value}" for name, value in self._headers if name != "Content-Type"]
        lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
        if self.incoming is not None:
            size = sum(len(line) + 2 for line in lines) + 2 + len(body)
            lines.append(f"{measure.HEADER}: {measure.stamp(self.incoming, size)}")
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        if not self.blocked:
            self.idle()

    def nothing(self) -> None:
        """The time is up."""
        self.answer(body(Page([], self.place.after)))

    def restart(self) -> None:
        self._hand_back = None
        self.answer(body(early(Page([], self.place.after))))

    def idle(self) -> None:
        if not self._answered or self.ending:
            return
        if self._hand_back is None:
            self.end()
        else:
            self.reactor.release(self)
            self._hand_back(self.sock)

    def closed(self) -> None:
        self._lot.leave(self)
        super().closed()


class Lot:
    """All parked polls of a worker. Its methods run on the reactor's thread, but for `take` and `news`."""

    def __init__(self, reactor: Reactor, chat: Chat) -> None:
        self._reactor = reactor
        self._chat = chat
        self._waiting: dict[str, dict[Place, set[Parked]]] = defaultdict(dict)
        self._reading: set[Place] = set()
        self._answered: dict[str, float] = {}
        self._news: set[str] = set()

    def take(
        self,
        place: Place,
        seconds: float,
        left: Callable[[], None],
        environ: dict[str, Any],
        headers: list[tuple[str, str]],
    ) -> None:
        """Take the socket of a request; on the request's thread."""
        incoming = measure.request_bytes(environ) if measure.wanted(environ) else None
        hand_back = environ["quotechat.hand_back"] if environ.get("HTTP_CONNECTION", "").lower() != "close" else None
        sock, ahead = detach(environ)
        parked = Parked(sock, left, self, place, headers, None if ahead else hand_back)
        parked.incoming = incoming
        # Jitter: those whom one event wakes together do not come back together for ever.
        deadline = time.monotonic() + seconds * random.uniform(0.8, 1.0)
        self._reactor.add(parked)
        self._reactor.call(lambda: self._reactor.later(deadline, parked.nothing))

    def news(self, room: str) -> None:
        """`room` has events; for `Chat.listen`."""
        if room in self._waiting and room not in self._news:
            self._news.add(room)
            self._reactor.call(lambda: self._settle(room))

    def enter(self, parked: Parked) -> None:
        """It waits from now on."""
        place = parked.place
        self._chat.hold(1)
        self._waiting[place.room].setdefault(place, set()).add(parked)
        # What came between its look and this moment woke nobody.
        seq = int(place.after.partition(".")[0])
        if self._chat.feed(place.room).head > seq:
            self._read(place)

    def leave(self, parked: Parked) -> None:
        """It waits no longer."""
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
            self._answered.pop(parked.place.room, None)

    def look(self) -> None:
        """Once a second: a wake-up may have been lost."""
        for room in list(self._waiting):
            self._look_at(room)

    def _settle(self, room: str) -> None:
        due = self._answered.get(room, 0.0) + SETTLE
        if time.monotonic() >= due:
            self._look_at(room)
        else:
            self._reactor.later(due, lambda: self._look_at(room))

    def _look_at(self, room: str) -> None:
        self._news.discard(room)
        if room not in self._waiting:
            return
        self._answered[room] = time.monotonic()
        head = self._chat.feed(room).head
        for place in list(self._waiting[room]):
            if head > int(place.after.partition(".")[0]):
                self._read(place)

    def _read(self, place: Place) -> None:
        """Answer all at `place`, with one page for all; read elsewhere, since it may take the disk."""
        if place in self._reading:
            return
        self._reading.add(place)
        after = cursor.parse(place.after)
        self._reactor.read(
            lambda: self._chat.read(place.room, after, place.limit), partial(self._found, place)
        )

    def _found(self, place: Place, found: object) -> None:
        self._reading.discard(place)
        waiting = list(self._waiting.get(place.room, {}).get(place, ()))
        if isinstance(found, Page) and found.events:
            encoded = body(found)
            for parked in waiting:
                parked.answer(encoded)
        elif isinstance(found, Refused):
            encoded = json.dumps(problems.body(found))
            for parked in waiting:
                parked.answer(encoded, problems.status_line(found), "application/problem+json")


def install(app: Flask, chat: Chat) -> None:
    """Give `app` a place for its held polls, in its reactor."""
    reactor: Reactor = app.extensions["quotechat.reactor"]
    lot = Lot(reactor, chat)
    app.extensions["quotechat.parking"] = lot
    chat.listen(lot.news)
    reactor.every_sweep(lot.look)
