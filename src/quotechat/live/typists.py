"""Tell the readers of a room, on sockets and streams, which senders type there. It is a hint, not an event: it may be
lost, and is not stored.

Names are batched: a worker tells a room at most once a second, for any number of typists; the other workers get the
names that this one tells its own readers. A reader is told only if it has read up to the head at which the typist was
allowed to write: a reader that was removed from the room never gets there. Without typists nothing is done.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from ..hub.chat import Chat
from ..protocol import json
from ..protocol.errors import Refused
from ..store.base import Typist
from .peer import Peer, Subscription
from .reactor import Reactor

GATHER = 0.1
"""Seconds from the first name to the hint; by then the readers have the earlier messages."""
PACE = 1.0
"""Seconds between two hints in one room."""
MOST_NAMES = 5
MOST_FOLLOWERS = 100
"""Connections of this worker in a room beyond which none gets hints: each hint is a send to all of them."""


class _Room:
    """The names of one room that are to be sent."""

    def __init__(self) -> None:
        self.here: dict[str, dict[str, str]] = {}
        """Names for the followers at this worker, by id or name."""
        self.elsewhere: dict[str, dict[str, str]] = {}
        """Names for the other workers: the typists on sockets of this worker."""
        self.head = 0


class Typists:
    """One for each worker. All methods run on the reactor's thread, but for `heard`."""

    def __init__(self, reactor: Reactor, chat: Chat) -> None:
        self._reactor = reactor
        self._chat = chat
        self._rooms: dict[str, _Room] = {}

    def typed(self, typist: Typist) -> None:
        """Note a typist on a socket of this worker."""
        shown = {"user": typist.user} if typist.id is None else {"id": typist.id, "user": typist.user}
        self._note(typist.room, typist.head, [shown], elsewhere=True)

    def heard(self, hint: str) -> None:
        """Take a hint from another worker; from any thread."""
        found = _parsed(hint)
        if found is not None:
            self._reactor.call(partial(self._note, *found))

    def _note(self, name: str, head: int, who: list[dict[str, str]], *, elsewhere: bool = False) -> None:
        if not elsewhere and not self._reactor.fanout.has_followers(name):
            return
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = _Room()
            self._reactor.later(time.monotonic() + GATHER, partial(self._tell, name))
        room.head = max(room.head, head)
        for shown in who:
            for names in (room.here, room.elsewhere) if elsewhere else (room.here,):
                if len(names) < MOST_NAMES:
                    names[shown.get("id", shown["user"])] = shown

    def _tell(self, name: str) -> None:
        room = self._rooms[name]
        if not room.here:
            del self._rooms[name]
            return
        self._rooms[name] = _Room()
        self._reactor.later(time.monotonic() + PACE, partial(self._tell, name))
        if room.elsewhere:
            self._chat.pass_on(_hint(name, room.head, list(room.elsewhere.values())))
        followers = self._reactor.fanout.followers(name)
        readers = [each for each in followers.items() if each[0].takes_hints]
        if not 0 < len(readers) <= MOST_FOLLOWERS:
            return
        encoded = json.dumps({"command": "typing", "room": name, "who": list(room.here.values())})
        for peer, subscription in readers:
            if _may_hear(peer, subscription, room.head):
                self._reactor.guard(peer, peer.hint, encoded)


def _may_hear(peer: Peer, subscription: Subscription, head: int) -> bool:
    """Return True if the peer has read up to `head`, its right is confirmed, and its socket is not full."""
    return subscription.position.seq >= head and not (subscription.unsure or peer.blocked or peer.ending)


def _hint(room: str, head: int, who: list[dict[str, str]]) -> str:
    return json.dumps({"typing": room, "head": head, "who": who}).decode()


def _parsed(hint: str) -> tuple[str, int, list[dict[str, str]]] | None:
    """Return room, head and typists; None for a hint of another kind or form."""
    try:
        found: Any = json.loads(hint)
        who = [{key: str(each[key]) for key in ("id", "user") if key in each} for each in found["who"][:MOST_NAMES]]
        return (str(found["typing"]), int(found["head"]), who) if all("user" in each for each in who) else None
    except (Refused, ValueError, KeyError, TypeError, AttributeError):
        return None


def open_typists(reactor: Reactor, chat: Chat) -> None:
    """Let `reactor` send hints of typists in the rooms of `chat`."""
    chat.presence.connected_by(reactor.identities)
    reactor.typists = Typists(reactor, chat)
    chat.on_hint(reactor.typists.heard)
