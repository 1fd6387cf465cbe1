"""The client's exceptions: one tree, with a class for each `code` of the protocol (§4).

    ClientError
    ├── Unreachable                  no answer, by this attempt
    ├── Unanswered                   no answer within the client's patience; has the client_id to go on with
    ├── Reset                        reading cannot go on from the cursor; has a new snapshot
    ├── Gap                          retention cut events before a named cursor had passed them
    └── Problem                      the server refused; has code, status, detail, field, retry_in
        ├── BadRequest               malformed-json, malformed-envelope, parameter-invalid, cursor-invalid, …
        ├── Unauthenticated
        ├── Forbidden                └── OriginRefused
        ├── NotFound                 ├── RoomUnknown, MessageUnknown, QuoteUnknown, ScheduledUnknown
        ├── Conflict
        ├── LostCursor               ├── CursorExpired, CursorAhead, HistoryChanged
        ├── Invalid                  └── ClientIdReused
        ├── RateLimited
        ├── Unavailable              ├── Overloaded, Draining, OutcomeUnknown
        ├── StorageFull
        └── Internal

A code that is not known here is the nearest class by its status, else Problem itself.
"""

from __future__ import annotations

from typing import Any

from .shapes import Snapshot


class ClientError(Exception):
    """The base of all exceptions of this package."""


class Unreachable(ClientError):
    """The server was not reached, or its answer broke off. Whether the request was executed is not known."""


class Unanswered(ClientError):
    """No answer came within the client's patience.

    Whether it was stored is not known; sending it again with the same `client_id` finds out, however late.
    """

    def __init__(self, why: str, client_id: str | None) -> None:
        super().__init__(why)
        self.client_id = client_id


class Problem(ClientError):
    """The server refused. Switch on the class or on `code`, never on the text.

    `status` is HTTP's, `field` the faulty field, `retry_in` (seconds) when asking again may help.
    """

    def __init__(self, body: dict[str, Any], status: int, retry_in: float = 0.0) -> None:
        super().__init__(body.get("detail") or body.get("title") or f"The server answered {status}.")
        self.code: str = body.get("code", "unknown")
        self.status = status
        self.field: str | None = body.get("field")
        self.retry_in = retry_in
        self.request_id: str | None = body.get("request_id")
        self.body = body


class BadRequest(Problem):
    """It could not be understood."""


class Unauthenticated(Problem):
    """It needs an identity: `Client.sign_in`, or a token."""


class Forbidden(Problem):
    """It belongs to another user."""


class OriginRefused(Forbidden):
    """The request looked like one of another site's page."""


class NotFound(Problem):
    """There is no such thing."""


class RoomUnknown(NotFound):
    """No room has this name."""


class MessageUnknown(NotFound):
    """No message of the room has this id."""


class QuoteUnknown(NotFound):
    """There is no such quote, or none at all."""


class ScheduledUnknown(NotFound):
    """No message waits under this id."""


class Conflict(Problem):
    """The server's state contradicts it: a deleted message, a room that exists, a name that is taken."""


class LostCursor(Problem):
    """The cursor cannot be served exactly. A `Reader` turns this into a `Reset`."""


class CursorExpired(LostCursor):
    """The cursor is older than the oldest event kept."""


class CursorAhead(LostCursor):
    """Beyond the head of the log."""


class HistoryChanged(LostCursor):
    """The log has another history: it was restored or begun anew."""


class Invalid(Problem):
    """Understood, and refused; see `field`."""


class ClientIdReused(Invalid):
    """This sender used the client_id for something else."""


class RateLimited(Problem):
    """Too much at once."""


class Unavailable(Problem):
    """Not now."""


class Overloaded(Unavailable):
    """The server is at its limit."""


class Draining(Unavailable):
    """The server restarts."""


class OutcomeUnknown(Unavailable):
    """It may have been stored or not."""


class StorageFull(Problem):
    """The server has no space left; nothing was stored."""


class Internal(Problem):
    """The server's own fault."""


class Reset(ClientError):
    """The events after the cursor cannot be had, so some may have been missed; here is a new snapshot.

    Show `snapshot` instead of all that was shown before. The reader that raised this goes on from
    ``snapshot["cursor"]`` when it is iterated again. `problem` says why.
    """

    def __init__(self, problem: Problem, snapshot: Snapshot) -> None:
        super().__init__(str(problem))
        self.problem = problem
        self.snapshot = snapshot


class Gap(ClientError):
    """The events `first` to `last` of `room` were cut before they were acknowledged, so they cannot be had.

    The named cursor that raised this goes on behind them when it is iterated again.
    """

    def __init__(self, room: str, first: int, last: int) -> None:
        super().__init__(f"{room}: the events {first} to {last} were cut before they were read")
        self.room = room
        self.first = first
        self.last = last


_BY_CODE: dict[str, type[Problem]] = {
    "malformed-json": BadRequest,
    "malformed-envelope": BadRequest,
    "parameter-invalid": BadRequest,
    "cursor-invalid": BadRequest,
    "unauthenticated": Unauthenticated,
    "forbidden": Forbidden,
    "origin-refused": OriginRefused,
    "room-unknown": RoomUnknown,
    "message-unknown": MessageUnknown,
    "quote-unknown": QuoteUnknown,
    "scheduled-unknown": ScheduledUnknown,
    "not-found": NotFound,
    "method-not-allowed": BadRequest,
    "not-acceptable": BadRequest,
    "conflict": Conflict,
    "cursor-expired": CursorExpired,
    "cursor-ahead": CursorAhead,
    "history-changed": HistoryChanged,
    "too-large": BadRequest,
    "unsupported-media-type": BadRequest,
    "invalid": Invalid,
    "client-id-reused": ClientIdReused,
    "rate-limited": RateLimited,
    "internal": Internal,
    "overloaded": Overloaded,
    "draining": Draining,
    "outcome-unknown": OutcomeUnknown,
    "storage-full": StorageFull,
}
# A proxy in between refuses without a code, and a newer server with codes of its own.
_BY_STATUS: dict[int, type[Problem]] = {
    400: BadRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: LostCursor,
    422: Invalid,
    429: RateLimited,
    500: Internal,
    503: Unavailable,
    507: StorageFull,
}


def problem(body: dict[str, Any], status: int, retry_in: float = 0.0) -> Problem:
    """Return the exception for a problem object."""
    kind = _BY_CODE.get(body.get("code", "")) or _BY_STATUS.get(status, Problem)
    return kind(body, status, retry_in)
