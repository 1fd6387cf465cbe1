"""The server's answers to programs that it keeps something for, and the bodies that it takes for them; see `wire`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ..limits import MOST_ROOMS
from . import account_types, wire

_Position = Annotated[str, Meta(pattern=r"\A(0|[1-9][0-9]{0,15})(\.[0-9a-f]{16})?\Z")]


WebhookCommand = Literal[
    "message-sent", "message-edited", "message-deleted", "reactions-changed", "quote-added", "quote-removed",
    "room-changed", "member-joined", "member-changed", "member-left",
]  # fmt: skip


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


class Failing(msgspec.Struct, kw_only=True):
    """Calls that fail: since when, how often it was tried in that room, and when it is tried again."""

    since: wire.At
    tries: Annotated[int, Meta(ge=1)]
    next_at: wire.At


class Webhook(msgspec.Struct, kw_only=True):
    """An address that the server calls with events, with its position in each room; `account` is its bot."""

    id: account_types.ShortId
    name: str
    account: account_types.Id
    url: str
    rooms: Annotated[dict[wire.Room, _Position], Meta(description="What was taken: its position in each room.")]
    all: Annotated[bool, Meta(description="It follows every room that the bot has joined.")] | UnsetType = UNSET
    commands: list[WebhookCommand]
    mentions: Annotated[bool, Meta(description="Only what mentions the bot, or is direct.")] | UnsetType = UNSET
    behind: Annotated[int, Meta(ge=0, description="Events after its positions, of all rooms together.")]
    state: Literal["on", "disabled"]
    reason: Annotated[
        Literal["gone", "failing", "disabled", "not-allowed"],
        Meta(description="Why nothing is sent: 410, 3 days of failures, or an account that may have no webhooks now."),
    ] | UnsetType = UNSET
    failing: Failing | UnsetType = UNSET
    made_by: account_types.Id | UnsetType = UNSET
    at: wire.At


class Called(msgspec.Struct, kw_only=True):
    """How a call went: the status of the answer, or the error that there was instead, and the time that it took."""

    at: wire.At
    status: Annotated[int, Meta(ge=100, le=999)] | UnsetType = UNSET
    error: Literal["unsafe", "resolve", "connect", "tls", "timeout", "reset", "protocol"] | UnsetType = UNSET
    ms: Annotated[int, Meta(ge=0)]
    room: Annotated[wire.Room, Meta(description="Not of a test.")] | UnsetType = UNSET
    seq: Annotated[int, Meta(ge=1)] | UnsetType = UNSET


class WebhookWithTries(Webhook, kw_only=True):
    """A webhook with its last 20 calls, the newest first."""

    tries: list[Called]


class Webhooks(msgspec.Struct):
    """Webhooks, the newest first."""

    webhooks: list[Webhook]


class NewWebhook(msgspec.Struct):
    """A webhook, and the secret that it signs with, which is shown once."""

    webhook: Webhook
    secret: Annotated[str, Meta(pattern=r"\Awhsec_[A-Za-z0-9+/=]{44}\Z")]


# --- Bodies of requests -----------------------------------------------------------------------------


class NamedBody(msgspec.Struct, kw_only=True):
    """The rooms that a cursor follows, or `all` that the account has joined; it begins at `from` in new ones."""

    rooms: Annotated[list[wire.Room], Meta(min_length=1, max_length=MOST_ROOMS)] | Literal["all"]
    from_: Annotated[str, Meta(description="A cursor, `0` or `now`.")] = msgspec.field(name="from", default="now")


class PositionBody(msgspec.Struct, kw_only=True):
    """What is done, by room: everything up to these cursors. A step back needs `back`."""

    rooms: Annotated[dict[wire.Room, wire.Cursor], Meta(min_length=1, max_length=MOST_ROOMS)]
    back: bool = False


class HookBody(msgspec.Struct):
    """The name under which the hook writes."""

    name: account_types.Name


class HookPost(msgspec.Struct, kw_only=True):
    """A message, of Slack's shape: names and icons are ignored."""

    text: str | UnsetType = UNSET
    blocks: list[dict[str, Any]] | UnsetType = UNSET
    attachments: list[dict[str, Any]] | UnsetType = UNSET


_Url = Annotated[str, Meta(max_length=2000, description="https; http only into networks that the operator names.")]


class WebhookBody(msgspec.Struct, kw_only=True):
    """A webhook of the bot `account`; without `rooms` for all that the bot has joined."""

    name: Annotated[str, Meta(description="Of the bot's own webhooks no two have the same.")]
    url: _Url
    account: account_types.Id
    rooms: Annotated[list[wire.Room], Meta(min_length=1, max_length=MOST_ROOMS)] | Literal["all"] = "all"
    commands: list[WebhookCommand] = msgspec.field(default_factory=lambda: ["message-sent"])
    mentions: bool = False


class WebhookChange(msgspec.Struct, kw_only=True):
    """The fields that are to change; the rest stays."""

    name: str | UnsetType = UNSET
    url: _Url | UnsetType = UNSET
    rooms: Annotated[list[wire.Room], Meta(min_length=1, max_length=MOST_ROOMS)] | Literal["all"] | UnsetType = UNSET
    commands: list[WebhookCommand] | UnsetType = UNSET
    mentions: bool | UnsetType = UNSET


class ReplayBody(msgspec.Struct):
    """Send the events after `after` in `room`, again or for the first time."""

    room: wire.Room
    after: Annotated[str, Meta(description="A cursor, `0` or `now`.")]
