"""Bodies of requests over HTTP, as types."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ..commands import AccountId, ClientId, NewMessage, ReactionName
from .fields import Room
from .file_types import Descriptions

Key = Annotated[
    ClientId | None, Meta(description="Made up by the sender, so that a repeat is stored once. Or `Idempotency-Key`.")
]


class MessageBody(NewMessage, frozen=True, kw_only=True):
    """A message to send."""

    client_id: Key = None


class EditBody(msgspec.Struct, kw_only=True):
    """The new text, new descriptions of files, or both."""

    message: str | None = None
    files: Descriptions | None = None
    client_id: Key = None


class ReactionBody(msgspec.Struct, kw_only=True):
    """Like or dislike, which `none` takes back; or an emoji, which `on`: false takes back."""

    reaction: ReactionName
    on: bool | None = None
    client_id: Key = None


class QuoteBody(msgspec.Struct, kw_only=True):
    """A quote for the collection; its room hears of it."""

    quote: str
    author: str
    room: Room | UnsetType = UNSET
    client_id: Key = None


class RoomBody(msgspec.Struct):
    """A new room. The name of a closed one is a wish, which gets a random tail, and may be left out."""

    name: Room | UnsetType = UNSET
    title: str | None = None
    kind: Literal["open", "closed"] = "open"
    members: Annotated[list[AccountId], Meta(max_length=100)] | UnsetType = UNSET


class GuestBody(msgspec.Struct):
    """The name that the program writes under."""

    user: str
