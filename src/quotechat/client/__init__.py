"""The Python client: post, react, and read a room without missing anything, through any failure.

    from quotechat.client import Client

    client = Client("http://127.0.0.1:8000")
    client.sign_in("Echo")
    for event in client.events("lobby"):
        ...

It is a client like any other: it knows the server only by its protocol, needs nothing but the standard
library, and imports nothing else of quotechat (docs/reference/python-client.md).
"""

from .api import Client
from .backoff import Backoff
from .named import NamedCursor
from .problems import (
    BadRequest,
    ClientError,
    ClientIdReused,
    Conflict,
    CursorAhead,
    CursorExpired,
    Draining,
    Forbidden,
    Gap,
    HistoryChanged,
    Internal,
    Invalid,
    LostCursor,
    MessageUnknown,
    NotFound,
    OriginRefused,
    OutcomeUnknown,
    Overloaded,
    Problem,
    QuoteUnknown,
    RateLimited,
    Reset,
    RoomUnknown,
    ScheduledUnknown,
    StorageFull,
    Unanswered,
    Unauthenticated,
    Unavailable,
    Unreachable,
)
from .reader import Reader
from .shapes import Ack, Event, Found, Hit, Message, Quote, Snapshot

__all__ = [
    "Ack",
    "Backoff",
    "BadRequest",
    "Client",
    "ClientError",
    "ClientIdReused",
    "Conflict",
    "CursorAhead",
    "CursorExpired",
    "Draining",
    "Event",
    "Forbidden",
    "Found",
    "Gap",
    "HistoryChanged",
    "Hit",
    "Internal",
    "Invalid",
    "LostCursor",
    "Message",
    "MessageUnknown",
    "NamedCursor",
    "NotFound",
    "OriginRefused",
    "OutcomeUnknown",
    "Overloaded",
    "Problem",
    "Quote",
    "QuoteUnknown",
    "RateLimited",
    "Reader",
    "Reset",
    "RoomUnknown",
    "ScheduledUnknown",
    "Snapshot",
    "StorageFull",
    "Unanswered",
    "Unauthenticated",
    "Unavailable",
    "Unreachable",
]
