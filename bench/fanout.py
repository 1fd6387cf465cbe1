"""CPU of a round of sending to 200 WebSockets: `python -m bench.fanout`; `PYTHONPATH=TREE/src` for another version.

The rounds run on one thread, without a server. Before each one much other memory is touched, as between two messages.
"""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Callable
from typing import Any, cast

from bench.load import text
from quotechat.hub.feed import Feed
from quotechat.hub.room_handle import RoomHandle
from quotechat.live.connection import Connection
from quotechat.live.fanout import Fanout
from quotechat.live.peer import Subscription
from quotechat.live.reactor import Reactor
from quotechat.protocol import events, json
from quotechat.protocol.cursor import cursor_of
from quotechat.store.base import Head
from quotechat.web.transports.websocket_client import Client
from quotechat.web.transports.websocket_peer import Socket

READERS, ROUNDS = 200, 200
TAG = "0123456789abcdef"


class Alone:
    """In place of the reactor and of the handle of a room."""

    draining = False
    room, since = "lobby", 0

    def wake(self) -> None:
        pass

    def guard(self, peer: object, callback: Callable[..., None], *arguments: object) -> None:
        callback(*arguments)


def main() -> None:
    """Measure, and print the median and the quartiles."""
    alone: Any = Alone()
    fanout = alone.fanout = Fanout(cast(Reactor, alone))
    alone.unfollow = fanout.unfollow
    feed = Feed("lobby", Head(1, f"1.{TAG}", 0))
    far_ends = []
    for _ in range(READERS):
        ours, far = socket.socketpair()
        ours.setblocking(False)
        peer = Socket(ours, lambda: None, Connection(65_536), cast(Client, None))
        peer.reactor = alone
        fanout.follow(peer, Subscription(cast(RoomHandle, alone), feed, cursor_of(f"1.{TAG}")))
        far_ends.append(far)
    other = bytearray(32 * 1024 * 1024)
    took = []
    for seq in range(2, ROUNDS + 2):
        bytes(other)
        body = json.dumps({"message": {"id": seq, "user": "Bench", "message": text()}})
        feed.publish([events.event("lobby", seq, f"{seq}.{TAG}", events.MESSAGE_SENT, 0, body)])
        fanout.news("lobby")
        began = time.thread_time()
        fanout.round()
        took.append((time.thread_time() - began) * 1e6)
        fanout.end_turn()
        for far in far_ends:
            far.recv(65_536)
    low, median, high = statistics.quantiles(took, n=4)
    print(f"a round of sending to {READERS}: {median:.0f} µs ({low:.0f}–{high:.0f})")


if __name__ == "__main__":
    main()
