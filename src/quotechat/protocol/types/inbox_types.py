"""The server's answers about an account's inbox, and the bodies that it takes for it, as types; see `wire`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from .fields import At, Count, Cursor, Retry, Room
from .room_types import Level, Person, ReadPosition


class InboxRoom(msgspec.Struct, kw_only=True):
    """One room of the inbox; every value is absolute. Zeros and the usual level are left out."""

    title: str | UnsetType = UNSET
    kind: Literal["closed", "direct"] | UnsetType = UNSET
    people: Annotated[list[Person], Meta(description="In a direct room.")] | UnsetType = msgspec.field(
        default=UNSET, name="with"
    )
    last: Annotated[int, Meta(ge=1, description="The newest message that is not deleted.")] | UnsetType = UNSET
    messages: Annotated[int, Meta(ge=1, description="How many were sent.")] | UnsetType = UNSET
    read: Annotated[ReadPosition, Meta(description="Left out where the account has not joined.")] | UnsetType = UNSET
    unread: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    mentions: Annotated[int, Meta(ge=1, description="Unread mentions of the account.")] | UnsetType = UNSET
    level: Level | UnsetType = UNSET


class Notice(msgspec.Struct):
    """News for one account that belong to no room."""

    id: Annotated[int, Meta(ge=1)]
    what: str
    at: At
    text: str


class Inbox(msgspec.Struct, kw_only=True):
    """The whole inbox if `complete`, else nothing is new."""

    cursor: Cursor
    complete: bool | UnsetType = UNSET
    rooms: dict[Room, InboxRoom]
    notices: list[Notice] | UnsetType = UNSET
    retry_in_ms: Retry | UnsetType = UNSET


class Counts(msgspec.Struct):
    """The counts of a room that has moved."""

    last: Count
    messages: Count


class InboxChanged(msgspec.Struct, kw_only=True, tag_field="command", tag="inbox"):
    """Rooms whose place in the inbox has changed, each whole; with `complete` all of them."""

    cursor: Cursor
    complete: bool | UnsetType = UNSET
    rooms: dict[Room, InboxRoom]
    gone: Annotated[list[Room], Meta(description="Rooms that are in the inbox no more.")] | UnsetType = UNSET
    notices: list[Notice] | UnsetType = UNSET


class News(msgspec.Struct, kw_only=True, tag_field="command", tag="news"):
    """Rooms in which something was said or deleted; a hint, with absolute counts."""

    rooms: dict[Room, Counts]


class ReadBody(msgspec.Struct, kw_only=True):
    """Read up to the message `id`; with `back` it may be an earlier one than before."""

    id: Count
    back: bool = False


class ReadAnswer(msgspec.Struct):
    """The position as it is now."""

    read: ReadPosition


class LevelBody(msgspec.Struct):
    """How much of a room an account wants to hear."""

    level: Level


class LevelAnswer(msgspec.Struct):
    """The level as it is now."""

    level: Level
