"""The readers of inboxes in one worker, which `inbox_feed` serves: sockets, streams and held polls."""

from __future__ import annotations

from array import array
from typing import NamedTuple, Protocol

from ..protocol.cursor import Cursor, Now

PACE, PACE_OF_MANY, MANY = 0.5, 2.0, 200
"""Seconds between two answers to the held polls of an account; `PACE_OF_MANY` if it has more than `MANY` rooms."""


class Follower(Protocol):
    """A socket or stream that follows its account's inbox; on the reactor's thread."""

    @property
    def blocked(self) -> bool:
        """Return True if bytes wait for the socket; `InboxFeed.resume` is called when it has taken them."""

    def inbox_sends(self, encoded: bytes, position: str | None = None) -> None:
        """Send an envelope; `position` is the cursor to which it brings the reader, if it has the whole inbox."""


class Waiter(Protocol):
    """A poll that is held until the inbox has moved from `inbox_after`; on the reactor's thread."""

    inbox_after: Cursor | Now
    inbox_ends: bool
    """True if its time is up: the next read answers it, even if that finds nothing."""

    def inbox_found(self, cursor: str | None, encoded: bytes) -> None:
        """Answer: `encoded` is the whole of the inbox at `cursor`, or the unchanged cursor if that is None."""


class Key(NamedTuple):
    """The account, and the rooms that its token is for."""

    account: int
    rooms: frozenset[str] | None


class Reading:
    """All readers of one inbox in this worker, and the state that they have been sent.

    Of a room there are 16 bytes here: names and counts of rooms are kept once for all readings.
    """

    __slots__ = (
        "answered_at", "asked", "at", "begins", "bits", "followers", "late", "own", "revision", "rooms", "waiters",
    )  # fmt: skip

    def __init__(self, answered_at: float = 0.0) -> None:
        self.revision = -1
        self.rooms = array("q")
        """Keys of the rooms, in order."""
        self.own = array("q")
        """Of each room `Entry.own`."""
        self.bits = 0
        self.followers: set[Follower] = set()
        """Followers that have been sent the whole inbox and all news since."""
        self.begins: dict[Follower, Cursor | Now] = {}
        """Followers that have not been sent the inbox yet, with their cursors."""
        self.late: set[Follower] = set()
        """Followers with full sockets: they begin anew when the sockets have room."""
        self.waiters: set[Waiter] = set()
        self.asked: frozenset[Follower | Waiter] = frozenset()
        """Those of `begins` and `waiters` that were here when the newest read began; it is older than the others."""
        self.answered_at = answered_at
        self.at: str | None = None
        """The cursor; None if it has to be made, since something has moved."""

    @property
    def used(self) -> bool:
        """Return True if the inbox has a reader."""
        return bool(self.followers or self.begins or self.late or self.waiters)

    def without(self, follower: Follower) -> None:
        """Forget a follower."""
        self.followers.discard(follower)
        self.begins.pop(follower, None)
        self.late.discard(follower)
        self.asked -= {follower}

    @property
    def pace(self) -> float:
        """Seconds between two answers to held polls."""
        return PACE_OF_MANY if len(self.rooms) > MANY else PACE
