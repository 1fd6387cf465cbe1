"""The server's answers as types. The wire is docs/protocol.md; unknown fields are kept, not refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Required, TypedDict


class Reply(TypedDict, total=False):
    """The message that another one answers."""

    id: Required[int]
    user: str
    excerpt: str
    deleted: bool


class Message(TypedDict, total=False):
    """A message as it was at its event, or as it is now in a snapshot. Empty fields are left out."""

    id: Required[int]
    user: str
    message: str
    runs: list[dict[str, Any]]
    color: str
    reply_to: Reply
    files: list[dict[str, Any]]
    likes: int
    dislikes: int
    reactions: dict[str, int]
    at: str
    edited_at: str
    deleted: bool
    client_id: str


class Quote(TypedDict, total=False):
    """A quotation that a user added to the collection."""

    id: Required[int]
    quote: Required[str]
    author: Required[str]
    at: str
    seq: int
    client_id: str
    removed: bool


class Hit(TypedDict):
    """A message that a search has found; `marks` are (start, length) in its runs' joined text."""

    room: str
    message: Message
    marks: list[list[int]]


class Found(TypedDict, total=False):
    """A page of hits, and what gives the next one as `before`."""

    hits: Required[list[Hit]]
    has_more: Required[bool]
    before: str
    searched: dict[str, str]
    incomplete: bool


class Snapshot(TypedDict, total=False):
    """The latest messages, oldest first, and the cursor at which they were read."""

    room: Required[str]
    cursor: Required[str]
    messages: Required[list[Message]]
    has_more: Required[bool]
    quotes: list[Quote]
    mine: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a room's log. `cursor` is the position after it: keep that one to go on from here.

    `command` names the change (``message-sent``, ``message-edited``, ``message-deleted``,
    ``reactions-changed``, ``quote-added``, ``quote-removed``; more may come). `envelope` is all of it, as it came.
    """

    command: str
    room: str
    seq: int
    cursor: str
    at: str
    message: Message | None
    quote: Quote | None
    envelope: dict[str, Any]

    @classmethod
    def of(cls, envelope: dict[str, Any]) -> Event:
        """Return the event in an envelope."""
        return cls(
            envelope["command"],
            envelope["room"],
            envelope["seq"],
            envelope["cursor"],
            envelope["at"],
            envelope.get("message"),
            envelope.get("quote"),
            envelope,
        )


@dataclass(frozen=True, slots=True)
class Ack:
    """The server has it, on its disk. `seq` is the number of its event and, of a message, its id.

    `duplicate`: it was stored before, by an earlier attempt. A scheduled message has `scheduled` (its `id`,
    `send_at`, …) and no `seq` yet.
    """

    client_id: str
    seq: int | None
    cursor: str | None
    duplicate: bool
    scheduled: dict[str, Any] | None

    @classmethod
    def of(cls, envelope: dict[str, Any]) -> Ack:
        """Return the acknowledgement in an envelope."""
        return cls(
            envelope["client_id"],
            envelope.get("seq"),
            envelope.get("cursor"),
            bool(envelope.get("duplicate")),
            envelope.get("scheduled"),
        )
