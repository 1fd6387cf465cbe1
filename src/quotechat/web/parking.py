"""Held polls without a thread: the request's socket waits in the reactor, and its answer is written there.

All who wait in one room at the same cursor get one page, read and encoded once. After the answer the connection
waits here for the next poll; any other request goes, with the connection, back to the server that accepted it.
In a room where much is said, answers are at least `SETTLE` apart, so that one carries several events; in a quiet
one the first goes out at once.
"""

from __future__ import annotations

import random
import re
import socket
import time
from collections import defaultdict
from collections.abc import Callable
from functools import lru_cache, partial
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

IDLE_SECONDS = 2.0
"""For which a connection is kept after an answer, as gunicorn keeps its own."""

HandBack = Callable[[socket.socket, bytes], None]
"""Takes the socket, and what was read from it already."""


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
    """A connection whose polls wait here, one after the other.

    A client that polls sends the same request again and again, with the cursor of the last answer in it. Where the
    bytes are exactly that, the next poll begins without any parsing: same bytes, same client, same rights. Anything
    else goes, with the connection, to the server that accepted it.
    """

    def __init__(
        self,
        sock: socket.socket,
        left: Callable[[], None],
        lot: Lot,
        poll: Poll,
        hand_back: HandBack | None,
    ) -> None:
        super().__init__(sock, left)
        self.place = poll.place
        self.poll = poll
        self._lot = lot
        self._hand_back = hand_back
        self._waiting = True
        self._idle_until = 0.0
        self._number = 0

    def opened(self) -> None:
        self._wait()

    def received(self, data: bytes) -> None:
        if self._waiting or self.blocked:
            # A second request before the first is answered: it cannot be given back with the connection.
            self._hand_back = None
        elif self.poll.repeated(data, self.place.after):
            self._waiting = True
            self._wait()
        else:
            self._go(data)

    def _wait(self) -> None:
        self._number += 1
        self._lot.enter(self)
        if self._waiting:
            # Jitter: those whom one event wakes together do not come back together for ever.
            until = time.monotonic() + self.poll.seconds * random.uniform(0.8, 1.0)
            self.reactor.later(until, partial(self._nothing, self._number))

    def answer(self, answer: bytes, cursor: str) -> None:
        """Send this, which leads to `cursor`, and be ready for the next request."""
        if not self._waiting or self.ending:
            return
        self._waiting = False
        self._lot.leave(self)
        self.place = self.place._replace(after=cursor)
        self._idle_until = time.monotonic() + IDLE_SECONDS
        self.send(self.poll.head(len(answer), keep=self._hand_back is not None) + answer)
        if not self.blocked:
            self.idle()

    def refuse(self, refused: Refused) -> None:
        """The place cannot be served any more."""
        answer = json.dumps(problems.body(refused))
        self._waiting = False
        self._lot.leave(self)
        head = self.poll.head(len(answer), keep=False, status=problems.status_line(refused))
        self.send(head.replace(b"application/json", b"application/problem+json") + answer)
        self.end()

    def _nothing(self, number: int) -> None:
        """The time of the poll with that number is up."""
        if number == self._number:
            self.answer(body(Page([], self.place.after)), self.place.after)

    def swept(self, now: float) -> None:
        if not self._waiting and now >= self._idle_until:
            self.end()

    def restart(self) -> None:
        self._hand_back = None
        if self._waiting:
            self.answer(body(early(Page([], self.place.after))), self.place.after)
        else:
            self.end()

    def idle(self) -> None:
        if not self._waiting and self._hand_back is None:
            self.end()

    def closed(self) -> None:
        self._lot.leave(self)
        super().closed()

    def _go(self, data: bytes) -> None:
        hand_back = self._hand_back
        assert hand_back is not None, "without it the connection has ended"
        self.reactor.release(self)
        hand_back(self.sock, data)


class Poll:
    """What does not change from poll to poll on one connection: the request, and the header of its answers."""

    def __init__(self, place: Place, seconds: float, environ: dict[str, Any], headers: list[tuple[str, str]]) -> None:
        self.place = place
        self.seconds = seconds
        self._measured = measure.request_bytes(environ) if measure.wanted(environ) else None
        self._lines = "".join(f"{name}: {value}\r\n" for name, value in headers if name != "Content-Length")
        self._around = self._split(environ.get("quotechat.raw"), environ)

    @staticmethod
    def _split(raw: bytes | None, environ: dict[str, Any]) -> tuple[bytes, bytes] | None:
        """The bytes of the request before its cursor and after it, where they are known."""
        if raw is None or environ.get("HTTP_TRANSFER_ENCODING") or environ.get("CONTENT_LENGTH"):
            return None
        found = re.match(rb"GET [^ ]*[?&]after=([0-9]+(?:\.[0-9a-f]+)?)[& ]", raw)
        if found is None or raw.find(b"\r\n\r\n") != len(raw) - 4:
            return None
        return raw[: found.start(1)], raw[found.end(1) :]

    def repeated(self, data: bytes, cursor: str) -> bool:
        """Whether `data` is the same request, whole, at `cursor`."""
        return self._around is not None and data == self._around[0] + cursor.encode() + self._around[1]

    def head(self, length: int, *, keep: bool, status: str = "200 OK") -> bytes:
        """The header of an answer."""
        lines = (
            f"HTTP/1.1 {status}\r\nServer: gunicorn\r\nDate: {_now(int(time.time()))}\r\n"
            f"Connection: {'keep-alive' if keep else 'close'}\r\n{self._lines}Content-Length: {length}\r\n"
        )
        if self._measured is not None:
            lines += f"{measure.HEADER}: {measure.stamp(self._measured, len(lines) + 2 + length)}\r\n"
        return f"{lines}\r\n".encode("latin-1")


@lru_cache(2)
def _now(second: int) -> str:
    return http_date(second)


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
        hand_back = environ["quotechat.hand_back"] if environ.get("HTTP_CONNECTION", "").lower() != "close" else None
        poll = Poll(place, seconds, environ, headers)
        sock, ahead = detach(environ)
        self._reactor.add(Parked(sock, left, self, poll, None if ahead else hand_back))

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
            self.news(place.room)

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

    def look(self) -> None:
        """Once a second: a wake-up may have been lost."""
        recently = time.monotonic() - SETTLE
        self._answered = {room: at for room, at in self._answered.items() if at > recently}
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
                parked.answer(encoded, found.cursor)
        elif isinstance(found, Refused):
            for parked in waiting:
                parked.refuse(found)


def install(app: Flask, chat: Chat) -> None:
    """Give `app` a place for its held polls, in its reactor."""
    reactor: Reactor = app.extensions["quotechat.reactor"]
    lot = Lot(reactor, chat)
    app.extensions["quotechat.parking"] = lot
    chat.listen(lot.news)
    reactor.every_sweep(lot.look)
