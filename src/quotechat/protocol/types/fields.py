"""Types of single fields that many answers have."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Seq = Annotated[int, Meta(ge=1, le=2**53 - 1, description="The event's number in its room: 1, 2, 3 … without a hole.")]
MessageId = Annotated[int, Meta(ge=1, le=2**53 - 1, description="The seq of the event that brought the message.")]
Cursor = Annotated[
    str,
    Meta(
        pattern=r"\A(0|[1-9][0-9]{0,15})\.[0-9a-f]{16}\Z",
        description="A position in a room's log, and the history that leads to it.",
        examples=["42.9f3ac21b7d04e6a1"],
    ),
]
At = Annotated[
    str,
    Meta(
        pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z\Z",
        description="RFC 3339, UTC, three digits.",
        examples=["2026-11-22T21:00:00.123Z"],
    ),
]
Followed = Annotated[
    str,
    Meta(
        pattern=r"\A([a-z0-9][a-z0-9-]{0,62}|@audit|@inbox)\Z", description="The name of a room, `@audit` or `@inbox`."
    ),
]
Room = Annotated[
    str,
    Meta(pattern=r"\A([a-z0-9][a-z0-9-]{0,62}|@audit)\Z", description="The name of a room, or of the log `@audit`."),
]
Count = Annotated[int, Meta(ge=0)]
EmojiCounts = Annotated[
    dict[str, Annotated[int, Meta(ge=1)]], Meta(description="How many reacted with each emoji; at most 20 emoji.")
]
HasMore = Annotated[bool, Meta(description="Whether there are older ones.")]
Duplicate = Annotated[bool, Meta(description="It was stored before; left out when false.")]
Retry = Annotated[int, Meta(ge=0, description="Ask again after so many milliseconds.")]
