"""End the subscriptions of live sockets when a reader's right ends: at an event, or when the store says so.

All of it runs on the reactor's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..protocol.errors import RoomUnknown
from ..protocol.events import Event
from ..store.base import Head
from .peer import Peer, Subscription

if TYPE_CHECKING:
    from .reactor import Reactor


class Endings:
    """Ends the subscriptions of one reactor's peers."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor

    def goes_on(self, peer: Peer, subscription: Subscription, event: Event) -> bool:
        """Return False if `peer` may get nothing after `event`, which was sent: then it is told, or the store asked."""
        ends = subscription.handle.ends_with(event)
        if ends:
            self._end(peer, subscription)
        elif ends is None:
            subscription.unsure = True
            self.ask(peer, subscription)
        return ends is False

    def doubt(self, peer: Peer, room: str) -> None:
        """Send `peer` nothing more of `room` until the store has confirmed its right; end there if it does not."""
        subscription = peer.subscriptions.get(room)
        if subscription is not None:
            subscription.unsure, subscription.asked = True, False
            self.ask(peer, subscription)

    def ask(self, peer: Peer, subscription: Subscription) -> None:
        """Ask the store if `peer` may read on; nothing is sent before the answer."""
        if peer.reading is not None:
            return  # the pump after that read comes to this room
        peer.reading, subscription.asked = subscription, True

        def then(found: object) -> None:
            peer.reading = None
            if peer.subscriptions.get(subscription.handle.room) is subscription:
                if isinstance(found, RoomUnknown):
                    self._end(peer, subscription)
                elif not isinstance(found, Head):
                    return  # the store is unavailable: the next sweep asks again
                # An answer that was read before the last doubt says nothing about it: the pump asks again.
                subscription.unsure = not subscription.asked
            self._reactor.pump(peer)

        self._reactor.read(subscription.handle.check, then, peer)

    def _end(self, peer: Peer, subscription: Subscription) -> None:
        room = subscription.handle.room
        self._reactor.unfollow(peer, room)
        peer.reset(room, RoomUnknown(room))
