"""Send the events of rooms to the peers that follow them: each slice is encoded once for all peers at its beginning.

All methods run on the reactor's thread, but for `news` and `has_followers`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from ..hub.chat import Page
from ..hub.feed import Feed
from ..hub.tally import Tally
from ..protocol.cursor import Cursor, cursor_of
from ..protocol.errors import Overloaded, Refused
from ..protocol.events import Event
from ..protocol.rights import readership
from .peer import Peer, Subscription

if TYPE_CHECKING:
    from .reactor import Reactor

SLICE_EVENTS = 500
SLICE_BYTES = 64 * 1024
"""Bytes of events that are sent to a peer at once; the next are read when these have left. One event may be larger."""


class Slice(NamedTuple):
    """Events as every peer of one framing gets them; `change` is the last one, if a right to read may end there."""

    data: bytes
    after: Cursor
    change: Event | None


class Fanout:
    """The followers of one reactor, and the rooms that have news for them."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._followers: dict[str, dict[Peer, Subscription]] = {}
        self._news: set[str] = set()
        self._news_since: dict[str, float] = {}
        self._slices: dict[tuple[str, str, int], Slice] = {}
        self.lag = Tally(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
        """Seconds from news to the last send of the round that carries them."""

    def news(self, room: str) -> None:
        """Queue the news of `room`; for `Chat.listen`."""
        if room in self._followers and room not in self._news:
            self._news_since.setdefault(room, time.monotonic())
            self._news.add(room)
            self._reactor.wake()

    def has_followers(self, room: str) -> bool:
        """Return True if a peer follows `room`; for `Chat.followed_by`."""
        return room in self._followers

    def has_news(self) -> bool:
        """Return True if a room has news that no round has sent."""
        return bool(self._news)

    def end_turn(self) -> None:
        """Forget the slices: one may hold text that is deleted a moment later."""
        self._slices.clear()

    def followers(self, room: str) -> Mapping[Peer, Subscription]:
        """Return the peers that follow `room`."""
        return self._followers.get(room, {})

    def follow(self, peer: Peer, subscription: Subscription, sent: Event | None = None) -> None:
        """Send `peer` the events of `subscription`, instead of its earlier one to the room; `sent` is the last sent."""
        room = subscription.handle.room
        self.unfollow(peer, room)
        peer.subscriptions[room] = subscription
        self._followers.setdefault(room, {})[peer] = subscription
        if sent is None or self._reactor.endings.goes_on(peer, subscription, sent):
            self.pump(peer)

    def unfollow(self, peer: Peer, room: str) -> None:
        """Send no more of `room`."""
        left = peer.subscriptions.pop(room, None)
        if left is not None:
            peer.events += left.position.seq - left.began_at
        followers = self._followers.get(room)
        if followers is not None:
            followers.pop(peer, None)
            if not followers:
                del self._followers[room]

    def pump(self, peer: Peer) -> None:
        """Send news to `peer`, as much as its socket takes."""
        # Most peers follow one room. The others take turns, also from one pump to the next: one may always have news.
        going = list(peer.subscriptions.items())
        while going and not peer.blocked:
            room, subscription = going.pop(0)
            if peer.subscriptions.get(room) is subscription and self._advance(peer, subscription):
                going.append((room, subscription))
                peer.subscriptions[room] = peer.subscriptions.pop(room)

    def round(self) -> None:
        """Send the news of each room to all peers that follow it; the slices are kept until `end_turn`."""
        rooms = list(self._news)
        self._news.difference_update(rooms)
        for room in rooms:
            followers = self._followers.get(room)
            if followers:
                self._send_news(followers)
            since = self._news_since.pop(room, None)
            if since is not None:
                self.lag.observe(time.monotonic() - since)

    def _send_news(self, followers: dict[Peer, Subscription]) -> None:
        """Send news to each peer once: the hot loop, with next to nothing around it.

        Nearly all peers are at the position of the peer before them, the very same object, and their sockets take all.
        """
        position: Cursor | None = None
        framing = ""
        data, after = b"", Cursor(0)
        for peer, subscription in tuple(followers.items()):
            if (
                subscription.position is position
                and subscription.caught_up
                and peer.framing is framing
                and peer._ends_at is None
                and not peer._out
                and not subscription.unsure
            ):
                subscription.position = after
                try:
                    peer.send(data)
                except Exception:  # as `guard`, without its call
                    self._reactor.failed(peer)
                continue
            before = subscription.position
            self._reactor.guard(peer, self._advance_all, peer, subscription)
            found = self._slices.get((subscription.feed.room, peer.framing, before.seq))
            if found is not None and found.change is None and found.after.seq >= subscription.feed.head:
                position, framing, data, after = before, peer.framing, found.data, found.after

    def _advance_all(self, peer: Peer, subscription: Subscription) -> None:
        while not peer.blocked and self._advance(peer, subscription):
            pass

    def _advance(self, peer: Peer, subscription: Subscription) -> bool:
        """Send one slice further; return True if there may be more."""
        if peer.ending or peer.reading is subscription:
            return False
        if subscription.unsure:
            self._reactor.endings.ask(peer, subscription)
            return False
        feed, position = subscription.feed, subscription.position
        if feed.ended and not self._reactor.draining:
            # The room has another history now, and only the store knows if this position is part of it.
            self._read_from_store(peer, subscription)
            return False
        key = (feed.room, peer.framing, position.seq)
        found = self._slices.get(key)
        if found is None:
            if feed.head <= position.seq:
                self._reach_head(peer, subscription)
                return False
            events = feed.after(position.seq, SLICE_EVENTS, SLICE_BYTES)
            if events is None:
                self._read_from_store(peer, subscription)
                return False
            events = readership.until_change(events)
            change = events[-1] if events[-1].command in readership.CHANGES else None
            found = self._slices[key] = Slice(peer.join(events), cursor_of(events[-1].cursor), change)
        # The position moves with the slice, even if the socket has taken only part of it: the rest is queued.
        subscription.position = found.after
        peer.send(found.data)
        if found.change is not None and not self._reactor.endings.goes_on(peer, subscription, found.change):
            return False
        if found.after.seq < feed.head:
            return True
        if not subscription.caught_up:
            self._reach_head(peer, subscription)
        return False

    def _reach_head(self, peer: Peer, subscription: Subscription) -> None:
        if subscription.caught_up:
            return
        if subscription.position.seq < subscription.handle.since:
            # The store was further than this when the reader began, and the feed has not heard of it yet.
            self._read_from_store(peer, subscription)
            return
        subscription.caught_up = True
        peer.caught_up(subscription.feed.room, str(subscription.position))

    def _read_from_store(self, peer: Peer, subscription: Subscription) -> None:
        """Read one slice from the store, since the position is older than the tail; one room of a peer at a time."""
        if peer.reading is not None:
            return  # the pump after that read comes to this room
        room, position = subscription.feed.room, subscription.position
        peer.reading = subscription

        def then(found: object) -> None:
            peer.reading = None
            feed, page = found if isinstance(found, tuple) else (subscription.feed, found)
            # A page that was read before the right was doubted is read again, after the store has confirmed the right.
            is_due = peer.subscriptions.get(room) is subscription and not subscription.unsure
            if is_due and not self._deliver(peer, subscription, feed, page):
                return  # nothing was found, or the store is unavailable: the next sweep asks again
            self.pump(peer)

        handle = subscription.handle
        self._reactor.read(lambda: (handle.follow(), handle.read_on(position, SLICE_EVENTS, SLICE_BYTES)), then, peer)

    def _deliver(self, peer: Peer, subscription: Subscription, feed: Feed, page: object) -> bool:
        """Send the events of the store's `page`, or the refusal that it is; return True if anything changed."""
        if isinstance(page, Refused) and not isinstance(page, Overloaded):
            self.unfollow(peer, feed.room)
            peer.reset(feed.room, page)
            return True
        if not isinstance(page, Page) or not (page.events or subscription.feed is not feed):
            return False
        subscription.feed, subscription.position = feed, cursor_of(page.cursor)
        if page.events:
            peer.send(peer.join(page.events))
            self._reactor.endings.goes_on(peer, subscription, page.events[-1])
        return True
