"""The server's answers about typing and presence, as types; see `wire`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ..commands import AccountId
from .fields import Room


class Typist(msgspec.Struct, kw_only=True):
    """An account that types, or a visitor, which has no `id`."""

    id: AccountId | UnsetType = UNSET
    user: str


class Typists(msgspec.Struct, kw_only=True, tag_field="command", tag="typing"):
    """Senders that have typed in the room since the last of these, each shown for 5 s. No event, and in no log."""

    room: Room
    who: Annotated[list[Typist], Meta(min_length=1, max_length=5)]


Minutes = Annotated[int, Meta(ge=1, le=1440)]


class Presence(msgspec.Struct):
    """By the id of an account: `here`, or for how many minutes it has not been."""

    present: dict[AccountId, Literal["here"] | Minutes]
