"""The server's answers to programs that it keeps something for, and the bodies that it takes for them; see `wire`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from . import account_types, wire

_Position = Annotated[str, Meta(pattern=r"\A(0|[1-9][0-9]{0,15})(\.[0-9a-f]{16})?\Z")]


class Named(msgspec.Struct, kw_only=True):
    """A named cursor, with its position in each room that it follows."""

    name: str
    rooms: Annotated[dict[wire.Room, _Position], Meta(description="Its position in each room.")]
    behind: Annotated[int, Meta(ge=0, description="Events after its positions, of all rooms together.")]
    all: Annotated[bool, Meta(description="It follows every room that the account has joined.")] | UnsetType = UNSET
    at: wire.At


class AllNamed(msgspec.Struct):
    """The named cursors of an account, by name."""

    cursors: list[Named]


class Gap(msgspec.Struct):
    """Events that were cut before the cursor had passed them: the first and the last seq."""

    from_: Annotated[int, Meta(ge=1)] = msgspec.field(name="from")
    to: Annotated[int, Meta(ge=1)]


class EventsAfter(wire.EventsOfRoom, kw_only=True):
    """What comes after the position in one room."""

    gap: Gap | UnsetType = UNSET


class NamedEvents(msgspec.Struct, kw_only=True):
    """What comes after the positions of a named cursor; it comes again until it is acknowledged."""

    rooms: dict[wire.Room, EventsAfter]
    retry_in_ms: wire.Retry | UnsetType = UNSET


class Hook(msgspec.Struct, kw_only=True):
    """An address to which other systems post; `account` is the bot that signs."""

    id: account_types.ShortId
    name: str
    account: account_types.Id
    room: wire.Room
    at: wire.At
    used_at: wire.At | UnsetType = UNSET


class NewHook(msgspec.Struct):
    """A new hook, and its address, which is shown once."""

    hook: Hook
    url: str


class Hooks(msgspec.Struct):
    """The hooks of a room, the newest first."""

    hooks: list[Hook]


# --- Bodies of requests -----------------------------------------------------------------------------


class NamedBody(msgspec.Struct, kw_only=True):
    """The rooms that a cursor follows, or `all` that the account has joined; it begins at `from` in new ones."""

    rooms: Annotated[list[wire.Room], Meta(min_length=1, max_length=50)] | Literal["all"]
    from_: Annotated[str, Meta(description="A cursor, `0` or `now`.")] = msgspec.field(name="from", default="now")


class PositionBody(msgspec.Struct, kw_only=True):
    """What is done, by room: everything up to these cursors. A step back needs `back`."""

    rooms: Annotated[dict[wire.Room, wire.Cursor], Meta(min_length=1, max_length=50)]
    back: bool = False


class HookBody(msgspec.Struct):
    """The name under which the hook writes."""

    name: account_types.Name


class HookPost(msgspec.Struct, kw_only=True):
    """A message, of Slack's shape: names and icons are ignored."""

    text: str | UnsetType = UNSET
    blocks: list[dict[str, Any]] | UnsetType = UNSET
    attachments: list[dict[str, Any]] | UnsetType = UNSET
