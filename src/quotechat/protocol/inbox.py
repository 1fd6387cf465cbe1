"""The inbox: how much is new to one account in each of its rooms, and the cursor of all of it. Pure.

Unread is arithmetic on counts, so no row is written for a member and a message. Every value is absolute: whoever has
the newest inbox has missed nothing, whatever came before it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import blake2b
from itertools import chain
from typing import Final

from .cursor import Cursor, Now

INBOX: Final = "@inbox"
"""Used in place of a room's name for the position in an inbox; it is no room."""
EVERYTHING: Final = "everything"
MENTIONS: Final = "mentions"
HIDDEN: Final = "hidden"
"""Of a room that is shown only while its member is mentioned there."""
LEVELS: Final = (EVERYTHING, MENTIONS, "nothing", HIDDEN)
_TAG_BYTES = 8


def unread(last: int, messages: int, read_id: int, read_messages: int) -> int:
    """Return how many messages are unread.

    `last` is the newest message that is not deleted, `messages` how many were sent. A deleted message in the middle
    still counts; a deleted newest one leaves no phantom.
    """
    return 0 if last <= read_id else max(1, messages - read_messages)


def default_level(kind: str, wanted: str | None = None) -> str:
    """Return the level of a room of that kind, if its member has set none; `wanted` is that in its settings."""
    return EVERYTHING if kind == "direct" else wanted or MENTIONS


def cursor(revision: int, news: Sequence[tuple[int, int]]) -> str:
    """Return the cursor of an inbox; `news` are the key and the counter of each room, in the order of the keys."""
    packed = struct.pack(f"!{2 * len(news)}q", *chain.from_iterable(news))
    return f"{revision}.{blake2b(packed, digest_size=_TAG_BYTES).hexdigest()}"


def is_at(after: Cursor | Now, there: str) -> bool:
    """Return True if an inbox with the cursor `there` has no news after `after`."""
    return isinstance(after, Now) or str(after) == there
