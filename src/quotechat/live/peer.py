"""One live socket of the reactor: its unsent bytes, and its position in each room."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..hub.feed import Feed
from ..hub.room_handle import RoomHandle
from ..protocol.cursor import Cursor
from ..protocol.errors import Refused
from ..protocol.events import Event
from ..protocol.rights.principal import Principal

if TYPE_CHECKING:
    from .reactor import Reactor

READ_BYTES = 64 * 1024
CLOSING_SECONDS = 1.0
"""Seconds for which a closing peer may read the rest and hang up."""


class Subscription:
    """A room that a peer follows, and the position up to which its events have been sent."""

    __slots__ = ("asked", "began_at", "caught_up", "feed", "handle", "position", "unsure")

    def __init__(self, handle: RoomHandle, feed: Feed, position: Cursor) -> None:
        self.handle = handle
        self.feed = feed
        self.began_at = position.seq
        self.position = position
        self.caught_up = False
        self.unsure = False
        """True if the right to read may have ended: nothing is sent until the store has confirmed it."""
        self.asked = False
        """True if the store has been asked since the right was doubted last."""

    def progress(self) -> str:
        """Return the cursor that its reader must have by now: the head, unless it is still catching up."""
        return self.feed.cursor() if self.caught_up else str(self.position)

    def is_behind(self) -> bool:
        """Return True if there may be something to send, or to ask the store about."""
        return self.unsure or not self.caught_up or self.feed.ended or self.feed.head > self.position.seq


class Confirmed(NamedTuple):
    """The revision at which the store has confirmed that the account of a peer is valid and may read `rooms`."""

    revision: int
    rooms: frozenset[str]


class Peer:
    """One live socket. Subclasses frame events and parse incoming bytes.

    All methods run on the reactor's thread.
    """

    # A round of sending touches every peer. Beyond 30 attributes CPython gives each object a hash table of its own.
    __slots__ = (
        "_ends_at", "_interest", "_left", "_moved_at", "_out", "bytes_in", "bytes_out", "confirmed", "events",
        "framing", "principal", "reactor", "reading", "sock", "subscriptions",
    )  # fmt: skip
    reactor: Reactor

    takes_hints = False
    """True if `hint` sends something; polls carry events alone."""
    read_bytes = READ_BYTES
    """Bytes read in one turn of the loop, after which others have their turn."""

    def __init__(self, sock: socket.socket, left: Callable[[], None], framing: str = "raw") -> None:
        self.sock = sock
        self.framing = framing
        self.subscriptions: dict[str, Subscription] = {}
        self.reading: Subscription | None = None
        """The room whose events are being read from the store; one at a time."""
        self._left = left
        self._out: deque[memoryview] = deque()
        self._moved_at = time.monotonic()
        self._interest = select.EPOLLIN
        self._ends_at: float | None = None
        self.bytes_in = self.bytes_out = 0
        self.events = 0
        """Events sent, of the rooms that it no longer follows."""
        self.principal: Principal | None = None
        """The account that it is held for, if any."""
        self.confirmed: Confirmed | None = None

    # --- For a subclass to define -----------------------------------------------------------------

    def opened(self) -> None:
        """Begin to send: the peer has joined the reactor."""

    def received(self, data: bytes) -> None:
        """Handle bytes from the peer."""

    def principal_changed(self, principal: Principal | None) -> None:
        """Take over the account of the peer as it is now; None if its session, its token or itself has ended."""
        self.principal = principal
        if principal is None:
            self.revoked()
            return
        for subscription in self.subscriptions.values():
            subscription.handle.principal = principal

    def rooms(self) -> Collection[str]:
        """Return the names of the rooms that it is held for."""
        return self.subscriptions

    def room_lost(self, room: str) -> None:
        """End the subscription or poll of `room`, unless the store confirms now that the account may read it."""
        self.reactor.endings.doubt(self, room)

    def revoked(self) -> None:
        """End, and say so: the session, token or account that the connection rests on has ended."""
        self.end()

    def join(self, events: Sequence[Event]) -> bytes:
        """Return `events` as they are sent to every peer of this framing."""
        raise NotImplementedError

    def caught_up(self, room: str, cursor: str) -> None:
        """Note that all earlier events have been sent; later ones are live."""

    def hint(self, encoded: bytes) -> None:
        """Send an envelope that is no event and may be lost."""

    def reset(self, room: str, refused: Refused) -> None:
        """Tell the client that its position cannot be served any more."""

    def swept(self, now: float) -> None:
        """Do the work of each second."""

    def too_far_behind(self) -> None:
        """End: it does not read, and others need the memory that it takes."""
        self.drop()

    def restart(self) -> None:
        """Tell the client to come back later, and end: the worker drains."""
        self.end()

    def idle(self) -> None:
        """Go on: all queued bytes have been sent."""

    def filled(self) -> None:
        """Send no more: the socket is full; `idle` is called when it has taken all."""

    # --- For a subclass to call -------------------------------------------------------------------

    @property
    def blocked(self) -> bool:
        """Return True if something waits for the socket to take it."""
        return bool(self._out)

    @property
    def waiting(self) -> int:
        """Bytes that wait for the socket to take them."""
        return sum(map(len, self._out))

    def stalled(self, now: float) -> float:
        """Return for how many seconds it has taken none of the waiting bytes."""
        return now - self._moved_at if self._out else 0.0

    @property
    def ending(self) -> bool:
        """Return True if nothing more will be sent."""
        return self._ends_at is not None

    def send(self, data: bytes) -> None:
        """Send `data` after the waiting bytes."""
        if self._ends_at is not None or not data:
            return
        sent = 0
        if not self._out:
            # Nearly always the socket takes all at once, and nothing is queued.
            try:
                sent = self.sock.send(data)
            except BlockingIOError:
                pass
            except OSError:
                self.drop()
                return
            self.bytes_out += sent
            if sent == len(data):
                return
            self._moved_at = time.monotonic()
            self._watch(self._interest | select.EPOLLOUT)
            self._out.append(memoryview(data)[sent:])
            self.filled()
        else:
            self._out.append(memoryview(data))

    def listen(self, on: bool) -> None:
        """Read from the socket or do not; unread bytes slow their sender down."""
        self._watch(self._interest | select.EPOLLIN if on else self._interest & ~select.EPOLLIN)

    def end(self) -> None:
        """Send the waiting bytes, then close; the peer has a moment to read them and hang up."""
        if not self.ending:
            self._ends_at = time.monotonic() + CLOSING_SECONDS
            for room in list(self.subscriptions):
                self.reactor.unfollow(self, room)
            self._shut()

    def drop(self) -> None:
        """Close at once."""
        self.reactor.forget(self)

    # --- The reactor's side -----------------------------------------------------------------------

    def ready(self, mask: int) -> None:
        """Handle the events in `mask` that epoll reports."""
        if mask & select.EPOLLOUT:
            self._flush()
        if mask & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            self._read()

    def closed(self) -> None:
        """Clean up after the reactor has dropped the peer."""
        self._ends_at = 0.0
        self._out.clear()
        self.sock.close()
        self._left()

    def released(self) -> None:
        """Clean up after another owner has taken over the socket."""
        self._ends_at = 0.0
        self._left()

    def _read(self) -> None:
        try:
            data = self.sock.recv(self.read_bytes)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.bytes_in += len(data)
        if not data:
            self.drop()
        elif not self.ending:
            self.received(data)

    def _flush(self) -> None:
        while self._out:
            head = self._out[0]
            try:
                sent = self.sock.send(head)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.drop()
                return
            self.bytes_out += sent
            if sent:
                self._moved_at = time.monotonic()
            if sent < len(head):
                self._out[0] = head[sent:]
                self._watch(self._interest | select.EPOLLOUT)
                return
            self._out.popleft()
        if self._interest & select.EPOLLOUT:
            self._watch(self._interest & ~select.EPOLLOUT)
            if self.ending:
                self._shut()
            else:
                self.reactor.unblocked(self)

    def _shut(self) -> None:
        if not self._out:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_WR)
            # Until the peer hangs up, its bytes are read and thrown away: closing over them would reset
            # the connection, and the last words might not arrive (RFC 9112 §9.6).
            self.listen(on=True)

    def _watch(self, interest: int) -> None:
        if interest != self._interest:
            self._interest = interest
            self.reactor.watch(self, interest)
