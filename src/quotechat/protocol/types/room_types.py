"""Rooms and their members in the server's answers, as types; see `wire`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ..commands import AboutChange, AccountId, ClientId, MemberRole
from .fields import At, Count, Cursor, Duplicate, MessageId, Room, Seq

Level = Literal["everything", "mentions", "nothing", "hidden"]


class Member(msgspec.Struct, kw_only=True):
    """A member of a room."""

    id: AccountId
    user: str
    role: MemberRole
    bot: bool | UnsetType = UNSET


class FormerMember(msgspec.Struct):
    """One who was a member."""

    id: AccountId
    user: str


class Person(msgspec.Struct):
    """An account in a direct room."""

    id: AccountId
    name: str


class About(msgspec.Struct, kw_only=True):
    """The settings of a room; what is usual is left out: open, written by all, not slow."""

    name: Room
    kind: Literal["closed", "direct", "log"] | UnsetType = UNSET
    title: str | UnsetType = UNSET
    topic: str | UnsetType = UNSET
    posting: Literal["managers"] | UnsetType = UNSET
    slow: Annotated[int, Meta(ge=1, le=3600, description="Seconds between two messages.")] | UnsetType = UNSET
    default: Annotated[bool, Meta(description="Every new member joins.")] | UnsetType = UNSET
    archived: Annotated[bool, Meta(description="Nobody may write.")] | UnsetType = UNSET


class ReadPosition(msgspec.Struct):
    """Up to where an account has read, and how many messages that is."""

    id: Annotated[int, Meta(ge=0)]
    messages: Count


class You(msgspec.Struct, kw_only=True):
    """The caller's own membership."""

    role: MemberRole
    joined: At
    read: ReadPosition
    level: Level | UnsetType = UNSET
    muted_until: At | UnsetType = UNSET


class RoomInfo(About, kw_only=True):
    """A room, the cursor at its end, and the caller's place in it."""

    cursor: Cursor
    at: At
    last: Annotated[MessageId, Meta(description="The newest message that is not deleted.")] | UnsetType = UNSET
    messages: Annotated[int, Meta(ge=1, description="Messages sent so far.")] | UnsetType = UNSET
    members: Annotated[int, Meta(ge=0, description="How many, of a closed room.")] | UnsetType = UNSET
    others: list[Person] | UnsetType = msgspec.field(name="with", default=UNSET)
    you: You | UnsetType = UNSET


class Members(msgspec.Struct):
    """The members of a room, by name."""

    members: list[Member]


class AboutBody(AboutChange, frozen=True, kw_only=True):
    """Changes of a room's settings."""

    client_id: ClientId | None = None


class MemberBody(msgspec.Struct):
    """A member to add, or a change of one."""

    role: MemberRole | UnsetType = UNSET
    muted_until: Annotated[str | None, Meta(description="As `send_at`; null ends it.")] | UnsetType = UNSET


class MemberAnswer(msgspec.Struct, kw_only=True):
    """The member as it is now, and the event that made it so, if there is one."""

    member: Member
    seq: Seq | UnsetType = UNSET
    cursor: Cursor | UnsetType = UNSET
    duplicate: Duplicate | UnsetType = UNSET


class DirectBody(msgspec.Struct):
    """The other people of a direct room."""

    members: Annotated[list[AccountId], Meta(max_length=9)] | UnsetType = UNSET

