"""The server's answers as types: specifications are made of them, and tests hold answers against them.

Nothing is encoded by way of these: events are encoded once, by hand (`events`). A field that is left out when it is
empty may be `UNSET` here. The commands, which come in, are in `commands`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ..markup.text import Run
from .fields import At as At
from .fields import Count as Count
from .fields import Cursor as Cursor
from .fields import Duplicate as Duplicate
from .fields import EmojiCounts as EmojiCounts
from .fields import Followed as Followed
from .fields import HasMore as HasMore
from .fields import MessageId as MessageId
from .fields import Retry as Retry
from .fields import Room as Room
from .fields import Seq as Seq
from .file_types import File, FileIds
from .inbox_types import Inbox, InboxRoom
from .room_types import About, FormerMember, Level, Member, ReadPosition, RoomInfo

# --- Messages and quotes --------------------------------------------------------------------------


class ReplyTo(msgspec.Struct):
    """The message that is answered."""

    id: MessageId
    user: str
    excerpt: Annotated[str, Meta(description="Its beginning, on one line.")] | UnsetType = UNSET
    deleted: bool | UnsetType = UNSET


class Message(msgspec.Struct):
    """A message; empty fields are left out. A deleted one has only `id`, `user`, `at` and `deleted`."""

    id: MessageId
    user: str
    at: At
    message: Annotated[str, Meta(description="The text as typed.")] | UnsetType = UNSET
    runs: Annotated[list[Run], Meta(description="The text in styles, where it is formatted.")] | UnsetType = UNSET
    by: Annotated[str, Meta(description="The id of the account that sent it.")] | UnsetType = UNSET
    bot: Annotated[bool, Meta(description="A program sent it, by an account of its own.")] | UnsetType = UNSET
    color: str | UnsetType = UNSET
    reply_to: ReplyTo | UnsetType = UNSET
    files: Annotated[list[File], Meta(description="At most 10.")] | UnsetType = UNSET
    likes: Count | UnsetType = UNSET
    dislikes: Count | UnsetType = UNSET
    reactions: EmojiCounts | UnsetType = UNSET
    edited_at: At | UnsetType = UNSET
    deleted: bool | UnsetType = UNSET
    moderated: Annotated[bool, Meta(description="Somebody else than its sender deleted it.")] | UnsetType = UNSET
    client_id: str | UnsetType = UNSET


class DeletedMessage(msgspec.Struct):
    """Which message was deleted."""

    id: MessageId
    moderated: Annotated[bool, Meta(description="Somebody else than its sender deleted it.")] | UnsetType = UNSET


class Reactions(msgspec.Struct):
    """The counts of one message, absolute."""

    id: MessageId
    likes: Count
    dislikes: Count
    reactions: EmojiCounts | UnsetType = UNSET


class Quote(msgspec.Struct, kw_only=True):
    """A quote."""

    id: Annotated[int, Meta(ge=1)]
    quote: str
    author: str
    at: At
    client_id: str | UnsetType = UNSET
    removed: Annotated[bool, Meta(description="It was taken back: `quote` and `author` are empty.")] | UnsetType = UNSET


class AddedQuote(Quote, kw_only=True):
    """A quote, and whether it was there before."""

    duplicate: Duplicate | UnsetType = UNSET


class QuoteInRoom(Quote, kw_only=True):
    """A quote in the stretch of a room's log."""

    seq: Seq


class WaitingContent(msgspec.Struct):
    """A message that waits, as it was sent; the repeat of a cancellation has no text."""

    user: str | UnsetType = UNSET
    message: str | UnsetType = UNSET
    color: str | UnsetType = UNSET
    reply_to: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    files: FileIds | UnsetType = UNSET
    client_id: str | UnsetType = UNSET


class WaitingMessage(msgspec.Struct):
    """A scheduled message, for its sender alone."""

    id: Annotated[int, Meta(ge=1)]
    send_at: At
    room: Room
    message: WaitingContent
    # Only if it was refused when it was due: the code of the problem, as a send would have been answered.
    state: Literal["refused"] | UnsetType = UNSET
    code: str | UnsetType = UNSET


# --- Events ---------------------------------------------------------------------------------------


class _Event(msgspec.Struct, kw_only=True, tag_field="command"):
    room: Room
    seq: Seq
    cursor: Cursor
    at: At
    # Only in the answer to a request that was repeated.
    duplicate: Duplicate | UnsetType = UNSET


class MessageSent(_Event, tag="message-sent"):
    """Somebody said something; `message.id` is this event's `seq`."""

    message: Message


class MessageEdited(_Event, tag="message-edited"):
    """The whole message as it is now."""

    message: Message


class MessageDeleted(_Event, tag="message-deleted"):
    """Its sender deleted it, or, if `moderated` is true, a manager, an administrator or the operator."""

    message: DeletedMessage


class ReactionsChanged(_Event, tag="reactions-changed"):
    """Likes, dislikes and emoji as they are now: absolute, so applying it twice changes nothing."""

    message: Reactions


class QuoteAdded(_Event, tag="quote-added"):
    """A quote came in."""

    quote: Quote


class QuoteRemoved(_Event, tag="quote-removed"):
    """The quote was taken back, or removed by a manager; its stub stays."""

    quote: Quote


class Audit(msgspec.Struct, kw_only=True):
    """What was done. Ids are public ones of accounts; without `by`, the operator did it, or nobody in particular."""

    what: str
    by: str | UnsetType = UNSET
    account: str | UnsetType = UNSET
    room: str | UnsetType = UNSET
    message: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    detail: str | UnsetType = UNSET


class Audited(_Event, tag="audit"):
    """An act of administration; in the log `@audit` alone, which administrators read."""

    audit: Audit


class RoomChanged(_Event, tag="room-changed"):
    """The settings of the room as they are now, whole."""

    about: About
    by: str | UnsetType = UNSET


class MemberJoined(_Event, tag="member-joined"):
    """Somebody is a member of this closed or direct room from here on."""

    member: Member
    by: str | UnsetType = UNSET


class MemberChanged(_Event, tag="member-changed"):
    """A member of this closed room has another role."""

    member: Member
    by: str | UnsetType = UNSET


class MemberLeft(_Event, tag="member-left"):
    """A member is none any more; it gets this event, and no later one."""

    member: FormerMember
    reason: Literal["left", "removed", "closed"]
    by: str | UnsetType = UNSET


Event = (
    MessageSent | MessageEdited | MessageDeleted | ReactionsChanged | QuoteAdded | QuoteRemoved
    | RoomChanged | MemberJoined | MemberChanged | MemberLeft | Audited
)


# --- Answers on sockets and streams ---------------------------------------------------------------


class Problem(msgspec.Struct):
    """Why something was refused (RFC 9457). Switch on `code`, never on text."""

    type: str
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str
    code: str
    field: Annotated[str, Meta(description="The field or parameter at fault.")] | UnsetType = UNSET
    room: Annotated[str, Meta(description="The room at fault, of several that were asked for.")] | UnsetType = UNSET
    retry_in_ms: Retry | UnsetType = UNSET
    request_id: Annotated[str, Meta(description="Names the request in the server's log.")] | UnsetType = UNSET


class _Answer(msgspec.Struct, kw_only=True, tag_field="command"):
    pass


class Ack(_Answer, kw_only=True, tag="ack"):
    """It is on the disk: `seq` and `cursor` of its event, or the `scheduled` message."""

    client_id: str | UnsetType = UNSET
    seq: Seq | UnsetType = UNSET
    cursor: Cursor | UnsetType = UNSET
    scheduled: WaitingMessage | UnsetType = UNSET
    member: Annotated[Member, Meta(description="In an open room, whose log has no members.")] | UnsetType = UNSET
    inbox: Annotated[InboxRoom, Meta(description="Of `join`: the room's place in the inbox.")] | UnsetType = UNSET
    read: ReadPosition | UnsetType = UNSET
    level: Level | UnsetType = UNSET
    duplicate: Duplicate | UnsetType = UNSET


class Error(_Answer, kw_only=True, tag="error"):
    """A command was refused, as HTTP would."""

    client_id: str | UnsetType = UNSET
    error: Problem


class CaughtUp(_Answer, kw_only=True, tag="caught-up"):
    """From `cursor` on events are live."""

    room: Followed
    cursor: Cursor


class Reset(_Answer, kw_only=True, tag="reset"):
    """The cursor cannot be served: take a new snapshot, keep unsent commands."""

    room: str
    error: Problem


class Heartbeat(_Answer, kw_only=True, tag="heartbeat"):
    """The heads of the rooms that are followed; a client that stays behind for two of them resumes."""

    cursors: dict[str, Cursor]


class Bytes(msgspec.Struct):
    """The bytes that a socket has carried since its handshake."""

    incoming: Count = msgspec.field(name="in")
    outgoing: Count = msgspec.field(name="out")


class Pong(_Answer, kw_only=True, tag="pong"):
    """The answer to `ping`."""

    client_id: str | UnsetType = UNSET
    bytes: Bytes | UnsetType = UNSET


Answer = Ack | Error | CaughtUp | Reset | Heartbeat | Pong


# --- Bodies of answers over HTTP ------------------------------------------------------------------


class Rooms(msgspec.Struct):
    """All rooms, by name."""

    rooms: list[RoomInfo]


class Mine(msgspec.Struct):
    """The caller's own messages and reactions in it."""

    messages: list[MessageId] | UnsetType = UNSET
    reactions: dict[str, Literal["like", "dislike"]] | UnsetType = UNSET
    emoji: Annotated[dict[str, list[str]], Meta(description="Own emoji, by message.")] | UnsetType = UNSET


class Messages(msgspec.Struct, kw_only=True):
    """Messages, oldest first, as they are now, and the quotes of the same stretch."""

    messages: list[Message]
    has_more: HasMore
    quotes: list[QuoteInRoom] | UnsetType = UNSET
    mine: Mine | UnsetType = UNSET


class Snapshot(Messages, kw_only=True):
    """The latest messages, and the cursor at which they were read."""

    room: Room
    cursor: Cursor
    about: RoomInfo | UnsetType = UNSET


class Events(msgspec.Struct):
    """Events after a cursor: contiguous, oldest first."""

    events: list[Event]
    cursor: Cursor
    more: Annotated[bool, Meta(description="Ask again at once.")]
    retry_in_ms: Retry | UnsetType = UNSET


class EventsOfRoom(msgspec.Struct):
    """The events of one of several rooms."""

    events: list[Event]
    cursor: Cursor
    more: bool


class EventsOfRooms(msgspec.Struct):
    """By room."""

    rooms: dict[str, EventsOfRoom]
    inbox: Annotated[Inbox, Meta(description="If `@inbox` is among the rooms.")] | UnsetType = UNSET
    retry_in_ms: Retry | UnsetType = UNSET


class Waiting(msgspec.Struct):
    """One's own messages that wait, the next first."""

    scheduled: list[WaitingMessage]


class Scheduled(msgspec.Struct):
    """The message that waits, or that will not be sent."""

    scheduled: WaitingMessage
    duplicate: Duplicate | UnsetType = UNSET


class Quotes(msgspec.Struct):
    """Quotes, the newest first."""

    quotes: list[Quote]
    has_more: HasMore


class Guest(msgspec.Struct):
    """An identity for a program."""

    user: str
    token: Annotated[str, Meta(description="For `Authorization: Bearer …`.")]
