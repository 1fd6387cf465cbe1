"""The server's answers about mentions, as types; see `wire`."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from .fields import HasMore, Room
from .wire import Message


class Mention(msgspec.Struct, kw_only=True):
    """A message that mentions the account."""

    room: Room
    message: Message
    kind: Literal["name", "room", "reply"]
    unread: bool | UnsetType = UNSET


class Mentions(msgspec.Struct):
    """Mentions, the newest first."""

    mentions: list[Mention]
    has_more: HasMore
