"""Find the event of a room's log at which a reader's right to read it ends. Pure.

Membership of a closed room stands in its log, so the end of a right has a place there: whatever is read or sent ends at
each event that may be such an end, and the reader goes on behind it only if it was not.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from .. import json
from ..events import MEMBER_LEFT, ROOM_CHANGED, Event
from .principal import Principal

CHANGES: Final = frozenset({MEMBER_LEFT, ROOM_CHANGED})
"""Commands of events at which a right to read may end."""


def until_change(events: list[Event]) -> list[Event]:
    """Return `events` up to the first at which a right may end, that one included."""
    place = first_change(events)
    return events if place is None else events[: place + 1]


def first_change(events: Sequence[Event], since: int = 0) -> int | None:
    """Return the place of the first event above the seq `since` at which a right may end; None if there is none."""
    for place, event in enumerate(events):
        if event.command in CHANGES and event.seq > since:
            return place
    return None


def ends(event: Event, principal: Principal) -> bool | None:
    """Return True if the right of `principal` ends with `event`, and None if only the store can tell."""
    if event.command not in CHANGES:
        return False
    member, closes = _change(event.body)
    if member is not None:
        return member == principal.id
    if not closes:
        return False
    # Members of an open room stand in no log; a caller without account is none.
    return None if principal.has_account else True


@lru_cache(64)  # all readers of a room meet the same event
def _change(body: bytes) -> tuple[str | None, bool]:
    """Return the id of the member that left, and if the room is open no more."""
    found = json.own(body)
    member = found.get("member")
    if member is not None:
        return str(member["id"]), False
    return None, found["about"].get("kind", "open") != "open"
