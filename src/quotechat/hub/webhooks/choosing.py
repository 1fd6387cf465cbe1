"""Choose the lanes that begin, so that no webhook waits for the receiver of another one. Pure.

A call on its way holds a thread. One that is quick ends in milliseconds, one that hangs takes all of its time; so after
a moment it counts no more among the quick ones, and another may begin beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from ...store.programs.webhooks import Lane

ROOMS_AT_ONCE = 4
"""Rooms of one webhook in which it is called at the same time; one while it fails."""
RECEIVER_AT_ONCE = 32
"""Lanes that lead to one receiver, of all webhooks together, without those that are slow."""
QUICK = 64
"""Lanes at once, without those that are slow."""
MOST = 256
"""Lanes at once, with them."""
SLOW_SECONDS = 1.0
"""Seconds after which a lane counts as slow."""

Place = tuple[int, int]
"""The key of a webhook and of a room."""


class Running(NamedTuple):
    """A lane that is on its way to a receiver, since a time of the monotonic clock."""

    receiver: str
    since: float


def chosen(
    due: Iterable[Lane], running: Mapping[Place, Running], failing: Collection[int], now: float
) -> list[Lane]:
    """Return those of the lanes that are `due` that may begin, in their order; `failing` are webhooks."""
    webhooks = Counter(webhook for webhook, _ in running)
    receivers = Counter(each.receiver for each in running.values() if now - each.since < SLOW_SECONDS)
    free = min(QUICK - receivers.total(), MOST - len(running))
    found: list[Lane] = []
    for lane in due:
        if len(found) >= free:
            break
        receiver = receiver_of(lane.url)
        most = 1 if lane.webhook in failing else ROOMS_AT_ONCE
        is_running = (lane.webhook, lane.room_id) in running
        if not is_running and webhooks[lane.webhook] < most and receivers[receiver] < RECEIVER_AT_ONCE:
            webhooks[lane.webhook] += 1
            receivers[receiver] += 1
            found.append(lane)
    return found


def receiver_of(url: str) -> str:
    """Return the host and port of an address."""
    return urlsplit(url).netloc.lower()
