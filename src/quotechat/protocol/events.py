"""Events. Each is encoded once, as the envelope that every transport sends (protocol §2)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from . import json

MESSAGE_SENT = "message-sent"
MESSAGE_EDITED = "message-edited"
MESSAGE_DELETED = "message-deleted"
REACTIONS_CHANGED = "reactions-changed"
QUOTE_ADDED = "quote-added"
QUOTE_REMOVED = "quote-removed"
AUDIT = "audit"
ROOM_CHANGED = "room-changed"
MEMBER_JOINED = "member-joined"
MEMBER_CHANGED = "member-changed"
MEMBER_LEFT = "member-left"


class Event(msgspec.Struct, frozen=True, gc=False):
    """One entry of a room's log.

    `body` is the JSON of its content (``{"message": …}`` or ``{"quote": …}``); `encoded` the whole
    envelope, without a newline; `cursor` the position after it.
    """

    room: str
    seq: int
    cursor: str
    command: str
    at: str
    body: bytes
    encoded: bytes

    @property
    def envelope(self) -> dict[str, Any]:
        """The envelope as a dict, made anew at each call."""
        found: dict[str, Any] = json.own(self.encoded)
        return found


def event(room: str, seq: int, cursor: str, command: str, at_ms: int, body: bytes) -> Event:
    """Make the event, its envelope encoded. `at_ms` is in milliseconds since 1970, `body` a JSON object."""
    at = rfc3339(at_ms)
    # Room, command, cursor and time hold nothing that JSON would escape.
    head = f'{{"command":"{command}","room":"{room}","seq":{seq},"cursor":"{cursor}","at":"{at}",'
    return Event(room, seq, cursor, command, at, body, head.encode() + body[1:])


def rfc3339(ms: int) -> str:
    """Milliseconds since 1970 as the protocol writes times: UTC, three digits, ``Z``."""
    return f"{_second(ms // 1000)}.{ms % 1000:03}Z"


@lru_cache(256)  # most times that are written are of now
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"
