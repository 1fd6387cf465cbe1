"""The answer of a search, as types; see `wire`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from .wire import At, HasMore, Message, Room

Mark = Annotated[
    list[Annotated[int, Meta(ge=0)]],
    Meta(min_length=2, max_length=2, description="Start and length, in code points of the runs' joined text."),
]


class Hit(msgspec.Struct):
    """A message that was found, as it is now."""

    room: Room
    message: Message
    marks: Annotated[list[Mark], Meta(description="The words that were found; empty if operators alone were asked.")]


class Searched(msgspec.Struct):
    """How far a search came that looked through as much as it may."""

    through: Annotated[At, Meta(description="Messages that are older were not looked through.")]


class Found(msgspec.Struct, kw_only=True):
    """Hits, the newest first unless the best were asked for."""

    hits: list[Hit]
    has_more: HasMore
    before: Annotated[str, Meta(description="What gives the next page as `before`.")] | UnsetType = UNSET
    searched: Searched | UnsetType = UNSET
    incomplete: (
        Annotated[bool, Meta(description="The index is still being made: older hits may be missing.")] | UnsetType
    ) = UNSET
